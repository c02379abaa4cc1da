from collections.abc import Callable, Iterable
from typing import Any

import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results.board import sections
from fedfeat.results.columns import NOTHING
from fedfeat.results.figures import curves_name
from fedfeat.results.leaderboard import render
from fedfeat.results.record import Record
from fedfeat.results.text import sources_text

MakeRecord = Callable[..., Record]


def _tables(board: str) -> dict[str, list[dict[str, str]]]:
    """Read the board's tables back: heading to rows, a row from column to cell."""
    tables: dict[str, list[dict[str, str]]] = {}
    heading, columns = "", None
    for line in board.splitlines():
        if line.startswith("#"):
            heading, columns = line.lstrip("# "), None
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if columns is None:
                columns, tables[heading] = cells, []
            elif cells[0].strip(":-"):
                tables[heading].append(dict(zip(columns, cells, strict=True)))
    return tables


def _rows(records: Iterable[Record]) -> dict[str, dict[str, str]]:
    """Return the rows of the only table, by method and in order."""
    (table,) = _tables(render(records)).values()
    return {row["method"]: row for row in table}


def _seeds(make_record: MakeRecord, method: str, *aucs: float, **others: Any) -> list[Record]:
    return [make_record(method, seed, auc, **others) for seed, auc in enumerate(aucs)]


def test_without_records_the_command_is_named() -> None:
    assert "No records yet" in render([])
    assert "`pytest benchmarks`" in render([])


def test_mean_seeds_gain_and_order(make_record: MakeRecord) -> None:
    rows = _rows(
        _seeds(make_record, "zero", 0.5, 0.6, 0.7)
        + _seeds(make_record, "fin", 0.6, 0.8, 0.7)
        + _seeds(make_record, "all", 0.55, 0.55, 0.55, marks=["upper bound"])
    )
    assert list(rows) == ["ALL (upper bound)", "FIN", "ZERO"]
    assert [row["rank"] for row in rows.values()] == [NOTHING, "1", "2"]
    assert (rows["FIN"]["AUC"], rows["FIN"]["each seed"]) == ("70.00", "60.00 · 80.00 · 70.00")
    assert rows["FIN"]["gain over zero"] == "+10.00"
    assert rows["ZERO"]["gain over zero"] == "baseline"
    assert rows["ALL (upper bound)"]["gain over zero"] == "-5.00"


def test_a_missing_seed_is_not_averaged_away(make_record: MakeRecord) -> None:
    rows = _rows(_seeds(make_record, "zero", 0.5, 0.5, 0.5) + _seeds(make_record, "fin", 0.9, 0.9))
    assert list(rows) == ["ZERO", "FIN"]
    fin = rows["FIN"]
    assert (fin["rank"], fin["AUC"], fin["each seed"]) == (NOTHING, NOTHING, f"90.00 · 90.00 · {NOTHING}")
    assert fin["gain over zero"] == NOTHING


def test_a_missing_seed_of_the_baseline_leaves_no_gain(make_record: MakeRecord) -> None:
    rows = _rows(_seeds(make_record, "zero", 0.5, 0.5) + _seeds(make_record, "fin", 0.9, 0.9, 0.9))
    assert (rows["FIN"]["AUC"], rows["FIN"]["gain over zero"]) == ("90.00", NOTHING)


def test_a_failed_case_is_shown(make_record: MakeRecord) -> None:
    failed = make_record("fin", 2, None, status="failed", error="RuntimeError:\n a | b <c>")
    records = [*_seeds(make_record, "zero", 0.5, 0.5, 0.5), *_seeds(make_record, "fin", 0.9, 0.9), failed]
    fin = _rows(records)["FIN"]
    assert (fin["AUC"], fin["each seed"], fin["rank"]) == ("failed", "90.00 · 90.00 · failed", NOTHING)
    assert "- Failed: `phantom:homogeneous:8:0:2:fin:seed2`: RuntimeError: a | b \\<c>" in render(records)


def test_equal_values_share_a_rank(make_record: MakeRecord) -> None:
    values = {"a": 0.70001, "b": 0.70002, "c": 0.6}
    rows = _rows(record for method, auc in values.items() for record in _seeds(make_record, method, auc, auc, auc))
    assert {method: row["rank"] for method, row in rows.items()} == {"A": "1", "B": "1", "C": "3"}


@pytest.mark.parametrize(
    ("seeds", "test_rows", "reason"),
    [
        (3, 500, ""),
        (2, 500, "2 seeds (3 needed)"),
        (3, 499, "499 test rows (500 needed)"),
        (1, 20, "1 seed (3 needed), 20 test rows (500 needed)"),
    ],
)
def test_too_small_to_rank(make_record: MakeRecord, seeds: int, test_rows: int, reason: str) -> None:
    records = _seeds(make_record, "fin", *[0.5] * seeds, test_rows=test_rows)
    said = [line for line in render(records).splitlines() if line.startswith("Too small to rank")]
    assert said == ([f"Too small to rank: {reason}."] if reason else [])
    assert _rows(records)["FIN"]["rank"] == (NOTHING if reason else "1")


