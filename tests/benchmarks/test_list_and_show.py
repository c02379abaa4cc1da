"""`fedfeat list` and `fedfeat show` as a user gives them, on a case that really ran and on records written by hand."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedfeat.results import store
from fedfeat.results.record import Record

CHECKOUT = Path(__file__).parents[2]
COLUMN = "homogeneous and 8:0:2"
ZERO = "homogeneous-8:0:2-zero-seed0-manifest"
NODE = "benchmarks/test_table1.py::test_table1[homogeneous-8:0:2-zero-seed0]"
LIST = ("--list", "-qq", "--disable-warnings")  # what `fedfeat list` gives to pytest
Fedfeat = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def fedfeat(environment: dict[str, str]) -> Fedfeat:
    """Run `python -m fedfeat` with these arguments."""

    def run(*arguments: object, folder: Path = CHECKOUT, **variables: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, "-m", "fedfeat", *map(str, arguments)],
            cwd=folder,
            env=environment | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"} | variables,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def records(command: Callable[..., Any], manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One case that ran, beside it one that failed and one that something was other for."""
    folder = tmp_path_factory.mktemp("listed") / "records"
    on = ("--dataset", "manifest", "--data", manifest, "--methods", "zero", "--records", folder)
    session = command("-k", f"{COLUMN} and seed0", *on)
    assert session.count("passed") == 1, session.output
    (ran,) = store.read(folder)
    for seed, changes in (
        (0, {"status": "failed", "error": "Diverged: the loss\nis nan", "macro_auc": None}),
        (1, {"key": "other"}),
    ):
        other = replace(ran, case_id=f"homogeneous-8:0:2-fin-seed{seed}-manifest", method="fin", seed=seed)
        store.write(folder, replace(other, **changes))
    return folder


def _ran(records: Path) -> Record:
    record = store.latest(records, ZERO)
    assert record is not None
    assert record.macro_auc is not None
    return record


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_list_tells_how_every_case_stands(fedfeat: Fedfeat, records: Path, manifest: Path) -> None:
    before = _files(records)
    options = ["--dataset", "manifest", "--data", manifest, "--methods", "zero,fin", "--seeds", "0,1"]
    ran = fedfeat("list", *options, "-k", "8:0:2 and not (heterogeneous and seed1)", "--records", records)
    assert (ran.returncode, ran.stderr) == (0, "")
    reason = "a manifest is one source, and the heterogeneous setup needs three"
    *lines, count = ran.stdout.splitlines()
    assert [line.split(maxsplit=2) for line in lines] == [
        ["skipped", "heterogeneous-8:0:2-zero-seed0-manifest", reason],
        ["skipped", "heterogeneous-8:0:2-fin-seed0-manifest", reason],
        ["done", ZERO, f"{100 * (_ran(records).macro_auc or 0):.2f}"],
        ["missing", "homogeneous-8:0:2-zero-seed1-manifest"],
        ["failed", "homogeneous-8:0:2-fin-seed0-manifest", "Diverged: the loss is nan"],
        ["changed", "homogeneous-8:0:2-fin-seed1-manifest"],
    ]
    assert count == f"6 cases, records in {records}: 1 done, 1 changed, 1 failed, 1 missing, 2 skipped"
    assert _files(records) == before


def test_list_selects_what_a_session_would_run(
    sessions: Callable[..., list[Any]], manifest: Path, tmp_path: Path
) -> None:
    selections: list[list[str]] = [
        [],
        ["-k", "homogeneous and (fin or zero) and not seed1"],
        ["--methods", "all", "--seeds", "3,10", "-k", "seed10"],
        ["--partition", "2:0:1", "--seeds", "0"],
        ["-k", "nonesuch"],
    ]
    on = ["--dataset", "manifest", "--data", str(manifest)]
    collected = sessions([["--collect-only", "-q", *on, *selection] for selection in selections])
    shown = sessions([[*LIST, *on, "--records", str(tmp_path), *selection] for selection in selections])
    for runs, lists in zip(collected, shown, strict=True):
        ids = re.findall(r"^(?:missing|skipped) +(\S+)-manifest(?: |$)", lists.output, re.MULTILINE)
        assert ids == runs.cases
        last = f"{len(ids)} cases, records in {tmp_path}: " if ids else "no case is selected"
        assert lists.output.splitlines()[-1].startswith(last)


def test_list_sees_that_something_changed(
    sessions: Callable[..., list[Any]], records: Path, make_manifest: Callable[..., Path], manifest: Path
) -> None:
    line = [*LIST, "-k", f"{COLUMN} and seed0", "--methods", "zero", "--dataset", "manifest"]
    line += ["--records", str(records), "--data"]
    same, other, uncertain = sessions(
        [[*line, manifest], [*line, make_manifest(train=43)], [*line, manifest, "--from-scratch"]]
    )
    assert (same.status, same.output.split()[:2]) == (0, ["done", ZERO])
    for session in (other, uncertain):
        assert (session.status, session.output.split()[:2]) == (0, ["changed", ZERO])


