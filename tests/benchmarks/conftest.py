"""The command as a user gives it: real sessions of pytest in processes of their own, on studies that a test writes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

CHECKOUT = Path(__file__).parents[2]
QUIET = ("--color=no", "-p", "no:cacheprovider", "-p", "no:anyio")  # the latter takes a third of a short session
# Importing torch takes longer than most of these sessions: each is a fork of one process that has done so.
FORKS = """
import gc, json, os, pathlib, sys
import pytest
import fedfeat.pipeline, fedfeat.results.leaderboard

gc.freeze()  # pytest collects garbage several times at the end of a session
children = []
for arguments in json.loads(sys.argv[1]):
    if isinstance(arguments, dict):
        for path, text in arguments.items():
            pathlib.Path(path).write_text(text)
        continue
    number = len(children)
    children.append(os.fork())
    if not children[-1]:
        out = os.open(f"{sys.argv[2]}/{number}.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = pytest.main(arguments)
        sys.stdout.flush()
        os._exit(status)  # tearing torch down takes seconds, too
    if sys.argv[3] == "in turn":
        print(os.waitstatus_to_exitcode(os.waitpid(children[-1], 0)[1]), flush=True)  # or the next fork says it again
if sys.argv[3] == "together":
    for child in children:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@dataclass(frozen=True)
class Session:
    """How a session ended, and all that it wrote."""

    status: int
    output: str

    @property
    def errors(self) -> list[str]:
        """The lines in which pytest names a mistake of the user."""
        return [line for line in self.output.splitlines() if line.startswith("ERROR: ")]

    @property
    def cases(self) -> list[str]:
        """The ids of the collected cases, as `--collect-only -q` lists them."""
        return [case for _, case in self.places]

    @property
    def places(self) -> list[tuple[str, str]]:
        """The modules and ids of the collected cases, in their order."""
        return re.findall(r"^benchmarks/(\w+)\.py::test_\w+\[(.+)\]$", self.output, re.MULTILINE)

    def count(self, outcome: str) -> int:
        """Return how many cases ended so, from pytest's last line."""
        found = re.search(rf"(\d+) {outcome}", self.output.rstrip().splitlines()[-1])
        return int(found[1]) if found else 0


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The caller's environment without pytest's own variables; every cache is a folder of these tests."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HF_", "HUGGINGFACE_"))
    }
    folder = tmp_path_factory.mktemp("caches")
    caches = {name: str(folder / name) for name in ("FEDFEAT_CACHE", "TORCH_HOME", "HF_HOME")}
    return kept | caches | {"OMP_NUM_THREADS": "1", "COLUMNS": "300", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="session")
def command(environment: dict[str, str]) -> Callable[..., Session]:
    """Run `python -m pytest benchmarks` with these arguments."""

    def run(*arguments: object) -> Session:
        line = [sys.executable, "-m", "pytest", "benchmarks", *QUIET, *map(str, arguments)]
        ran = subprocess.run(
            line,
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Session(ran.returncode, ran.stdout)

    return run


@pytest.fixture(scope="session")
def sessions(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Session]]:
    """Run several such commands, one after the other or at the same time.

    A mapping of paths to texts among them stands for an edit of these files between two commands.
    """

    def run(lines: Sequence[Sequence[object] | Mapping[str, str]], how: str = "in turn") -> list[Session]:
        folder = tmp_path_factory.mktemp("sessions")
        arguments = json.dumps(
            [dict(line) if isinstance(line, Mapping) else ["benchmarks", *QUIET, *map(str, line)] for line in lines]
        )
        ran = subprocess.run(
            [sys.executable, "-c", FORKS, arguments, str(folder), how],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        statuses = map(int, ran.stdout.split())
        return [Session(status, (folder / f"{number}.txt").read_text()) for number, status in enumerate(statuses)]

    return run


@pytest.fixture(scope="session")
def make_manifest(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a manifest of one study a patient: findings show as words, and as bright parts of the picture."""

    def write(train: int = 42, validate: int = 8, test: int = 16) -> Path:
        folder = tmp_path_factory.mktemp("manifest")
        random, words = np.random.default_rng(0), ("small left effusion", "mild edema", "old rib fracture")
        rows = []
        for number, split in enumerate(["train"] * train + ["validate"] * validate + ["test"] * test):
            found = [number >> bit & 1 for bit in range(3)]
            picture = random.integers(0, 60, (24, 24)) + np.repeat([150 * value for value in found], 8)
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.jpg")
            report = "heart normal " + " ".join(word for word, value in zip(words, found, strict=True) if value)
            rows.append((f"p{number}", f"{number}.jpg", report, split, *found))
        labels = ["label:Effusion", "label:Edema", "label:Fracture"]
        frame = pd.DataFrame(rows, columns=["patient_id", "image", "report", "split", *labels])
        frame.to_csv(folder / "studies.csv", index=False)
        return folder / "studies.csv"

    return write


@pytest.fixture(scope="session")
def manifest(make_manifest: Callable[..., Path]) -> Path:
    """Such a manifest; no test may change it."""
    return make_manifest()
