"""Canaries in trees whose source is really changed: in a copy of the package, by the real command."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fedfeat import canaries, cli, provenance
from fedfeat.case import Case
from fedfeat.data.partition import Counts
from fedfeat.errors import FedfeatError
from fedfeat.pipeline import run
from fedfeat.plan import Resources
from fedfeat.results import paper, staleness, store
from fedfeat.results.staleness import Findings

# The command as it is, but for small data and one tiny round, and on records that the same script makes.
SCRIPT = """
import functools, sys
from pathlib import Path

from fedfeat import canaries, cli
from fedfeat.case import Case
from fedfeat.pipeline import run
from fedfeat.plan import Resources
from fedfeat.results import store

resources = Resources(data=Path("data/studies.csv"), cache=Path("cache"), smoke=True)
canaries.CANARIES = tuple(Case(method, partition="4:4:2", dataset="manifest") for method in ("zero", "uniform"))
canaries.watch = functools.partial(canaries.watch, resources=resources)
if sys.argv[1:] == ["make"]:
    for case in (*canaries.CANARIES, Case("complete", partition="4:4:2", dataset="manifest")):
        result = run(case, resources)
        store.write(Path("leaderboard/records"), result.record, result.scores, result.test_set)
    sys.exit(0)
sys.exit(cli.main(["canaries", *sys.argv[1:]]))
"""
ZERO, UNIFORM = (f"homogeneous-4:4:2-{method}-seed0-manifest" for method in ("zero", "uniform"))


def test_the_canaries_cover_what_a_core_does() -> None:
    cases = canaries.CANARIES
    assert len(cases) == len({case.case_id for case in cases}) == 6
    assert {(case.seed, case.dataset, case.preset) for case in cases} == {(0, "phantom", "phantom")}
    assert {case.method for case in cases} == {"zero", "uniform", "fin", "complete", "multimodal_only"}
    assert {(case.setup, case.partition) for case in cases} <= set(paper.COLUMNS)
    missing = {(case.setup, *sorted({*Counts.parse(case.partition).kinds()})) for case in cases}
    assert missing >= {
        ("homogeneous", "image", "multimodal"),
        ("homogeneous", "multimodal", "text"),
        ("homogeneous", "image", "multimodal", "text"),
        ("heterogeneous", "image", "multimodal"),
    }


@pytest.mark.parametrize(
    ("only", "count"), [(None, 6), ("fin", 2), ("zero,uniform", 2), ("heterogeneous", 2), ("-", 6)]
)
def test_some_can_be_chosen(only: str | None, count: int) -> None:
    assert len(canaries.chosen(canaries.CANARIES, only)) == count


@pytest.mark.parametrize("only", ["gan", "fin,gan", ""])
def test_what_is_no_canary_is_named_with_those_that_are(only: str) -> None:
    with pytest.raises(FedfeatError, match=r"no canary has '(gan)?' in its id; they are homogeneous-8:0:2-zero-seed0,"):
        canaries.chosen(canaries.CANARIES, only)


def write_manifest(folder: Path) -> Path:
    """Write one study a patient: findings show as words, and as bright parts of the picture."""
    folder.mkdir()
    random, words = np.random.default_rng(0), ("small left effusion", "mild edema", "old rib fracture")
    rows = []
    for number, split in enumerate(["train"] * 30 + ["validate"] * 8 + ["test"] * 8):
        found = [number >> bit & 1 for bit in range(3)]
        picture = random.integers(0, 60, (24, 24)) + np.repeat([150 * value for value in found], 8)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.jpg")
        report = "heart normal " + " ".join(word for word, value in zip(words, found, strict=True) if value)
        rows.append((f"p{number}", f"{number}.jpg", report, split, *found))
    columns = ["patient_id", "image", "report", "split", "label:Effusion", "label:Edema", "label:Fracture"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "studies.csv", index=False)
    return folder / "studies.csv"


@dataclass(frozen=True)
class Step:
    """What the command did in one state of the tree."""

    status: int
    lines: list[str]
    found: dict[str, Any]
    board: str


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    """Change a copy of the package step by step, and run the canaries after each."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(provenance.PACKAGE, tree / "fedfeat", ignore=shutil.ignore_patterns("__pycache__"))
    write_manifest(tree / "data")
    aggregation, zero = tree / "fedfeat/federation/aggregation.py", tree / "fedfeat/imputers/zero.py"
    originals = {path: path.read_text() for path in (aggregation, zero)}
    worse = originals[aggregation].replace("weights(replies, group))", "[one**2 for one in weights(replies, group)])")
    filled = originals[zero].replace(
        "return features\n", "return {name: value + 0.5 for name, value in features.items()}\n"
    )
    assert worse != originals[aggregation]
    assert filled != originals[zero]

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def step(edited: Path, content: str, *arguments: str) -> Step:
        edited.write_text(content)
        ran = run(*arguments)
        assert ran.stderr == ""
        home = tree / "leaderboard"
        assert not list(home.glob(".*")), "nothing half-written"
        found = json.loads((home / "canaries.json").read_text())
        return Step(ran.returncode, ran.stdout.splitlines(), found, (home / "README.md").read_text(encoding="utf-8"))

    made = run("make")
    assert made.returncode == 0, made.stderr
    return {
        "as it was": step(aggregation, originals[aggregation]),
        "a comment": step(aggregation, originals[aggregation] + "# harmless\n"),
        "another rule": step(aggregation, worse, "--only", "zero"),
        "another rule, the rest": step(aggregation, worse, "--only", "uniform"),
        "as it was again": step(aggregation, originals[aggregation]),
        "another method": step(zero, filled),
    }


