"""The board that is committed is what its records make, and its pictures are there."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedfeat.evaluation.auc import macro_auc
from fedfeat.results import comparisons, pairing, publish, staleness, store, table3
from fedfeat.results.board import sections
from fedfeat.results.bootstrap import DRAWS
from fedfeat.results.figures import curves, curves_name

HOME = Path(__file__).parents[2] / "leaderboard"


def test_the_committed_records_give_the_committed_board() -> None:
    records = store.read(HOME / "records")
    assert records
    board = publish.board_of(records, staleness.read(HOME), comparisons.read(HOME), table3.read(HOME / table3.NAME))
    assert board == (HOME / "README.md").read_text(encoding="utf-8"), (
        "run `fedfeat publish --records leaderboard/records`"
    )


def test_the_committed_comparisons_are_of_the_committed_records_and_scores() -> None:
    records, stored = store.read(HOME / "records"), comparisons.read(HOME)
    assert stored.compared
    assert stored.among(records) == stored
    by_id = {record.case_id: record for record in records}
    for one in stored.compared:
        first, second = ([by_id[case] for case in cases] for cases in (one.first, one.second))
        assert stored.of(first, second, one.difference.against) == one.difference
    assert stored.draws == DRAWS
    column = [record for record in records if record.setup == "heterogeneous"]  # all would take a minute
    again = pairing.compare_all(column, pairing.scores_in(HOME / "records"))
    assert len(again.compared) >= 10
    for one in again.compared:
        first, second = ([by_id[case] for case in cases] for cases in (one.first, one.second))
        there = stored.of(first, second, one.difference.against)
        assert there is not None
        for name in ("mean", "low", "high"):  # in points; the mean alone would not notice other draws
            assert getattr(one.difference, name) == pytest.approx(getattr(there, name), abs=1e-3)
        assert one.difference.p == pytest.approx(there.p, abs=2.1 / DRAWS)  # one draw on the edge


def test_the_boards_pictures_are_there_and_no_others() -> None:
    names = publish.figures_of(store.read(HOME / "records"))
    assert {f"figures/{path.name}" for path in (HOME / "figures").iterdir()} == set(names)
    for name in names:
        with Image.open(HOME / name) as picture:
            picture.verify()


def test_every_committed_record_has_its_scores_and_is_small_in_all() -> None:
    for record in store.read(HOME / "records"):
        assert re.fullmatch(r"[0-9a-f]{16}", record.scores_hash), record.case_id
        scores = store.read_scores(HOME / "records", record.case_id)
        assert scores.shape == (record.test_rows, 14)
        test_set = store.read_test_set(HOME / "records", record.test_set)
        auc = macro_auc(scores, test_set.labels, test_set.known).macro
        assert auc == pytest.approx(record.macro_auc, abs=2e-5), "docs/record.md says so of scores in 16 bits"
    assert sum(path.stat().st_size for path in HOME.rglob("*") if path.is_file()) < 10_000_000


def test_a_picture_of_curves_says_how_much_of_its_data_is_synthetic() -> None:
    records = [
        record for record in store.read(HOME / "records") if (record.method, record.dataset) == ("zero", "phantom")
    ]
    half = [replace(record, real_reports=True) for record in records]
    drawn = [curves(sections(some)[0].tables[0]) for some in (records, half)]
    wholly, partly = (np.asarray(Image.open(io.BytesIO(one)).convert("L")) for one in drawn)
    changed = np.flatnonzero((wholly != partly).any(axis=1))
    assert len(changed) and changed.max() < 30, "the title differs, and nothing else"


@pytest.mark.parametrize("failing", [False, True])
def test_curves_show_a_line_a_method_and_follow_the_records(failing: bool) -> None:
    methods = {"complete", "fin", "multimodal_only", "uniform", "zero"} - ({"zero"} if failing else set())
    records = [record for record in store.read(HOME / "records") if record.dataset == "phantom"]
    records = [record for record in records if record.method in methods]
    assert {record.method for record in records} == methods
    table = sections(records)[0].tables[0]
    first = curves(table)
    assert first == curves(table)
    with Image.open(io.BytesIO(first)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (400, 700, 3)
    colours = {tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()}
    fifth = (148, 103, 189)  # the fifth colour of matplotlib's cycle: five methods, or four
    assert (fifth in colours) is not failing
    assert curves_name(table) == "curves-phantom-phantom-homogeneous-8.0.2.png"
