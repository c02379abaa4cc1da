"""The user's own studies: what a manifest may hold, and what is said of one that is wrong."""

import csv
import io
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedfeat.data import manifest, reports
from fedfeat.data.manifest import load, split_of
from fedfeat.data.partition import Counts, setup_of
from fedfeat.data.prepare import Prepared, prepare
from fedfeat.data.studies import StudyTable
from fedfeat.errors import FedfeatError

HEADER = "patient_id,image,report,label:Edema,label:Pleural Effusion"
ROWS = ("1,a.png,No effusion.,0,0", "2,b.jpg,Effusion and edema.,1,-1", "2,,Small effusion.,,1.0", "3,c.png,,1,")


def picture(value: int) -> Image.Image:
    ramp = np.add.outer(np.arange(24), np.arange(16)).astype(np.uint8)
    return Image.fromarray(ramp * 3 + np.uint8(value))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest of these lines beside three pictures."""
    picture(0).save(tmp_path / "a.png")
    picture(0).save(tmp_path / "c.png")
    picture(60).save(tmp_path / "b.jpg")

    def build(*lines: str, ends: str = "\n", encoding: str = "utf-8") -> Path:
        path = tmp_path / "manifest.csv"
        path.write_bytes("".join(line + ends for line in lines).encode(encoding))
        return path

    return build


def prepared(table: StudyTable, cache: Path) -> Prepared:
    return prepare(table, 16, reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16), 16, cache)


def complaint(path: Path, read: Callable[[], object] | None = None) -> str:
    """Return the message of the error that reading raises, which must be one line and begin with the file's path."""
    with pytest.raises(FedfeatError) as caught:
        (read or (lambda: load(path)))()
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_the_real_manifest_is_read(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "covid_cxr" / "manifest.csv"
    table = load(path)
    assert (len(table), table.rows["patient"].nunique(), len(table.labels)) == (187, 110, 11)
    assert table.labels[:2] == ("COVID-19", "Other viral")
    assert not table.synthetic
    assert table.notes == ()
    arrays = prepared(table, tmp_path)
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    blank = np.array([[line[f"label:{label}"].strip() == "" for label in table.labels] for line in lines])
    assert 0 < blank.sum() < blank.size
    assert np.array_equal(arrays.label_mask, ~blank)
    assert arrays.images.reshape(187, -1).std(1).min() > 5  # every picture was decoded
    assert [line["report"].strip() for line in lines] == table.rows["report"].tolist()
    splits = table.rows.drop_duplicates("patient")["split"].value_counts()
    assert set(splits.index) == {"train", "validate", "test"}


def test_rows_labels_and_policies(write: Callable[..., Path]) -> None:
    table = load(write(HEADER, *ROWS))
    assert table.labels == ("Edema", "Pleural Effusion")
    assert table.rows["patient"].tolist() == ["1", "2", "2", "3"]
    assert table.rows["image"].tolist() == ["a.png", "b.jpg", "", "c.png"]
    assert table.rows["report"].tolist() == ["No effusion.", "Effusion and edema.", "Small effusion.", ""]
    nan = np.nan
    np.testing.assert_array_equal(table.findings, [[0, 0], [1, -1], [nan, 1], [1, nan]])
    assert (table.source, table.uncertain, table.blank) == ("manifest", "masked", "masked")
    assert table.rows["site"].unique().tolist() == ["manifest"]


@pytest.mark.parametrize(
    ("uncertain", "target", "known"), [("masked", 0, False), ("zeros", 0, True), ("ones", 1, True)]
)
def test_uncertain_labels_follow_the_policy_and_blank_ones_are_masked(
    write: Callable[..., Path], tmp_path: Path, uncertain: str, target: int, known: bool
) -> None:
    arrays = prepared(load(write(HEADER, *ROWS), uncertain), tmp_path)
    assert arrays.targets.tolist() == [[0, 0], [1, target], [0, 1], [1, 0]]
    assert arrays.label_mask.tolist() == [[True, True], [True, known], [False, True], [True, False]]


def test_missing_cells_are_missing_modalities(write: Callable[..., Path], tmp_path: Path) -> None:
    arrays = prepared(load(write(HEADER, *ROWS)), tmp_path)
    assert arrays.present["image"].tolist() == [True, True, False, True]
    assert arrays.present["text"].tolist() == [True, True, True, False]
    assert not arrays.images[2].any()
    assert not arrays.tokens[3].any()
    assert np.abs(arrays.images[1].astype(int) - arrays.images[0] - 60).mean() < 3  # b.jpg is a.png, 60 levels brighter


@pytest.mark.parametrize("value", ["1", "1.0", " 1 ", "0", "0.0", "-1", "-1.0", "", " "])
def test_label_values(write: Callable[..., Path], value: str) -> None:
    (finding,) = load(write("patient_id,image,report,label:Edema", f"1,,text,{value}")).findings[0]
    assert np.isnan(finding) if not value.strip() else finding == float(value)


@pytest.mark.parametrize(
    ("change", "ends", "encoding"),
    [
        (lambda line: line, "\n", "utf-8-sig"),
        (lambda line: line, "\r\n", "utf-8"),
        (lambda line: line.replace(",", ";"), "\n", "utf-8"),
        (lambda line: line.replace(",", ";"), "\r\n", "utf-8-sig"),
        (lambda line: line.replace(",", " , "), "\n", "utf-8"),
        (lambda line: ",".join(f'"{cell}"' for cell in line.split(",")), "\n", "utf-8"),
        (lambda line: line + ",more", "\n", "utf-8"),
    ],
    ids=["byte order mark", "CRLF", "semicolons", "spreadsheet", "spaces", "quotes", "other column"],
)
def test_spreadsheets_ways_of_writing_are_read_alike(
    write: Callable[..., Path], change: Callable[[str], str], ends: str, encoding: str
) -> None:
    plain = load(write(HEADER, *ROWS))
    other = load(write(*map(change, (HEADER, *ROWS)), ends=ends, encoding=encoding))
    assert other.rows.equals(plain.rows)
    assert other.labels == plain.labels
    assert other.notes == plain.notes == ()
    np.testing.assert_array_equal(other.findings, plain.findings)


def test_quoted_reports_keep_commas_and_lines(write: Callable[..., Path]) -> None:
    table = load(write(HEADER, '1,a.png,"Clear, no ""edema"".\nNo effusion.",0,0', ROWS[1]))
    assert table.rows["report"][0] == 'Clear, no "edema".\nNo effusion.'
    assert len(table) == 2


def test_words_that_look_missing_are_text(write: Callable[..., Path]) -> None:
    table = load(write(HEADER, "NA,a.png,None,1,0", "007,c.png,NaN,1,0"))
    assert table.rows["patient"].tolist() == ["NA", "007"]
    assert table.rows["report"].tolist() == ["None", "NaN"]


def test_bytes_that_are_not_utf8_are_noted(write: Callable[..., Path]) -> None:
    path = write(HEADER, "1,a.png,\u00d6dem,1,0", encoding="latin-1")
    table = load(path)
    assert table.rows["report"][0] == "\ufffddem"
    assert table.notes == ("the manifest is not UTF-8 throughout: unreadable bytes were replaced",)
    assert load(write(HEADER, "1,a.png,\u00d6dem,1,0")).rows["report"][0] == "\u00d6dem"


def test_a_replacement_character_that_is_meant_is_not_noted(write: Callable[..., Path]) -> None:
    table = load(write(HEADER, "1,a.png,\ufffddem,1,0"))
    assert (table.rows["report"][0], table.notes) == ("\ufffddem", ())


@pytest.mark.parametrize("content", ["utf-16", "utf-16-le", "utf-32", "workbook"])
def test_what_a_spreadsheet_saves_beside_utf8_is_named(write: Callable[..., Path], content: str) -> None:
    path = write(HEADER, *ROWS, encoding="utf-8" if content == "workbook" else content)
    if content == "workbook":  # a zip archive, such as .xlsx is
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("xl/workbook.xml", "<workbook/>")
    message = complaint(path)
    assert "its first line holds NUL bytes" in message
    assert "save it as CSV, UTF-8" in message


def test_split_and_site_columns_are_taken_over(write: Callable[..., Path]) -> None:
    lines = ("1,,x,1,test,Bern", "2,,x,1,train,", "3,,x,1,validate,Basel")
    rows = load(write("patient_id,image,report,label:Edema,split,site", *lines)).rows
    assert rows["split"].tolist() == ["test", "train", "validate"]
    assert rows["site"].tolist() == ["Bern", "", "Basel"]


def test_a_manifest_has_the_homogeneous_setup_only(write: Callable[..., Path]) -> None:
    table = load(write(HEADER, *ROWS))
    assert set(table.setups) == {"homogeneous"}
    assert setup_of(table, "heterogeneous", Counts.parse("8:0:2")) == table.no_setup["heterogeneous"]
    assert "three" in table.no_setup["heterogeneous"]


def test_the_split_of_a_patient_never_changes() -> None:
    # the splits of users' studies, and so their results, hang on these
    assert [split_of(patient) for patient in ("1", "2", "p-2", "Jos\u00e9")] == ["train", "test", "validate", "train"]


def test_splits_are_near_seventy_ten_and_twenty_percent(write: Callable[..., Path]) -> None:
    found = [split_of(f"patient {number}") for number in range(10_000)]
    shares = [found.count(name) / 10_000 for name in ("train", "validate", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.015)
    table = load(write("patient_id,image,report,label:Edema", *(f"p{n % 30},,report {n},1" for n in range(90))))
    assert (table.rows.groupby("patient")["split"].nunique() == 1).all()
    assert table.rows["split"].tolist() == [split_of(patient) for patient in table.rows["patient"]]


GOOD = "1,a.png,x,1"
SPLIT = "patient_id,image,report,label:Edema,split"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((), ("not a CSV", "its first line is empty", "docs/manifest.md")),
        (("", HEADER, *ROWS), ("not a CSV", "its first line is empty")),
        (("\r" + HEADER, *ROWS), ("not a CSV", "its first line is empty")),
        ((HEADER.replace(",", "\t"), "1\ta.png\tx\t1\t0"), ("'patient_id' is missing", "by commas or semicolons")),
        (("patient_id,image,report", "1,a.png,x"), ("no label column", "label:Edema")),
        (("patient_id,image,report,Edema", GOOD), ("no label column", "label:<name>")),
        (("patient,image,report,label:Edema", GOOD), ("column 'patient_id' is missing",)),
        (("patient_id,picture,report,label:Edema", GOOD), ("column 'image' is missing",)),
        (("patient_id,image,text,label:Edema", GOOD), ("column 'report' is missing",)),
        (("patient_id,image,report,label:Edema",), ("no rows",)),
        (("patient_id,image,report,label:Edema,label:Edema", "1,a.png,x,1,0"), ("column 'label:Edema' stands twice",)),
        (("patient_id,image,report,label:Edema, label:Edema", "1,a.png,x,1,0"), ("column 'label:Edema' stands twice",)),
        (("patient_id,image,report,label:Edema,label: Edema", "1,a.png,x,1,0"), ("'label:Edema' stands twice",)),
        (("patient_id,image,report,report,label:Edema", "1,a.png,x,y,1"), ("column 'report' stands twice",)),
        ((HEADER, *ROWS, "4,a.png,x,1,yes"), ("row 6", "label:Pleural Effusion", "'yes'")),
        ((HEADER, "1,a.png,x,2,0"), ("row 2", "label:Edema", "'2'")),
        ((HEADER, "1,a.png,x,0.5,0"), ("row 2", "label:Edema", "'0.5'")),
        ((HEADER, ROWS[0], "4,,,1,0"), ("row 3", "neither image nor report")),
        ((HEADER, ROWS[0], "4, ,  ,1,0"), ("row 3", "neither image nor report")),
        ((HEADER, ROWS[0], ",a.png,x,1,0"), ("row 3", "no patient_id")),
        ((HEADER, ROWS[0], "4,gone.png,x,1,0"), ("row 3", "'gone.png' cannot be read")),
        ((HEADER, "4,.,x,1,0"), ("row 2", "'.' cannot be read")),
        ((HEADER, ROWS[0], "4,../a.png,x,1,0"), ("row 3", "'../a.png' lies outside the manifest's folder")),
        ((HEADER, "4,/etc/hostname,x,1,0"), ("row 2", "'/etc/hostname' lies outside the manifest's folder")),
        ((HEADER, "4,a\0.png,x,1,0"), ("row 2", "cannot be read")),
        ((SPLIT, f"{GOOD},train", "2,b.jpg,x,1,dev"), ("row 3", "split 'dev' is none of train, validate, test")),
        ((SPLIT, f"{GOOD},"), ("row 2", "split ''")),
        ((SPLIT, f"{GOOD},train", "p7,,x,1,train", "p7,,x,1,test"), ("patient 'p7' is in two splits",)),
        ((HEADER, ROWS[0], ROWS[1] + ",surplus"), ("not a CSV", "line 3")),
        ((HEADER, *(row + "," for row in ROWS)), ("not a CSV", "line 2")),
        ((HEADER, "1,a.png,No edema, no effusion.,0,0"), ("not a CSV", "line 2")),
        ((HEADER, ROWS[0], '1,a.png,"No end,0,0', ROWS[1]), ("row 3", "a quote is opened and never closed")),
        ((HEADER, *ROWS, ROWS[1]), ("rows 3 and 6 are the same in every column", "remove one")),
        ((HEADER, *ROWS, "4,b.jpg,x,1,0"), ("rows 3 and 6", "image 'b.jpg' is of two patients, '2' and '4'")),
        ((HEADER, *ROWS, "4,./b.jpg,x,1,0"), ("rows 3 and 6", "image './b.jpg' is of two patients, '2' and '4'")),
        ((HEADER, ROWS[0], f"4,{'n' * 300}.jpg,x,1,0"), ("row 3", "cannot be read (File name too long)")),
        ((HEADER + ",Label:ICU", "1,a.png,x,1,0,1"), ("column 'Label:ICU' is not a label", "label:<name>")),
        (("patient_id,image,report,label:", GOOD), ("'label:' names no label", "label:<name>")),
    ],
)
def test_what_is_wrong_is_named(write: Callable[..., Path], lines: tuple[str, ...], says: tuple[str, ...]) -> None:
    message = complaint(write(*lines))
    assert [word for word in says if word not in message] == []


