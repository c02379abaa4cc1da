"""Soft-edged shapes on the 128 x 128 drawing grid, in double precision so that the bytes are the same on any machine.

Coordinates: x across, -1 to 1, the patient's right at the left of the picture; y down, -1 (neck) to 1 (upper abdomen).
"""

from itertools import pairwise

import numpy as np

GRID = 128  # pixels a side while drawing
SIZE = 64  # pixels a side of the finished picture


def plane(across: float, down: float, zoom: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y, each (GRID, GRID), of the pixels of a camera shifted, zoomed and turned by `angle` radians."""
    line = (np.arange(GRID) + 0.5) * (2.0 / GRID) - 1.0
    u, v = line[None, :] / zoom, line[:, None] / zoom
    c, s = np.cos(angle), np.sin(angle)
    return c * u - s * v + across, s * u + c * v + down


def soft(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 0 to 1, crossing 0.5 where the signed distance is 0, over a ramp `width` wide."""
    return np.clip(distance / width + 0.5, 0.0, 1.0)


def ellipse(
    x: np.ndarray,
    y: np.ndarray,
    centre: tuple[float, float],
    radii: tuple[float, float],
    edge: float,
    tilt: float = 0.0,
) -> np.ndarray:
    """Return the soft mask of an ellipse; `edge` is the width of its ramp, `tilt` in radians, clockwise on screen."""
    dx, dy = x - centre[0], y - centre[1]
    if tilt:
        c, s = np.cos(tilt), np.sin(tilt)
        dx, dy = c * dx + s * dy, c * dy - s * dx
    distance = (1.0 - np.sqrt((dx / radii[0]) ** 2 + (dy / radii[1]) ** 2)) * min(radii)
    return soft(distance, edge)


def blob(
    x: np.ndarray, y: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], sharp: float = 1.0
) -> np.ndarray:
    """Return a bump that is 1 at the centre and falls off like a Gaussian; a larger `sharp` gives a flatter top."""
    square = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2
    return np.exp(-(square if sharp == 1.0 else square**sharp))


def stroke(x: np.ndarray, y: np.ndarray, points: list[tuple[float, float]], width: float) -> np.ndarray:
    """Return the soft mask of a line of the given width through `points`."""
    nearest = np.full(x.shape, np.inf)
    for (x0, y0), (x1, y1) in pairwise(points):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + 1e-12), 0.0, 1.0)
        np.minimum(nearest, (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2, out=nearest)
    return soft(0.5 * width - np.sqrt(nearest), 1.2 / SIZE)


def _interpolation(knots: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (GRID,) left neighbours and (GRID, 1) shares of the right one: linear with rounded (cosine) steps."""
    position = np.linspace(0.0, knots - 1.000001, GRID)
    left = position.astype(int)
    return left, (0.5 - 0.5 * np.cos(np.pi * (position - left)))[:, None]


_STEPS = {knots: _interpolation(knots) for knots in (5, 9, 17, 33)}


def clouds(rng: np.random.Generator, knots: int) -> np.ndarray:
    """Return (GRID, GRID) smooth noise of about unit variance at the knots; `knots` a side: 5, 9, 17 or 33.

    Without a matrix product, whose threads would cost more than they save and could round differently elsewhere.
    """
    left, share = _STEPS[knots]
    cloud: np.ndarray = rng.normal(size=(knots, knots))
    for _ in range(2):  # down, then across
        cloud = (cloud[left] * (1.0 - share) + cloud[left + 1] * share).T
    return cloud


def reduce(picture: np.ndarray) -> np.ndarray:
    """Return the (SIZE, SIZE) means of 2 x 2 pixels."""
    small: np.ndarray = 0.25 * (picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2])
    return small
