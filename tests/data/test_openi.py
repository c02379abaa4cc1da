"""Open-I is read from the official files and from the Kaggle copy; the fixtures' reports are made up."""

import hashlib
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fedfeat.data import mesh, openi
from fedfeat.data.manifest import split_of
from fedfeat.data.openi import table
from fedfeat.data.studies import CHEXPERT_LABELS, COLUMNS, VIEW, StudyTable
from fedfeat.description.numbers import describe
from fedfeat.errors import FedfeatError

# uid: findings, impression, terms, images (name without the official prefix, view)
STUDIES = {
    "1": ("Clear XXXX lungs.", "Normal.", ["normal"], (("1_IM-0001-3001", "Lateral"), ("1_IM-0001-4001", "Frontal"))),
    "2": ("Large heart.", "", ["Cardiomegaly/borderline", "Pulmonary Edema"], (("2_IM-0652-1001", "Frontal"),)),
    "10": (
        "",
        "Effusion & opacity.",
        ["Pleural Effusion/small", "Opacity/lung/base"],
        (("10_IM-0002-1001", "Frontal"),),
    ),
    "11": ("Line.", "", ["Catheters, Indwelling"], (("11_IM-0067-1001", "Frontal"), ("11_IM-0067-1002", "Frontal"))),
    "12": ("Lost.", "", ["normal"], ()),
    "13": ("", "", ["Fractures, Bone/ribs"], (("13_IM-0198-1001", "Frontal"),)),
    "14": ("Never indexed.", "", ["No Indexing"], (("14_IM-0256-1001", "Frontal"),)),
    "15": ("Side alone.", "", ["normal"], (("15_IM-0326-2001", "Lateral"),)),
    "16": ("No file.", "", ["normal"], (("16_IM-0400-1001", "Frontal"),)),
    "17": ("No view.", "", ["normal"], (("17_IM-0450-1001", None),)),
    "1000": ("Nodule.", "", ["Nodule/lung/hilum"], (("1000_IM-0003-1001", "Frontal"),)),
}
PICTURES = [name for *_, pictures in STUDIES.values() for name, _ in pictures if not name.startswith("16_")]
KEPT = ["1_IM-0001-4001", "2_IM-0652-1001", "10_IM-0002-1001", "11_IM-0067-1001", "11_IM-0067-1002", "13_IM-0198-1001"]
KEPT = [*KEPT, "1000_IM-0003-1001"]


def official(name: str) -> str:
    return f"CXR1_{name}.png" if name.startswith("1_") else f"CXR{name}.png"


def kaggle(name: str) -> str:
    return f"{name}.dcm.png"


def xml(uid: str) -> str:
    findings, impression, terms, pictures = STUDIES[uid]
    sections = {"COMPARISON": "None.", "INDICATION": "Cough.", "FINDINGS": findings, "IMPRESSION": impression}
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation><uId id="CXR{uid}"/><MedlineCitation><Article><Abstract>'
        + "".join(f'<AbstractText Label="{name}">{escape(text)}</AbstractText>' for name, text in sections.items())
        + "</Abstract></Article></MedlineCitation><MeSH>"
        + "".join(f"<major>{term}</major>" for term in terms)
        + "<automatic>edema</automatic></MeSH>"
        + "".join(f'<parentImage id="{official(name)[:-4]}"/>' for name, _ in pictures)
        + "</eCitation>\n"
    )


def write_views(folder: Path, named: Callable[[str], str] = kaggle) -> None:
    rows = [
        (uid, named(name), view)
        for uid, (*_, pictures) in STUDIES.items()
        for name, view in pictures
        if view is not None
    ]
    pd.DataFrame(rows, columns=["uid", "filename", "projection"]).to_csv(
        folder / "indiana_projections.csv", index=False
    )


def write_kaggle_reports(folder: Path) -> Path:
    rows = [
        (uid, ";".join(terms), "", "", "Cough.", "None.", findings, impression)
        for uid, (findings, impression, terms, pictures) in STUDIES.items()
        if pictures  # as in the Kaggle copy
    ]
    columns = ["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "indiana_reports.csv", index=False)
    return folder / "indiana_reports.csv"


def write_pictures(folder: Path, named: Callable[[str], str]) -> Path:
    folder.mkdir(parents=True)
    for number, name in enumerate(PICTURES):
        Image.fromarray(np.full((20, 30), 20 * number, dtype=np.uint8)).save(folder / named(name))
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "openi" / "NLMCXR_png", official)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "openi" / "ecgen-radiology"
    folder.mkdir(parents=True)
    for uid in STUDIES:
        (folder / f"{uid}.xml").write_text(xml(uid), encoding="utf-8")
    write_views(folder.parent)
    return folder


