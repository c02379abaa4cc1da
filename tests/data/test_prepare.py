"""From the table to arrays, and what a holder has of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fedfeat.data import reports, sources
from fedfeat.data.prepare import Prepared, prepare, resolve
from fedfeat.data.studies import StudyTable
from fedfeat.errors import FedfeatError

PATIENTS = {"train": 4, "validate": 2, "test": 2}


@pytest.mark.parametrize(
    ("uncertain", "blank", "targets", "known"),
    [
        ("masked", "masked", [1, 0, 0, 0], [True, True, False, False]),
        ("zeros", "zeros", [1, 0, 0, 0], [True, True, True, True]),
        ("ones", "masked", [1, 0, 1, 0], [True, True, True, False]),
    ],
)
def test_label_policies(uncertain: str, blank: str, targets: list[int], known: list[bool]) -> None:
    values, mask = resolve(np.array([[1, 0, -1, np.nan]], dtype=np.float32), uncertain, blank)
    assert values.tolist() == [targets]
    assert mask.tolist() == [known]


def test_a_missing_modality_is_not_there(make_prepared: Callable[..., Prepared]) -> None:
    prepared = make_prepared(PATIENTS)
    rows = prepared.rows_of(["train-000", "train-002"])
    held = prepared.hold(rows, ("image",))
    assert held.tokens is None
    assert not held.present["text"].any()
    assert held.present["image"].all()
    assert held.patients == ("train-000", "train-000", "train-002", "train-002")
    assert held.images is not None
    assert torch.equal(held.images[:, 0], torch.from_numpy(prepared.images[rows]))
    assert prepared.hold(rows, ("text",)).images is None
    assert held.modalities == ("image",)


def test_rows_without_any_held_modality_are_left_out(make_table: Callable[..., StudyTable], tmp_path: Path) -> None:
    table = make_table(PATIENTS)
    table.rows.loc[0, "image"] = ""
    table.rows.loc[1, "report"] = ""
    prepared = prepare(table, 32, reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16), 16, tmp_path)
    assert len(prepared.hold(np.array([0, 1, 2]), ("image",))) == 2
    both = prepared.hold(np.array([0, 1, 2]))
    assert both.present["image"].tolist() == [False, True, True]
    assert both.present["text"].tolist() == [True, False, True]
    assert both.images is not None
    assert both.tokens is not None
    assert not both.images[0].any()
    assert not both.tokens[1].any()


def test_batches_trim_reports_to_the_longest(make_prepared: Callable[..., Prepared]) -> None:
    held = make_prepared(PATIENTS).hold(np.arange(8))
    assert held.tokens is not None
    lengths = (held.tokens != 0).sum(1)
    batch = held.batch(torch.tensor([0, 3]))
    assert batch.tokens is not None
    assert batch.tokens.shape[1] == int(max(lengths[0], lengths[3]))
    assert batch.targets.equal(held.targets[[0, 3]])


def test_pairing_gives_rows_what_they_lack_and_keeps_what_they_have(make_prepared: Callable[..., Prepared]) -> None:
    prepared = make_prepared(PATIENTS)
    whole, images = prepared.hold(np.arange(4)), prepared.hold(np.arange(4), ("image",))
    other = prepared.hold(np.arange(4, 8))
    paired = images.paired(tokens=other.tokens)
    assert paired.tokens is other.tokens
    assert paired.images is images.images
    assert paired.modalities == ("image", "text")
    assert images.modalities == ("image",), "the studies themselves stay as they were"
    there = torch.tensor([True, False, True, False])
    holed = replace(whole, present={**whole.present, "image": there})
    mended = holed.paired(images=other.images)
    assert mended.images is not None and whole.images is not None and other.images is not None
    assert torch.equal(mended.images[there], whole.images[there])
    assert torch.equal(mended.images[~there], other.images[~there])
    assert bool(mended.present["image"].all())
    assert holed.paired().present["image"].tolist() == there.tolist()


def test_splits_hold_rows_with_both_modalities(make_table: Callable[..., StudyTable], tmp_path: Path) -> None:
    table = make_table(PATIENTS)
    test_rows = np.flatnonzero(table.rows["split"] == "test")
    table.rows.loc[test_rows[0], "report"] = ""
    prepared = prepare(table, 32, reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16), 16, tmp_path)
    assert prepared.split("test", None).tolist() == test_rows[1:].tolist()
    assert prepared.split("test", "elsewhere").tolist() == []


def test_pictures_are_decoded_once_and_damage_is_mended(make_table: Callable[..., StudyTable], tmp_path: Path) -> None:
    table = make_table(PATIENTS)
    read: list[str] = []

    def counted(key: str) -> Image.Image:
        read.append(key)
        return table.read_image(key)

    source = replace(table, content="0123", read_image=counted)
    pieces = reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16)
    first = prepare(source, 32, pieces, 16, tmp_path)
    assert len(read) == len(table)
    assert prepare(source, 32, pieces, 16, tmp_path).digest == first.digest
    assert len(read) == len(table)
    file = next((tmp_path / "images").glob("*.npy"))
    file.write_bytes(file.read_bytes()[:100])
    assert prepare(source, 32, pieces, 16, tmp_path).digest == first.digest
    assert len(read) == 2 * len(table)


def test_a_cache_that_cannot_be_written_is_named(make_table: Callable[..., StudyTable], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pieces = reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16)
    with pytest.raises(FedfeatError, match=r"the cache cannot be written .*; set FEDFEAT_CACHE$"):
        prepare(replace(make_table(PATIENTS), content="0123"), 32, pieces, 16, tmp_path / "file")
    with pytest.raises(FedfeatError, match=r"the cache cannot be written .*; set FEDFEAT_CACHE$"):
        sources.load("phantom", cache=tmp_path / "file")


def test_what_a_killed_process_left_in_the_cache_goes_with_the_next_write(
    make_table: Callable[..., StudyTable], tmp_path: Path
) -> None:
    pieces, source = reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16), replace(make_table(PATIENTS), content="0123")
    prepare(source, 32, pieces, 16, tmp_path)
    file = next((tmp_path / "images").glob("*.npy"))
    left = file.with_name(f"{file.name}abc.part")
    file.rename(left)
    prepare(source, 32, pieces, 16, tmp_path)
    assert {path.name for path in (tmp_path / "images").iterdir()} == {file.name, f"{file.name}.lock"}


@pytest.mark.parametrize("change", ["pixel", "report", "label", "split"])
def test_the_digest_sees_every_change(make_table: Callable[..., StudyTable], tmp_path: Path, change: str) -> None:
    table, changed = make_table(PATIENTS), make_table(PATIENTS)
    if change == "pixel":
        changed = replace(changed, read_image=lambda key: Image.eval(table.read_image(key), lambda value: value ^ 1))
    elif change == "report":
        changed.rows.loc[0, "report"] = "other"
    elif change == "label":
        changed.findings[0, 0] = 1 - changed.findings[0, 0]
    else:
        changed.rows.loc[0, "split"] = "test"
    pieces = reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16)
    digests = {prepare(source, 32, pieces, 16, tmp_path).digest for source in (table, changed, make_table(PATIENTS))}
    assert len(digests) == 2


def test_views_change_nothing_of_what_is_run(make_table: Callable[..., StudyTable], tmp_path: Path) -> None:
    table = make_table({"train": 2, "validate": 1, "test": 1})
    viewed = replace(table, rows=table.rows.assign(view=["AP", "PA"] * 4))
    pieces = reports.tokenizer(reports.EMBEDDED_VOCABULARY, 8)
    first, second = (prepare(one, 16, pieces, 8, tmp_path) for one in (table, viewed))
    assert first.digest == second.digest
    assert (table.views.tolist(), viewed.views.tolist()) == ([""] * 8, ["AP", "PA"] * 4)
