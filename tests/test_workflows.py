"""The workflows call what there is: every benchmark command collects cases, every other command has its options."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

HOME = Path(__file__).parents[1]
WORKFLOWS = sorted((HOME / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def commands(program: str) -> list[str]:
    lines = [line for path in WORKFLOWS for step in steps(path) for line in step.get("run", "").splitlines()]
    return [line for line in lines if line.startswith(f"python -m {program} ")]


def call(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("line", commands("pytest"))
def test_a_benchmark_command_selects_cases(line: str) -> None:
    done = call([*shlex.split(line)[1:], "--collect-only", "-q"], HOME)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_table1[heterogeneous-8:0:2-fin-seed0]" in done.stdout


def test_there_are_a_grid_a_round_and_a_comparison() -> None:
    assert len(commands("pytest")) == 2
    assert len(commands("fedfeat")) == 1


@pytest.mark.parametrize(("loss", "status"), [(0.0, 0), (0.02, 0), (0.2, 1)])
def test_the_nights_comparison_fails_by_the_floor_only(loss: float, status: int, tmp_path: Path) -> None:
    (line,) = commands("fedfeat")
    stored = HOME / "leaderboard" / "records" / "heterogeneous-8.0.2-zero-seed0.json"
    _run_all(tmp_path)
    auc = float(yaml.safe_load(stored.read_text())["macro_auc"])
    (tmp_path / "runs" / stored.name).write_text(stored.read_text().replace(repr(auc), repr(auc - loss), 1))
    done = call(shlex.split(line.split(" | ")[0])[1:], tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    verdict = {0.0: "agrees", 0.02: "warns", 0.2: "fails"}[loss]
    assert f"cases: {1 if verdict == 'fails' else 0} fails, {1 if verdict == 'warns' else 0} warns" in done.stdout
    assert f"| {verdict}" in done.stdout
    assert done.stdout.endswith("every stored case was run\n")


def test_the_nights_comparison_fails_if_a_case_was_not_run(tmp_path: Path) -> None:
    (line,) = commands("fedfeat")
    _run_all(tmp_path)
    (tmp_path / "runs" / "heterogeneous-8.0.2-zero-seed0.json").unlink()
    words = shlex.split(line.split(" | ")[0])[1:]
    done = call(words, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.endswith(": heterogeneous-8:0:2-zero-seed0\n")
    assert call([word for word in words if word != "--all"], tmp_path).returncode == 0, "a part may be run by hand"


def _run_all(folder: Path) -> None:
    """Lay the committed records where the night's would be."""
    (folder / "leaderboard").symlink_to(HOME / "leaderboard")
    (folder / "runs").mkdir()
    for path in (HOME / "leaderboard" / "records").glob("*.json"):
        (folder / "runs" / path.name).write_bytes(path.read_bytes())


def test_pull_requests_run_what_contributors_run() -> None:
    (path,) = (path for path in WORKFLOWS if path.stem == "checks")
    assert any(step.get("run") == "bash .ci/run" for step in steps(path))
    assert "pull_request" in path.read_text()


def test_the_night_keeps_times_and_memory() -> None:
    (path,) = (path for path in WORKFLOWS if path.stem == "nightly")
    (kept,) = (step["with"]["path"].split() for step in steps(path) if "upload-artifact" in step.get("uses", ""))
    assert {"runs", "grid.json", "paper-round.json", "comparison.md"} == set(kept)
