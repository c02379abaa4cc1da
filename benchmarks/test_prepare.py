"""How fast `fedfeat prepare` decodes, beside a bare loop of PIL over the same files on the same cores."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from fedfeat.commands.prepare import cores
from fedfeat.data.disk.decoding import decode
from fedfeat.data.folders import Reader

FILES, TURNS, SIZE = 400, 3, 224
WIDTH, HEIGHT = 2544, 3056  # of a usual image of MIMIC-CXR-JPG


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[Path]]:
    """Write a few made-up radiographs, each under many names."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(4):
        coarse = Image.fromarray(random.integers(0, 256, (40, 32), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.int16)
        grain = random.integers(-6, 7, smooth.shape)
        first = tmp_path / f"{number}.jpg"
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(first, quality=95)
        for copy in range(FILES // 4):
            paths.append(tmp_path / f"{number}-{copy}.jpg")
            paths[-1].hardlink_to(first)
    yield paths
    for path in paths:
        path.unlink()


def test_prepare_beside_a_bare_loop(files: list[Path], tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """Time both in turn; say their rates and the ratio, and hold it against nothing."""

    def times() -> tuple[list[float], list[float]]:
        bare, own = [], []
        for turn in range(TURNS):
            bare.append(_timed(lambda: _bare(files)))
            target = tmp_path / str(turn)
            target.mkdir()
            keys = [path.name for path in files]

            def prepare(target: Path = target, keys: list[str] = keys) -> None:
                decode(target / "images.npy", keys, Reader(tmp_path), SIZE, 0, cores(), lambda more, already: None)

            own.append(_timed(prepare))
        return bare, own

    bare, own = benchmark.pedantic(times, rounds=1, iterations=1)
    ratios = [mine / theirs for mine, theirs in zip(bare, own, strict=True)]
    benchmark.extra_info.update(
        images_a_second=FILES / median(own), bare_images_a_second=FILES / median(bare), ratio=median(ratios)
    )
    rates = f"{FILES / median(own):.1f} images a second, a bare loop {FILES / median(bare):.1f}"
    each = ", ".join(f"{100 * ratio:.0f}" for ratio in ratios)
    print(f"\nprepare {rates}, on {cores()} cores: {100 * median(ratios):.0f} % ({each})")


def _timed(call: object) -> float:
    start = perf_counter()
    assert callable(call)
    call()
    return perf_counter() - start


def _bare(files: list[Path]) -> None:
    """Decode and resize on all cores, and keep nothing."""
    with ProcessPoolExecutor(cores(), get_context("spawn")) as pool:
        list(pool.map(_decoded_and_dropped, files, chunksize=16))


def _decoded_and_dropped(path: Path) -> None:
    with Image.open(path) as picture:
        picture.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