def test_rows_are_counted_as_spreadsheets_show_them(write: Callable[..., Path]) -> None:
    assert "row 4" in complaint(write(HEADER, ROWS[0], "", "4,a.png,x,7,0"))


def test_empty_lines_are_no_rows(write: Callable[..., Path]) -> None:
    table = load(write(HEADER, ROWS[0], "", ROWS[1], "", ""))
    assert table.rows["patient"].tolist() == ["1", "2"]
    assert table.rows.index.tolist() == [0, 1]
    assert len(table.findings) == 2


def test_a_row_that_ends_early_has_blank_labels(write: Callable[..., Path]) -> None:
    table = load(write(HEADER, "1,a.png,x,1", ROWS[1]))
    np.testing.assert_array_equal(table.findings, [[1, np.nan], [1, -1]])


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    message = complaint(tmp_path / name)
    assert "the manifest cannot be read" in message
    assert "--data" in message


def damaged(kind: str, folder: Path) -> bytes:
    if kind == "truncated JPEG":
        whole = (folder / "b.jpg").read_bytes()
        return whole[: len(whole) * 2 // 3]
    if kind == "truncated PNG":
        whole = (folder / "a.png").read_bytes()
        return whole[: len(whole) * 2 // 3]
    if kind == "enormous PNG":  # its header tells of 60,000 x 60,000 pixels
        whole = (folder / "a.png").read_bytes()
        chunk = b"IHDR" + struct.pack(">II", 60_000, 60_000) + whole[24:29]
        return whole[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:]
    if kind == "odd DDS":  # of a pixel format that the decoder does not implement
        stream = io.BytesIO()
        picture(0).save(stream, "DDS")
        whole = stream.getvalue()
        return whole[:80] + bytes(4) + whole[84:]
    return {"empty": b"", "text": b"This is no picture.\n"}[kind]


@pytest.mark.parametrize("kind", ["truncated JPEG", "truncated PNG", "enormous PNG", "odd DDS", "empty", "text"])
def test_an_image_that_cannot_be_decoded_is_named(write: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    path = write(HEADER, *ROWS, "4,scans/bad.jpg,x,1,0")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "bad.jpg").write_bytes(damaged(kind, tmp_path))
    table = load(path)
    message = complaint(path, lambda: prepared(table, tmp_path))
    assert "image 'scans/bad.jpg' cannot be decoded" in message
    assert "row 6" in message


@pytest.mark.parametrize("kind", ["folder", "pipe", "circle"])
def test_what_is_no_file_is_no_image(write: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    place = tmp_path / "odd.png"
    make = {"folder": place.mkdir, "pipe": lambda: os.mkfifo(place), "circle": lambda: place.symlink_to(place)}
    make[kind]()
    message = complaint(write(HEADER, ROWS[0], "4,odd.png,x,1,0"))
    assert "row 3: image 'odd.png' cannot be read" in message
    assert "restore the file" in message


def test_a_picture_of_numbers_without_a_range_is_named(write: Callable[..., Path], tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "float.tif")
    path = write(HEADER, ROWS[0], "4,float.tif,x,1,0")
    table = load(path)
    message = complaint(path, lambda: prepared(table, tmp_path))
    assert "row 3: image 'float.tif' cannot be decoded (floating-point values" in message
    assert "save it with 8 or 16 bits" in message


def test_empty_columns_of_a_spreadsheet_are_ignored(write: Callable[..., Path]) -> None:
    table = load(write(f"{HEADER},,", *(f"{row},," for row in ROWS)))
    assert table.labels == ("Edema", "Pleural Effusion")
    assert len(table) == 4


def test_rows_that_differ_anywhere_are_no_duplicates(write: Callable[..., Path]) -> None:
    assert len(load(write(f"{HEADER},study", "1,,Clear.,0,0,first", "1,,Clear.,0,0,second"))) == 2


def test_a_link_that_leads_out_is_named(write: Callable[..., Path], tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.png"
    picture(1).save(outside)
    (tmp_path / "link.png").symlink_to(outside)
    assert "'link.png' lies outside" in complaint(write(HEADER, "1,link.png,x,1,0"))


def test_images_are_found_from_any_working_folder(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(HEADER, *ROWS).parent)
    table = load(Path("manifest.csv"))
    monkeypatch.chdir("/")
    assert prepared(table, tmp_path / "cache").present["image"].sum() == 3


def test_the_content_hash_sees_images_and_only_what_is_read(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(HEADER, *ROWS)
    before = load(path).content
    assert before
    assert load(path).content == before
    (tmp_path / "unused.png").write_bytes(b"")
    assert load(path).content == before
    picture(1).save(tmp_path / "a.png")
    assert load(path).content != before


def test_a_changed_image_is_decoded_anew(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(HEADER, *ROWS)
    before = prepared(load(path), tmp_path / "cache")
    picture(9).save(tmp_path / "a.png")
    after = prepared(load(path), tmp_path / "cache")
    assert before.digest != after.digest
    assert (after.images[0].astype(int) - before.images[0]).mean() == pytest.approx(9, abs=0.5)


@pytest.mark.parametrize("length", [0, 40, 200])
def test_a_damaged_cache_of_images_is_mended(write: Callable[..., Path], tmp_path: Path, length: int) -> None:
    table = load(write(HEADER, *ROWS))
    whole = prepared(table, tmp_path / "cache")
    digest = whole.digest
    (file,) = (tmp_path / "cache" / "images").glob("*.npy")
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:length])
    assert prepared(table, tmp_path / "cache").digest == digest


def test_all_modes_of_pictures_are_read(write: Callable[..., Path], tmp_path: Path) -> None:
    grey = picture(0)
    grey.convert("RGB").save(tmp_path / "rgb.jpg", quality=95)
    grey.convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 256).save(tmp_path / "deep.png")
    names = ("a.png", "rgb.jpg", "rgba.png", "deep.png")
    images = prepared(load(write(HEADER, *(f"1,{name},,1,0" for name in names))), tmp_path).images.astype(int)
    assert np.abs(images - images[0]).max() <= 4
    assert images[0].std() > 10


def test_reading_warns_of_nothing(write: Callable[..., Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load(write(HEADER, *ROWS))) == 4


def test_the_known_policies_are_those_of_the_documentation() -> None:
    assert manifest.UNCERTAIN_POLICIES == ("masked", "zeros", "ones")
