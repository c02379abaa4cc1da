"""Partitions that are exported by one command and used by another: here, or on a copy of the data elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedfeat.results import store
from fedfeat.results.record import Record

CHECKOUT = Path(__file__).parents[2]
COLUMN = ("--partition", "4:4:2", "--seeds", "1", "-k", "homogeneous")
DRAWN = "homogeneous-4:4:2-fin-seed1-manifest"
VARYING = ("seconds", "samples_per_second", "peak_memory_mb", "date", "commit", "dirty")
Export = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def export(environment: dict[str, str]) -> Export:
    """Run `fedfeat partition` with these arguments."""

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "fedfeat", "partition", *map(str, arguments)],
            env=environment | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), environment.get("PYTHONPATH", "")])},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def exported(export: Export, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "p.json"
    ran = export("--to", path, "--partition", "4:4:2", "--seed", 1, "--dataset", "manifest", "--data", manifest)
    assert (ran.returncode, ran.stderr) == (0, "")
    content = json.loads(path.read_text())
    assert ran.stdout == (
        f"{path}: homogeneous 4:4:2 of manifest, seed 1: 10 clients with 39 patients, 3 public ones; "
        f"hash {content['hash']}\n"
    )
    assert (content["schema"], content["dataset"], content["seed"]) == (1, "manifest", 1)
    return path


def own(exported: Path, to: Path) -> Path:
    """Write a partition by hand: a patient of client 0 goes to client 1."""
    content = json.loads(exported.read_text())
    content["clients"][1]["patients"].append(content["clients"][0]["patients"].pop())
    del content["hash"], content["seed"]
    to.write_text(json.dumps(content))
    return to


def lasting(record: Record) -> dict[str, Any]:
    content = {name: value for name, value in asdict(record).items() if name not in VARYING}
    return content | {"history": [{**entry, "seconds": 0} for entry in record.history]}


def test_a_partition_gives_identical_records_elsewhere_and_another_one_a_record_of_its_own(
    exported: Path, sessions: Callable[..., list[Any]], manifest: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(manifest.parent, tmp_path / "copied") / "studies.csv"
    file = shutil.copy(exported, tmp_path / "other name.json")
    mine = own(exported, tmp_path / "own.json")
    here, there = tmp_path / "here", tmp_path / "there"
    options = [*COLUMN, "--dataset", "manifest", "--methods", "fin", "-rs", "--data"]
    drawn, imported, stands, other, other_stands = sessions(
        [
            [*options, manifest, "--records", here],
            [*options, copied, "--records", there, "--partition-file", file],
            [*options, manifest, "--records", here, "--partition-file", exported],
            [*options, manifest, "--records", here, "--partition-file", mine],
            [*options, manifest, "--records", here, "--partition-file", mine],
        ]
    )
    for session in (drawn, imported, other):
        assert (session.status, session.count("passed"), session.count("skipped")) == (0, 1, 0), session.output
    for session in (stands, other_stands):
        assert (session.status, session.count("passed"), session.count("skipped")) == (0, 0, 1), session.output
        assert "nothing changed" in session.output
    one, own_one = store.read(here)
    (same,) = store.read(there)
    assert lasting(one) == lasting(same)
    assert one.partition_hash == json.loads(exported.read_text())["hash"]
    assert np.array_equal(store.read_scores(here, DRAWN), store.read_scores(there, DRAWN))
    assert (one.case_id, one.imported_partition) == (DRAWN, "")
    digits = own_one.partition_hash[:8]
    assert (own_one.case_id, own_one.imported_partition) == (f"{DRAWN}-partition.{digits}", digits)
    assert own_one.key != one.key
    assert [client["patients"] for client in own_one.clients] == [3, 5, *([4] * 7), 3]
    board = (here / "leaderboard.md").read_text()
    for title in ("## manifest, preset phantom\n", f"## manifest, preset phantom, partition file {digits}\n"):
        assert title in board


def test_cases_of_other_columns_are_skipped(
    export: Export, sessions: Callable[..., list[Any]], manifest: Path, tmp_path: Path
) -> None:
    path = tmp_path / "p.json"
    assert export("--to", path, "--dataset", "manifest", "--data", manifest, "--partition", "6:0:4").returncode == 0
    line = ["--smoke", "--methods", "zero", "--seeds", "0", "--dataset", "manifest", "--data", manifest, "-rs"]
    tables, none = sessions([[*line, "--partition-file", path, *more] for more in ([], ["-k", "8:0:2"])])
    assert (tables.status, tables.count("passed"), tables.count("skipped")) == (0, 1, 9), tables.output
    assert f"{path} holds a partition of homogeneous 6:0:4, not of homogeneous 2:2:6" in tables.output
    assert none.status == 4
    assert f"ERROR: {path}: holds a partition of homogeneous 6:0:4, and no selected case is of" in none.output


MISTAKES: dict[str, tuple[Callable[[str], str], str]] = {
    "not JSON": (lambda text: text[:-9], "not JSON ("),
    "schema": (lambda text: text.replace('"schema": 1', '"schema": 7'), "schema is 7, and this version reads 1"),
    "edited": (
        lambda text: text.replace('"kind": "image"', '"kind": "text"', 1),
        "partition is 4:4:2, but its clients",
    ),
    "hash": (lambda text: text.replace('"hash": "', '"hash": "0'), "replace the hash by that one or leave it out"),
    "data set": (lambda text: text.replace("manifest", "phantom"), "a partition of the data set phantom, not of"),
    "unknown": (lambda text: _without_hash(text, "p1", "q1"), "the data set manifest has no patient 'q1'"),
    "test": (lambda text: _without_hash(text, "p1", "p60"), "patient 'p60' is in the split 'test' of manifest"),
    "twice": (lambda text: _without_hash(text, "p1", "p2"), "patient 'p2' is held twice (client"),
}


def _without_hash(text: str, old: str, new: str) -> str:
    content = json.loads(text.replace(f'"{old}"', f'"{new}"'))
    return json.dumps({name: value for name, value in content.items() if name != "hash"})


def test_bad_files_end_the_session_in_one_line(
    exported: Path, sessions: Callable[..., list[Any]], manifest: Path, tmp_path: Path
) -> None:
    options = [*COLUMN, "--dataset", "manifest", "--data", manifest, "--records", tmp_path / "records"]
    lines = []
    for name, (change, _) in MISTAKES.items():
        path = tmp_path / f"{name}.json"
        path.write_text(change(exported.read_text()))
        assert path.read_text() != exported.read_text()
        lines.append([*options, "--partition-file", path])
    for name, session in zip(MISTAKES, sessions(lines), strict=True):
        assert session.status == 4, session.output
        (error,) = session.errors
        assert error.startswith(f"ERROR: {tmp_path / name}.json: ")
        assert MISTAKES[name][1] in error
        assert "Traceback" not in session.output
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--setup heterogeneous", "not written, since there is no such partition: a manifest is one source"),
        ("--setup mixed", "setup 'mixed' is unknown"),
        ("--partition 8:2", "partition '8:2' is not I:T:M"),
        ("--partition 90:0:2", "92 clients and the public set need 94 training patients"),
        ("--seed 2", "exists and holds something else; remove it or name another file by --to"),
    ],
)
def test_what_cannot_be_exported_is_named_and_nothing_is_written(
    exported: Path, export: Export, manifest: Path, tmp_path: Path, arguments: str, message: str
) -> None:
    path = shutil.copy(exported, tmp_path / "p.json") if arguments == "--seed 2" else tmp_path / "p.json"
    before = path.read_bytes() if path.exists() else None
    ran = export("--to", path, "--dataset", "manifest", "--data", manifest, *arguments.split())
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("fedfeat: ")
    assert message in line
    assert (path.read_bytes() if path.exists() else None) == before
    assert not list(tmp_path.glob(".*"))
