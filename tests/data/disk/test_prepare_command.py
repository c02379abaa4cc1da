"""`fedfeat prepare` on real pictures in the published layouts: it writes what torchvision and BERT would make."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torchvision.transforms.v2.functional import resize
from transformers import BertTokenizer

from fedfeat.data import chexpert, cxr, mimic_cxr, openi, sources
from fedfeat.data.disk import layout
from fedfeat.data.prepare import prepare
from fedfeat.data.reports import EMBEDDED_VOCABULARY, clean, tokenizer
from fedfeat.data.studies import StudyTable
from fedfeat.errors import FedfeatError

SOURCES = ("mimic_cxr", "chexpert", "openi")
Call = Fails = Callable[..., str]  # of the words of a command line: what it prints, and what it complains of
Snapshot = Callable[[Path], dict[str, bytes]]


def root_of(published: Any, source: str) -> Path:
    return Path(published.options(source)[1])


@pytest.mark.parametrize("source", SOURCES)
def test_pictures_are_torchvisions(source: str, prepared: Path, published: Any) -> None:
    table = sources.load(source, prepared)
    assert len(table) > 160 and table.stored is not None
    rows = np.arange(0, len(table), 7)
    pictures = table.stored.pictures[rows]
    for picture, key in zip(pictures, table.rows["image"].iloc[rows], strict=True):
        with Image.open(root_of(published, source) / key) as opened:
            theirs = resize(opened.convert("L"), [224, 224])
        np.testing.assert_array_equal(picture, np.asarray(theirs))


@pytest.mark.parametrize("source", ["mimic_cxr", "openi"])
def test_token_ids_are_berts(source: str, prepared: Path, tmp_path: Path) -> None:
    table = sources.load(source, prepared)
    (tmp_path / "vocab.txt").write_text(EMBEDDED_VOCABULARY.read_text())
    theirs = BertTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    found = theirs(
        [clean(report) for report in table.rows["report"]], padding="max_length", truncation=True, max_length=128
    )["input_ids"]
    assert table.stored is not None and table.stored.tokens is not None
    np.testing.assert_array_equal(table.stored.tokens, found)


@pytest.mark.parametrize("source", SOURCES)
def test_a_prepared_table_is_the_table_read_from_the_folders(source: str, prepared: Path, published: Any) -> None:
    direct = _direct(source, published)
    table = sources.load(source, prepared)
    pd.testing.assert_frame_equal(table.rows, direct.rows)
    np.testing.assert_array_equal(table.findings, direct.findings)
    assert (table.labels, table.setups, table.no_setup, table.notes) == (
        direct.labels, direct.setups, direct.no_setup, direct.notes,
    )  # fmt: skip
    key = table.rows["image"].iloc[3]
    assert table.read_image(key).size == (224, 224)
    with pytest.raises(FedfeatError, match="no image"):
        table.read_image("nothing.jpg")


def _direct(source: str, published: Any) -> StudyTable:
    if source == "mimic_cxr":
        return mimic_cxr.table(published.mimic_images, published.mimic_reports)
    if source == "chexpert":
        return chexpert.table(published.chexpert)
    return openi.table(published.openi_images, published.openi_reports)


def test_what_cases_read_is_what_they_would_have_decoded(prepared: Path, published: Any, tmp_path: Path) -> None:
    pieces = tokenizer(EMBEDDED_VOCABULARY, 128)
    there = prepare(sources.load("mimic_cxr", prepared), 224, pieces, 128, tmp_path)
    made = prepare(_direct("mimic_cxr", published), 224, pieces, 128, tmp_path)
    rows = np.arange(len(made.table))
    assert isinstance(there.tokens, np.memmap)  # those on the disk, not made again
    for name in ("tokens", "targets", "label_mask"):
        np.testing.assert_array_equal(getattr(there, name), getattr(made, name))
    np.testing.assert_array_equal(there.images[rows], made.images[rows])
    shorter = prepare(sources.load("mimic_cxr", prepared), 224, tokenizer(EMBEDDED_VOCABULARY, 16), 16, tmp_path)
    np.testing.assert_array_equal(
        shorter.tokens, prepare(made.table, 224, tokenizer(EMBEDDED_VOCABULARY, 16), 16, tmp_path).tokens
    )
    with pytest.raises(FedfeatError, match="prepared at 224 pixels, and the preset needs 64"):
        prepare(there.table, 64, pieces, 128, tmp_path)


def test_cxr_is_all_three(prepared: Path) -> None:
    table, parts = sources.load("cxr", prepared), [sources.load(source, prepared) for source in SOURCES]
    assert len(table) == sum(map(len, parts)) and table.stored is not None and table.stored.tokens is not None
    first = 0
    for part in parts:
        rows = np.arange(len(part))
        assert part.stored is not None
        np.testing.assert_array_equal(table.stored.pictures[first + rows], part.stored.pictures[rows])
        here = table.rows.iloc[first : first + len(part)]
        assert here["patient"].tolist() == [f"{part.source}-{patient}" for patient in part.rows["patient"]]
        assert here["report"].tolist() == part.rows["report"].tolist()
        tokens = table.stored.tokens[first : first + len(part)]
        np.testing.assert_array_equal(tokens, 0 if part.stored.tokens is None else part.stored.tokens)
        first += len(part)
    backwards = np.arange(len(table))[::-1]
    np.testing.assert_array_equal(table.stored.pictures[backwards], table.stored.pictures[backwards[::-1]][::-1])
    assert set(table.rows.loc[table.rows["site"] == "openi", "split"]) == {"train"}
    assert [(origin.name, origin.version, origin.credentialed) for origin in table.origins] == [
        ("mimic_cxr", "2.1.0", True), ("chexpert", "1.0, small", True), ("openi", "", False),
    ]  # fmt: skip
    assert sum("NOT the paper's sizes" in note for note in table.notes) == 3
    last = table.stored.pictures[np.array([len(table) - 1])][0]
    np.testing.assert_array_equal(np.asarray(table.read_image(table.rows["image"].iloc[-1])), last)


def test_the_papers_sizes_where_there_are_patients_enough() -> None:
    sites = {"mimic_cxr": 10 * 810 + 1012, "chexpert": 8 * 900, "openi": 2 * 1116}
    rows = pd.DataFrame(
        [(f"{site}-{number}", site, "train") for site, count in sites.items() for number in range(count)],
        columns=["patient", "site", "split"],
    )
    setups, notes = cxr._setups(rows)
    assert not notes
    assert {kind: (pool.site, pool.patients) for kind, pool in setups["heterogeneous"].pools.items()} == {
        "image": ("chexpert", 900), "multimodal": ("openi", 1116),
    }  # fmt: skip
    assert {(pool.site, pool.patients) for pool in setups["homogeneous"].pools.values()} == {("mimic_cxr", 810)}
    assert [setups[name].public_patients for name in setups] == [1012, 1012]
    assert setups["heterogeneous"].partitions == ("8:0:2",)
    one_less, complaints = cxr._setups(rows.iloc[1:])
    assert len(complaints) == 1 and one_less["homogeneous"].pools["text"].patients is None
    assert one_less["heterogeneous"].pools["image"].patients == 900


def test_a_second_call_sees_that_all_is_there(
    prepared: Path, published: Any, call: Call, fails: Fails, snapshot: Snapshot
) -> None:
    before = snapshot(prepared / "chexpert")
    done = call("prepare", "chexpert", prepared, *published.options("chexpert"), "--from-scratch")
    assert "already prepared and whole" in done
    assert snapshot(prepared / "chexpert") == before
    other = fails("prepare", "chexpert", prepared, "--images", published.root, "--from-scratch")
    assert f"was prepared with images {published.chexpert}, not {published.root}; name another" in other
    bigger = fails("prepare", "chexpert", prepared, *published.options("chexpert"), "--preset", "light")
    assert "was prepared with size 224, not 128; name another folder, or remove this one" in bigger
    assert snapshot(prepared / "chexpert") == before


@pytest.mark.parametrize("name", [layout.ROWS, layout.FINDINGS, layout.IMAGES, layout.TOKENS])
def test_a_changed_file_is_found(name: str, prepared: Path, published: Any, tmp_path: Path, fails: Fails) -> None:
    folder = _copied(prepared / "openi", tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    assert "has changed since" in fails("prepare", "openi", tmp_path, *published.options("openi"), "--from-scratch")
    if name != layout.IMAGES:  # a case looks at the pictures' size alone
        with pytest.raises(FedfeatError, match="has changed since"):
            sources.load("openi", tmp_path)
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(FedfeatError, match="has changed since"):
        sources.load("openi", tmp_path)
    (folder / name).unlink()
    with pytest.raises(FedfeatError, match="cannot be read"):
        sources.load("openi", tmp_path)


def test_another_version_or_half_a_folder_is_refused(
    prepared: Path, published: Any, tmp_path: Path, fails: Fails
) -> None:
    folder = _copied(prepared / "openi", tmp_path)
    about = json.loads((folder / layout.ABOUT).read_text())
    again = ["prepare", "openi", tmp_path, *published.options("openi"), "--from-scratch"]
    for text, words in (
        (json.dumps(about | {"format": 99}), r"prepared by another version of fedfeat \(format 99"),
        ("{", "damaged"),
        (json.dumps(about | {"files": 3}), "damaged"),
        (json.dumps(about | {"notes": 3}), "damaged"),
    ):
        (folder / layout.ABOUT).write_text(text)
        with pytest.raises(FedfeatError, match=words):
            sources.load("openi", tmp_path)
        assert "remove the folder" in fails(*again)
    (folder / layout.ABOUT).unlink()
    with pytest.raises(FedfeatError, match="not whole; remove it"):
        sources.load("openi", tmp_path)
    folder.rename(tmp_path / "openi.part")
    with pytest.raises(FedfeatError, match="only half prepared; give the same"):
        sources.load("openi", tmp_path)
    with pytest.raises(FedfeatError, match="no prepared chexpert here; call `fedfeat prepare chexpert"):
        sources.load("chexpert", tmp_path)
    with pytest.raises(FedfeatError, match="needs --data PATH"):
        sources.load("chexpert")
    with pytest.raises(FedfeatError, match="holds openi, not mimic_cxr"):
        sources.load("mimic_cxr", prepared / "openi")
    with pytest.raises(FedfeatError, match="only half prepared"):
        sources.load("openi", tmp_path / "openi")
    with pytest.raises(FedfeatError, match=f"name the folder that holds all three, {prepared}"):
        sources.load("cxr", prepared / "openi")
    assert len(sources.load("openi", prepared / "openi")) == 209


def _copied(folder: Path, to: Path) -> Path:
    copy = to / folder.name
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_missing_and_broken_pictures_are_reported(published: Any, tmp_path: Path, call: Call, fails: Fails) -> None:
    copy = published.copy(tmp_path / "copy")
    whole = _direct("chexpert", copy).rows["image"]
    pictures = [copy.chexpert / key for key in whole[[5, 70, 71, 169]]]
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:100])
    pictures[2].write_bytes(b"no picture")
    _bomb(pictures[3])
    to, words = tmp_path / "to", ["--broken-share", "0.03", "--from-scratch", "--processes", "1"]
    refused = fails("prepare", "chexpert", to, *copy.options("chexpert"), "--from-scratch")
    assert "of 170 images are missing or broken, more than 1.0%" in refused and "no such image" in refused
    left_out = pd.read_csv(to / "chexpert.part" / layout.LEFT_OUT)
    assert len(left_out) >= 2 and left_out["image"].isin(whole).all()
    done = call("prepare", "chexpert", to, *copy.options("chexpert"), *words)
    assert "166 frontal images" in done and "4 images left out, missing or broken" in done
    left_out = pd.read_csv(to / "chexpert" / layout.LEFT_OUT)
    assert left_out["image"].tolist() == whole[[5, 70, 71, 169]].tolist()
    said = ("no such image", "Truncated", "cannot identify", "bomb")
    for reason, words in zip(left_out["reason"], said, strict=True):
        assert words in reason
    table, direct = sources.load("chexpert", to), _direct("chexpert", published)
    kept = np.setdiff1d(np.arange(170), [5, 70, 71, 169])
    assert table.rows["image"].tolist() == whole[kept].tolist() and table.stored is not None
    np.testing.assert_array_equal(table.findings, direct.findings[kept])
    for row in (4, 5, 68, 165):  # rows and pictures still belong together
        with Image.open(published.chexpert / table.rows["image"].iloc[row]) as opened:
            theirs = np.asarray(resize(opened.convert("L"), [224, 224]))
        np.testing.assert_array_equal(table.stored.pictures[np.array([row])][0], theirs)
    assert any("4 frontal images left out: missing or broken" in note for note in table.notes)


def _bomb(path: Path) -> None:
    """Write a PNG of a few kilobytes that says to be 40,000 pixels wide and high."""

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(100_000))) + part(b"IEND", b"")
    )


def test_a_mended_picture_is_decoded_the_next_time(published: Any, tmp_path: Path, call: Call, fails: Fails) -> None:
    copy = published.copy(tmp_path / "copy")
    path = copy.openi_images / _direct("openi", copy).rows["image"][17]
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    words = ["prepare", "openi", tmp_path / "to", *copy.options("openi"), "--from-scratch", "--broken-share", "0"]
    assert path.name in fails(*words)
    path.write_bytes(whole)
    call(*words)
    with Image.open(path) as opened:
        theirs = np.asarray(resize(opened.convert("L"), [224, 224]))
    table = sources.load("openi", tmp_path / "to")
    assert table.stored is not None
    np.testing.assert_array_equal(table.stored.pictures[np.array([17])][0], theirs)


def test_missing_reports_and_images_are_counted_against_the_share(
    published: Any, tmp_path: Path, call: Call, fails: Fails
) -> None:
    copy, to = published.copy(tmp_path / "copy"), tmp_path / "to"
    for path in sorted(copy.mimic_reports.rglob("*.txt"))[:5]:
        path.unlink()
    words = ["prepare", "mimic_cxr", to, *copy.options("mimic_cxr"), "--from-scratch"]
    assert "5 of 240 studies' reports are missing, more than 1.0%" in fails(*words)
    assert "5 studies without a report file" in call(*words, "--broken-share", "0.03")
    for path in sorted(copy.openi_images.iterdir())[:30]:
        path.unlink()
    words = ["prepare", "openi", to, *copy.options("openi"), "--from-scratch"]
    assert "frontal images of indiana_projections.csv are missing, more than 1.0%" in fails(*words)
    assert "frontal images left out: the file is not there" in call(*words, "--broken-share", "0.2")


def test_folders_that_are_no_place_to_write_to_are_refused(prepared: Path, published: Any, fails: Fails) -> None:
    options = [*published.options("chexpert"), "--from-scratch"]
    assert "a prepared folder itself" in fails("prepare", "chexpert", prepared / "openi", *options)
    assert "to which nothing is written" in fails("prepare", "chexpert", published.chexpert / "out", *options)
    own = [*published.options("openi"), "--from-scratch"]
    assert "here lies" in fails("prepare", "openi", published.root, *own)
    assert not (published.chexpert / "out").exists()


def test_a_published_folder_of_the_name_is_never_to_be_removed(published: Any, tmp_path: Path, fails: Fails) -> None:
    published.copy(tmp_path / "openi")
    refused = fails("prepare", "openi", tmp_path, *published.options("openi"), "--from-scratch")
    assert "not a folder that `fedfeat prepare` wrote; name another one" in refused
    with pytest.raises(FedfeatError, match="name another one"):
        sources.load("openi", tmp_path)


def test_the_folder_to_write_to_may_bear_the_collections_name(published: Any, tmp_path: Path, call: Call) -> None:
    to = tmp_path / "chexpert"
    words = ["prepare", "chexpert", to, *published.options("chexpert"), "--from-scratch"]
    assert "170 decoded" in call(*words)
    assert "already prepared and whole" in call(*words)
    assert len(sources.load("chexpert", to)) == len(sources.load("chexpert", to / "chexpert")) == 170


def test_mistakes_end_in_one_line(published: Any, tmp_path: Path, fails: Fails) -> None:
    images, to = ["--images", published.mimic_images], tmp_path / "to"
    assert "needs --reports PATH" in fails("prepare", "mimic_cxr", to, *images)
    assert "no mimic-cxr-2.0.0-metadata.csv.gz" in fails(
        "prepare", "mimic_cxr", to, "--images", published.chexpert, "--reports", published.root, "--from-scratch"
    )
    assert "no train.csv" in fails("prepare", "chexpert", to, *images, "--from-scratch")
    assert "--reports is not for chexpert" in fails("prepare", "chexpert", to, *images, "--reports", published.root)
    assert "--labels is not for chexpert" in fails(
        "prepare", "chexpert", to, *images, "--labels", published.root / "x.csv"
    )
    assert "--hand-labelled is not for chexpert" in fails("prepare", "chexpert", to, *images, "--hand-labelled")
    assert "atlantis: unknown; the collections are mimic_cxr, chexpert, openi" in fails(
        "prepare", "atlantis", to, *images
    )
    assert "is no share" in fails("prepare", "chexpert", to, *images, "--broken-share", "2")
    assert "preset 'big' is unknown" in fails("prepare", "chexpert", to, *images, "--preset", "big")
    both = [*images, "--reports", published.mimic_reports]
    assert "vocab.txt: missing, so BERT" in fails("prepare", "mimic_cxr", to, *both, "--text-weights", tmp_path)
    assert "--text-weights is not for chexpert" in fails("prepare", "chexpert", to, *images, "--text-weights", tmp_path)
    assert "cannot be used, since --from-scratch" in fails(
        "prepare", "mimic_cxr", to, *both, "--from-scratch", "--text-weights", tmp_path
    )
    assert not to.exists() or not [path for path in to.iterdir() if not path.name.endswith(".lock")]
    file = tmp_path / "file"
    file.write_text("")
    assert "cannot be written" in fails("prepare", "chexpert", file, "--images", published.chexpert, "--from-scratch")
