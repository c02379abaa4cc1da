"""New records beside stored ones: the floor fails, the tolerance warns."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results.compare import columns, compare, render, render_not_run
from fedfeat.results.record import Record

MakeRecord = Callable[..., Record]


@pytest.fixture
def stored(make_record: MakeRecord) -> list[Record]:
    return [make_record(seed=seed, auc=0.80) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("auc", "verdict"), [(0.80, "agrees"), (0.809, "agrees"), (0.82, "warns"), (0.76, "warns"), (0.74, "fails")]
)
def test_the_two_tiers(stored: list[Record], auc: float, verdict: str) -> None:
    (found,) = compare([replace(stored[0], macro_auc=auc)], stored)
    assert found.verdict == verdict
    assert found.difference == pytest.approx(100 * (auc - 0.80))


def test_limits_are_the_callers(stored: list[Record]) -> None:
    (found,) = compare([replace(stored[0], macro_auc=0.70)], stored, floor=11, tolerance=10.5)
    assert found.verdict == "agrees"
    for limits in ({"floor": -1.0}, {"floor": float("nan")}, {"tolerance": float("inf")}):
        with pytest.raises(FedfeatError, match="must be points of AUC, from 0 to 100"):
            compare(stored, stored, **limits)


def test_a_failed_case_fails_and_says_why(stored: list[Record]) -> None:
    failed = replace(stored[0], status="failed", macro_auc=None, error="Diverged: the loss\nis nan")
    (found,) = compare([failed], stored)
    assert (found.verdict, found.reason) == ("fails", "the case failed: Diverged: the loss is nan")


def test_a_case_without_a_stored_record_is_new_and_never_all_of_them(stored: list[Record]) -> None:
    found = compare(stored, stored[:1])
    assert [one.verdict for one in found] == ["agrees", "new"]
    with pytest.raises(FedfeatError, match="none of the 1 cases has a stored record"):
        compare(stored[:1], stored[1:])
    with pytest.raises(FedfeatError, match="no records to compare"):
        compare([], stored)


def test_a_failed_stored_record_is_none(stored: list[Record]) -> None:
    with pytest.raises(FedfeatError, match="has a stored record"):
        compare(stored[:1], [replace(stored[0], status="failed")])


def test_the_table_has_the_worst_first_and_says_what_else_differs(stored: list[Record]) -> None:
    records = [replace(stored[0], seconds=10.0), replace(stored[1], macro_auc=0.5, device="cuda", data="other")]
    text = render(compare(records, [replace(one, seconds=20.0, device="cpu") for one in stored]))
    first, second = (line for line in text.splitlines() if "seed" in line)
    assert "fails" in first and "-30.00" in first and "cuda (cpu)" in first and "other data" in first
    assert "agrees" in second and "+0.00" in second and "10 (20)" in second
    assert text.splitlines()[-1] == "2 cases: 1 fails, 0 warns, 0 new, 1 agrees"


def test_stored_cases_that_were_not_run_are_counted_by_column(make_record: MakeRecord) -> None:
    stored = [
        make_record(method, seed, partition=partition)
        for partition in ("8:0:2", "6:0:4", "4:0:6")
        for method in ("fin", "zero")
        for seed in range(3)
    ]
    run = [record for record in stored if record.partition == "8:0:2"]
    run += [record for record in stored if record.partition == "6:0:4" and record.method == "zero" and record.seed]
    assert render_not_run(columns([*run, make_record("new")], stored)).splitlines() == [
        "10 of 18 stored cases were not run:",
        "",
        "- homogeneous 4:0:6, phantom, preset phantom: all 6",
        "- homogeneous 6:0:4, phantom, preset phantom: 4 of 6: phantom:homogeneous:6:0:4:fin:seed0, "
        "phantom:homogeneous:6:0:4:fin:seed1, phantom:homogeneous:6:0:4:fin:seed2 and 1 more",
    ]
    assert render_not_run(columns(stored[1:], stored)).splitlines()[0] == "1 of 18 stored cases was not run:"


def test_a_failed_case_was_run_and_a_failed_stored_record_is_no_case(stored: list[Record]) -> None:
    failed = [replace(record, status="failed", macro_auc=None) for record in stored]
    assert render_not_run(columns(failed, stored)) == "every stored case was run"
    assert columns([], failed) == ()


def test_columns_of_other_data_or_presets_are_others(make_record: MakeRecord) -> None:
    stored = [make_record(), make_record(dataset="manifest"), make_record(preset="paper", case_id="paper")]
    assert [(len(column.stored), len(column.not_run)) for column in columns(stored[:1], stored)] == [
        (1, 1),
        (1, 1),
        (1, 0),
    ]