def outcomes(step: Step) -> dict[str, str]:
    return {canary["case_id"]: canary["outcome"] for canary in step.found["canaries"]}


@pytest.mark.parametrize("name", ["as it was", "a comment", "as it was again"])
def test_the_same_scores_reproduce_the_board(steps: dict[str, Step], name: str) -> None:
    step = steps[name]
    assert step.status == 0
    assert outcomes(step) == {ZERO: "reproduced", UNIFORM: "reproduced"}
    assert step.lines[:2] == [f"reproduced {ZERO}", f"reproduced {UNIFORM}"]
    assert step.lines[2].endswith("0 of 3 records are stale")
    assert {(one["score_difference"], one["auc_difference"]) for one in step.found["canaries"]} == {(0.0, 0.0)}
    assert all(one["versions"] == steps["as it was"].found["canaries"][0]["versions"] for one in step.found["canaries"])
    assert step.found["stale"] == []
    assert "stale" not in step.board
    assert (step.found["core"] == steps["as it was"].found["core"]) is (name != "a comment")


def test_a_core_that_computes_something_else_makes_older_rows_stale(steps: dict[str, Step]) -> None:
    first, both = steps["another rule"], steps["another rule, the rest"]
    assert (first.status, both.status) == (1, 1)
    assert outcomes(first) == {ZERO: "differs"}
    assert outcomes(both) == {ZERO: "differs", UNIFORM: "differs"}, "what ran on this core before is kept"
    assert len(first.lines) == 2
    assert first.lines[0].startswith(f"differs {ZERO}: scores by up to ")
    assert first.lines[1].endswith("3 of 3 records are stale")
    assert all(canary["score_difference"] > 0 for canary in both.found["canaries"])
    made_by = {canary["record_core"] for canary in both.found["canaries"]}
    assert made_by == {steps["as it was"].found["core"]}
    assert both.found["stale"] == [{"dataset": "manifest", "preset": "phantom", "device": "cpu", "core": made_by.pop()}]
    for title in ("Zero filling (stale)", "Uniform filling (stale)", "Complete modalities (upper bound; stale)"):
        assert title in both.board


def test_a_changed_method_tells_nothing_about_the_core(steps: dict[str, Step]) -> None:
    step = steps["another method"]
    assert outcomes(step) == {ZERO: "unclear", UNIFORM: "reproduced"}
    assert step.status == 0
    assert "another zero.py), so it tells nothing about the core; macro AUC " in step.lines[0]
    assert "stale" not in step.board


Committed = tuple[Path, Resources, Case]


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Committed:
    """The records of one case, made by the present package."""
    folder = tmp_path_factory.mktemp("committed")
    resources = Resources(data=write_manifest(folder / "data"), cache=folder / "cache", smoke=True)
    case = Case("uniform", partition="4:4:2", dataset="manifest")
    result = run(case, resources)
    store.write(folder / "records", result.record, result.scores, result.test_set)
    return folder / "records", resources, case


@pytest.fixture(scope="module")
def full(committed: Committed) -> np.ndarray:
    """The scores of that case in full precision."""
    _, resources, case = committed
    return run(case, resources).scores


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize(
    ("changes", "shift", "outcome", "reason"),
    [
        ({}, 0.0, "reproduced", ""),
        ({"versions": {"torch": "1.0"}}, 0.0, "reproduced", ""),
        (
            {"versions": {"torch": "1.0"}},
            0.1,
            "unclear",
            r"torch 1\.0, here .* nothing about the core; macro AUC within",
        ),
        ({"threads": 7}, 0.1, "unclear", r"threads 7, here 1\), so"),
        ({"macro_auc": 0.1, "threads": 7}, 0.0, "unclear", "macro AUC not within 0.01"),
        ({"core": "old"}, 0.1, "differs", ""),
        ({"core": ""}, 0.1, "differs", ""),
        ({"core": "old", "macro_auc": 0.1}, 0.0, "differs", ""),
        ({"core": "old", "method_source": ""}, 0.1, "differs", ""),
        ({"core": "old", "test_set": "another"}, 0.0, "differs", "it is scored on other test rows"),
        ({}, 0.1, "unclear", "the very core of its record gives something else here"),
        ({"device": "cuda"}, 0.0, "not run", "its record was made on cuda: --device cuda"),
    ],
)
def test_what_a_difference_tells(
    committed: Committed,
    full: np.ndarray,
    changes: dict[str, Any],
    shift: float,
    outcome: str,
    reason: str,
    hashed: bool,
) -> None:
    folder, resources, case = committed
    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    (record,) = store.read(folder)
    scores = full + np.float32(shift)
    if hashed:
        record = replace(record, scores_hash=store.scores_hash(scores))
        scores = store.as_kept(scores)
    else:  # as records were before
        record = replace(record, scores_hash="")
    canary = canaries.examine(case, replace(record, **changes), scores, resources)
    assert canary.outcome == outcome
    assert re.search(reason or r"\A\Z", canary.reason)
    assert canary.case_id in canaries.line(canary)
    if shift:
        assert canary.score_difference == pytest.approx(shift, rel=1e-3)
    elif outcome != "not run" and "test_set" not in changes:
        assert canary.score_difference == 0