def names(read: StudyTable) -> list[str]:
    return [re.sub(r".*?(\d+_IM-[\d-]+).*", r"\1", key) for key in read.rows["image"]]


def complaint(read: Callable[[], object]) -> str:
    with pytest.raises(FedfeatError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def positive(read: StudyTable) -> list[set[str]]:
    return [{label for label, value in zip(CHEXPERT_LABELS, row, strict=True) if value == 1} for row in read.findings]


def test_frontal_pictures_with_reports_and_terms_are_read(images: Path, reports: Path) -> None:
    read = table(images, reports)
    assert names(read) == KEPT
    assert (read.source, read.uncertain, read.blank, read.synthetic) == ("openi", "zeros", "zeros", False)
    assert read.labels == CHEXPERT_LABELS and list(read.rows.columns) == [*COLUMNS, VIEW]
    assert read.views.tolist() == ["frontal"] * 7
    assert read.rows["patient"].tolist() == ["1", "2", "10", "11", "11", "13", "1000"]
    texts = ["Clear lungs. Normal.", "Large heart.", "Effusion & opacity.", "Line.", "Line.", "", "Nodule."]
    assert read.rows["report"].tolist() == texts
    assert read.rows["split"].tolist() == [split_of(uid) for uid in read.rows["patient"]]
    assert positive(read) == [
        {"No Finding"},
        {"Edema"},
        {"Pleural Effusion", "Lung Opacity"},
        {"Support Devices"},
        {"Support Devices"},
        {"Fracture"},
        {"Lung Lesion"},
    ]
    assert np.argwhere(read.findings == -1).tolist() == [[1, CHEXPERT_LABELS.index("Cardiomegaly")]]
    assert np.asarray(read.read_image(read.rows["image"][1])).mean() == 40
    assert read.notes == (
        "1 image left out: the view is not in indiana_projections.csv",
        "2 images left out: not frontal",
        "1 frontal image left out: the file is not there",
        "4 reports left out: no frontal image",
        "labels by Open-I's MeSH terms (docs/sources.md), not by a labeler of reports",
        "1 study with frontal images left out: no MeSH terms (No Indexing)",
        "1 study without findings and impression: kept without a report",
        "Open-I names no patients: a study counts as one",
        openi.SPLITS_NOTE,
    )
    assert set(read.setups) == {"homogeneous"} and "three" in read.no_setup["heterogeneous"]


def test_the_kaggle_copy_reads_alike(images: Path, reports: Path, tmp_path: Path) -> None:
    first = table(images, reports)
    root = tmp_path / "kaggle"
    write_pictures(root / "images" / "images_normalized", kaggle)
    write_views(root)
    csv = write_kaggle_reports(root)
    for read in (table(root, root), table(root / "images", csv), table(root / "images" / "images_normalized", root)):
        assert names(read) == names(first)
        columns = ["patient", "report", "site", "split"]
        assert read.rows[columns].equals(first.rows[columns])
        np.testing.assert_array_equal(read.findings, first.findings)
        np.testing.assert_array_equal(*(np.asarray(each.read_image(each.rows["image"][4])) for each in (read, first)))


def test_an_archive_of_reports_and_folders_that_hold_them(images: Path, reports: Path, tmp_path: Path) -> None:
    first = table(images, reports)
    archive = tmp_path / "NLMCXR_reports.tgz"
    with tarfile.open(archive, "w:gz") as writer:
        writer.add(reports, "ecgen-radiology")
    official_names = tmp_path / "official"
    official_names.mkdir()
    write_views(official_names, official)
    held = tmp_path / "held"
    held.mkdir()
    archive.rename(held / "NLMCXR_reports.tgz")
    for place in (held, held / "NLMCXR_reports.tgz", reports.parent, tmp_path):
        read = table(images, place)
        assert read.rows.equals(first.rows) and read.notes == first.notes
    (reports.parent / "indiana_projections.csv").rename(images / "indiana_projections.csv")
    assert table(images, held).rows.equals(first.rows)
    (images / "indiana_projections.csv").unlink()
    assert "no indiana_projections.csv here" in complaint(lambda: table(images, held))
    (official_names / "indiana_projections.csv").rename(held / "indiana_projections.csv")
    assert table(images, held / "NLMCXR_reports.tgz").rows.equals(first.rows), "views under official names"


@pytest.mark.parametrize("column", ["uid", "study_id"])
@pytest.mark.parametrize("written", ["{}", "CXR{}", "{}.0"])
def test_labels_of_the_users_own_file(images: Path, reports: Path, tmp_path: Path, column: str, written: str) -> None:
    uids = ["1000", "1", "14", "10", "99"]
    frame = pd.DataFrame("", index=range(5), columns=sorted(CHEXPERT_LABELS))
    frame["Edema"] = ["1", "0", "-1", "", "1.0"]
    frame.insert(0, column, [written.format(uid) for uid in uids])
    frame.insert(0, "id", range(5))  # of another meaning, as tables have it
    path = tmp_path / "labels.csv"
    frame.to_csv(path, index=False)
    read = table(images, reports, path, uncertain="masked")
    assert read.rows["patient"].tolist() == ["1", "10", "14", "1000"] and read.uncertain == "masked"
    np.testing.assert_array_equal(read.findings[:, CHEXPERT_LABELS.index("Edema")], [0, np.nan, -1, 1])
    assert np.isnan(read.findings).sum() == 4 * 13 + 1
    assert "1 row of the file of labels left out: no such report" in read.notes
    by_content = f"a file of the user's ({hashlib.blake2b(path.read_bytes(), digest_size=4).hexdigest()})"
    assert f"labels from {by_content}" in read.notes and read.origins[0].labels == by_content
    assert "3 studies with frontal images left out: no row in the file of labels" in read.notes
    assert not any("MeSH" in note for note in read.notes)
    frame.assign(**{column: "1"}).to_csv(path, index=False)
    assert "row 3: study '1' stands twice" in complaint(lambda: table(images, reports, path))
    frame.drop(columns="Edema").to_csv(path, index=False)
    assert "labels.csv: column 'Edema' is missing" in complaint(lambda: table(images, reports, path))
    frame.drop(columns=[column, "id"]).to_csv(path, index=False)
    assert "labels.csv: column 'uid' is missing" in complaint(lambda: table(images, reports, path))


def test_broken_xmls_are_counted_unless_all_are(images: Path, reports: Path) -> None:
    (reports / "2.xml").write_text(xml("2")[:-30], encoding="utf-8")
    (reports / "10.xml").write_text("<other/>", encoding="utf-8")
    (reports / "notes.xml").write_text("not a report", encoding="utf-8")
    read = table(images, reports)
    assert read.rows["patient"].tolist() == ["1", "11", "11", "13", "1000"]
    assert read.notes[0] == "2 XMLs left out: no report can be read from it"
    assert "2 frontal images left out: no report file" in read.notes
    for path in reports.iterdir():
        path.write_text("<eCitation>", encoding="utf-8")
    assert "none of its 11 XMLs is a report" in complaint(lambda: table(images, reports))


def test_odd_files_and_second_reports_are_counted(images: Path, reports: Path) -> None:
    (images / "again").mkdir()
    (images / "again" / kaggle("2_IM-0652-1001")).write_bytes(b"")
    (images / "picture.png").write_bytes(b"")
    (reports / "999.xml").write_text(xml("1").replace("Normal.", "Other."), encoding="utf-8")
    read = table(images, reports)
    assert names(read) == KEPT and read.rows["image"][1] == official("2_IM-0652-1001")
    assert read.rows["report"][0] == "Clear lungs. Normal."
    assert "1 file left out: not the name of an image of Open-I" in read.notes
    assert "1 file left out: the image is there under another path" in read.notes
    assert "1 report left out: the study has another before" in read.notes


def test_kaggle_rows_without_a_number_are_counted(images: Path, reports: Path, tmp_path: Path) -> None:
    path = write_kaggle_reports(tmp_path)
    frame = pd.read_csv(path, dtype=str)
    frame.assign(uid=frame["uid"].where(frame["uid"] != "2", "two") + ".0").to_csv(path, index=False)
    write_views(tmp_path)
    read = table(images, path)
    assert read.rows["patient"].tolist() == ["1", "10", "11", "11", "13", "1000"]
    assert read.notes[0] == "1 row of indiana_reports.csv left out: the uid is no number"


def test_what_is_wrong_is_named_in_one_line(images: Path, reports: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no <number>.xml, NLMCXR_reports.tgz or indiana_reports.csv" in complaint(lambda: table(images, empty))
    assert "cannot be read" in complaint(lambda: table(images, tmp_path / "nowhere"))
    assert "no such folder" in complaint(lambda: table(tmp_path / "nowhere", reports))
    assert "no PNG or JPEG" in complaint(lambda: table(empty, reports))
    (empty / "picture.png").write_bytes(b"")
    assert "no image is called like CXR1000_IM-0003-1001.png" in complaint(lambda: table(empty, reports))
    assert "'maybe' is unknown" in complaint(lambda: table(images, reports, uncertain="maybe"))
    archive = tmp_path / "NLMCXR_reports.tgz"
    with tarfile.open(archive, "w:gz") as writer:
        writer.add(reports, "ecgen-radiology")
    whole = archive.read_bytes()
    for broken in (whole[: len(whole) // 2], b"<html>", b""):
        archive.write_bytes(broken)
        message = complaint(lambda: table(images, archive))
        assert "NLMCXR_reports.tgz: the archive is broken" in message
    (tmp_path / "reports.pdf").write_bytes(b"%PDF")
    assert "neither NLMCXR_reports.tgz nor" in complaint(lambda: table(images, tmp_path / "reports.pdf"))
    csv = write_kaggle_reports(tmp_path)
    pd.read_csv(csv).drop(columns="MeSH").to_csv(csv, index=False)
    assert "indiana_reports.csv: column 'MeSH' is missing" in complaint(lambda: table(images, csv))
    for path in reports.glob("*"):
        if path.stem != "14":
            path.unlink()
    assert "no frontal image belongs to a report with labels" in complaint(lambda: table(images, reports))


@pytest.mark.parametrize(
    ("terms", "labels"),
    [
        (["normal"], {"No Finding": 1}),
        (["normal", "Pneumonia/right"], {"Pneumonia": 1}),
        (["Scoliosis/thoracic vertebrae"], {}),
        (["Cardiomegaly/borderline"], {"Cardiomegaly": -1}),
        (["Cardiomegaly/borderline", "Cardiac Shadow/enlarged"], {"Cardiomegaly": 1}),
        (["Cardiac Shadow/enlarged/mild", "Cardiomegaly/borderline"], {"Cardiomegaly": 1}),
        (["Cardiac Shadow/obscured"], {}),
        (["Mediastinum/prominent", "Mediastinum/lymph nodes"], {"Enlarged Cardiomediastinum": 1}),
        (["Opacity/breast/left"], {}),
        (["OPACITY/ Lung /base"], {"Lung Opacity": 1}),
        (["Calcified Granuloma/mediastinum"], {}),
        (["Calcified Granuloma/lung/multiple"], {"Lung Lesion": 1}),
        (["Hydropneumothorax"], {"Pneumothorax": 1, "Pleural Effusion": 1}),
        (["Thickening/pleura/apex", "Thickening/bronchi"], {"Pleural Other": 1}),
        (["Surgical Instruments/abdomen"], {}),
        (["No Indexing"], None),
        ([""], None),
        ([], None),
    ],
)
def test_terms_to_labels(terms: list[str], labels: dict[str, float] | None) -> None:
    found = mesh.values(terms)
    if labels is None:
        assert found is None
    else:
        assert found is not None
        assert dict(zip(CHEXPERT_LABELS, found.tolist(), strict=True)) == dict.fromkeys(CHEXPERT_LABELS, 0) | labels


def test_every_label_has_a_rule() -> None:
    assert {rule.label for rule in mesh.RULES} == set(CHEXPERT_LABELS)


def test_the_page_shows_the_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| ([A-Z][A-Za-z ]+) \| `(.+?)` \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    lung = "a part of the lung"
    assert shown == [
        (
            rule.label,
            rule.heading,
            lung if rule.one_of == mesh.LUNG else ", ".join(rule.one_of) or "any or none",
            rule.uncertain or "never",
        )
        for rule in mesh.RULES
    ]
    assert f"{lung}: {', '.join(mesh.LUNG)}." in " ".join(page.split())


@pytest.fixture
def real(shared_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The real reports, and empty files by the names of all images: half of them official, half of them Kaggle's."""
    folder = shared_data / "openi"
    views = pd.read_csv(folder / "indiana_projections.csv", dtype=str)
    for number, name in enumerate(views["filename"].str.removesuffix(".dcm.png")):
        (tmp_path / (official(name) if number % 2 else kaggle(name))).touch()
    return tmp_path, folder


def test_the_real_reports(real: tuple[Path, Path]) -> None:
    images, folder = real
    with tarfile.open(folder / "NLMCXR_reports.tgz") as archive:
        contents = [archive.extractfile(member).read().decode() for member in archive if member.isfile()]  # type: ignore[union-attr]
    assert len(contents) == 3955
    ids = {name for text in contents for name in re.findall(r'<parentImage id="(.+?)"', text)}
    views = pd.read_csv(folder / "indiana_projections.csv", dtype=str)
    assert len(views) == 7466 and {official(name)[:-4] for name in views["filename"].str[:-8]} <= ids
    every = images / "labels.csv"
    uids = [re.search(r'<uId id="(.+?)"', text)[1] for text in contents]  # type: ignore[index]
    pd.DataFrame("", index=pd.Index(uids, name="uid"), columns=list(CHEXPERT_LABELS)).to_csv(every)
    read = table(images, folder, every)  # labels for all, so that none is left out for want of terms
    assert len(read) == (views["projection"] == "Frontal").sum() == 3818
    assert not any("row of labels.csv" in note for note in read.notes), "all 3,955 reports are known"
    assert "3,648 images left out: not frontal" in read.notes
    assert "23 studies without findings and impression: kept without a report" in read.notes
    assert read.rows["patient"].nunique() == 3689
    assert not read.rows["report"].str.contains("XXXX|<BR>").any()


def test_all_real_reports_with_text_are_found(shared_data: Path) -> None:
    notes: list[str] = []
    found = openi.read_reports(shared_data / "openi" / "NLMCXR_reports.tgz", notes)
    assert (len(found), sum(bool(report.text) for report in found), notes) == (3955, 3927, [])


def test_both_real_copies_of_the_reports_agree(real: tuple[Path, Path]) -> None:
    images, folder = real
    official_copy = table(images, folder / "NLMCXR_reports.tgz")
    kaggle_copy = table(images, folder / "indiana_reports.csv")
    assert official_copy.rows.equals(kaggle_copy.rows)
    np.testing.assert_array_equal(official_copy.findings, kaggle_copy.findings)


def test_terms_of_the_real_studies_agree_with_their_text(real: tuple[Path, Path]) -> None:
    images, folder = real
    read = table(images, folder)
    text = read.rows["report"].str.lower()
    said = {"Atelectasis": "atelecta", "Pleural Effusion": "effusion|fluid", "Pneumothorax": "pneumothora"}
    said |= {"Fracture": "fracture", "Cardiomegaly": "cardiomegaly|enlarge|heart|cardiac", "Pneumonia": "pneumonia"}
    for label, words in said.items():
        true = read.findings[:, CHEXPERT_LABELS.index(label)] == 1
        assert text[true].str.contains(words).mean() > 0.8 and text[true & (text != "")].size > 20, label
    normal = read.findings[:, 0] == 1
    assert (read.findings[normal, 1:] == 0).all() and normal.mean() > 0.3


def test_it_is_described(images: Path, reports: Path) -> None:
    told = describe(table(images, reports), "no partition", {})
    every = told.of("all")
    assert (every.patients, every.rows, every.images, every.reports, every.both) == (6, 7, 7, 6, 6)
    assert (told.views, every.views) == (("frontal",), (7,))
    devices, heart = (CHEXPERT_LABELS.index(name) for name in ("Support Devices", "Cardiomegaly"))
    labels = told.by_split["all"]
    assert (labels.positive[devices], labels.uncertain[heart], labels.negative[heart]) == (2, 1, 6)
    assert told.reports[-1].words == (1, 1, 1.5, 2, 2.75, 3), "1, 1, 1, 2, 2 and 3 words"