def test_without_zero_filling_there_is_no_gain_column(make_record: MakeRecord) -> None:
    assert "gain over zero" not in _rows(_seeds(make_record, "fin", 0.5, 0.5, 0.5))["FIN"]


@pytest.mark.parametrize("field", ["test_set", "data", "weights"])
def test_rows_that_cannot_be_compared_are_not_ranked(make_record: MakeRecord, field: str) -> None:
    zero = _seeds(make_record, "zero", 0.5, 0.5, 0.5, **{field: "one"})
    fin = _seeds(make_record, "fin", 0.9, 0.9, 0.9, **{field: "other"})
    assert "Not ranked" not in render(zero)
    assert "Not ranked, because the rows differ" in render(zero + fin)
    assert {row["rank"] for row in _rows(zero + fin).values()} == {NOTHING}
    if field == "test_set":
        assert _rows(zero + fin)["FIN"]["gain over zero"] == NOTHING


def test_megabytes_are_summed_over_clients_and_one_modality_is_in_points(make_record: MakeRecord) -> None:
    bytes_up = {"0": 1_500_000, "1": 500_000}
    aucs = {"macro_auc_image_only": 0.5, "macro_auc_text_only": 0.25}
    fin = _rows(_seeds(make_record, "fin", 0.5, 0.5, bytes_up=bytes_up, seconds=2, **aucs))["FIN"]
    assert _rows(_seeds(make_record, "fin", 0.5, 0.5, best_round=3))["FIN"]["tested round"] == "3 · 3"
    assert fin["tested round"] == "– · –"  # noqa: RUF001
    assert (fin["MB up"], fin["seconds"], fin["image / text only"]) == ("2.00", "2.0", "50.00 / 25.00")


def test_synthetic_data_is_named_over_every_table(make_record: MakeRecord) -> None:
    board = render([make_record(), make_record(partition="4:0:6")])
    assert "Synthetic data (phantom): not a result on MIMIC-CXR." in board
    assert len(_tables(board)) == 3
    assert all("phantom (synthetic)" in heading for heading in _tables(board))


def test_data_of_which_only_the_images_are_drawn_are_called_half_synthetic_everywhere(make_record: MakeRecord) -> None:
    half = [make_record(dataset="openi_text", real_reports=True, partition=one) for one in ("8:0:2", "4:0:6")]
    board = render(half, figure=curves_name)
    assert "Half synthetic data (openi_text): real reports, images drawn from their terms; not a result on" in board
    assert "## openi_text (half synthetic), preset phantom" in board.splitlines()
    assert len(_tables(board)) == 3 and all("openi_text (half synthetic)" in heading for heading in _tables(board))
    pictures = [line for line in board.splitlines() if line.startswith("![")]
    assert len(pictures) == 2 and all("openi_text (half synthetic)](curves-openi_text" in line for line in pictures)
    assert "Synthetic" not in board and "(synthetic)" not in board


def test_half_synthetic_data_stand_between_real_and_synthetic(make_record: MakeRecord) -> None:
    names = [("phantom", True, False), ("openi_text", True, True), ("manifest", False, False)]
    records = [make_record(dataset=name, synthetic=drawn, real_reports=real) for name, drawn, real in names]
    assert [one.axes.data for one in sections(records)] == [
        "manifest",
        "openi_text (half synthetic)",
        "phantom (synthetic)",
    ]


def test_the_papers_values_stand_beside_the_papers_question_only(make_record: MakeRecord) -> None:
    assert _rows([make_record()])["FIN"]["paper, MIMIC-CXR"] == "86.16 (+6.36)"
    assert _rows([make_record("zero")])["ZERO"]["paper, MIMIC-CXR"] == "79.80"
    for other in (
        {"partition": "1:1:1"},
        {"missing": 0.5},
        {"test_modalities": "image"},
        {"aggregation": "median"},
        {"imported_partition": "1a2b3c4d"},
    ):
        assert "paper, MIMIC-CXR" not in _rows([make_record(**other)])["FIN"]


def test_the_difference_to_the_paper_is_for_its_data_only(make_record: MakeRecord) -> None:
    heading = "difference to the paper"
    assert heading not in _rows([make_record()])["FIN"]
    assert heading not in _rows([make_record(dataset="openi", synthetic=False)])["FIN"]
    assert _rows([make_record(dataset="cxr", synthetic=False, auc=0.8)])["FIN"][heading] == "-6.16"


