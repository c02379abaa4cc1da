"""The paper's own data, from folders in the published layouts to records: prepare, partition, cases in both setups."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fedfeat
from fedfeat.cli import main
from fedfeat.data import sources
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
    assert "complete does not apply: image clients lack every report, since chexpert has none" in printed


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


LEAKS = """
import fedfeat
from fedfeat.imputers.base import Imputer

class Leaks(Imputer):
    name, title = "leaks", "Leaks"

    def fill(self, ctx, features, present, targets):
        return features

    def describe(self, ctx, studies):
        return {}[studies.reports[0]]
"""


def test_no_word_of_a_report_gets_into_a_record(published: Any, tmp_path: Path) -> None:
    to, method = tmp_path / "to", tmp_path / "leaks.py"
    method.write_text(LEAKS)
    words = ["prepare", "mimic_cxr", str(to), *published.options("mimic_cxr"), "--from-scratch", "--preset", "phantom"]
    assert main(words) == 0
    case = fedfeat.Case(method="leaks", partition="4:4:2", dataset="mimic_cxr")
    record = fedfeat.run(case, fedfeat.Resources(data=to, imputer=method, smoke=True)).record
    assert (
        "method leaks: describe fails (KeyError in leaks.py, line 12); the record lacks what it tells" in record.notes
    )
    table = sources.load("mimic_cxr", to)
    assert not [report for report in table.rows["report"] if report in record.to_json()]


def test_describe_tells_what_was_prepared(published: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "to"
    prepare(to, published, "--preset", "phantom")
    told = tmp_path / "told"
    assert main(["describe", "cxr", str(to), "--setup", "heterogeneous", "--to", str(told)]) == 0
    page = (told / "README.md").read_text(encoding="utf-8")
    assert "images prepared at 64 pixels" in page and "mimic_cxr 2.1.0 (labels: CheXpert labeler" in page
    assert len(re.findall(r"^\| \d +\| image +\| +20 \|", page, re.MULTILINE)) == 8  # of 160 patients
    assert {path.name for path in told.glob("*.png")} == {"clients.png", "labels.png", "reports.png"}
    assert main(["describe", "chexpert", str(to), "--to", str(tmp_path / "alone")]) == 0
    assert "chexpert has no reports here" in (tmp_path / "alone" / "README.md").read_text(encoding="utf-8")
