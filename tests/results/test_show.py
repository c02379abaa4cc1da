"""A record as text: everything that it says, in lines that a person, a terminal and a pipe can take."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedfeat.results import show, store
from fedfeat.results.record import Record

MakeRecord = Callable[..., Record]
COMMITTED = sorted((Path(__file__).parents[2] / "leaderboard" / "records").glob("*.json"))
TEST_SET = store.TestSet(
    rows=np.array(["r0", "r1", "r2"]),
    patients=np.array(["p0", "p0", "p1"]),
    labels=np.array([[0, 1], [1, 1], [1, 0]], dtype=np.uint8),
    known=np.array([[True, True], [True, False], [True, True]]),
    names=("Edema", "Fracture"),
)


@pytest.fixture
def full(make_record: MakeRecord) -> Record:
    return make_record(
        title="My method",
        marks=["uses public data"],
        params={"layers": 6, "epochs": None},
        configuration={"name": "phantom", "uncertain": "zeros", "training": {"rounds": 2, "flip": True}},
        macro_auc_image_only=0.625,
        macro_auc_text_only=0.5,
        head_norm_image=3.25,
        head_norm_text=2.5,
        per_label_auc={"Edema": 0.7521, "Fracture": None},
        labels_scored=1,
        validation_auc=[0.5, 0.75, 0.625],
        best_round=1,
        history=[
            {"round": 1, "seconds": 6.25, "validation_auc": 0.75, "loss": 0.5},
            {"round": 2, "seconds": 7.0, "validation_auc": 0.625, "loss": 0.25, "mse": 0.0125},
        ],
        parameters={"classifier": 530302, "method": 0},
        macs={"classifier": 14017792, "fill_image": None, "fill_text": 398976},
        unsupported_ops={"classifier": {"aten::add": 9, "aten::div": 3}, "fill_text": {}},
        bytes_up={"0": 1276024, "1": 0},
        bytes_down={"0": 4480120, "1": 0},
        clients=[
            {"client": 0, "kind": "image", "patients": 60, "rows": 90, "image": 90, "text": 0},
            {"client": 1, "kind": "multimodal", "patients": 7, "rows": 8, "image": 8, "text": 8},
        ],
        test_patients=2,
        test_set="acf2",
        scores_hash="5c02e5",
        seconds=1050.96,
        samples_per_second=439.7,
        peak_memory_mb=1175.1,
        device="cuda",
        threads=1,
        versions={"python": "3.11.7", "gpu": "Some card"},
        weights="from scratch",
        notes=["one thing", "another"],
    )


def _cells(text: str, heading: str) -> list[list[str]]:
    """Return the words of the lines of a block."""
    block = next(block for block in text.split("\n\n") if block.splitlines()[0].startswith(heading))
    return [line.split() for line in block.splitlines()[1:]]


def test_everything_is_told_with_its_unit(full: Record) -> None:
    text = show.render(full, TEST_SET)
    words = " ".join(text.split())
    title = text.splitlines()[0]
    assert title == f"{full.case_id}: passed: My method (uses public data; layers 6, epochs null)"
    for part in (
        "phantom (synthetic): not a result on MIMIC-CXR",
        "homogeneous 8:0:2 (image-only : text-only : multimodal), seed 0",
        "counted as: uncertain zeros",
        "600 rows of 2 patients",
        "phantom: training.rounds 2, training.flip true",
        "macro AUC 75.00 (1 label)",
        "image only 62.50 (the same model, its text feature zeroed)",
        "text only 50.00 (the same model, its image feature zeroed)",
        "image 3.250, text 2.500",
        "classifier 530,302, method 0",
        "classifier 14.018 M, fill_image -, fill_text 398.976 k (multiply-accumulates for one study)",
        "by MACs: classifier 12 calls of 2 operators",
        "1,051.0 s",
        "439.7 rows a second",
        "1,175.1 MB",
        "cuda, 1 thread",
        "python 3.11.7, gpu Some card",
        "weights from scratch",
        "hashes test set acf2, scores 5c02e5",
        "c0ffee (clean)",
        "note one thing note another",
    ):
        assert part in words
    assert "error" not in text


def test_labels_stand_in_an_aligned_table_with_their_positives(full: Record) -> None:
    text = show.render(full, TEST_SET)
    assert _cells(text, "AUC by label") == [
        ["label", "AUC", "positives", "known", "rows"],
        ["Edema", "75.21", "2", "3"],
        ["Fracture", "one", "class", "only", "1", "2"],
    ]
    lines = next(block for block in text.split("\n\n") if block.startswith("AUC by label")).splitlines()[1:]
    assert len({len(line) for line in lines}) == 1, "the last column ends at the same place"


def test_without_the_test_rows_no_positives_are_told(full: Record) -> None:
    text = show.render(full)
    assert "positives are not known: no test-acf2.npz beside the record" in text
    assert _cells(text, "AUC by label")[:2] == [["label", "AUC"], ["Edema", "75.21"]]
    other = dataclasses.replace(TEST_SET, names=("Edema", "Other"))
    assert _cells(show.render(full, other), "AUC by label")[2][-2:] == ["-", "-"]


def test_rounds_show_the_curve_the_losses_and_the_best(full: Record) -> None:
    curve, *table, _ = _cells(show.render(full), "Rounds")
    assert " ".join(curve) == "validation macro AUC 50.00 ▁█▅ 62.50; best: round 1, 75.00"
    assert table == [
        ["round", "AUC", "loss", "mse", "seconds"],
        ["0", "50.00", "-", "-", "-"],
        ["*", "1", "75.00", "0.5000", "-", "6.250"],
        ["2", "62.50", "0.2500", "0.01250", "7.000"],
    ]


def test_what_the_method_tells_of_itself_is_shown(make_record: MakeRecord) -> None:
    history = [
        {"round": 1, "seconds": 1.0, "validation_loss": 4.5},
        {"round": 2, "seconds": 1.0, "validation_loss": 2.25, "token_loss": 2.0},
    ]
    record = make_record(
        pretraining={"history": history, "best_round": 2, "bytes_up": {"0": 1}, "bytes_down": {"0": 1}},
        method_numbers={"bleu4": 0.125, "distinct": 31.0},
        samples=[{"real": "mild edema .", "written": "no edema ."}],
    )
    lines = show.render(record).splitlines()
    start = lines.index("The method")
    assert lines[start + 1 : start + 6] == [
        "  learns       2 rounds before the classifier's, best: round 2; validation loss",
        "               4.500 to 2.250",
        "  numbers      bleu4 0.125, distinct 31",
        "  real         mild edema .",
        "  written      no edema .",
    ]
    assert "The method" not in show.render(make_record())


def test_a_flat_curve_can_be_drawn(make_record: MakeRecord) -> None:
    assert "50.00 ▁▁ 50.00" in show.render(make_record(validation_auc=[0.5, 0.5]))


def test_clients_stand_with_their_traffic_and_their_sum(full: Record) -> None:
    assert _cells(show.render(full), "Clients")[1:] == [
        ["0", "image", "60", "90", "90", "0", "1.276", "4.480"],
        ["1", "multimodal", "7", "8", "8", "8", "0.000", "0.000"],
        ["all", "67", "98", "98", "8", "1.276", "4.480"],
    ]


def test_a_failed_record_tells_its_error_first(make_record: MakeRecord) -> None:
    record = make_record(auc=None, status="failed", error="ValueError: no such\nfeature", dirty=True, test_rows=0)
    lines = show.render(record).splitlines()
    assert lines[0].endswith(": failed: FIN")
    assert lines[1] == "error: ValueError: no such feature"
    assert "c0ffee (dirty: with uncommitted changes)" in lines[-2]
    for absent in ("Scores", "AUC by label", "Rounds", "Clients", "Costs", "None"):
        assert not any(line.startswith(absent) or "None" in line for line in lines)


def test_real_reports_with_drawn_images_are_called_half_synthetic(make_record: MakeRecord) -> None:
    text = " ".join(show.render(make_record(dataset="openi_text", real_reports=True)).split())
    assert "openi_text (half synthetic), real reports with drawn images: not a result on MIMIC-CXR" in text


def test_real_data_are_not_called_synthetic(make_record: MakeRecord) -> None:
    text = show.render(make_record(dataset="manifest", synthetic=False, commit=None, dirty=None))
    assert "synthetic" not in text
    assert "commit       none: outside a git repository" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_the_text_fits_into_any_encoding(full: Record, encoding: str) -> None:
    record = dataclasses.replace(full, title="Füllung → 間", notes=["é"])
    text = show.render(record, encoding=encoding)
    text.encode(encoding)
    assert ("▁█▅" in text) == (encoding == "utf-8")
    if encoding == "ascii":
        assert "F\\xfcllung \\u2192" in text
        assert "50.00 to 62.50; best: round 1, 75.00" in text


def test_what_a_terminal_would_obey_is_not_printed(make_record: MakeRecord) -> None:
    text = show.render(make_record(title="a\x1b[31mred", notes=["b\x07", "\ud800"], per_label_auc={"l\x1b[0m": 0.5}))
    assert all(line.isprintable() for line in text.splitlines())


def test_lines_are_no_wider_than_a_terminal(full: Record) -> None:
    record = dataclasses.replace(full, versions={f"library{n}": "1.0" for n in range(40)}, notes=["word " * 60])
    assert max(map(len, show.render(record, TEST_SET).splitlines()[1:])) <= 84


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_published_record_can_be_shown(path: Path) -> None:
    record = Record.from_json(path.read_text(encoding="utf-8"), path)
    text = show.render(record, store.read_test_set(path.parent, record.test_set))
    assert record.macro_auc is not None
    assert f"{100 * record.macro_auc:.2f}" in text
    assert all(name in text for name in record.per_label_auc)
    assert all(str(value) in text for value in (record.key, record.commit, record.weights))
