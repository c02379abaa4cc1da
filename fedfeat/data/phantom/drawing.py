"""The findings as they look on a chest radiograph, and the whole picture of a study.

Each function adds to, or takes from, the brightness and the air of one study's chest. Every finding has a random stream
of its own, so a study drawn without it is the same elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from fedfeat.data.phantom import acquisition, devices
from fedfeat.data.phantom.anatomy import APEX, VISIBILITY, Chest, brightness, build
from fedfeat.data.phantom.findings import LEFT, LOWER, RIGHT, Finding, Study
from fedfeat.data.phantom.shapes import blob, clouds, ellipse, soft, stroke
from fedfeat.randomness import numpy_generator

BLUNTED = 0.12  # ours: share of patients with an angle blunted by an old scar, which is no label


@dataclass
class Layers:
    """What the findings change, each (GRID, GRID).

    Attributes:
        air: share of air, 1 in the open lung, 0 in tissue.
        vessels: factor on the lungs' markings.
        added: brightness on top.
    """

    air: np.ndarray
    vessels: np.ndarray
    added: np.ndarray


def sides_of(finding: Finding) -> tuple[str, ...]:
    """Return the sides that a finding is on, right before left."""
    return (RIGHT, LEFT) if finding.side == "bilateral" else (finding.side,)


def _effusion(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    for side in sides_of(finding):
        level = VISIBILITY * (0.02 + 0.46 * finding.severity) * float(rng.uniform(0.8, 1.1))
        out = np.abs(chest.x) / chest.half_width
        # The meniscus: fluid climbs along the wall, so its upper edge falls towards the heart.
        surface = chest.dome[side] + 0.15 - level + 0.55 * np.clip(0.95 - out, 0.0, None) ** 1.5
        fluid = soft(chest.y - surface, 0.07) * chest.cavity[side]
        layers.air *= 1.0 - np.clip(VISIBILITY * 0.95 * fluid, 0.0, 0.97)
        layers.added += VISIBILITY * 0.07 * fluid


def _pneumothorax(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    side = finding.side
    gap = VISIBILITY * (0.05 + 0.34 * finding.severity)
    tip = APEX + 0.02 + 0.9 * gap
    depth = np.minimum(chest.rim[side] - 0.6 * gap * soft(0.35 - chest.y, 0.7), chest.y - tip)
    outside = soft(-depth, 0.03) * chest.lung[side]
    edge = np.exp(-((depth / 0.016) ** 2)) * chest.lung[side]
    layers.vessels *= 1.0 - np.clip(VISIBILITY * outside, 0.0, 1.0)
    layers.added += VISIBILITY * (0.15 * edge - 0.05 * outside)
    inside = soft(depth, 0.03) * chest.lung[side]
    layers.added += VISIBILITY * 0.10 * finding.severity * inside  # the collapsed lung is denser


def _consolidation(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    side = finding.side
    size = 0.15 + 0.17 * finding.severity
    area = blob(chest.x, chest.y, chest.centre(side, finding.zone, finding.offset), (1.1 * size, size), 1.8)
    dense = np.clip(area * (0.9 + 0.15 * clouds(rng, 17)), 0.0, 1.0) * chest.lung[side]
    strength = VISIBILITY * (0.40 + 0.45 * finding.severity)
    layers.air *= 1.0 - np.clip(strength * dense, 0.0, 0.95)
    layers.vessels *= 1.0 - np.clip(0.8 * VISIBILITY * dense, 0.0, 1.0)


def _pneumonia(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    side = finding.side
    cx, cy = chest.centre(side, finding.zone, finding.offset)
    patches = np.zeros_like(chest.x)
    for _ in range(3 + int(4 * finding.severity)):
        spread = 0.10 + 0.10 * finding.severity
        place = (cx + spread * float(rng.normal()), cy + spread * float(rng.normal()))
        radius = float(rng.uniform(0.05, 0.10))
        patches = np.maximum(patches, blob(chest.x, chest.y, place, (radius, radius)))
    patches = patches * np.clip(0.8 + 0.4 * clouds(rng, 33), 0.0, 1.4) * chest.lung[side]
    layers.air *= 1.0 - np.clip(VISIBILITY * (0.38 + 0.40 * finding.severity) * patches, 0.0, 0.9)


def _edema(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    strength = VISIBILITY * (0.10 + 0.46 * finding.severity)
    for side in sides_of(finding):
        hx, hy = chest.hilum[side]
        haze = blob(chest.x, chest.y, (1.7 * hx, hy + 0.12), (0.34, 0.42)) * chest.lung[side]
        layers.air *= 1.0 - np.clip(strength * haze * (1.0 + 0.25 * clouds(rng, 9)), 0.0, 0.85)
        # Kerley B lines: short, horizontal, at the wall near the angle.
        near = soft(0.14 - chest.rim[side], 0.04) * soft(chest.floor[side], 0.1) * soft(chest.y + 0.05, 0.15)
        lines = soft(np.sin(chest.y * 75.0 + float(rng.uniform(0, 6))) - 0.55, 0.5)
        layers.added += 0.14 * strength * lines * near * chest.lung[side]
    layers.vessels *= 1.0 + 1.6 * strength * soft(0.05 - chest.y, 0.3)  # blood diverted to the upper lobes


def _atelectasis(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    strength = VISIBILITY * (0.13 + 0.17 * finding.severity)
    for side in sides_of(finding):
        cx, cy = chest.centre(side, finding.zone, finding.offset)
        sign = -1.0 if side == RIGHT else 1.0
        for _ in range(1 + int(2.5 * finding.severity)):
            y = cy + 0.05 * float(rng.normal())
            half, slope = float(rng.uniform(0.10, 0.20)), float(rng.uniform(-0.10, 0.04))
            line = [(cx - half, y - sign * slope), (cx + half, y + sign * slope)]
            layers.added += strength * stroke(chest.x, chest.y, line, 0.030) * chest.lung[side]
        if finding.kind == "volume loss":
            base = soft(0.16 - chest.floor[side], 0.16) * chest.lung[side]
            layers.air *= 1.0 - np.clip(VISIBILITY * (0.15 + 0.35 * finding.severity) * base, 0.0, 0.9)


def _opacity(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    for side in sides_of(finding):
        size = 0.17 + 0.15 * finding.severity
        centre = chest.centre(side, finding.zone, finding.offset)
        haze = blob(chest.x, chest.y, centre, (size, size)) * (1.0 + 0.35 * clouds(rng, 17)) * chest.lung[side]
        layers.air *= 1.0 - np.clip(VISIBILITY * (0.22 + 0.36 * finding.severity) * haze, 0.0, 0.8)


def lesion_radius(finding: Finding) -> float:
    """Return the radius of a nodule or mass; 1 is about 16 cm."""
    return (0.045 + 0.035 * finding.severity) if finding.kind == "nodule" else (0.10 + 0.08 * finding.severity)


def _lesion(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    radius = lesion_radius(finding)
    ratio = float(rng.uniform(0.85, 1.15))
    place = chest.centre(finding.side, finding.zone, finding.offset)
    ball = ellipse(chest.x, chest.y, place, (radius * ratio, radius / ratio), 0.035)
    layers.added += VISIBILITY * (0.18 + 0.17 * finding.severity) * ball * np.clip(chest.lung[finding.side] + 0.2, 0, 1)


def _pleural_other(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    side = finding.side
    _, cy = chest.centre(side, finding.zone, finding.offset)
    if finding.kind == "plaque":
        sign = -1.0 if side == RIGHT else 1.0
        for _ in range(2 + int(3 * finding.severity)):
            place = (sign * chest.half_width * float(rng.uniform(0.45, 0.9)), cy + 0.12 * float(rng.normal()))
            calcified = ellipse(chest.x, chest.y, place, (0.055, 0.022), 0.03, float(rng.uniform(-0.6, 0.6)))
            layers.added += VISIBILITY * (0.16 + 0.16 * finding.severity) * calcified * chest.lung[side]
        return
    thick = 0.05 + 0.08 * finding.severity
    if finding.zone == "upper":  # an apical cap
        band = soft(APEX + 0.10 + 1.6 * thick - chest.y, 0.04)
    else:
        band = soft(thick - chest.rim[side], 0.03) * blob(chest.x, chest.y, (0.0, cy), (9.0, 0.28), 2.0)
    layers.air *= 1.0 - np.clip(VISIBILITY * (0.55 + 0.4 * finding.severity) * band * chest.lung[side], 0.0, 0.9)


def _fracture(layers: Layers, chest: Chest, finding: Finding, rng: np.random.Generator) -> None:
    sign = -1.0 if finding.side == RIGHT else 1.0
    cx, cy = chest.centre(finding.side, finding.zone, finding.offset)
    cx = sign * chest.half_width * (0.80 if finding.zone != "upper" else 0.62)
    for step in range(1 + int(2.2 * finding.severity)):
        y = cy + 0.155 * step - 0.06
        if finding.kind == "healed":  # callus: a bulge of bone
            layers.added += (
                VISIBILITY * (0.20 + 0.18 * finding.severity) * blob(chest.x, chest.y, (cx, y), (0.07, 0.05))
            )
        else:  # a gap, and the two ends out of line
            slope, off = 0.07 * sign, 0.040 + 0.03 * finding.severity
            inner = [(cx - sign * 0.13, y - slope * sign * 1.0), (cx - sign * 0.015, y - off)]
            outer = [(cx + sign * 0.015, y + off), (cx + sign * 0.11, y + off + 0.07)]
            bone = np.maximum(stroke(chest.x, chest.y, inner, 0.045), stroke(chest.x, chest.y, outer, 0.045))
            gap = blob(chest.x, chest.y, (cx, y), (0.022, 0.045))
            layers.added += VISIBILITY * (0.17 + 0.13 * finding.severity) * (bone - 0.9 * gap)


# In the order of drawing: air and fluid first, what is solid on top. Heart, mediastinum and lost volume are in
# `anatomy`.
_DRAWERS = {
    "Pneumothorax": _pneumothorax,
    "Edema": _edema,
    "Lung Opacity": _opacity,
    "Pneumonia": _pneumonia,
    "Consolidation": _consolidation,
    "Atelectasis": _atelectasis,
    "Pleural Effusion": _effusion,
    "Pleural Other": _pleural_other,
    "Lung Lesion": _lesion,
    "Fracture": _fracture,
}


def draw(seed: int, study: Study) -> np.ndarray:
    """Return the (SIZE, SIZE) uint8 picture of a study."""
    chest = build(seed, study)
    air = chest.lung[RIGHT] + chest.lung[LEFT]
    layers = Layers(air, np.ones_like(air), np.zeros_like(air))
    scar = numpy_generator(seed, *study.names[:4], "scar")
    if scar.random() < BLUNTED:
        old = Finding(1.0, 0.14 * float(scar.random()), (RIGHT, LEFT)[int(scar.integers(2))], LOWER, "", (0.0, 0.0))
        _effusion(layers, chest, old, scar)
    for label, drawer in _DRAWERS.items():
        finding = study.findings.get(label)
        if finding:
            drawer(layers, chest, finding, numpy_generator(seed, *study.names, "draw", label))
    picture = brightness(seed, study, chest, layers.air, layers.vessels) + layers.added * chest.body
    picture = devices.add(picture, seed, study, chest)
    return acquisition.expose(picture, seed, study, chest)