def test_variants_of_a_method_are_rows_of_their_own_and_none_is_the_papers(make_record: MakeRecord) -> None:
    rows = _rows([make_record(case_id="a"), make_record(case_id="b", params={"layers": 2, "heads": 4})])
    assert set(rows) == {"FIN (heads unset, layers unset)", "FIN (heads 4, layers 2)"}
    assert all("paper, MIMIC-CXR" not in row for row in rows.values())


def test_parameters_are_told_even_without_variants(make_record: MakeRecord) -> None:
    board = render([make_record(params={"layers": 2, "heads": 4}), make_record("zero")])
    assert "- Parameters of FIN: heads 4, layers 2" in board
    assert "Parameters of ZERO" not in board


def test_two_records_of_the_same_case_are_refused_by_name(make_record: MakeRecord) -> None:
    with pytest.raises(FedfeatError, match="case-a and case-b"):
        render([make_record(case_id="case-a"), make_record(case_id="case-b")])


def test_sections_do_not_mix_axes(make_record: MakeRecord) -> None:
    axes: list[dict[str, Any]] = [
        {},
        {"preset": "paper"},
        {"dataset": "cxr", "synthetic": False},
        {"dataset": "openi_text", "real_reports": True},
        {"missing": 0.5},
        {"test_modalities": "image"},
        {"aggregation": "median"},
        {"engine": "flower"},
        {"imported_partition": "1a2b3c4d"},
    ]
    board = render(make_record(case_id=f"case{n}", **one) for n, one in enumerate(axes))
    titles = [line for line in board.splitlines() if line.startswith("## ")][:-1]
    assert len(set(titles)) == len(axes)
    assert titles[0] == "## cxr, preset phantom"
    assert "## phantom (synthetic), preset phantom, partition file 1a2b3c4d" in titles
    assert "## phantom (synthetic), preset phantom, 50 % of a unimodal client's rows lack the modality" in titles


def test_a_partition_file_has_pictures_of_its_own(make_record: MakeRecord) -> None:
    tables = [section.tables[0] for section in sections([make_record(), make_record(imported_partition="1a2b3c4d")])]
    assert sorted(map(curves_name, tables)) == [
        "curves-phantom-phantom-homogeneous-8.0.2-partition.1a2b3c4d.png",
        "curves-phantom-phantom-homogeneous-8.0.2.png",
    ]


def test_the_overview_keeps_holes(make_record: MakeRecord) -> None:
    board = render(
        [
            make_record("fin", auc=0.5),
            make_record("fin", auc=0.75, partition="0:8:2"),
            make_record("zero", auc=0.25),
            make_record("zero", auc=None, partition="0:8:2", status="failed", error="no"),
            make_record("mean", auc=0.3, partition="0:8:2"),
        ]
    )
    overview = _tables(board)["Mean macro AUC at a glance, phantom (synthetic)"]
    assert [tuple(row.values()) for row in overview] == [
        ("FIN", "50.00", "75.00"),
        ("ZERO", "25.00", "failed"),
        ("MEAN", NOTHING, "30.00"),
    ]
    assert list(overview[0]) == ["method", "homogeneous 8:0:2", "homogeneous 0:8:2"]


def test_left_out_labels_commits_and_notes_stand_below(make_record: MakeRecord) -> None:
    board = render(
        [
            make_record(per_label_auc={"Edema": 0.5, "Fracture": None}, notes=["one", "two"]),
            make_record("zero", notes=["two"], commit=None, dirty=None, device="cpu", threads=1),
            make_record("mean", partition="4:0:6", dirty=True, date="2002-02-02T00:00:00Z"),
        ]
    )
    assert "one class only: Fracture (in homogeneous 8:0:2)" in board
    assert "- Commit: c0ffee (2001-01-01): FIN" in board
    assert "- Commit: none, outside a git repository (2001-01-01): ZERO" in board
    assert "- Commit: c0ffee with uncommitted changes (2002-02-02): MEAN" in board
    assert "- Device: cpu, 1 thread" in board
    assert board.count("Note: two") == 1


def test_text_from_records_cannot_break_a_table(make_record: MakeRecord) -> None:
    board = render([make_record(title="a | b\n*c*")])
    assert "| a \\| b \\*c\\* |" in board


def test_the_collections_that_data_come_from_are_named() -> None:
    whole = {"name": "mimic_cxr", "version": "2.1.0", "labels": "CheXpert labeler", "checksum": "0123456789abcdef"}
    assert sources_text([whole, {"name": "openi", "version": "", "labels": "MeSH terms"}]) == (
        "mimic_cxr 2.1.0 (labels: CheXpert labeler, 01234567); openi (labels: MeSH terms)"
    )
    assert sources_text([{"name": "own"}]) == "own" and sources_text([]) == ""
