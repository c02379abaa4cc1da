"""Support devices inside the patient, and things lying on the skin, which are no finding."""

import numpy as np

from fedfeat.data.phantom.anatomy import VISIBILITY, Chest
from fedfeat.data.phantom.findings import DEVICES, LEFT, RIGHT, Study
from fedfeat.data.phantom.shapes import ellipse, stroke
from fedfeat.data.phantom.sites import STYLES
from fedfeat.data.studies import UNCERTAIN
from fedfeat.randomness import numpy_generator

_LINE = 0.028  # width of a catheter
TUBE_SIDES: dict[str, float] = {"central line": 0.7, "chest tube": 0.5, "pacemaker": 0.15}  # share on the right (ours)


def device_side(seed: int, study: Study, device: str) -> str:
    """Return the side of a device that has one: told, fixed for an implant or beside its pneumothorax, or by chance."""
    if device in study.device_sides:
        return study.device_sides[device]
    finding = study.findings.get("Pneumothorax") or study.findings.get("Pleural Effusion")
    if device == "chest tube" and finding and finding.side in (RIGHT, LEFT):
        return finding.side
    names = study.names[:4] if device == "pacemaker" else study.names
    return RIGHT if numpy_generator(seed, *names, "side", device).random() < TUBE_SIDES[device] else LEFT


def _central_line(x: np.ndarray, y: np.ndarray, sign: float, rng: np.random.Generator) -> np.ndarray:
    tip = 0.02 + 0.06 * float(rng.normal())
    if rng.random() < 0.5:  # from the neck
        points = [(sign * 0.20, -0.98), (sign * 0.14, -0.66), (-0.10, -0.38), (-0.12, tip)]
    else:  # from below the collar bone
        points = [(sign * 0.80, -0.40), (sign * 0.52, -0.60), (sign * 0.22, -0.58), (-0.10, -0.36), (-0.12, tip)]
    return 0.17 * stroke(x, y, points, _LINE)


def _pacemaker(x: np.ndarray, y: np.ndarray, sign: float, chest: Chest) -> np.ndarray:
    box = ellipse(x, y, (sign * 0.62, -0.42), (0.105, 0.085), 0.03)
    end = chest.heart[1]
    leads = [(sign * 0.56, -0.48), (sign * 0.24, -0.56), (-0.08, -0.34), (-0.12, 0.02), (0.10, 0.26)]
    lead = stroke(x, y, [*leads, (0.55 * end, chest.heart[2] - 0.14)], 0.024)
    return 0.42 * box + 0.22 * lead * (1.0 - box)


def _chest_tube(x: np.ndarray, y: np.ndarray, side: str, chest: Chest, rng: np.random.Generator) -> np.ndarray:
    sign = -1.0 if side == RIGHT else 1.0
    wall = chest.half_width
    low, high = 0.20 + 0.08 * float(rng.normal()), -0.45 + 0.15 * float(rng.normal())
    points = [
        (sign * (wall + 0.25), low + 0.06),
        (sign * 0.85 * wall, low),
        (sign * 0.60 * wall, 0.4 * low + 0.6 * high),
    ]
    return 0.17 * stroke(x, y, [*points, (sign * 0.40 * wall, high)], 0.045)


def _device(seed: int, study: Study, device: str, chest: Chest, rng: np.random.Generator) -> np.ndarray:
    x, y = chest.x, chest.y
    if device == "endotracheal tube":
        tip = -0.36 + 0.05 * float(rng.normal())
        return 0.16 * stroke(x, y, [(0.03, -1.05), (0.005, -0.75), (0.01, tip)], 0.040)
    if device == "enteric tube":
        points = [(-0.03, -1.05), (-0.02, -0.4), (0.02, 0.3), (0.14, 0.55), (0.32, 0.72 + 0.05 * float(rng.normal()))]
        return 0.14 * stroke(x, y, points, _LINE)
    if device == "sternotomy wires":
        wires = [ellipse(x, y, (0.01, level), (0.045, 0.018), 0.03) for level in (-0.42, -0.24, -0.06, 0.12, 0.30)]
        drawn: np.ndarray = 0.26 * np.maximum.reduce(wires)
        return drawn
    side = device_side(seed, study, device)
    if device == "chest tube":
        return _chest_tube(x, y, side, chest, rng)
    sign = -1.0 if side == RIGHT else 1.0
    return _central_line(x, y, sign, rng) if device == "central line" else _pacemaker(x, y, sign, chest)


def add(picture: np.ndarray, seed: int, study: Study, chest: Chest) -> np.ndarray:
    """Return the (GRID, GRID) brightness with the study's devices, and with what lies on the skin, drawn in."""
    finding = study.findings.get(DEVICES)
    strength = VISIBILITY * (0.5 if finding and finding.value == UNCERTAIN else 1.0)
    for device in study.devices:
        rng = numpy_generator(seed, *study.names, "draw", device)
        picture = picture + strength * _device(seed, study, device, chest, rng)
    rng = numpy_generator(seed, *study.names, "skin")
    if rng.random() < STYLES[study.patient.site].external:
        for _ in range(int(rng.integers(2, 5))):
            sign = float(rng.choice([-1.0, 1.0]))
            spot = (sign * float(rng.uniform(0.25, 0.85)), float(rng.uniform(-0.6, 0.55)))
            picture = picture + 0.22 * ellipse(chest.x, chest.y, spot, (0.028, 0.028), 0.02)
            if rng.random() < 0.7:
                bend = (spot[0] + sign * 0.15, spot[1] + float(rng.uniform(-0.3, 0.3)))
                way = [spot, bend, (sign * 1.15, bend[1] + float(rng.uniform(-0.3, 0.5)))]
                picture = picture + 0.10 * stroke(chest.x, chest.y, way, 0.018)
    return picture
