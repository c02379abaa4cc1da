"""Comparisons from real files of invented scores, on the board that `publish` makes of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedfeat import files
from fedfeat.errors import FedfeatError
from fedfeat.results import comparisons, pairing, publish, store
from fedfeat.results.board import sections
from fedfeat.results.bootstrap import QUICK_DRAWS, macro_aucs
from fedfeat.results.leaderboard import render
from fedfeat.results.record import Record

MakeRecord = Callable[..., Record]
ROWS, LABELS = 600, 3
_GENERATOR = np.random.default_rng(3)
TEST_SET = store.TestSet(
    rows=np.array([f"r{n}" for n in range(ROWS)]),
    patients=np.array([f"p{n // 2}" for n in range(ROWS)]),
    labels=(_GENERATOR.random((ROWS, LABELS)) < 0.3).astype(np.uint8),
    known=np.ones((ROWS, LABELS), dtype=np.bool_),
    names=("one", "two", "three"),
)
NOISE = _GENERATOR.normal(size=(ROWS, LABELS))


def _scores(signal: float, seed: int) -> np.ndarray:
    """Return scores that tell the labels the better the stronger the signal."""
    own = np.random.default_rng(seed).normal(size=(ROWS, LABELS)) / 10
    return (signal * TEST_SET.labels + NOISE + own).astype(np.float32)


@pytest.fixture
def run(make_record: MakeRecord) -> Callable[..., list[Record]]:
    def write(folder: Path, method: str, signal: float, seeds: int = 3, **others: Any) -> list[Record]:
        """Write the cases of a method with their scores; return their records."""
        records = []
        for seed in range(seeds):
            scores = _scores(signal, seed)
            auc = float(macro_aucs(TEST_SET, scores, np.ones((ROWS, 1), dtype=np.int32))[0])
            record = make_record(method, seed, auc, test_set=TEST_SET.digest(), test_rows=ROWS, **others)
            store.write(folder, record, scores, TEST_SET)
            records.append(record)
        return records

    return write


def _compare(folder: Path) -> comparisons.Comparisons:
    return pairing.compare_all(store.read(folder), pairing.scores_in(folder), QUICK_DRAWS)


def test_all_pairs_of_a_table_are_compared(tmp_path: Path, run: Any) -> None:
    zero, fin, bound = (
        run(tmp_path, "zero", 0.5),
        run(tmp_path, "fin", 1.0),
        run(tmp_path, "complete", 1.5, marks=["upper bound"]),
    )
    found = _compare(tmp_path)
    assert len(found.compared) == 3
    gain = found.of(fin, zero)
    assert gain is not None
    assert gain.mean == pytest.approx(
        np.mean([100 * (a.macro_auc - b.macro_auc) for a, b in zip(fin, zero, strict=True)]), abs=1e-3
    )
    assert 0 < gain.low < gain.mean < gain.high
    assert gain.p == pytest.approx(2 / 1001)
    assert found.of(bound, fin) is not None
    assert [[(one.low, one.high) for one in table] for table in found.ranks] == [[(1, 1), (2, 2)]]
    assert _compare(tmp_path) == found, "the draws come from the test set"


def test_the_board_shows_intervals_marks_and_ranks(tmp_path: Path, run: Any) -> None:
    run(tmp_path, "zero", 0.5)
    run(tmp_path, "fin", 1.0)
    run(tmp_path, "copy", 0.5)
    run(tmp_path, "worse", 0.0)
    records = store.read(tmp_path)
    board = render(records, comparisons=_compare(tmp_path))
    rows = {
        line.split("|")[2].strip(): [cell.strip() for cell in line.split("|")]
        for line in board.splitlines()
        if line.startswith("|")
    }
    assert rows["FIN"][5].startswith("+")
    assert rows["FIN"][5].endswith("] ▲")
    assert rows["WORSE"][5].startswith("-")
    assert rows["WORSE"][5].endswith("] ▼")
    assert rows["COPY"][5] == "+0.00 [+0.00, +0.00]", "a method that equals another is undecided"
    assert rows["ZERO"][5] == "baseline"
    assert [rows[name][1] for name in ("FIN", "ZERO", "COPY", "WORSE")] == [
        "1 [1, 1]",
        "2 [2, 2]",
        "2 [2, 2]",
        "4 [4, 4]",
    ]
    assert "- ▲, ▼: significantly above, below" in board
    assert "### The paper's claims on phantom (synthetic)" in board
    assert "of 10: 1 hold, 9 missing" in board
    plain = render(records)
    assert not any(one in plain for one in ("▲", "[", "claims"))


def test_the_cross_column_pair_of_a_claim_is_compared(tmp_path: Path, run: Any) -> None:
    run(tmp_path, "fin", 1.0)
    run(tmp_path, "zero", 0.98, partition="4:0:6")
    board = render(store.read(tmp_path), comparisons=_compare(tmp_path))
    (line,) = [line for line in board.splitlines() if "is level with zero filling" in line]
    assert line.rstrip(" |").endswith("holds")


@pytest.mark.parametrize("cause", ["seeds", "rows", "scores", "labels", "failed", "data"])
def test_what_cannot_be_compared_is_left_out(tmp_path: Path, run: Any, make_record: MakeRecord, cause: str) -> None:
    seeds = 2 if cause == "seeds" else 3
    others: dict[str, Any] = {"data": "other"} if cause == "data" else {}
    run(tmp_path, "zero", 0.5, seeds)
    fin = run(tmp_path, "fin", 1.0, seeds, **others)
    if cause == "rows":
        store.write(tmp_path, replace(fin[0], test_rows=499), _scores(1.0, 0), TEST_SET)
    if cause == "scores":
        store.scores_path(tmp_path, fin[1].case_id).unlink()
    if cause == "labels":
        store.labels_path(tmp_path, TEST_SET.digest()).unlink()
    if cause == "failed":
        store.write(tmp_path, make_record("fin", 2, None, status="failed", error="no"))
    found = _compare(tmp_path)
    assert found.compared == ()
    assert render(store.read(tmp_path), comparisons=found) == render(store.read(tmp_path))


def test_a_test_set_without_a_label_of_two_classes_is_left_out(tmp_path: Path, make_record: MakeRecord) -> None:
    blank = replace(TEST_SET, labels=np.zeros_like(TEST_SET.labels))
    for method in ("zero", "fin"):
        for seed in range(3):
            record = make_record(method, seed, None, test_set=blank.digest(), test_rows=ROWS)
            store.write(tmp_path, record, _scores(1.0, seed), blank)
    assert _compare(tmp_path) == comparisons.Comparisons()


@pytest.mark.parametrize("other", [{"seeds": (0, 1, 3)}, {"test_set": replace(TEST_SET, rows=TEST_SET.rows[::-1])}])
def test_columns_with_other_seeds_or_test_rows_are_not_compared(
    tmp_path: Path, run: Any, make_record: MakeRecord, other: dict[str, Any]
) -> None:
    """The claim across columns is paired in patients and seeds, or not judged at all."""
    run(tmp_path, "fin", 1.0)
    test_set = other.get("test_set", TEST_SET)
    for seed in other.get("seeds", range(3)):
        record = make_record("zero", seed, 0.7, partition="4:0:6", test_set=test_set.digest(), test_rows=ROWS)
        store.write(tmp_path, record, _scores(0.98, seed), test_set)
    assert _compare(tmp_path).compared == ()


def test_a_rank_interval_leaves_out_the_rarest_draws(tmp_path: Path, run: Any, make_record: MakeRecord) -> None:
    """The order of two methods turns around in some draws, but in fewer than one in forty."""
    run(tmp_path, "zero", 0.5)
    for seed in range(3):
        record = make_record("fin", seed, 0.75, test_set=TEST_SET.digest(), test_rows=ROWS)
        store.write(tmp_path, record, _scores(0.51, 10 + seed), TEST_SET)
    found = _compare(tmp_path)
    assert 2 / 1001 < found.compared[0].difference.p < 0.05, "some draws turn the order around, but few"
    assert [[(one.low, one.high) for one in table] for table in found.ranks] == [[(1, 1), (2, 2)]]


def test_stored_intervals_are_not_shown_where_rows_differ_in_more_than_the_method(tmp_path: Path, run: Any) -> None:
    run(tmp_path, "zero", 0.5)
    run(tmp_path, "fin", 1.0)
    kept = _compare(tmp_path)
    records = [replace(one, data="other") if one.method == "fin" else one for one in store.read(tmp_path)]
    assert render(records, comparisons=kept) == render(records)


def test_a_damaged_sidecar_is_named(tmp_path: Path, run: Any) -> None:
    run(tmp_path, "zero", 0.5)
    fin = run(tmp_path, "fin", 1.0)
    store.scores_path(tmp_path, fin[0].case_id).write_bytes(b"{")
    with pytest.raises(FedfeatError, match=r"fin\.seed0\.scores\.npz"):
        _compare(tmp_path)


def _published(to: Path) -> str:
    """Return the committed board as it must follow from records and comparisons alone."""
    return publish.board_of(store.read(to / "records"), comparisons=comparisons.read(to))


def test_publish_keeps_comparisons_for_when_the_scores_are_gone(tmp_path: Path, run: Any) -> None:
    runs, to = tmp_path / "runs", tmp_path / "leaderboard"
    run(runs, "zero", 0.5)
    run(runs, "fin", 1.0)
    publish.publish(runs, to, QUICK_DRAWS)
    board = (to / "README.md").read_text(encoding="utf-8")
    assert "▲" in board
    for sidecar in (to / "records").glob("*.npz"):
        sidecar.unlink()
    assert _published(to) == board
    # another column, published when the first one's scores are not there any more
    run(tmp_path / "more", "zero", 0.5, partition="6:0:4")
    run(tmp_path / "more", "fin", 1.0, partition="6:0:4")
    publish.publish(tmp_path / "more", to, QUICK_DRAWS)
    board = (to / "README.md").read_text(encoding="utf-8")
    assert _published(to) == board
    assert "of 10: 2 hold, 8 missing" in board


def test_publish_compares_new_records_with_published_ones(tmp_path: Path, run: Any) -> None:
    to = tmp_path / "leaderboard"
    run(tmp_path / "first", "zero", 0.5)
    publish.publish(tmp_path / "first", to, QUICK_DRAWS)
    assert not (to / comparisons.NAME).exists()
    fin = run(tmp_path / "second", "fin", 1.0)
    publish.publish(tmp_path / "second", to, QUICK_DRAWS)
    assert len(comparisons.read(to).compared) == 1
    # a record that is another one takes its comparisons with it
    store.write(tmp_path / "third", replace(fin[0], key="k2"))
    publish.publish(tmp_path / "third", to, QUICK_DRAWS)
    assert comparisons.read(to) == comparisons.Comparisons()
    assert (to / "README.md").read_text(encoding="utf-8") == _published(to)


def test_a_full_disk_keeps_the_comparisons_that_the_board_shows(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, to = tmp_path / "runs", tmp_path / "leaderboard"
    run(runs, "zero", 0.5)
    run(runs, "fin", 1.0)
    publish.publish(runs, to, QUICK_DRAWS)
    before = {path: path.read_bytes() for path in to.rglob("*") if path.is_file()}
    run(runs, "fin", 2.0)
    write_beside = files._write_beside

    def fail_at_the_board(path: Path, content: bytes) -> Path:
        if path.name == "README.md":
            raise OSError("disk full")
        return write_beside(path, content)

    monkeypatch.setattr(files, "_write_beside", fail_at_the_board)
    with pytest.raises(OSError, match="disk full"):
        publish.publish(runs, to, QUICK_DRAWS)
    assert {path: path.read_bytes() for path in to.rglob("*") if path.is_file()} == before


def test_the_family_is_all_methods_against_zero_in_the_table(tmp_path: Path, run: Any) -> None:
    """A gain that is significant alone is not among many that are not."""
    run(tmp_path, "zero", 0.5)
    run(tmp_path, "fin", 1.0)
    found = _compare(tmp_path)
    (section,) = sections(store.read(tmp_path), found)
    (table,) = section.tables
    fin = table.row("fin")
    assert fin is not None
    assert table.outcome(fin)[1].verdict == "above"  # type: ignore[index]
    barely = replace(found.compared[0].difference, p=0.02)
    crowd = [replace(found.compared[0], difference=barely)]
    records = store.read(tmp_path)
    for name in ("a", "b"):
        copies = [replace(one, case_id=f"{name}:{one.seed}", method=name) for one in records if one.method == "fin"]
        first = comparisons.cases_of(copies)
        crowd.append(replace(crowd[0], first=first, difference=replace(barely, p=0.9)))
        records += copies
    (section,) = sections(records, comparisons.Comparisons(tuple(crowd)))
    row = section.tables[0].row("fin")
    assert row is not None
    assert section.tables[0].outcome(row)[1].verdict == "undecided"  # type: ignore[index]


def test_no_sidecar_of_a_credentialed_collection_is_published(tmp_path: Path, run: Any) -> None:
    runs, to, sources = tmp_path / "runs", tmp_path / "board", [{"name": "mimic_cxr", "credentialed": True}]
    for method, signal in (("zero", 0.5), ("fin", 0.7)):
        run(runs, method, signal, sources=sources)
    open_runs = tmp_path / "open"
    run(open_runs, "zero", 0.5, sources=[{"name": "openi", "credentialed": False}])
    publish.publish(open_runs, to, QUICK_DRAWS)
    assert len(list((to / "records").glob("*.npz"))) == 4  # of three seeds, and of the test rows
    publish.publish(runs, to, QUICK_DRAWS)  # the same cases on data that may not be passed on
    assert not list((to / "records").glob("*.npz"))
    assert len(store.read(to / "records")) == 6
    expected = _compare(runs)
    assert comparisons.read(to).compared == expected.compared and expected.compared
    board = (to / "README.md").read_text(encoding="utf-8")
    publish.publish(runs, to, QUICK_DRAWS)
    assert (to / "README.md").read_text(encoding="utf-8") == board
