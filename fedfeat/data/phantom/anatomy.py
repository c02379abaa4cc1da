"""A normal chest: where its parts lie in one study, and their brightness before exposure (0 air, about 1 dense tissue).

What changes the chest itself - a large heart, a wide mediastinum, lost volume - is set here, as lengths; what lies in
or on it is drawn in `drawing` and `devices`.
"""

from dataclasses import dataclass

import numpy as np

from fedfeat.data.phantom.findings import LEFT, RIGHT, Study
from fedfeat.data.phantom.shapes import blob, clouds, ellipse, plane, soft, stroke
from fedfeat.data.phantom.sites import STYLES
from fedfeat.randomness import numpy_generator

# Scales the contrast (and, for what is a matter of size, the size) of every finding: the one number to calibrate.
VISIBILITY = 1.0

APEX = -0.80  # y of the lungs' tips


@dataclass(frozen=True)
class Chest:
    """One study's chest on the grid.

    Attributes:
        x, y: (GRID, GRID) body coordinates of every pixel.
        half_width: of the rib cage at its widest.
        dome: side -> y of the top of the diaphragm.
        hilum: side -> (x, y).
        heart: (left edge, right edge, bottom) of the heart.
        lung: side -> (GRID, GRID) mask of the lung as it is, 0 to 1.
        cavity: side -> mask of the half of the chest outside the mediastinum, down past the diaphragm's flank.
        rim: side -> (GRID, GRID) distance inwards from the chest wall; negative outside.
        floor: side -> (GRID, GRID) height above the diaphragm (y units; negative below it).
        body: mask of the patient.
        markings: (GRID, GRID) vessels of both lungs, about 0 to 1.
        breath: depth of the breath, 0 to 1.
    """

    x: np.ndarray
    y: np.ndarray
    half_width: float
    dome: dict[str, float]
    hilum: dict[str, tuple[float, float]]
    heart: tuple[float, float, float]
    lung: dict[str, np.ndarray]
    cavity: dict[str, np.ndarray]
    rim: dict[str, np.ndarray]
    floor: dict[str, np.ndarray]
    body: np.ndarray
    markings: np.ndarray
    breath: float

    def centre(self, side: str, zone: str, offset: tuple[float, float]) -> tuple[float, float]:
        """Return (x, y) of a place in a third of a lung; `offset` in [-1, 1] moves it across and down."""
        third = {"upper": 0, "middle": 1, "lower": 2}[zone]
        top, bottom = APEX + 0.14, self.dome[side] - 0.06
        height = (bottom - top) / 3.0
        y = top + height * (third + 0.5 + 0.35 * offset[1])
        outer = self.half_width * (0.86 if third else 0.66)
        inner = (0.26, 0.27, 0.30 if side == RIGHT else 0.42)[third]
        x = 0.5 * (inner + outer) + 0.35 * (outer - inner) * offset[0]
        return (-x if side == RIGHT else x), y


def _wall(y: np.ndarray, half_width: float) -> np.ndarray:
    """Return the half-width of the rib cage at height y: narrow at the tip, nearly straight below."""
    down = np.clip((y - APEX) / 0.95, 0.0, None)
    wall: np.ndarray = half_width * np.sqrt(np.clip(1.0 - (1.0 - np.minimum(down, 1.0)) ** 2.2, 0.0, None))
    return wall


