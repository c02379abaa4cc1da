"""Pictures and targets to pretrain an image encoder on, none of which says anything about a finding.

Two sorts of targets: how the picture was taken (where the body lies in it, how deep the breath, how bright), and shapes
painted over it that no radiograph shows: outlines, pairs of bars, gratings and checkerboards. The patients are in no
benchmark study. Their pictures hold findings as often as their site's do, but every target is computed from the study
stripped of its findings, or from what is painted afterwards.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from fedfeat.data.phantom.anatomy import build
from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.findings import Study, sample_patient, sample_studies
from fedfeat.data.phantom.grammar import write
from fedfeat.data.phantom.shapes import GRID, SIZE, soft
from fedfeat.data.phantom.sites import SITES

STREAM, HELD_OUT = "pretraining", "pretraining-held-out"  # names of random streams, as the benchmark's splits are

CELLS = 4  # cells a side of the coarse grid on which painted shapes are to be found
CELL = SIZE // CELLS
_ANGLES = (0, 45, 90, 135)
KINDS = (
    *("ring", "cross", "square", "triangle", "checkerboard", "filled square", "filled triangle"),
    *(f"grating {angle}" for angle in _ANGLES),
    *(f"bars {angle}" for angle in _ANGLES),
)
MOST_SHAPES = 5
RADII = (3.0, 16.0)  # pixels
CONTRASTS = (0.03, 0.40)  # of the full scale, up or down; quantum noise is about 0.02
_PATCH = 43  # pixels a side of the square that a shape is painted in; odd, above twice the largest radius and a line
_PAD = _PATCH // 2 + 1

POSE = ("across", "down", "tilt", "magnification", "mirrored", "width", "turn", "breath", "girth", "female", "portable")
_POSE_MEAN = np.array([0.0, 0.0, 0.0, 0.095, 0.0, 0.82, 0.0, 0.58, 0.0, 0.0, 0.0])
_POSE_SPREAD = np.array([0.06, 0.05, 0.16, 0.05, 1.0, 0.06, 0.04, 0.22, 0.95, 1.0, 1.0])
LIGHT = ("gamma", "gain", "noise")
_ADDED = 0.025  # about the spread of a cell's mean
_GAMMA, _GAIN, _NOISE = 0.15, 0.10, 0.03


@dataclass(frozen=True)
class Scenes:
    """Pictures of n studies, and where the camera and the body were.

    Attributes:
        pictures: (n, SIZE, SIZE) uint8.
        cameras: (n, 2, 3) float64; body coordinates are `cameras @ (column, row, 1)`, both of these in [-1, 1].
        bodies: (n, 6) float64: half-width of the chest, rotation of the patient about the long axis, depth of the
            breath, girth, sex and AP or PA (the last two as 1 or -1).
    """

    pictures: np.ndarray
    cameras: np.ndarray
    bodies: np.ndarray

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Targets:
    """What is to be read off n pictures; regression targets have about zero mean and unit variance.

    Attributes:
        pose: (n, 11) float32, in the order of `POSE`.
        light: (n, 3) float32, in the order of `LIGHT`.
        count: (n,) float32, number of painted shapes, centred and scaled.
        added: (n, CELLS, CELLS) float32, brightness that painting added to each cell on average, scaled.
        cells: (n, kinds, CELLS, CELLS) float32, 1 where the centre of a shape of that kind lies in that cell.
        marks: (n, 2, CELLS, CELLS) float32, logarithm of size and of contrast of the shape in a cell; 0 in empty ones.
    """

    pose: np.ndarray
    light: np.ndarray
    count: np.ndarray
    added: np.ndarray
    cells: np.ndarray
    marks: np.ndarray


@dataclass(frozen=True)
class Shapes:
    """N shapes to paint.

    Attributes:
        picture: (N,) which picture each is painted on.
        kind: (N,) index into `KINDS`.
        centre: (N, 2) column and row in pixels.
        radius: (N,) pixels.
        contrast: (N,) signed, of the full scale.
        angle: (N,) radians by which it is turned.
        line: (N,) width of its lines, pixels.
    """

    picture: np.ndarray
    kind: np.ndarray
    centre: np.ndarray
    radius: np.ndarray
    contrast: np.ndarray
    angle: np.ndarray
    line: np.ndarray


def studies(seed: int, stream: str, n: int) -> list[Study]:
    """Return the first studies of `n` patients of a stream, from all sites in turn."""
    patients = (sample_patient(seed, SITES[number % len(SITES)], stream, number) for number in range(n))
    return [sample_studies(seed, patient)[0] for patient in patients]


def reports(seed: int, stream: str, n: int) -> list[str]:
    """Return the reports of these studies."""
    return [write(seed, study).text for study in studies(seed, stream, n)]


def geometry(seed: int, study: Study) -> tuple[np.ndarray, np.ndarray]:
    """Return a row of `Scenes.cameras` and one of `Scenes.bodies`; neither depends on the study's findings."""
    chest = build(seed, replace(study, findings={}, devices=()))
    middle, step = GRID // 2, GRID / 2.0
    axes = [[(field[0, 1] - field[0, 0]) * step, (field[1, 0] - field[0, 0]) * step] for field in (chest.x, chest.y)]
    origin = [float(field[middle - 1 : middle + 1, middle - 1 : middle + 1].mean()) for field in (chest.x, chest.y)]
    left, right, _ = chest.heart
    turn = left + 0.32 * (right - left)  # the heart lies 0.32 : 0.68 about the midline, and turns with the body
    patient = study.patient
    sex, view = 1.0 if patient.female else -1.0, 1.0 if study.portable else -1.0
    body = np.array([chest.half_width, turn, chest.breath, patient.girth, sex, view])
    return np.column_stack([np.array(axes), origin]), body


