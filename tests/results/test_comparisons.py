"""Comparisons are found by the records that they were made of, and survive their file. All numbers are invented."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results import comparisons
from fedfeat.results.comparisons import Compared, Comparisons, RankInterval, cases_of
from fedfeat.results.record import Record
from fedfeat.results.significance import Difference

MakeRecord = Callable[..., Record]
DIFFERENCE = Difference(10.0, 8.0, 13.0, 0.002, (10.0, 10.0, 10.0), 600)


@pytest.fixture
def fin(make_record: MakeRecord) -> list[Record]:
    return [make_record("fin", seed, 0.75) for seed in range(3)]


@pytest.fixture
def zero(make_record: MakeRecord) -> list[Record]:
    return [make_record("zero", seed, 0.65) for seed in range(3)]


@pytest.fixture
def kept(fin: list[Record], zero: list[Record]) -> Comparisons:
    ranks = (RankInterval(cases_of(fin), 1, 1), RankInterval(cases_of(zero), 1, 2))
    return Comparisons((Compared(cases_of(fin), cases_of(zero), DIFFERENCE),), (ranks,), 10_000)


def test_a_comparison_is_found_from_both_sides(kept: Comparisons, fin: list[Record], zero: list[Record]) -> None:
    assert kept.of(fin, zero) == DIFFERENCE
    assert kept.of(zero, fin) == DIFFERENCE.reversed()
    assert kept.of(fin, zero, -1.56) is None
    assert kept.of(fin[:2], zero[:2]) is None


def test_a_record_with_another_key_has_no_comparison(kept: Comparisons, fin: list[Record], zero: list[Record]) -> None:
    changed = [*fin[:2], replace(fin[2], key="k2")]
    assert kept.of(changed, zero) is None
    assert kept.rank_interval(fin[0], [*changed, *zero]) is None
    assert kept.among([*changed, *zero]) == Comparisons()
    assert kept.among([*fin, *zero]) == kept


def test_the_same_key_with_other_scores_has_none(kept: Comparisons, fin: list[Record], zero: list[Record]) -> None:
    for moved, found in ((0.7504, DIFFERENCE), (0.7506, None), (None, None)):
        assert kept.of([*fin[:2], replace(fin[2], macro_auc=moved)], zero) == found


def test_rank_intervals_are_those_of_the_very_methods(
    kept: Comparisons, fin: list[Record], zero: list[Record], make_record: MakeRecord
) -> None:
    assert kept.rank_interval(fin[1], [*zero, *fin]) == (1, 1)
    assert kept.rank_interval(zero[0], [*zero, *fin]) == (1, 2)
    assert kept.rank_interval(fin[0], [*fin, *zero, make_record("mean")]) is None


def test_older_ones_fill_gaps_only(kept: Comparisons, fin: list[Record], zero: list[Record]) -> None:
    newer = Comparisons((Compared(cases_of(fin), cases_of(zero), replace(DIFFERENCE, low=1.0)),), draws=1000)
    both = newer.filled_up(kept)
    assert both.of(fin, zero) == replace(DIFFERENCE, low=1.0)
    assert len(both.compared) == 1
    assert both.ranks == kept.ranks
    assert both.draws == 1000, "what all of them rest on"
    assert Comparisons().filled_up(kept) == kept


def test_the_file_gives_back_what_was_written(tmp_path: Path, kept: Comparisons) -> None:
    assert comparisons.read(tmp_path) == Comparisons()
    for one in (kept, Comparisons()):
        (tmp_path / comparisons.NAME).write_text(one.to_json(), encoding="utf-8")
        assert comparisons.read(tmp_path) == one


def test_a_file_that_does_not_say_its_draws_had_a_thousand(tmp_path: Path, kept: Comparisons) -> None:
    text = kept.to_json().replace('"schema": 2,\n"draws": 10000', '"schema": 1')
    (tmp_path / comparisons.NAME).write_text(text, encoding="utf-8")
    assert comparisons.read(tmp_path) == replace(kept, draws=1000)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{}",
        '{"schema": 3, "draws": 0, "compared": [], "ranks": []}',
        '{"schema": 2, "compared": [], "ranks": []}',
        '{"schema": 2, "draws": 9, "compared": [{}], "ranks": []}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / comparisons.NAME).write_text(damage, encoding="utf-8")
    with pytest.raises(FedfeatError, match=r"comparisons\.json.*fedfeat publish"):
        comparisons.read(tmp_path)
