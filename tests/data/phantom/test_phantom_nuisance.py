"""Pictures and targets for pretraining: what they say, and what they must never say."""

from dataclasses import fields, replace

import numpy as np
import pytest

from fedfeat.data.phantom import nuisance
from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.findings import Study
from fedfeat.data.phantom.nuisance import (
    CELL,
    HELD_OUT,
    KINDS,
    MOST_SHAPES,
    STREAM,
    Scenes,
    Shapes,
    exercise,
    geometry,
    overlay,
    paint,
    pose,
    sample_shapes,
    scenes,
    shape_targets,
    studies,
    take,
    view,
)
from fedfeat.data.phantom.shapes import SIZE
from fedfeat.data.phantom.sites import SITES

SPLITS = ("train", "validate", "test", "vocabulary")  # the streams of the benchmark and of the vocabulary


@pytest.fixture(scope="module")
def some() -> Scenes:
    return scenes(3, STREAM, 12)


def _one(kind: int, centre: tuple[float, float], contrast: float = 0.2) -> Shapes:
    return Shapes(
        picture=np.array([0]),
        kind=np.array([kind]),
        centre=np.array([centre]),
        radius=np.array([5.0]),
        contrast=np.array([contrast]),
        angle=np.array([0.0]),
        line=np.array([1.6]),
    )


def _ill(seed: int, n: int) -> list[Study]:
    """Studies with at least two findings."""
    return [study for study in studies(seed, STREAM, n) if len(study.findings) > 1]


def test_pictures_and_targets_follow_from_the_seed(some: Scenes) -> None:
    again = take(scenes(3, STREAM, 14), np.arange(12))  # how many are drawn does not matter
    for field in fields(Scenes):
        assert np.array_equal(getattr(some, field.name), getattr(again, field.name))
    pictures, targets = exercise(some, np.random.default_rng(1), 15.0)
    repeated, same = exercise(some, np.random.default_rng(1), 15.0)
    other, _ = exercise(some, np.random.default_rng(2), 15.0)
    assert np.array_equal(pictures, repeated)
    assert not np.array_equal(pictures, other)
    for name, value in vars(targets).items():
        assert value.dtype == np.float32
        assert np.array_equal(value, getattr(same, name))


