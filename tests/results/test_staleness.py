"""What the canaries found: what is stale by it, and how the board shows it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results import publish, staleness, store
from fedfeat.results.leaderboard import render
from fedfeat.results.record import Record
from fedfeat.results.staleness import Canary, Findings, StaleCore

MakeRecord = Callable[..., Record]


def canary(outcome: str = "differs", case_id: str = "a", **others: Any) -> Canary:
    content = {"dataset": "phantom", "preset": "phantom", "device": "cpu", "record_core": "old"} | others
    return Canary(case_id=case_id, outcome=outcome, **content)  # type: ignore[arg-type]


@pytest.fixture
def old(make_record: MakeRecord) -> list[Record]:
    """Records of two older cores, one of them older than the field."""
    return [make_record("fin", device="cpu", core="old"), make_record("zero", device="cpu")]


def test_a_canary_that_differs_makes_all_older_cores_of_its_kind_stale(
    old: list[Record], make_record: MakeRecord
) -> None:
    others = [
        make_record("fin", device="cpu", core="new"),
        make_record("fin", device="cuda:0", core="old"),
        make_record("fin", device="cpu", core="old", preset="paper"),
        make_record("fin", device="cpu", core="old", dataset="manifest"),
    ]
    findings = Findings().after("new", [canary(), canary("reproduced", "b")], old + others, complete=True)
    assert [findings.is_stale(record) for record in old + others] == [True, True, False, False, False, False]


@pytest.mark.parametrize("outcome", ["reproduced", "unclear", "not run"])
def test_no_other_outcome_makes_anything_stale(old: list[Record], outcome: str) -> None:
    findings = Findings().after("new", [canary(outcome)], old, complete=True)
    assert not any(map(findings.is_stale, old))


def test_stale_records_stay_so_when_the_canaries_own_are_made_anew(old: list[Record], make_record: MakeRecord) -> None:
    broken = Findings().after("new", [canary()], old, complete=True)
    anew = make_record("uniform", device="cpu", core="new")
    later = broken.after("new", [canary("reproduced", record_core="new")], [*old, anew], complete=True)
    after_a_harmless_change = later.after("newer", [canary("reproduced", record_core="new")], old, complete=True)
    for findings in (later, after_a_harmless_change):
        assert [findings.is_stale(record) for record in (*old, anew)] == [True, True, False]


def test_a_core_is_cleared_by_a_full_run_that_reproduces_it_or_by_coming_back(old: list[Record]) -> None:
    broken = Findings().after("new", [canary()], old, complete=True)
    same = [canary("reproduced")]
    assert broken.after("newer", same, old, complete=False).is_stale(old[0])
    cleared = broken.after("newer", same, old, complete=True)
    assert [cleared.is_stale(record) for record in old] == [False, True]
    assert not broken.after("old", same, old, complete=False).is_stale(old[0])
    assert broken.after("newer", [*same, canary(case_id="b")], old, complete=True).is_stale(old[0])


def test_canaries_that_did_not_run_again_are_kept_for_the_same_core_only(old: list[Record]) -> None:
    first = Findings().after("new", [canary(), canary("reproduced", "b")], old, complete=True)
    again = first.after("new", [canary("unclear", "b")], old, complete=False)
    assert [(one.case_id, one.outcome) for one in again.canaries] == [("a", "differs"), ("b", "unclear")]
    assert [one.case_id for one in first.after("newer", [canary("unclear", "b")], old, False).canaries] == ["b"]


def test_findings_go_through_their_file(tmp_path: Path, old: list[Record]) -> None:
    found = canary(score_difference=0.25, auc_difference=0.0, versions={"torch": "2"}, commit="c0ffee", dirty=False)
    findings = Findings().after("new", [found], old, complete=True)
    (tmp_path / "canaries.json").write_text(findings.to_json(), encoding="utf-8")
    assert staleness.read(tmp_path) == findings
    assert findings.stale == (StaleCore("phantom", "phantom", "cpu", ""), StaleCore("phantom", "phantom", "cpu", "old"))
    assert staleness.read(tmp_path / "nowhere") == Findings()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "core": "", "canaries": [{}]}'])
def test_a_strange_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "canaries.json").write_text(text)
    with pytest.raises(FedfeatError, match=r"canaries\.json: not as `fedfeat canaries` writes it"):
        staleness.read(tmp_path)


def test_stale_rows_are_marked_explained_and_not_ranked_among_others(make_record: MakeRecord) -> None:
    records = [make_record(method, seed, 0.6, core=core) for method, core in METHODS.items() for seed in range(3)]
    plain = render(records)
    assert "stale" not in plain
    assert "Not ranked" not in plain
    board = render(records, stale=lambda record: record.core == "old")
    assert "| ZERO (stale) " in board
    assert "| FIN  " in board
    assert "- stale: made by an older core of the package" in board
    assert "Not ranked, because the rows differ in more than the method: cores (some are stale)." in board
    assert "Not ranked" not in render(records, stale=lambda record: True)


METHODS = {"zero": "old", "fin": "new"}


def test_publish_shows_what_the_canaries_found(tmp_path: Path, old: list[Record]) -> None:
    for record in old:
        store.write(tmp_path / "runs", replace(record, status="passed"))
    to = tmp_path / "leaderboard"
    to.mkdir()
    (to / "canaries.json").write_text(Findings().after("new", [canary()], old, complete=True).to_json())
    publish.publish(tmp_path / "runs", to)
    board = (to / "README.md").read_text(encoding="utf-8")
    assert board == publish.board_of(store.read(to / "records"), staleness.read(to))
    assert "FIN (stale)" in board
    assert " do not edit. Canary cases, last run with core new: 1 differs." in board


def test_the_board_says_how_the_canaries_fared_or_that_none_was_run(old: list[Record]) -> None:
    assert Findings().summary.startswith("No canary case has been run")
    ran = [canary("reproduced", date="2026-11-25T10:00:00+00:00"), canary("reproduced", "b"), canary("not run", "c")]
    summary = Findings().after("0123456789abcdef", ran, old, complete=True).summary
    assert summary == "Canary cases, last run on 2026-11-25 with core 0123456789ab: 2 reproduced, 1 not run."
    assert publish.board_of(old).startswith(f"# Leaderboard\n\n{publish.INTRO} No canary case has been run")
