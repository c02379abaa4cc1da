"""What a board says to the paper's claims, from invented records and comparisons."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fedfeat.results import claims, paper
from fedfeat.results.board import Section, sections
from fedfeat.results.claims import LEVEL_MARGIN, Cell, Judged, Pair
from fedfeat.results.comparisons import Compared, Comparisons, cases_of
from fedfeat.results.record import Record
from fedfeat.results.significance import Difference

MakeRecord = Callable[..., Record]
OTHER_SIZES = "preset phantom has networks of other sizes; Table 3 counts the paper's"
OVER_ZERO, OVER_UNIFORM, LEVEL, OVER_R2GEN, NAIVE_OVER_R2GEN, CAR_MFL, BYTES, MACS = range(8)
TWO = ("homogeneous", "8:0:2")
P = 0.002


@pytest.fixture
def judged(make_record: MakeRecord) -> Callable[..., list[Judged]]:
    def judge(
        aucs: Mapping[tuple[str, str, str], float], p: Mapping[Pair, float] | float = P, **others: Any
    ) -> list[Judged]:
        """Judge a section of cells with these AUC in points, equal in all seeds, and the pairs' p values."""
        records = {
            cell: [
                make_record(cell[2], seed, auc / 100, setup=cell[0], partition=cell[1], **others) for seed in range(3)
            ]
            for cell, auc in aucs.items()
        }
        compared = []
        for pair in {pair for claim in claims.CLAIMS for pair in claim.pairs}:
            first, second = (_key(cell) for cell in (pair.first, pair.second))
            if first in records and second in records:
                gap = aucs[first] - aucs[second]
                value = p if isinstance(p, float) else p.get(pair, P)
                found = Difference(gap, gap - 1, gap + 1, value, (gap, gap, gap), 600, pair.against)
                compared.append(Compared(cases_of(records[first]), cases_of(records[second]), found))
        (section,) = sections(record for group in records.values() for record in group)
        return [one for _, one in claims.judge(section, Comparisons(tuple(compared)))]

    return judge


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.setup, cell.partition, cell.method


def _columns(method: str, auc: float, columns: Any = paper.COLUMNS) -> dict[tuple[str, str, str], float]:
    return {(*column, method): auc for column in columns}


def test_the_papers_own_numbers_stand_beside_the_claims() -> None:
    assert [claim.paper for claim in claims.CLAIMS] == [
        "+1.31 to +8.49",
        "+0.25 to +6.78",
        "-0.78 (86.16 against 86.94)",
        "+8.84 (86.16 against 77.32)",
        "+2.48 to +3.28",
        "-1.50 to -0.14",
        "59.74 M / 6.324 M = 9.4x",
        "94.06 G / 6.318 M = 14,887x",
    ]


def test_the_papers_own_table_upholds_all_claims_about_scores(judged: Any) -> None:
    found = judged(dict(paper.VALUES))
    assert [one.verdict for one in found] == ["holds"] * 6 + ["undecided"] * 2
    assert found[OVER_ZERO].reason == "of 10: 10 hold"
    assert found[LEVEL].here == "-0.78 [-1.78, +0.22] ▲"


def test_one_contradicting_column_fails_a_claim(judged: Any) -> None:
    aucs = _columns("fin", 80) | _columns("zero", 78) | {("homogeneous", "2:2:6", "zero"): 82.0}
    found = judged(aucs)[OVER_ZERO]
    assert (found.verdict, found.reason) == ("fails", "of 10: 9 hold, 1 fail")
    assert "homogeneous 2:2:6 -2.00 [-3.00, -1.00] ▼" in found.here


def test_one_open_column_leaves_a_claim_undecided(judged: Any) -> None:
    aucs = _columns("fin", 80) | _columns("zero", 78)
    open_pair = claims.CLAIMS[OVER_ZERO].pairs[4]
    found = judged(aucs, {open_pair: 0.06})[OVER_ZERO]
    assert (found.verdict, found.reason) == ("undecided", "of 10: 9 hold, 1 open; not significant")


