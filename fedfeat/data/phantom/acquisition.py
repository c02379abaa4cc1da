"""From brightness to the stored picture: exposure, display curve, grid, collimation, marker, noise."""

import numpy as np

from fedfeat.data.phantom.anatomy import Chest
from fedfeat.data.phantom.findings import Study
from fedfeat.data.phantom.shapes import SIZE, clouds, reduce
from fedfeat.data.phantom.sites import STYLES
from fedfeat.randomness import numpy_generator

# 3 x 5 pixels each, as bits of rows from the top.
_LETTERS = {"R": (6, 5, 6, 5, 5), "L": (4, 4, 4, 4, 7), "P": (6, 5, 6, 4, 4)}


def _letter(picture: np.ndarray, letter: str, top: int, left: int, white: float) -> None:
    for row, bits in enumerate(_LETTERS[letter]):
        for column in range(3):
            if bits >> (2 - column) & 1:
                picture[top + row, left + column] = white


def expose(picture: np.ndarray, seed: int, study: Study, chest: Chest) -> np.ndarray:
    """Return the (SIZE, SIZE) uint8 picture; `picture` is the (GRID, GRID) brightness, 0 air to about 1 dense.

    Nothing here looks at the picture's content: an exposure that followed the mean would spread every finding over the
    whole picture.
    """
    style = STYLES[study.patient.site]
    rng = numpy_generator(seed, *study.names, "exposure")
    gain = float(np.exp(style.exposure * rng.normal()))
    level = 0.06 * float(rng.normal()) * (style.exposure / 0.16)
    shade = float(rng.normal()) * 0.05 * chest.x + float(rng.normal()) * 0.04 * chest.y  # an off-centre beam
    seen = reduce(picture + shade * chest.body + 0.012 * clouds(rng, 33))
    seen = np.clip((seen - 0.02) * gain * 1.05 + level, 0.0, 1.15) / 1.15
    gamma = style.gamma * float(np.exp(0.10 * rng.normal()))
    seen = seen**gamma
    if rng.random() < 0.12:  # an anti-scatter grid out of line
        phase = float(rng.uniform(0, 6))
        seen = seen + 0.012 * np.sin(np.arange(SIZE) * float(rng.uniform(1.5, 2.6)) + phase)[None, :]
    noise = style.noise * float(np.exp(0.25 * rng.normal()))
    seen = seen + noise * np.sqrt(np.clip(seen, 0.02, 1.0) * 2.0) * rng.normal(size=seen.shape)
    if rng.random() < style.border:
        for axis in (0, 1):
            first, last = int(rng.integers(0, 5)), int(rng.integers(0, 5))
            edge = np.arange(SIZE)
            dark = (edge < first) | (edge >= SIZE - last)
            seen[dark if axis == 0 else (slice(None), dark)] = 0.01
    if rng.random() < style.marker:
        right = bool(rng.random() < 0.5)
        left_edge = int(rng.integers(2, 7)) if right else int(rng.integers(55, 60))
        top, white = int(rng.integers(2, 12)), float(rng.uniform(0.75, 1.0))
        _letter(seen, "R" if right else "L", top, left_edge, white)
        if study.portable and rng.random() < 0.4:
            _letter(seen, "P", top + 7, left_edge, white)
    return np.clip(np.rint(seen * 255.0), 0, 255).astype(np.uint8)