def test_a_difference_that_16_bits_cannot_show_is_one(committed: Committed, full: np.ndarray) -> None:
    folder, resources, case = committed
    (record,) = store.read(folder)
    kept = store.read_scores(folder, record.case_id)
    assert record.scores_hash == store.scores_hash(full)
    assert not np.array_equal(kept, full), "the sidecar cannot tell"
    canary = canaries.examine(case, record, kept, resources)
    assert (canary.outcome, canary.score_difference, canary.auc_difference) == ("reproduced", 0.0, 0.0)
    assert canaries.line(canary) == f"reproduced {record.case_id}"

    other = full.copy()  # by one in the last place of one score, away from the edge of what rounds alike
    inside = (full > full.min(0)) & (full < full.max(0))  # the ends give the levels
    place = np.unravel_index(np.where(inside, np.abs(full - kept), np.inf).argmin(), full.shape)
    other[place] = np.nextafter(full[place], kept[place] if full[place] != kept[place] else np.float32(np.inf))
    np.testing.assert_array_equal(store.as_kept(other), store.as_kept(full))
    record = replace(record, scores_hash=store.scores_hash(other), core="old")
    canary = canaries.examine(case, record, kept, resources)
    assert (canary.outcome, canary.score_difference, canary.auc_difference) == ("differs", 0.0, 0.0)
    assert canaries.line(canary) == f"differs {record.case_id}: scores differ by less than 16 bits show"

    unhashed = canaries.examine(case, replace(record, scores_hash=""), other, resources)
    assert unhashed.outcome == "differs", "so do full scores beside an older record"
    assert 0 < (unhashed.score_difference or 0) < 1e-6


def test_another_auc_of_the_same_scores_is_told(committed: Committed) -> None:
    folder, resources, case = committed
    (record,) = store.read(folder)
    kept, now = store.read_scores(folder, record.case_id), record.macro_auc
    assert now is not None
    canary = canaries.examine(case, replace(record, core="old", macro_auc=now - 0.125), kept, resources)
    assert canaries.line(canary) == f"differs {record.case_id}: scores by up to 0, macro AUC by 0.125"


def test_a_case_that_breaks_or_is_gone_does_not_reproduce(committed: Committed, tmp_path: Path) -> None:
    folder, resources, case = committed
    (record,) = store.read(folder)
    scores = store.read_scores(folder, record.case_id)
    gone = canaries.examine(replace(case, setup="heterogeneous"), record, scores, resources)
    assert (gone.outcome, gone.reason[:29]) == ("differs", "skipped: a manifest is one so")
    method = tmp_path / "breaks.py"
    method.write_text(BREAKS)
    mine = replace(resources, imputer=method)
    broken = canaries.examine(replace(case, method="breaks"), replace(record, core="old"), scores, mine)
    assert broken.outcome == "unclear", "its method's file is another"
    assert "breaks" in broken.case_id
    assert "failed: RuntimeError: no more" in broken.reason
    broken = canaries.examine(
        replace(case, method="breaks"), replace(record, core="old", method_source=""), scores, mine
    )
    assert (broken.outcome, broken.reason) == ("differs", "failed: RuntimeError: no more")


BREAKS = """
from fedfeat import Imputer


class Breaks(Imputer):
    name = title = "breaks"

    def fill(self, ctx, features, present, targets):
        raise RuntimeError("no more")
"""


def test_a_canary_without_a_committed_record_is_told_and_stays_undecided(
    committed: Committed,
) -> None:
    folder, resources, case = committed
    shown: list[staleness.Canary] = []
    findings = canaries.watch(
        [replace(case, method="zero"), case], folder, Findings(), True, resources, show=shown.append
    )
    assert [(canary.case_id, canary.outcome) for canary in shown] == [(ZERO, "not run"), (UNIFORM, "reproduced")]
    assert canaries.line(shown[0]) == f"not run {ZERO}: there is no committed record of it"
    assert (findings.core, findings.stale) == (provenance.core_digest(), ())


def test_without_any_record_the_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(FedfeatError, match="no records there to hold canaries against; name the folder with --records"):
        canaries.watch(canaries.CANARIES, tmp_path, Findings(), True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "gan"], "--only gan: no canary has 'gan' in its id"),
        (["--records", "nowhere"], "nowhere: no records there"),
    ],
)
def test_the_command_names_a_mistake_in_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main(["canaries", "--to", str(tmp_path / "leaderboard"), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())