def test_columns_are_adjusted_together(judged: Any) -> None:
    aucs = _columns("fin", 80) | _columns("zero", 78)
    assert judged(aucs, 0.005)[OVER_ZERO].verdict == "holds"
    assert judged(aucs, 0.006)[OVER_ZERO].reason == "of 10: 10 open; not significant"
    assert judged(_columns("fin", 80, [TWO]) | _columns("zero", 78, [TWO]), 0.006)[OVER_ZERO].reason.startswith(
        "of 10: 1 hold, 9 missing"
    )


def test_a_claim_about_one_column_holds_or_fails_by_it(judged: Any) -> None:
    both = {(*TWO, "fin"): 80.0, (*TWO, "r2gen"): 70.0}
    assert judged(both)[OVER_R2GEN] == Judged("+10.00 [+9.00, +11.00] ▲", "holds")
    assert judged(both | {(*TWO, "r2gen"): 90.0})[OVER_R2GEN] == Judged("-10.00 [-11.00, -9.00] ▼", "fails")
    assert judged(both, 0.5)[OVER_R2GEN].verdict == "undecided"


def test_level_is_not_lower_by_more_than_the_margin(judged: Any) -> None:
    assert 0.78 < LEVEL_MARGIN == 2 * 0.78
    for gap, verdict in ((5.0, "holds"), (-1.5, "holds"), (-1.6, "fails")):
        aucs = {(*TWO, "fin"): 80 + gap, ("homogeneous", "4:0:6", "zero"): 80.0}
        assert judged(aucs)[LEVEL].verdict == verdict


def test_naive_filling_is_told_by_method(judged: Any) -> None:
    found = judged({(*TWO, "zero"): 79.8, (*TWO, "uniform"): 80.6, (*TWO, "r2gen"): 77.32})[NAIVE_OVER_R2GEN]
    assert found.here == "zero +2.48 [+1.48, +3.48] ▲; uniform +3.28 [+2.28, +4.28] ▲"
    assert (found.verdict, found.reason) == ("holds", "of 2: 2 hold")


def test_what_is_missing_is_said(judged: Any) -> None:
    found = judged({(*TWO, "fin"): 80.0, (*TWO, "zero"): 78.0})
    assert found[OVER_ZERO].reason == "of 10: 1 hold, 9 missing; columns without records"
    assert found[OVER_UNIFORM] == Judged("", "undecided", "of 10: 10 missing; no records of uniform")
    assert found[OVER_R2GEN] == Judged("", "undecided", "no records of r2gen")
    assert "no records of car_mfl" in found[CAR_MFL].reason
    assert found[BYTES] == Judged("", "undecided", OTHER_SIZES)


@pytest.mark.parametrize(
    ("r2gen", "fin", "verdict"), [(60e6, 6e6, "holds"), (94.47e6, 10e6, "holds"), (94.4e6, 10e6, "fails")]
)
def test_communication_is_a_ratio_of_parameters(
    make_record: MakeRecord, r2gen: float, fin: float, verdict: str
) -> None:
    records = _costing(make_record, "parameters", "fill_text", r2gen, fin)
    found = _judge_costs(records)[BYTES]
    assert found.verdict == verdict
    assert found.here.startswith(f"{r2gen / 1e6:.4g} M / {fin / 1e6:.4g} M = ")


def test_one_direction_is_judged_and_both_are_shown(make_record: MakeRecord) -> None:
    counts = {"r2gen": {"fill_text": 60_000_000}, "fin": {"fill_text": 6_000_000, "method": 12_000_000}}
    records = [
        make_record(method, seed, 0.5, preset="paper", parameters=count)
        for method, count in counts.items()
        for seed in range(3)
    ]
    found = _judge_costs(records)[BYTES]
    assert found.verdict == "holds"
    assert found.here == "60 M / 6 M = 10.0x; both directions are sent, 12 M: 5.0x"