def test_list_needs_no_workers(sessions: Callable[..., list[Any]], records: Path, manifest: Path) -> None:
    pytest.importorskip("xdist")
    line = [*LIST, "-k", COLUMN, "--dataset", "manifest", "--data", manifest, "--records", records]
    alone, workers = sessions([line, [*line, "-n", "2"]])
    assert workers.output.splitlines() == alone.output.splitlines()
    assert len(alone.output.splitlines()) == 22


def test_mistakes_end_in_one_line(sessions: Callable[..., list[Any]], manifest: Path, tmp_path: Path) -> None:
    mistakes: list[tuple[list[object], str]] = [
        (["--dataset", "manifest"], "--dataset manifest needs --data PATH"),
        (["--dataset", "manifest", "--data", manifest, "--partition", "90:0:2"], "partition 90:0:2: 92 clients and"),
        (["--records", manifest], f"--records {manifest}: this is not a folder"),
        (["--smoke"], "--list tells which records stand, and --smoke and --one-round save none"),
    ]
    for session, (_, expected) in zip(sessions([[*LIST, *line] for line, _ in mistakes]), mistakes, strict=True):
        assert session.status == 4
        (line,) = filter(None, session.output.splitlines())
        assert line.startswith(f"ERROR: {expected}")


def test_the_command_hands_a_mistake_on(fedfeat: Fedfeat) -> None:
    ran = fedfeat("list", "--methods", "gan")
    assert (ran.returncode, ran.stdout.strip()) == (2, "")
    (line,) = filter(None, ran.stderr.splitlines())
    assert line.startswith("ERROR: method 'gan' is unknown; the known ones are ")


def test_list_needs_the_benchmarks(fedfeat: Fedfeat, tmp_path: Path) -> None:
    ran = fedfeat("list", folder=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"fedfeat: {tmp_path}: there is no folder `benchmarks` here")


def test_an_empty_selection_is_no_mistake(fedfeat: Fedfeat) -> None:
    ran = fedfeat("list", "-k", "nonesuch")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "no case is selected\n", "")


def test_show_prints_the_case_that_ran_however_it_is_named(fedfeat: Fedfeat, records: Path) -> None:
    record = _ran(records)
    ran = fedfeat("show", ZERO, folder=records.parent)
    assert ran.returncode == 2, "its default is the folder `runs`"
    assert ran.stderr.startswith(f"fedfeat: runs: no record of '{ZERO}': there is no folder runs; name another")
    assert ran.stderr.endswith(" by --records (published ones: leaderboard/records)\n")
    by_id, by_node = (fedfeat("show", name, "--records", records) for name in (ZERO, NODE))
    by_path = fedfeat("show", store.record_path(records, ZERO))
    assert [ran.returncode for ran in (by_id, by_node, by_path)] == [0, 0, 0]
    assert by_id.stdout == by_node.stdout == by_path.stdout
    assert by_id.stdout.startswith(f"{ZERO}: passed: Zero filling")
    words = " ".join(by_id.stdout.split())
    points = f"{100 * (record.macro_auc or 0):.2f}"
    for part in (f"macro AUC {points} (3 labels)", "16 rows of 16 patients", f"best: round {record.best_round}"):
        assert part in words
    positives = re.findall(r"^  (Effusion|Edema|Fracture) +[0-9.]+ +8 +16$", by_id.stdout, re.MULTILINE)
    assert positives == ["Effusion", "Edema", "Fracture"]


def test_show_is_plain_where_no_more_can_be_printed(fedfeat: Fedfeat, records: Path) -> None:
    ran = fedfeat("show", ZERO, "--records", records, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert ran.stdout.isascii()
    assert f" to {100 * _ran(records).validation_auc[-1]:.2f}; best: round" in ran.stdout


def test_show_tells_the_error_of_a_failed_case(fedfeat: Fedfeat, records: Path) -> None:
    ran = fedfeat("show", "homogeneous-8:0:2-fin-seed0-manifest", "--records", records)
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[1] == "error: Diverged: the loss is nan"


def test_show_names_the_closest_cases(fedfeat: Fedfeat, records: Path) -> None:
    ran = fedfeat("show", "homogeneous-8:0:2-zero-seed0", "--records", records)
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"fedfeat: {records}: no record of 'homogeneous-8:0:2-zero-seed0'; closest there: {ZERO}, ")


def test_show_takes_no_other_option(fedfeat: Fedfeat) -> None:
    ran = fedfeat("show", ZERO, "--record", "x", "--colour")
    assert ran.returncode == 2
    assert ran.stderr == "fedfeat: unrecognized arguments: --colour; `fedfeat show --help` shows the options\n"