def scenes(seed: int, stream: str, n: int) -> Scenes:
    """Draw the first studies of `n` patients of a stream."""
    chosen = studies(seed, stream, n)
    placed = [geometry(seed, study) for study in chosen]
    return Scenes(
        np.stack([draw(seed, study) for study in chosen]),
        np.stack([camera for camera, _ in placed]),
        np.stack([body for _, body in placed]),
    )


def view(pictures: np.ndarray, angle: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return the pictures as training augmentation shows them: mirrored where `mirror` is -1, turned by `angle`.

    Args:
        pictures: (n, SIZE, SIZE) uint8.
        angle: (n,) radians.
        mirror: (n,) 1 or -1.

    Returns:
        (n, SIZE, SIZE) float32 in [0, 1].
    """
    matrix = torch.from_numpy(np.concatenate([_turn(angle, mirror), np.zeros((len(angle), 2, 1))], 2)).float()
    images = torch.from_numpy(pictures[:, None]).float() / 255.0
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    seen: np.ndarray = functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)[:, 0].numpy()
    return seen


def _turn(angle: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return (n, 2, 2) matrices from coordinates in the new picture to those in the old one."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c * mirror, -s], 1), np.stack([s * mirror, c], 1)], 1)


def pose(cameras: np.ndarray, bodies: np.ndarray, angle: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return (n, 11) float32, in the order of `POSE`: where the body lies in the pictures that `view` returns."""
    to_body = cameras[:, :, :2] @ _turn(angle, mirror)
    to_picture = np.linalg.inv(to_body)
    origin = -(to_picture @ cameras[:, :, 2:])[:, :, 0]
    down = to_picture[:, :, 1]  # the direction of the spine
    zoom = np.sqrt(np.abs(np.linalg.det(to_picture)))
    width, turn, *others = bodies.T
    values = [
        *origin.T,
        np.arctan2(-down[:, 0], down[:, 1]),
        np.log(zoom),
        mirror,
        width * zoom,
        turn * mirror,
        *others,
    ]
    standard: np.ndarray = ((np.stack(values, 1) - _POSE_MEAN) / _POSE_SPREAD).astype(np.float32)
    return standard


def sample_shapes(rng: np.random.Generator, n: int) -> Shapes:
    """Draw 0 to `MOST_SHAPES` shapes for each of `n` pictures: any kind, place, size and contrast."""
    picture = np.repeat(np.arange(n), rng.integers(0, MOST_SHAPES + 1, size=n))
    total = len(picture)
    kind = rng.integers(len(KINDS), size=total)
    oriented = np.array([int(name.split()[1]) if name[-1].isdigit() else -1 for name in KINDS])[kind]
    radius = _even_in_logarithm(rng, RADII, total)
    turned = np.where(oriented < 0, rng.uniform(-180, 180, total), oriented + rng.uniform(-12, 12, total))
    return Shapes(
        picture=picture,
        kind=kind,
        centre=rng.uniform(3.0, SIZE - 3.0, (total, 2)),
        radius=radius,
        contrast=_even_in_logarithm(rng, CONTRASTS, total) * rng.choice([-1.0, 1.0], total),
        angle=np.deg2rad(turned),
        line=np.maximum(1.2, radius * rng.uniform(0.15, 0.3, total)),
    )


def _even_in_logarithm(rng: np.random.Generator, limits: tuple[float, float], n: int) -> np.ndarray:
    low, high = np.log(limits)
    return np.exp(rng.uniform(low, high, n))


def _mask(kind: str, u: np.ndarray, v: np.ndarray, r: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Return the patch of a shape, -1 to 1; `u`, `v` are its own coordinates in pixels, edges are a pixel wide."""

    def near(distance: np.ndarray) -> np.ndarray:
        return soft(0.5 * line - np.abs(distance), 1.0)

    far = np.maximum(np.abs(u), np.abs(v))
    mask: np.ndarray
    if kind == "ring":
        mask = near(np.hypot(u, v) - r)
    elif kind == "cross":
        mask = near(np.minimum(np.abs(u), np.abs(v))) * soft(r - far, 1.0)
    elif kind == "square":
        mask = near(far - 0.85 * r)
    elif kind == "filled square":
        mask = soft(0.85 * r - far, 1.0)
    elif kind.endswith("triangle"):
        outward = np.maximum(v, np.sqrt(0.75) * np.abs(u) - 0.5 * v) - 0.6 * r
        mask = near(outward) if kind == "triangle" else soft(-outward, 1.0)
    elif kind == "checkerboard":
        waves = np.sin(np.pi * u / (1.0 + line)) * np.sin(np.pi * v / (1.0 + line))
        mask = np.clip(3.0 * waves, -1.0, 1.0) * soft(r - far, 1.0)
    elif kind.startswith("grating"):
        mask = np.cos(np.pi * v / (0.6 + line)) * np.exp(-(u * u + v * v) / (0.35 * r * r))
    else:  # a pair of bars
        mask = near(np.abs(v) - 0.45 * r) * soft(r - np.abs(u), 1.0)
    return mask


def overlay(shapes: Shapes, n: int) -> np.ndarray:
    """Return (n, SIZE, SIZE) float32: what the shapes add to each of `n` pictures."""
    canvas = np.zeros((n, SIZE + 2 * _PAD, SIZE + 2 * _PAD), dtype=np.float32)
    corner = np.floor(shapes.centre).astype(int) - _PATCH // 2
    line = np.arange(_PATCH)
    dx = (corner[:, :1] + line + 0.5 - shapes.centre[:, :1])[:, None, :]
    dy = (corner[:, 1:] + line + 0.5 - shapes.centre[:, 1:])[:, :, None]
    c, s = (f(shapes.angle)[:, None, None] for f in (np.cos, np.sin))
    u, v = ((a * dx + b * dy).astype(np.float32) for a, b in ((c, s), (-s, c)))
    for index, name in enumerate(KINDS):
        (chosen,) = np.nonzero(shapes.kind == index)
        radius, width, contrast = (
            field[chosen][:, None, None].astype(np.float32) for field in (shapes.radius, shapes.line, shapes.contrast)
        )
        patches = contrast * _mask(name, u[chosen], v[chosen], radius, width)
        for shape, patch in zip(chosen, patches, strict=True):
            left, top = corner[shape] + _PAD
            canvas[shapes.picture[shape], top : top + _PATCH, left : left + _PATCH] += patch
    return canvas[:, _PAD:-_PAD, _PAD:-_PAD]


def paint(pictures: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Return (n, SIZE, SIZE) pictures in [0, 1], as the given ones were, with an `overlay` added."""
    painted: np.ndarray = np.clip(pictures + added, 0.0, 1.0)
    return painted


def shape_targets(shapes: Shapes, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `count`, `cells` and `marks` of `Targets` for `n` pictures with these shapes."""
    count = np.bincount(shapes.picture, minlength=n)
    column, row = (shapes.centre // CELL).astype(int).T
    cells = np.zeros((n, len(KINDS), CELLS, CELLS), dtype=np.float32)
    cells[shapes.picture, shapes.kind, row, column] = 1.0
    marks = np.zeros((n, 2, CELLS, CELLS), dtype=np.float32)
    for place, (values, limits) in enumerate(((shapes.radius, RADII), (np.abs(shapes.contrast), CONTRASTS))):
        low, high = np.log(limits)
        marks[shapes.picture, place, row, column] = (np.log(values) - 0.5 * (low + high)) * np.sqrt(12) / (high - low)
    return ((count - 0.5 * MOST_SHAPES) / 1.7).astype(np.float32), cells, marks


def expose(pictures: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Change exposure and noise of (n, SIZE, SIZE) pictures in [0, 1]; return them and `light` of `Targets`."""
    n = len(pictures)
    values = np.column_stack([rng.normal(size=(n, 2)), rng.uniform(-np.sqrt(3), np.sqrt(3), n)]).astype(np.float32)
    gamma, gain = np.exp(_GAMMA * values[:, 0]), np.exp(_GAIN * values[:, 1])
    noise = _NOISE * (0.5 + values[:, 2] / np.sqrt(12))
    seen = gain[:, None, None] * pictures ** gamma[:, None, None]
    seen += noise[:, None, None] * rng.standard_normal(pictures.shape, dtype=np.float32)
    return np.clip(seen, 0.0, 1.0).astype(np.float32), values


def exercise(batch: Scenes, rng: np.random.Generator, degrees: float) -> tuple[np.ndarray, Targets]:
    """Mirror and turn (as training does), paint over and expose the pictures.

    Args:
        batch: n pictures.
        rng: of this batch; it decides everything.
        degrees: largest angle of the turn, in degrees.

    Returns:
        (n, SIZE, SIZE) float32 pictures in [0, 1], and their targets.
    """
    n = len(batch)
    angle, mirror = sample_view(rng, n, degrees)
    shapes = sample_shapes(rng, n)
    added = overlay(shapes, n)
    pictures, light = expose(paint(view(batch.pictures, angle, mirror), added), rng)
    count, cells, marks = shape_targets(shapes, n)
    # From the overlay alone: what clipping leaves of it depends on the picture, and so on its findings.
    means = added.reshape(n, CELLS, CELL, CELLS, CELL).mean((2, 4)) / _ADDED
    return pictures, Targets(pose(batch.cameras, batch.bodies, angle, mirror), light, count, means, cells, marks)


def sample_view(rng: np.random.Generator, n: int, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw `angle` (radians, within ±`degrees`) and `mirror` (1 or -1) of `view` for `n` pictures."""
    return np.deg2rad(rng.uniform(-degrees, degrees, n)), rng.choice([-1.0, 1.0], n)


def take(batch: Scenes, index: np.ndarray) -> Scenes:
    """Return the scenes `index`."""
    return Scenes(batch.pictures[index], batch.cameras[index], batch.bodies[index])