@pytest.mark.parametrize(("r2gen", "verdict"), [(6e9, "holds"), (5.9e9, "fails")])
def test_compute_is_a_ratio_of_operations(make_record: MakeRecord, r2gen: float, verdict: str) -> None:
    found = _judge_costs(_costing(make_record, "macs", "fill_text", r2gen, 6e6))
    assert found[MACS].verdict == verdict
    assert found[BYTES].reason == "no parameters of r2gen in the records, no parameters of fin in the records"


def test_networks_of_other_sizes_tell_nothing_about_the_papers_ratios(make_record: MakeRecord) -> None:
    for field, key, place in (("parameters", "fill_text", BYTES), ("macs", "fill_text", MACS)):
        found = _judge_costs(_costing(make_record, field, key, 60e9, 6e6, preset="phantom"))[place]
        assert found == Judged("", "undecided", OTHER_SIZES)


def _costing(
    make_record: MakeRecord, field: str, key: str, r2gen: float, fin: float, preset: str = "paper"
) -> list[Record]:
    costs = {"r2gen": r2gen, "fin": fin}
    return [
        make_record(method, seed, 0.5, preset=preset, **{field: {key: int(cost)}})
        for method, cost in costs.items()
        for seed in range(3)
    ]


def _judge_costs(records: list[Record]) -> list[Judged]:
    r2gen, fin = records[:3], records[3:]
    level = Difference(0.0, -1.0, 1.0, 1.0, (0.0, 0.0, 0.0), 600)
    (section,) = sections(records)
    kept = Comparisons((Compared(cases_of(fin), cases_of(r2gen), level),))
    return [one for _, one in claims.judge(section, kept)]


def _section(make_record: MakeRecord, **others: Any) -> tuple[Section, Comparisons]:
    fin = [make_record("fin", seed, 0.8, **others) for seed in range(3)]
    zero = [make_record("zero", seed, 0.7, **others) for seed in range(3)]
    ten = Difference(10.0, 9.0, 11.0, P, (10.0, 10.0, 10.0), 600)
    (section,) = sections([*fin, *zero])
    return section, Comparisons((Compared(cases_of(fin), cases_of(zero), ten),))


def test_only_the_papers_question_is_judged(make_record: MakeRecord) -> None:
    assert claims.judge(*_section(make_record))
    assert claims.judge(*_section(make_record, preset="paper"))
    for other in (
        {"missing": 0.5},
        {"aggregation": "median"},
        {"engine": "flower"},
        {"imported_partition": "1a2b3c4d"},
    ):
        assert claims.judge(*_section(make_record, **other)) == ()
    assert claims.judge(*_section(make_record, partition="1:1:1")) == ()
    assert claims.judge(_section(make_record)[0], Comparisons()) == ()


def test_rows_that_differ_in_more_than_the_method_are_not_judged(make_record: MakeRecord) -> None:
    fin = [make_record("fin", seed, 0.8, data="one") for seed in range(3)]
    zero = [make_record("zero", seed, 0.7, data="other") for seed in range(3)]
    fine = [make_record(name, seed, 0.7, partition="6:0:4") for name in ("fin", "zero") for seed in range(3)]
    ten = Difference(10.0, 9.0, 11.0, P, (10.0, 10.0, 10.0), 600)
    none = Difference(0.0, -1.0, 1.0, 1.0, (0.0, 0.0, 0.0), 600)
    kept = Comparisons(
        (Compared(cases_of(fin), cases_of(zero), ten), Compared(cases_of(fine[:3]), cases_of(fine[3:]), none))
    )
    (section,) = sections([*fin, *zero, *fine])
    found = claims.judge(section, kept)[OVER_ZERO][1]
    assert "rows of homogeneous 8:0:2 differ in prepared data" in found.reason
    assert "+10.00" not in found.here


def test_pairs_beyond_a_tables_own_are_asked_for() -> None:
    asked = claims.pairs()
    assert Pair(Cell(*TWO, "fin"), Cell("homogeneous", "4:0:6", "zero"), -LEVEL_MARGIN) in asked
    assert len(asked) == 7  # and CAR-MFL in six columns, against the margin
