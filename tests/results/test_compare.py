"""New records beside stored ones: the floor fails, the tolerance warns."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results.compare import compare, render
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
    with pytest.raises(FedfeatError, match="use 0 or more"):
        compare(stored, stored, floor=-1)


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
