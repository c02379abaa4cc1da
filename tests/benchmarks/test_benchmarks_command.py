"""`pytest benchmarks`: what it runs, what it keeps, and what it shows."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedfeat.results import store

COLUMN = "homogeneous and 8:0:2 and seed0"
FIN = "homogeneous-8:0:2-fin-seed0-manifest"
METHOD = """
from dataclasses import dataclass

from fedfeat.imputers.base import Imputer


@dataclass(frozen=True)
class Constant(Imputer):
    name = "constant"
    title = "Constant filling"

    def fill(self, ctx, features, present, targets):
        {body}
"""
Command = Callable[..., Any]
First = tuple[Any, Path]  # a session and its records


def on(manifest: Path, *arguments: object) -> list[object]:
    return ["--dataset", "manifest", "--data", manifest, *arguments]


def board(session: Any) -> str:
    """Return what follows the headline of the one board of a session."""
    _, shown = session.output.split(" leaderboard ")
    return str(shown)


@pytest.fixture(scope="module")
def first(command: Command, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> First:
    """Run two methods."""
    folder = tmp_path_factory.mktemp("first")
    places = ("--records", folder / "records", "--benchmark-json", folder / "timing.json")
    return command("-k", COLUMN, *on(manifest, "--methods", "zero,fin", *places)), folder / "records"


def test_a_run_prints_a_board_and_leaves_records(first: First) -> None:
    session, folder = first
    assert session.status == 0, session.output
    assert session.count("passed") == 2
    for text in ("Zero filling", "Feature imputation (FIN)", "manifest: not a result on MIMIC-CXR", str(folder)):
        assert text in board(session)
    assert (folder / "leaderboard.md").read_text().strip() in session.output
    records = store.read(folder)
    assert [(record.method, record.status) for record in records] == [("fin", "passed"), ("zero", "passed")]
    assert {path.name for path in folder.iterdir()} == {
        "leaderboard.md",
        "homogeneous-8.0.2-fin-seed0-manifest.json",
        "homogeneous-8.0.2-fin-seed0-manifest.scores.npz",
        "homogeneous-8.0.2-zero-seed0-manifest.json",
        "homogeneous-8.0.2-zero-seed0-manifest.scores.npz",
        f"test-{records[0].test_set}.npz",  # shared by both
    }
    assert store.read_scores(folder, FIN).shape == store.read_test_set(folder, records[0].test_set).labels.shape
    timing = json.loads((folder.parent / "timing.json").read_text())
    mirrored = {entry["extra_info"]["case_id"]: entry["extra_info"]["macro_auc"] for entry in timing["benchmarks"]}
    assert mirrored == {record.case_id: record.macro_auc for record in records}


def test_records_are_used_again_until_something_changes(
    first: First, sessions: Command, manifest: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(first[1], tmp_path / "records")
    changed = shutil.copytree(manifest.parent, tmp_path / "changed") / "studies.csv"
    changed.write_text(changed.read_text().replace("mild edema", "edema"))
    line = ["-rs", "--methods", "zero,fin", "--records", folder]
    again, rerun, refused, other, back = sessions(
        [
            ["-k", COLUMN, *line, *on(manifest)],
            ["-k", f"{COLUMN} and fin", *line, *on(manifest, "--rerun")],
            ["-k", f"{COLUMN} and zero", *line, *on(changed)],
            ["-k", f"{COLUMN} and zero", *line, *on(changed, "--rerun")],
            ["-k", f"{COLUMN} and zero", *line, *on(manifest, "--rerun")],
        ]
    )
    assert (again.status, again.count("skipped"), again.count("passed")) == (0, 2, 0)
    assert f"nothing changed: the record in {folder} stands (--rerun runs it again)" in again.output
    assert "Zero filling" in board(again)
    assert "Feature imputation (FIN)" in board(again)
    assert (rerun.status, rerun.count("passed")) == (0, 1)
    assert refused.status == 4
    assert f"{folder}: holds a result of homogeneous-8:0:2-zero-seed0-manifest on other data" in refused.output
    assert (other.status, other.count("passed"), other.count("skipped")) == (0, 1, 0)
    assert "Feature imputation (FIN)" not in board(other), "it was no case of that session"
    assert (back.status, back.count("passed"), back.count("skipped")) == (0, 1, 0)
    for old, new in zip(store.read(first[1]), store.read(folder), strict=True):
        assert old.date != new.date, "it was run anew"
        assert (old.case_id, old.key, old.validation_auc) == (new.case_id, new.key, new.validation_auc)
        assert np.array_equal(store.read_scores(first[1], old.case_id), store.read_scores(folder, new.case_id))


def test_one_round_keeps_its_size_and_time_and_saves_nothing(
    command: Callable[..., Any], manifest: Path, tmp_path: Path
) -> None:
    line = ["--dataset", "manifest", "--data", manifest, "--methods", "zero", "-k", "homogeneous and 8:0:2 and seed0"]
    records, kept = tmp_path / "records", tmp_path / "round.json"
    session = command(*line, "--records", records, "--one-round", "--benchmark-json", kept)
    assert (session.status, session.count("passed")) == (0, 1), session.output
    assert not records.exists()
    assert " leaderboard " not in session.output
    (measured,) = json.loads(kept.read_text())["benchmarks"]
    record = measured["extra_info"]
    assert len(record["history"]) == 1
    assert record["configuration"]["training"]["local_epochs"] == 3
    assert sum(client["rows"] for client in record["clients"]) == 39  # all training rows but the public ones
    assert record["seconds"] > 0 and record["peak_memory_mb"] > 0


def test_smoke_saves_nothing_and_a_setup_that_cannot_be_is_skipped(
    sessions: Command, manifest: Path, tmp_path: Path
) -> None:
    line = ["-rs", "--methods", "zero", "--records", tmp_path / "records", *on(manifest)]
    smoke, heterogeneous = sessions([["-k", "8:0:2 and seed0", *line, "--smoke"], ["-k", "heterogeneous", *line]])
    assert (smoke.status, smoke.count("passed"), smoke.count("skipped")) == (0, 1, 1), smoke.output
    assert (heterogeneous.status, heterogeneous.count("skipped"), heterogeneous.count("passed")) == (0, 3, 0)
    assert "a manifest is one source, and the heterogeneous setup needs three" in heterogeneous.output
    assert " leaderboard " not in smoke.output + heterogeneous.output
    assert not (tmp_path / "records").exists()


def test_a_method_of_the_user_stands_beside_zero_and_a_broken_one_fails(
    first: First, sessions: Command, manifest: Path, tmp_path: Path
) -> None:
    folder, mine, broken = shutil.copytree(first[1], tmp_path / "records"), tmp_path / "mine.py", tmp_path / "broken.py"
    mine.write_text(METHOD.format(body="return {name: feature + 0.1 for name, feature in features.items()}"))
    broken.write_text(METHOD.format(body="raise ValueError('no such\\nfeature')"))
    line = ["-k", COLUMN, *on(manifest), "--records"]
    passed, failed, again, smoke = sessions(
        [
            [*line, folder, "--imputer", mine],
            [*line, folder, "--imputer", broken],
            [*line, folder, "--imputer", broken],
            [*line, tmp_path / "smoke", "--imputer", broken, "--smoke"],
        ]
    )
    assert (passed.status, passed.count("passed"), passed.count("skipped")) == (0, 1, 1), passed.output
    assert (failed.status, failed.count("failed"), failed.count("skipped")) == (1, 1, 1), failed.output
    assert (again.status, again.count("failed"), again.count("skipped")) == (1, 1, 1), "a failed case is run again"
    for session in (passed, failed):
        assert "Constant filling" in board(session)
        assert "Zero filling" in board(session)
        assert "Feature imputation (FIN)" not in board(session)
    constant, *others = store.read(folder)
    assert (constant.method, constant.status, constant.error) == ("constant", "failed", "ValueError: no such feature")
    assert [record.status for record in others] == ["passed", "passed"]
    assert not list(folder.glob("*constant*.npz")), "scores of the run before must not outlive it"
    assert (smoke.status, smoke.count("failed"), smoke.count("passed")) == (1, 1, 1)
    assert not (tmp_path / "smoke").exists()


def test_workers_write_every_record_and_one_board(command: Command, manifest: Path, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    folder = tmp_path / "records"
    session = command("-n", 2, "-k", COLUMN, *on(manifest, "--methods", "zero,uniform", "--records", folder))
    assert (session.status, session.count("passed")) == (0, 2), session.output
    records = store.read(folder)
    assert [record.method for record in records] == ["uniform", "zero"]
    assert all(record.title in board(session) for record in records)
    assert (folder / "leaderboard.md").read_text().strip() in session.output