def test_pictures_are_grey_levels_and_targets_are_about_standard() -> None:
    corpus = scenes(5, STREAM, 90)
    assert corpus.pictures.shape == (90, SIZE, SIZE)
    pictures, targets = exercise(corpus, np.random.default_rng(0), 15.0)
    assert pictures.dtype == np.float32
    assert 0.0 <= pictures.min() < pictures.max() <= 1.0
    values = np.column_stack([targets.pose, targets.light, targets.count])
    assert np.abs(values.mean(0)).max() < 0.5
    assert 0.6 < values.std(0).min() <= values.std(0).max() < 1.5


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
@pytest.mark.parametrize("centre", [(8.5, 56.0), (3.0, 3.0), (31.9, 40.2)])
def test_a_painted_shape_shows_in_its_cell_and_stands_in_the_targets(kind: int, centre: tuple[float, float]) -> None:
    plain = np.full((1, SIZE, SIZE), 0.4, dtype=np.float32)
    shapes = _one(kind, centre)
    changed = np.abs(paint(plain, overlay(shapes, 1)) - plain)[0]
    column, row = int(centre[0] // CELL), int(centre[1] // CELL)
    assert changed[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL].max() > 0.1
    rows, columns = np.nonzero(changed > 1e-3)
    assert np.hypot(columns + 0.5 - centre[0], rows + 0.5 - centre[1]).max() < 16.0  # and nowhere far from it
    count, cells, marks = shape_targets(shapes, 1)
    assert np.argwhere(cells).tolist() == [[0, kind, row, column]]
    assert np.argwhere(marks.any(1)).tolist() == [[0, row, column]]
    assert count[0] > shape_targets(sample_shapes(np.random.default_rng(0), 0), 1)[0][0]


def test_contrast_may_be_faint_and_of_either_sign() -> None:
    plain = np.full((1, SIZE, SIZE), 0.4, dtype=np.float32)
    assert paint(plain, overlay(_one(0, (30.0, 30.0), -0.03), 1)).min() == pytest.approx(0.37, abs=1e-3)
    shapes = sample_shapes(np.random.default_rng(0), 2_000)
    assert set(shapes.kind) == set(range(len(KINDS)))
    assert np.bincount(shapes.picture).max() == MOST_SHAPES
    assert (shapes.contrast > 0).mean() == pytest.approx(0.5, abs=0.05)
    assert np.abs(shapes.contrast).min() < 0.035


def test_no_target_depends_on_a_finding() -> None:
    for study in _ill(1, 60)[:12]:
        bare = replace(study, findings={}, devices=())
        fewer = study.without(next(iter(study.findings)))
        pictures = np.stack([draw(1, each) for each in (study, fewer, bare)])
        assert not np.array_equal(pictures[0], pictures[2])
        places = [geometry(1, each) for each in (study, fewer, bare)]
        for camera, body in places[1:]:
            assert np.array_equal(camera, places[0][0])
            assert np.array_equal(body, places[0][1])
        exercises = [
            exercise(Scenes(picture[None], camera[None], body[None]), np.random.default_rng(4), 15.0)
            for picture, (camera, body) in zip(pictures, places, strict=True)
        ]
        for _, targets in exercises[1:]:
            for name, value in vars(targets).items():
                assert np.array_equal(value, getattr(exercises[0][1], name))


def test_the_pose_is_where_the_body_lies_in_the_picture(some: Scenes) -> None:
    n = len(some)
    straight, plus = np.zeros(n), np.ones(n)
    names = list(nuisance.POSE)
    before = pose(some.cameras, some.bodies, straight, plus)
    turned = pose(some.cameras, some.bodies, np.full(n, 0.1), plus)
    shift = (turned - before)[:, names.index("tilt")] * 0.16
    assert np.allclose(np.abs(shift), 0.1, atol=1e-6)
    mirrored = pose(some.cameras, some.bodies, straight, -plus)
    for name in ("across", "tilt", "mirrored", "turn"):
        assert np.allclose(mirrored[:, names.index(name)], -before[:, names.index(name)], atol=1e-5)
    for name in ("down", "magnification", "width", "breath"):
        assert np.allclose(mirrored[:, names.index(name)], before[:, names.index(name)], atol=1e-5)


def test_a_view_turns_and_mirrors_as_the_pose_says() -> None:
    """A bright spot at the body's origin lies, after the turn, where `across` and `down` say."""
    camera = np.array([[[1.0, 0.0, -0.3], [0.0, 1.0, 0.4]]])  # the body's origin is at (0.3, -0.4)
    picture = np.zeros((1, SIZE, SIZE), dtype=np.uint8)
    column, row = (int((value + 1) * SIZE / 2) for value in (0.3, -0.4))
    picture[0, row - 1 : row + 2, column - 1 : column + 2] = 255
    body = np.zeros((1, 6))
    for angle, mirror in ((0.25, 1.0), (-0.2, -1.0)):
        seen = view(picture, np.array([angle]), np.array([mirror]))[0]
        rows, columns = np.indices(seen.shape)
        centre = [float((seen * place).sum() / seen.sum() + 0.5) * 2 / SIZE - 1 for place in (columns, rows)]
        across, down = pose(camera, body, np.array([angle]), np.array([mirror]))[0, :2] * (0.06, 0.05)
        assert centre == pytest.approx([across, down], abs=0.04)


def test_the_patients_are_in_no_benchmark_study() -> None:
    ours = {study.names[1:4] for stream in (STREAM, HELD_OUT) for study in studies(1701, stream, 30)}
    assert len(ours) == 60
    assert {site for site, _, _ in ours} == set(SITES)
    assert not {split for _, split, _ in ours} & set(SPLITS)
    drawn: dict[str, set[bytes]] = {}
    told: dict[str, set[str]] = {}
    for stream in (STREAM, HELD_OUT, *SPLITS):  # of one seed, where they would coincide if anything did
        drawn[stream] = {draw(1701, study).tobytes() for study in studies(1701, stream, 30)}
        told[stream] = {report for report in nuisance.reports(1701, stream, 30) if len(report.split()) > 12}
    for stream in (STREAM, HELD_OUT):
        for other in set(drawn) - {stream}:
            assert not drawn[stream] & drawn[other]
            assert not told[stream] & told[other]
