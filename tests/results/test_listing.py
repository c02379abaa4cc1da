"""How a case stands, from its record and the key it would run with."""

from collections.abc import Callable
from pathlib import Path

from fedfeat.results import store
from fedfeat.results.listing import Listed, changes, listed, render
from fedfeat.results.record import Record

MakeRecord = Callable[..., Record]


def test_states(tmp_path: Path, make_record: MakeRecord) -> None:
    store.write(tmp_path, make_record(case_id="a", auc=0.75206, key="k1"))
    store.write(tmp_path, make_record(case_id="b", auc=None, status="failed", error="ValueError:\nno", key="k1"))
    (tmp_path / "d.json").write_text("{")
    assert listed(tmp_path, "a", "k1") == Listed("a", "done", "75.21")
    assert listed(tmp_path, "a", "k2") == Listed("a", "changed")
    assert listed(tmp_path, "b", "k1") == Listed("b", "failed", "ValueError: no")
    assert listed(tmp_path, "c", "k1") == Listed("c", "missing")
    assert listed(tmp_path, "d", "k1") == Listed("d", "missing"), "a damaged record counts as none: the case runs again"


def test_one_line_a_case_and_a_closing_count() -> None:
    cases = [
        Listed("case-a", "done", "75.21"),
        Listed("b", "missing"),
        Listed("c", "skipped", "no"),
        Listed("d", "done"),
    ]
    assert render(Path("runs"), cases).splitlines() == [
        "done     case-a  75.21",
        "missing  b",
        "skipped  c       no",
        "done     d",
        "4 cases, records in runs: 2 done, 1 missing, 1 skipped",
    ]
    assert render(Path("runs"), cases[:1]).splitlines()[-1] == "1 case, records in runs: 1 done"
    assert render(Path("runs"), []) == "no case is selected"


def test_changes_say_what_made_a_record_another(make_record: MakeRecord) -> None:
    old = make_record(key="a", method_source="m", core="")
    assert changes(old, make_record(key="a", method_source="n")) == ""
    assert changes(old, make_record(key="b", method_source="n", core="c")) == "the method's file"
    assert changes(old, make_record(key="b", method_source="m", data="d")) == "the machine"
    both = make_record(key="b", method_source="n", params={"epochs": 2})
    assert changes(old, both) == "the method's file, its parameters"