def _streaks(x: np.ndarray, y: np.ndarray, hilum: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Return vessels radiating from a hilum: random over the angle, thinner and fainter with distance."""
    dx, dy = x - hilum[0], y - hilum[1]
    radius = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx)
    rings = 7
    table = np.zeros((rings, 96))
    for ring in range(rings):
        table[ring] = np.repeat(rng.random(12 * 2 ** min(ring // 2, 3)) ** 3, 96 // (12 * 2 ** min(ring // 2, 3)))
    column = ((angle + np.pi + 0.25 * np.sin(9.0 * radius)) * (96 / (2 * np.pi))).astype(int) % 96
    row = np.minimum((radius * 9.0).astype(int), rings - 1)
    vessels: np.ndarray = table[row, column] * np.exp(-2.3 * radius)
    return vessels


def build(seed: int, study: Study) -> Chest:
    """Place the parts of the chest of one study."""
    patient, style = study.patient, STYLES[study.patient.site]
    fixed = numpy_generator(seed, *study.names[:4], "body")
    rng = numpy_generator(seed, *study.names, "pose")
    wide, long, heart_size = patient.build
    breath = float(np.clip(style.inspiration + (-0.12 if study.portable else 0.06) + 0.16 * rng.normal(), 0.0, 1.0))
    turn = float(style.turned * rng.normal())
    x, y = plane(
        across=0.05 * rng.normal(),
        down=0.04 * rng.normal(),
        zoom=float(1.10 * np.exp(0.05 * rng.normal())),
        angle=0.035 * rng.normal(),
    )
    half_width = 0.74 + 0.035 * wide + 0.02 * patient.girth
    # Heart and mediastinum: the cardiothoracic ratio is about 0.45 in PA, larger in AP pictures and shallow breaths.
    ratio = 0.44 + 0.026 * heart_size + (0.035 if study.portable else 0.0) + 0.045 * (0.7 - breath)
    mediastinum = (
        0.150 + 0.022 * float(fixed.normal()) + (0.02 if study.portable else 0.0) + 0.0006 * (patient.age - 60)
    )
    finding = study.findings.get("Cardiomegaly")
    if finding:
        ratio += VISIBILITY * (0.020 + 0.15 * finding.severity)
    finding = study.findings.get("Enlarged Cardiomediastinum")
    if finding:
        mediastinum += VISIBILITY * (0.020 + 0.11 * finding.severity)
    level = 0.26 + 0.24 * breath + 0.04 * long
    dome = {RIGHT: level + 0.025 * rng.normal(), LEFT: level + 0.05 + 0.035 * rng.normal()}
    finding = study.findings.get("Atelectasis")
    if finding and finding.kind == "volume loss":
        for side in (RIGHT, LEFT):
            if finding.side in (side, "bilateral"):
                dome[side] -= VISIBILITY * (0.04 + 0.16 * finding.severity)
    size = 2.0 * half_width * ratio
    bottom = 0.5 * (dome[RIGHT] + dome[LEFT]) + 0.06
    heart = (-0.32 * size + turn, 0.68 * size + turn, bottom)

    height = _wall(y, half_width)
    inner = mediastinum * (1.0 + 0.25 * np.clip((y + 0.25) / 0.6, -0.6, 1.0))
    knob = 0.07 * np.exp(-(((y + 0.30) / 0.10) ** 2)) * (1.0 + 0.01 * (patient.age - 60))
    flat = float(np.exp(0.25 * fixed.normal()))  # below 1 the angle at the wall is shallow, as if blunted
    lung, cavity, rim, floor = {}, {}, {}, {}
    heart_mask = heart_shape(x, y, heart)
    for side, sign in ((RIGHT, -1.0), (LEFT, 1.0)):
        out = sign * (x - 0.4 * turn)
        rim[side] = height - out
        middle = 0.5 * half_width
        sag = (
            flat * 0.16 * ((out - middle) / middle) ** 2
            + flat * 0.10 * np.clip((out - middle) / middle, 0.0, None) ** 4
        )
        floor[side] = dome[side] + sag - y
        edge = inner + (knob if side == LEFT else 0.0)
        cavity[side] = soft(rim[side], 0.03) * soft(out - edge, 0.04) * (1.0 - 0.92 * heart_mask)
        lung[side] = cavity[side] * soft(floor[side], 0.035)
    hilum = {RIGHT: (-mediastinum - 0.05 + turn, -0.08), LEFT: (mediastinum + 0.06 + turn, -0.13)}
    markings = np.maximum(_streaks(x, y, hilum[RIGHT], fixed), _streaks(x, y, hilum[LEFT], fixed))
    flank = 0.99 + 0.05 * patient.girth + 0.10 * np.clip(-y - 0.45, -0.3, None)
    body = soft(flank - np.abs(x), 0.05) * soft(y + 1.10 - 0.42 * np.clip(np.abs(x) - 0.25, 0.0, None), 0.08)
    return Chest(x, y, half_width, dome, hilum, heart, lung, cavity, rim, floor, body, markings, breath)


def heart_shape(x: np.ndarray, y: np.ndarray, heart: tuple[float, float, float]) -> np.ndarray:
    """Return the mask of the heart: a tilted left ventricle and the bulge of the right atrium."""
    start, end, bottom = heart
    width = end - start
    ventricle = ellipse(x, y, (start + 0.62 * width, bottom - 0.24), (0.40 * width, 0.30), 0.07, 0.35)
    atrium = ellipse(x, y, (start + 0.26 * width, bottom - 0.26), (0.26 * width, 0.27), 0.07)
    both: np.ndarray = np.maximum(ventricle, atrium)
    return both


def _ribs(chest: Chest, shift: float) -> np.ndarray:
    """Return the brightness of the ribs, 0 to about 1: posterior ones clear, anterior ones faint and crossing them."""
    out = np.abs(chest.x)
    back = (chest.y - 0.05 * out - 0.34 * out * out + shift) / 0.155
    front = (chest.y + 0.50 * out - 0.25 * out * out + shift) / 0.20
    cage = soft(np.maximum(chest.rim[RIGHT], chest.rim[LEFT]) * -1.0 + 0.10, 0.06)
    inside = soft(np.minimum(chest.rim[RIGHT], chest.rim[LEFT]) + 0.05, 0.05) * soft(0.62 - chest.y, 0.5)
    lines = soft(0.17 - np.abs(back - np.round(back)), 0.18)
    lines += 0.45 * soft(0.16 - np.abs(front - np.round(front)), 0.2) * soft(out - 0.30, 0.3)
    ribs: np.ndarray = lines * inside * (0.55 + 0.45 * (1.0 - cage)) * soft(out - 0.10, 0.06)
    return ribs


def brightness(seed: int, study: Study, chest: Chest, darkened: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """Return the (GRID, GRID) brightness of the chest before exposure.

    `darkened` (GRID, GRID) is how much air there is, 1 in the open lung; `vessels` scales the markings.
    """
    patient = study.patient
    fixed = numpy_generator(seed, *study.names[:4], "tissue")
    x, y, body = chest.x, chest.y, chest.body
    tissue = 0.62 + 0.03 * patient.girth + 0.05 * clouds(fixed, 5) * 0.5
    spine = soft(0.085 - np.abs(x), 0.05) * (0.10 + 0.035 * np.sin(y * 42.0 + float(fixed.uniform(0, 6))))
    trachea = soft(0.045 - np.abs(x - 0.01), 0.04) * soft(-0.22 - y, 0.08)
    centre = blob(x, y, (0.05, 0.30), (0.45, 0.75))  # more tissue in the way along the midline
    picture = tissue + 0.14 * centre + spine - 0.15 * trachea
    picture += 0.10 * soft(-np.maximum(chest.floor[RIGHT] * (x < 0), chest.floor[LEFT] * (x >= 0)), 0.12) * soft(y, 0.2)
    # Less air where the beam grazes the wall, and around the hila in a shallow breath: crowding that looks like edema.
    grazed = 0.80 + 0.20 * soft(np.maximum(chest.rim[RIGHT], chest.rim[LEFT]) - 0.12, 0.24)
    crowd = 0.40 * max(0.0, 0.65 - chest.breath) * blob(x, y, (0.0, 0.15), (0.60, 0.45))
    picture -= (0.49 - 0.035 * patient.girth) * darkened * grazed * (1.0 - crowd)
    picture += 0.26 * chest.markings * vessels * darkened
    for side in (RIGHT, LEFT):
        picture += 0.13 * blob(x, y, chest.hilum[side], (0.09, 0.15)) * darkened
    picture += (0.085 + 0.0004 * (60 - patient.age)) * _ribs(chest, 0.05 * float(fixed.normal()))
    for sign in (-1.0, 1.0):
        collar = [(sign * 0.10, -0.56), (sign * 0.38, -0.66), (sign * 0.80, -0.74)]
        picture += 0.10 * stroke(x, y, collar, 0.075)
    shoulder = blob(np.abs(x), y, (0.98, -0.72), (0.22, 0.26), 2.0)
    picture += 0.12 * shoulder
    if patient.female:
        low = 0.34 + 0.05 * float(fixed.normal())
        for sign in (-1.0, 1.0):
            breast = ellipse(x, y, (sign * 0.50, low - 0.05), (0.34, 0.27 + 0.04 * patient.girth), 0.10)
            picture += (0.075 + 0.02 * patient.girth) * breast
    stomach = (0.42 + 0.06 * float(fixed.normal()), chest.dome[LEFT] + 0.20)
    picture -= 0.20 * float(fixed.random()) * ellipse(x, y, stomach, (0.16, 0.08), 0.06)
    if patient.granuloma:
        side, zone, across, down = patient.granuloma
        picture += 0.30 * blob(x, y, chest.centre(side, zone, (across, down)), (0.022, 0.022))
    seen: np.ndarray = picture * body
    return seen
