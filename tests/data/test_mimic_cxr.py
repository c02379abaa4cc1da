"""MIMIC-CXR is read from the published layout and from what real copies make of it; nothing here is of MIMIC-CXR."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fedfeat.data import reports as text
from fedfeat.data.mimic_cxr import table
from fedfeat.data.prepare import prepare
from fedfeat.data.studies import CHEXPERT_LABELS, COLUMNS, VIEW, StudyTable
from fedfeat.description.numbers import describe
from fedfeat.errors import FedfeatError

# subject, study, (image, view)s, split, labels (None: no row); the order of labels in the file is alphabetic
STUDIES = [
    ("10000032", "50414267", (("a1", "PA"), ("a2", "LATERAL")), "train", {"No Finding": "1.0"}),
    ("10000032", "53189527", (("b1", "AP"),), "train", {"Edema": "-1.0", "Cardiomegaly": "0.0"}),
    ("10000764", "57375967", (("c1", "AP"), ("c2", "PA")), "train", {"Pneumonia": "1.0"}),
    ("11000898", "50771383", (("d1", ""), ("d2", "LL")), "train", {"Fracture": "1.0"}),
    ("11000935", "50578979", (("e1", "PA"),), "train", None),
    ("12000980", "50985099", (("f1", "AP"),), "validate", {"Atelectasis": "1.0", "Pleural Effusion": "1.0"}),
    ("13001038", "51065211", (("g1", "PA"),), "validate", {"No Finding": "1.0"}),
    ("14001122", "53447138", (("h1", "PA"),), "test", {"Lung Opacity": "1.0", "Lung Lesion": "0.0"}),
    ("15001176", "53186264", (("i1", "AP"),), "test", {"Support Devices": "1.0"}),
    ("19001217", "52067803", (("j1", "AP"), ("j2", "LATERAL")), "test", {"Pneumothorax": "1.0"}),
]
LABEL_ORDER = sorted(CHEXPERT_LABELS)
NO_LABELS = dict.fromkeys(CHEXPERT_LABELS, "")
KEPT = ["a1", "b1", "c1", "c2", "f1", "g1", "h1", "i1", "j1"]


@dataclass
class Copy:
    """A folder with a copy of the data, of which a test may change tables before they are written."""

    root: Path
    reports: Path
    metadata: pd.DataFrame
    split: pd.DataFrame
    chexpert: pd.DataFrame
    packed: bool = True

    def write(self) -> "Copy":
        for kind in ("metadata", "split", "chexpert"):
            name = f"mimic-cxr-2.0.0-{kind}.csv" + ".gz" * self.packed
            getattr(self, kind).to_csv(self.root / name, index=False)
        return self


def folder(subject: str, study: str) -> str:
    return f"files/p{subject[:2]}/p{subject}/s{study}"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    root, reports = tmp_path / "mimic-cxr-jpg" / "2.0.0", tmp_path / "mimic-cxr" / "2.0.0"
    root.mkdir(parents=True)
    images, labels = [], []
    for number, (subject, study, pictures, split, found) in enumerate(STUDIES):
        for name, view in pictures:
            place = root / folder(subject, study) / f"{name}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((20, 30), 20 * number, dtype=np.uint8)).save(place)
            images.append((name, subject, study, view, split))
        note = (reports / folder(subject, study)).with_suffix(".txt")
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f" FINAL REPORT\n INDICATION: Cough.\n\n FINDINGS:\n Seen {number}.\n\n IMPRESSION: So.\n")
        if found is not None:
            labels.append({"subject_id": subject, "study_id": study, **NO_LABELS, **found})
    frame = pd.DataFrame(images, columns=["dicom_id", "subject_id", "study_id", "ViewPosition", "split"])
    return Copy(
        root=root,
        reports=reports,
        metadata=frame.assign(Rows="20", StudyDate="21800506")[
            ["dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "StudyDate"]
        ],
        split=frame[["dicom_id", "study_id", "subject_id", "split"]],
        chexpert=pd.DataFrame(labels)[["subject_id", "study_id", *LABEL_ORDER]],
    )


def names(read: StudyTable) -> list[str]:
    return [Path(key).stem for key in read.rows["image"]]


def complaint(read: Callable[[], object]) -> str:
    with pytest.raises(FedfeatError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def noted(read: StudyTable, words: str) -> bool:
    return any(words in note for note in read.notes)


def test_frontal_labelled_studies_are_read(copy: Copy) -> None:
    read = copy.write() and table(copy.root, copy.reports)
    assert names(read) == KEPT
    assert list(read.rows.columns) == [*COLUMNS, VIEW] and read.labels == CHEXPERT_LABELS
    assert (read.source, read.uncertain, read.blank, read.synthetic) == ("mimic_cxr", "zeros", "zeros", False)
    assert read.views.tolist() == ["PA", "AP", "AP", "PA", "AP", "PA", "PA", "AP", "AP"]
    assert read.rows["image"][0] == "files/p10/p10000032/s50414267/a1.jpg"
    assert read.rows["patient"].tolist()[:4] == ["10000032", "10000032", "10000764", "10000764"]
    assert read.rows["split"].tolist() == ["train"] * 4 + ["validate"] * 2 + ["test"] * 3
    assert read.rows["report"].tolist()[:4] == ["Seen 0. So.", "Seen 1. So.", "Seen 2. So.", "Seen 2. So."]
    expected = [
        {**NO_LABELS, **found} for *_, pictures, _, found in STUDIES if found for _, v in pictures if v in "APA"
    ]
    expected = [row for row in expected if row.get("Fracture") != "1.0"]
    values = [[float(row[label] or "nan") for label in CHEXPERT_LABELS] for row in expected]
    np.testing.assert_array_equal(read.findings, np.array(values, dtype=np.float32))
    assert noted(read, "4 images left out: the view is not AP or PA")
    assert noted(read, "1 study with frontal images left out: no labels")
    assert noted(read, "1 labelled study without a frontal image")
    assert len(read.notes) == 3
    assert set(read.setups) == {"homogeneous"} and "three" in read.no_setup["heterogeneous"]


def test_pictures_are_decoded_when_asked_for(copy: Copy, tmp_path: Path) -> None:
    read = copy.write() and table(copy.root, copy.reports)
    pieces = text.tokenizer(text.EMBEDDED_VOCABULARY, 16)
    arrays = prepare(read, 8, pieces, 16, tmp_path / "cache")
    means = arrays.images.mean((1, 2)).round()
    np.testing.assert_allclose(means, [0, 20, 40, 40, 100, 120, 140, 160, 180], atol=2)
    assert arrays.present["text"].all() and arrays.label_mask.all()
    (copy.root / read.rows["image"][0]).unlink()
    assert names(table(copy.root, copy.reports)) == KEPT, "a missing picture is found when it is read"
    assert "a1.jpg: no such image" in complaint(lambda: read.read_image(read.rows["image"][0]))
    (copy.root / read.rows["image"][1]).write_bytes(b"\xff\xd8 no picture")
    assert "b1.jpg: the image cannot be decoded" in complaint(lambda: read.read_image(read.rows["image"][1]))
    assert "leads out" in complaint(lambda: read.read_image("../2.0.0/x.jpg"))


def test_plain_tables_and_other_places_read_alike(copy: Copy, tmp_path: Path) -> None:
    first = copy.write() and table(copy.root, copy.reports)
    packed = copy.root / "mimic-cxr-2.0.0-split.csv.gz"
    packed.write_bytes(gzip.decompress(packed.read_bytes()))  # as browsers leave it: unpacked under its old name
    copies = [
        table(copy.root, copy.reports),
        table(copy.root.parent, copy.reports.parent),
        table(tmp_path, copy.reports / "files"),
        table(copy.root / "files", copy.reports / "files"),
    ]
    for path in copy.root.glob("*.gz"):
        path.unlink()
    copy.packed = False
    copies.append(copy.write() and table(copy.root, copy.reports))
    copy.reports.rename(tmp_path / "mimic-cxr-reports")
    copies.append(table(copy.root, tmp_path / "mimic-cxr-reports"))
    (copy.root / "files").rename(tmp_path / "elsewhere")
    (copy.root / "files").symlink_to(tmp_path / "elsewhere")  # pictures on another disk
    copies.append(table(copy.root, tmp_path / "mimic-cxr-reports"))
    for other in copies:
        assert other.rows.equals(first.rows) and other.notes == first.notes
        np.testing.assert_array_equal(other.findings, first.findings)
    assert copies[-1].read_image(first.rows["image"][0]).size == (30, 20)


def test_ids_that_are_floats_or_no_numbers_are_strings(copy: Copy) -> None:
    first = copy.write() and table(copy.root, copy.reports)
    for frame in (copy.metadata, copy.split, copy.chexpert):
        frame["subject_id"] += ".0"
    copy.chexpert["study_id"] += ".0"
    copy.metadata["study_id"] = "s" + copy.metadata["study_id"]
    copy.split["study_id"] = ""
    read = copy.write() and table(copy.root, copy.reports)
    assert read.rows.equals(first.rows) and read.notes == first.notes
    copy.chexpert.loc[0, "study_id"] = "unknown"
    copy.metadata.loc[2, "subject_id"] = "nan"
    copy.metadata.loc[3, "study_id"] = ""
    read = copy.write() and table(copy.root, copy.reports)
    assert names(read) == ["c2", "f1", "g1", "h1", "i1", "j1"]
    assert noted(read, "1 image left out: no patient or study")
    assert noted(read, "3 studies with frontal images left out: no labels")
    assert noted(read, "3 labelled studies without a frontal image")


def test_images_of_one_table_alone_are_counted(copy: Copy) -> None:
    copy.split = copy.split[copy.split["dicom_id"] != "b1"]
    copy.metadata = pd.concat([copy.metadata, copy.metadata[:1]])
    read = copy.write() and table(copy.root, None)
    assert names(read) == [name for name in KEPT if name != "b1"]
    assert (read.rows["report"] == "").all()
    assert noted(read, "1 frontal image left out: not in the split file")
    assert noted(read, "1 row that repeat an id left out of mimic-cxr-2.0.0-metadata.csv.gz")


def test_reports_that_are_missing_or_say_nothing_are_counted(copy: Copy) -> None:
    subject, study, *_ = STUDIES[0]
    (copy.reports / folder(subject, study)).with_suffix(".txt").unlink()
    subject, study, *_ = STUDIES[1]
    (copy.reports / folder(subject, study)).with_suffix(".txt").write_text("FINAL REPORT\n INDICATION: Cough.\n")
    subject, study, *_ = STUDIES[2]
    (copy.reports / folder(subject, study)).with_suffix(".txt").write_bytes(b"PORTABLE CHEST\n\n Clear \xd6 lungs.\n")
    read = copy.write() and table(copy.root, copy.reports)
    assert names(read) == KEPT
    assert read.rows["report"].tolist()[:4] == ["", "", "Clear \ufffd lungs.", "Clear \ufffd lungs."]
    assert noted(read, "1 study without a report file")
    assert noted(read, "1 report without headings of findings or impression")
    assert noted(read, "1 report left out: nothing said of the image")


def hand(copy: Copy, root: Path, studies: list[str]) -> None:
    columns = ["Airspace Opacity" if label == "Lung Opacity" else label for label in LABEL_ORDER]
    values = pd.DataFrame([["0"] * 14 for _ in studies], columns=columns)
    values["Airspace Opacity"] = "1"
    values.insert(0, "study_id", studies)
    values.to_csv(root / "mimic-cxr-2.1.0-test-set-labeled.csv", index=False)


def test_the_hand_labelled_test_set_is_an_option(copy: Copy) -> None:
    hand(copy, copy.root, ["53447138", "53186264.0", "50414267", "7"])  # the third is of the training split
    plain = copy.write() and table(copy.root, copy.reports)
    assert names(plain) == KEPT
    read = table(copy.root, copy.reports, hand_labelled=True)
    assert names(read) == [name for name in KEPT if name != "j1"]
    np.testing.assert_array_equal(read.findings[:6], plain.findings[:6])
    opacity = np.eye(14)[CHEXPERT_LABELS.index("Lung Opacity")]
    np.testing.assert_array_equal(read.findings[6:], [opacity, opacity])
    assert noted(read, "the 2 studies labelled by hand") and noted(read, "(of 4 there)")
    assert noted(read, "1 other test study left out")


def test_two_releases_side_by_side(copy: Copy) -> None:
    copy.write()
    newer = copy.root.parent / "2.1.0"
    newer.mkdir()
    for path in copy.root.glob("*.csv.gz"):
        (newer / path.name).write_bytes(path.read_bytes())
    hand(copy, newer, ["53447138"])
    read = table(copy.root.parent, copy.reports, hand_labelled=True)  # 2.1.0 has no pictures: those of 2.0.0 serve
    assert noted(read, "read from release 2.0.0; 1 other copy beside it")
    assert read.read_image(read.rows["image"][0]).size == (30, 20)
    assert names(read)[6:] == ["h1"]
    (copy.root / "files").rename(newer / "files")
    assert noted(table(copy.root.parent, copy.reports), "read from release 2.1.0; 1 other copy beside it")


def test_the_newest_of_two_tables_in_a_folder_is_read(copy: Copy) -> None:
    copy.write()
    copy.split.assign(split="train").to_csv(copy.root / "mimic-cxr-2.1.0-split.csv", index=False)
    assert set(table(copy.root, None).rows["split"]) == {"train"}


def test_how_uncertain_counts_is_taken_over(copy: Copy) -> None:
    copy.write()
    assert table(copy.root, None, uncertain="masked").uncertain == "masked"
    assert "'maybe' is unknown; the known ones are masked, zeros, ones" in complaint(
        lambda: table(copy.root, None, uncertain="maybe")
    )


def test_what_is_wrong_is_named_in_one_line(copy: Copy, tmp_path: Path) -> None:
    def says(*words: str, reports: Path | None = None) -> None:
        message = complaint(lambda: table(copy.root, reports))
        assert [word for word in words if word not in message] == []

    says(str(copy.root), "no mimic-cxr-2.0.0-metadata.csv.gz here")
    assert "cannot be read" in complaint(lambda: table(tmp_path / "nowhere", None))
    copy.write()
    (copy.root / "mimic-cxr-2.0.0-chexpert.csv.gz").rename(tmp_path / "away")
    says("no mimic-cxr-2.0.0-chexpert.csv.gz here")
    (tmp_path / "away").rename(copy.root / "mimic-cxr-2.0.0-chexpert.csv.gz")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "none").mkdir()
    says(str(empty), "no folder p10 to p19", reports=empty)
    (empty / "none" / "p10").mkdir()
    says("no report of a study was found", "p10/p10000032/s50414267.txt", reports=empty)
    whole = (copy.root / "mimic-cxr-2.0.0-split.csv.gz").read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:40] + bytes(20) + whole[60:]):
        (copy.root / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(broken)
        says("mimic-cxr-2.0.0-split.csv.gz", "the gzip is broken", "fetch the file again")
    (copy.root / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(b"<!DOCTYPE html>\n<p>Log in</p>\n")
    says("mimic-cxr-2.0.0-split.csv.gz", "column 'dicom_id' is missing", "DOCTYPE")
    (copy.root / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(b"")
    says("mimic-cxr-2.0.0-split.csv.gz", "not a CSV")
    (copy.root / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(whole)
    assert "no mimic-cxr-2.1.0-test-set-labeled.csv" in complaint(lambda: table(copy.root, None, hand_labelled=True))
    (copy.root / "files").rename(tmp_path / "gone")
    says("no folder 'files'")


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("metadata", lambda frame: frame.drop(columns="ViewPosition"), "column 'ViewPosition' is missing"),
        ("chexpert", lambda frame: frame.drop(columns="Edema"), "column 'Edema' is missing"),
        ("chexpert", lambda frame: frame.replace({"Edema": "-1.0"}, "yes"), "row 3, column Edema: 'yes'"),
        ("split", lambda frame: frame.replace("validate", "val"), "row 10: split 'val' is none of"),
        ("split", lambda frame: frame.assign(split=["test", *frame["split"][1:]]), "patient '10000032' is in two"),
        ("metadata", lambda frame: frame.replace("a1", "../../a1"), "leads out of the folder"),
        ("metadata", lambda frame: frame[:0], "no frontal image has a split and labels"),
    ],
)
def test_a_table_that_is_not_as_published_is_named(copy: Copy, kind: str, change: Callable, says: str) -> None:
    setattr(copy, kind, change(getattr(copy, kind)))
    if says.startswith("leads"):
        copy.split = copy.split.replace("a1", "../../a1")
    copy.write()
    assert says in complaint(lambda: table(copy.root, None))


def test_it_is_described(copy: Copy) -> None:
    told = describe(copy.write() and table(copy.root, copy.reports), "no partition", {})
    assert told.views == ("AP", "PA")
    assert [(row.split, row.patients, row.rows, row.both, row.views) for row in told.rows] == [
        ("train", 2, 4, 4, (2, 2)),
        ("validate", 2, 2, 2, (1, 1)),
        ("test", 3, 3, 3, (2, 1)),
        ("all", 7, 9, 9, (5, 4)),
    ]
    train, edema = told.by_split["train"], CHEXPERT_LABELS.index("Edema")
    assert (train.positive[edema], train.uncertain[edema], train.blank[edema], train.known[edema]) == (0, 1, 3, 4)
    assert told.reports[0].words == (2, 2, 2, 2, 2, 2), '"0." is a list number'
    assert told.reports[0].shared == 0
