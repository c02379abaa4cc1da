"""The paper's own data, from folders in the published layouts to records: prepare, partition, cases in both setups."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedfeat.cli import main
from fedfeat.results import store

CHECKOUT = Path(__file__).parents[2]


def prepare(to: Path, published: Any, *options: str) -> None:
    for source in ("mimic_cxr", "chexpert", "openi"):
        assert main(["prepare", source, str(to), *published.options(source), "--from-scratch", *options]) == 0


def benchmarks(environment: dict[str, str], *options: object) -> str:
    """Run a session of the benchmarks from the checkout; return what it prints."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", "-rs", *map(str, options)]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_papers_preset_runs_in_both_setups(environment: dict[str, str], published: Any, tmp_path: Path) -> None:
    prepare(tmp_path, published)
    printed = benchmarks(
        environment, "--preset", "paper", "--from-scratch", "--smoke", "--dataset", "cxr", "--data", tmp_path,
        "--methods", "zero,complete", "-k", "8:0:2 and seed0 and (zero or heterogeneous)",
    )  # fmt: skip
    assert "2 passed, 1 skipped" in printed
    assert "complete does not apply: client 0 (image) lacks every report, since chexpert has none" in printed


def test_records_say_which_collections_made_them(environment: dict[str, str], published: Any, tmp_path: Path) -> None:
    to, runs, file = tmp_path / "to", tmp_path / "runs", tmp_path / "partition.json"
    prepare(to, published, "--preset", "phantom")
    column = ["--setup", "heterogeneous", "--dataset", "cxr", "--data", str(to)]
    assert main(["partition", "--to", str(file), *column]) == 0
    clients = json.loads(file.read_text())["clients"]
    assert {patient.partition("-")[0] for client in clients for patient in client["patients"]} == {"chexpert", "openi"}
    held = [set(client["patients"]) for client in clients]
    assert len(set.union(*held)) == sum(map(len, held)) == 160 + 209
    data = ["--dataset", "cxr", "--data", to, "--records", runs, "--methods", "zero", "--seeds", 0]
    benchmarks(environment, *data, "-k", "heterogeneous")
    (record,) = store.read(runs)
    assert [(one["name"], one["version"], one["labels"], one["credentialed"]) for one in record.sources] == [
        ("mimic_cxr", "2.1.0", "CheXpert labeler", True),
        ("chexpert", "1.0, small", "CheXpert labeler, validation by radiologists", True),
        ("openi", "", "MeSH terms", False),
    ]
    assert all(len(one["checksum"]) == 32 for one in record.sources) and record.credentialed
    assert record.case_id == "heterogeneous-8:0:2-zero-seed0-cxr" and not record.synthetic and not record.samples
    # a row each, in both of these collections
    assert [client["rows"] for client in record.clients] == [len(client["patients"]) for client in clients]
    assert any("NOT the paper's sizes: chexpert has 160 training patients" in note for note in record.notes)
    again = benchmarks(environment, *data, "--partition-file", file, "-k", "heterogeneous")
    assert "nothing changed: the record" in again  # the exported partition is the drawn one


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dataset", "cxr"], "--dataset cxr needs --data PATH"),
        (["--dataset", "cxr", "--data", "{to}"], "only half prepared"),
        (["--dataset", "chexpert", "--data", "{to}"], "no prepared chexpert here"),
    ],
)
def test_folders_that_are_not_ready_end_the_session_in_one_line(
    options: list[str], words: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mimic_cxr.part").mkdir()
    command = [sys.executable, "-m", "pytest", "benchmarks", "-k", "zero and seed0"]
    command += [option.format(to=tmp_path) for option in options]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and words in done.stderr + done.stdout
