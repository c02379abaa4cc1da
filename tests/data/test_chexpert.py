"""CheXpert is read from its published layouts and from what real copies make of them; nothing here is of CheXpert."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fedfeat.data.chexpert import table
from fedfeat.data.studies import CHEXPERT_LABELS, COLUMNS, VIEW, StudyTable
from fedfeat.description.numbers import describe
from fedfeat.errors import FedfeatError

SMALL = "CheXpert-v1.0-small"
# folder, patient, study, picture, view, value of Edema, value of Fracture
PICTURES = [
    ("train", "patient00001", 1, "view1_frontal.jpg", "Frontal", "1.0", ""),
    ("train", "patient00002", 1, "view1_frontal.jpg", "Frontal", "-1.0", "0.0"),
    ("train", "patient00002", 2, "view1_frontal.jpg", "Frontal", "", "1.0"),
    ("train", "patient00002", 2, "view2_lateral.jpg", "Lateral", "", "1.0"),
    ("train", "patient00003", 1, "view1_frontal.jpg", "Frontal", "0.0", ""),
    ("train", "patient00004", 1, "view1_lateral.jpg", "Lateral", "", ""),
    ("train", "patient00005", 3, "view2_frontal.jpg", "Frontal", "", ""),
    ("valid", "patient64541", 1, "view1_frontal.jpg", "Frontal", "0.0", "0.0"),
    ("valid", "patient64542", 1, "view1_frontal.jpg", "Frontal", "1.0", "0.0"),
    ("valid", "patient64542", 1, "view2_lateral.jpg", "Lateral", "1.0", "0.0"),
]
FRONTAL = [row for row in PICTURES if row[4] == "Frontal"]


def frame(folder: str, first: str = f"{SMALL}/") -> pd.DataFrame:
    rows = [
        {
            "Path": f"{first}{place}/{patient}/study{study}/{name}",
            "Sex": "Female",
            "Age": "68",
            "Frontal/Lateral": view,
            "AP/PA": "AP" if view == "Frontal" else "",
            **dict.fromkeys(CHEXPERT_LABELS, "" if place == "train" else "0.0"),
            "Edema": edema,
            "Fracture": fracture,
        }
        for place, patient, study, name, view, edema, fracture in PICTURES
        if place == folder
    ]
    return pd.DataFrame(rows)


def pictures(folder: Path) -> None:
    for number, (place, patient, study, name, *_) in enumerate(PICTURES):
        path = folder / place / patient / f"study{study}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30), 20 * number, dtype=np.uint8)).save(path)


def write(root: Path, first: str = f"{SMALL}/") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for folder in ("train", "valid"):
        frame(folder, first).to_csv(root / f"{folder}.csv", index=False)
    return root


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = write(tmp_path / "data" / SMALL)
    pictures(root)
    return root


def complaint(read: Callable[[], object]) -> str:
    with pytest.raises(FedfeatError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def shades(read: StudyTable) -> list[float]:
    return [round(np.asarray(read.read_image(key)).mean() / 20) for key in read.rows["image"]]


def test_frontal_pictures_are_read(copy: Path) -> None:
    read = table(copy)
    assert (read.source, read.uncertain, read.blank, read.synthetic) == ("chexpert", "zeros", "zeros", False)
    assert read.labels == CHEXPERT_LABELS and list(read.rows.columns) == [*COLUMNS, VIEW]
    assert read.views.tolist() == ["AP"] * 7
    assert read.rows["image"].tolist() == [f"{a}/{b}/study{c}/{d}" for a, b, c, d, *_ in FRONTAL]
    assert read.rows["patient"].tolist() == [row[1] for row in FRONTAL]
    assert read.rows["split"].tolist() == ["train"] * 5 + ["validate"] * 2
    assert (read.rows["report"] == "").all()
    edema = read.findings[:, CHEXPERT_LABELS.index("Edema")]
    np.testing.assert_array_equal(edema, [1, -1, np.nan, 0, np.nan, 0, 1])
    assert np.isnan(read.findings[0]).sum() == 13 and (read.findings[5] == 0).all()
    assert shades(read) == [0, 1, 2, 4, 6, 7, 8]
    assert any("2 images of train.csv left out: not frontal" in note for note in read.notes)
    assert any("no reports" in note for note in read.notes)
    assert not read.setups
    assert "no reports" in read.no_setup["homogeneous"] and "three" in read.no_setup["heterogeneous"]


def test_views_are_read_where_they_are_known(copy: Path) -> None:
    rows = frame("train")
    rows["AP/PA"] = ["PA", "ap", "", "", "LL", "", "AP"]  # the fourth and the sixth are lateral
    rows.to_csv(copy / "train.csv", index=False)
    frame("valid").drop(columns="AP/PA").to_csv(copy / "valid.csv", index=False)
    assert table(copy).views.tolist() == ["PA", "AP", "frontal", "frontal", "AP", "frontal", "frontal"]


@pytest.mark.parametrize("first", ["", "CheXpert-v1.0/", "/home/me/data/CheXpert-v1.0-small/", "./"])
def test_what_stands_before_a_path_does_not_matter(copy: Path, first: str) -> None:
    expected = table(copy)
    read = table(write(copy, first))
    assert read.rows.equals(expected.rows) and read.notes == expected.notes


def test_backslashes_are_read(copy: Path) -> None:
    expected = table(copy)
    changed = frame("train")
    changed.assign(Path=changed["Path"].str.replace("/", "\\")).to_csv(copy / "train.csv", index=False)
    assert table(copy).rows.equals(expected.rows)


def test_the_folder_that_holds_the_copy_will_do(copy: Path) -> None:
    assert table(copy.parent).rows.equals(table(copy).rows)
    assert table(copy.parent.parent).rows.equals(table(copy).rows)


def test_two_copies_are_not_chosen_from(copy: Path) -> None:
    write(copy.parent / "CheXpert-v1.0", "CheXpert-v1.0/")
    assert "several copies (CheXpert-v1.0, CheXpert-v1.0-small)" in complaint(lambda: table(copy.parent))
    assert table(copy).rows["image"].iloc[0] == "train/patient00001/study1/view1_frontal.jpg"


def test_tables_beside_the_folder_of_pictures(tmp_path: Path) -> None:
    root = write(tmp_path / "archive")
    pictures(root / SMALL)
    read = table(root)
    assert read.rows["image"].iloc[0] == f"{SMALL}/train/patient00001/study1/view1_frontal.jpg"
    assert shades(read) == [0, 1, 2, 4, 6, 7, 8]


def test_the_full_version_in_batches(tmp_path: Path) -> None:
    root = tmp_path / "chexpertchestxrays"
    tables = write(root / "CheXpert-v1.0 batch 1 (validate & csv)", "CheXpert-v1.0/")
    pictures(tmp_path / "all")
    (tmp_path / "all" / "valid").rename(tables / "valid")
    for place, patients in (("2 (train 1)", (1, 2)), ("3 (train 2)", (3, 4)), ("4 (train 3)", ())):
        batch = root / f"CheXpert-v1.0 batch {place}"
        batch.mkdir()
        for patient in patients:
            (tmp_path / "all" / "train" / f"patient0000{patient}").rename(batch / f"patient0000{patient}")
    read = table(root)
    assert shades(read) == [0, 1, 2, 4, 7, 8]
    assert "1 row left out: no batch holds the patient" in read.notes
    assert table(tables).rows.equals(read.rows)


def test_the_order_of_columns_does_not_matter(copy: Path) -> None:
    expected = table(copy)
    changed = frame("train")
    changed[[*sorted(CHEXPERT_LABELS), "AP/PA", "Frontal/Lateral", "Path"]].to_csv(copy / "train.csv", index=False)
    read = table(copy)
    assert read.rows.equals(expected.rows)
    np.testing.assert_array_equal(read.findings, expected.findings)


def test_rows_that_name_no_patient_or_repeat_are_counted(copy: Path) -> None:
    changed = frame("train")
    changed.loc[0, "Path"] = "view1_frontal.jpg"
    pd.concat([changed, changed[1:2]]).to_csv(copy / "train.csv", index=False)
    read = table(copy)
    assert len(read) == 6
    assert "1 row of train.csv left out: the Path names no patient" in read.notes
    assert "1 row of train.csv left out: the image stands there before" in read.notes


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.drop(columns="Path"), "column 'Path' is missing"),
        (lambda rows: rows.drop(columns="Pleural Other"), "column 'Pleural Other' is missing"),
        (lambda rows: rows.replace({"Edema": "-1.0"}, "2"), "row 3, column Edema: '2' is no label value"),
        (lambda rows: rows.replace("patient00003", "../..", regex=True), "leads out of the folder"),
        (lambda rows: rows.replace("patient00003", "patient64541", regex=True), "'patient64541' is in two splits"),
        (lambda rows: rows.assign(Path=rows["Path"].str[-17:]), "no Path is like CheXpert-v1.0/train/"),
    ],
)
def test_a_table_that_is_not_as_published_is_named(copy: Path, change: Callable, says: str) -> None:
    change(frame("train")).to_csv(copy / "train.csv", index=False)
    assert says in complaint(lambda: table(copy))


def test_a_wrong_folder_is_named(copy: Path, tmp_path: Path) -> None:
    assert "no train.csv here" in complaint(lambda: table(copy / "train"))
    assert "cannot be read" in complaint(lambda: table(tmp_path / "nowhere"))
    assert "is unknown" in complaint(lambda: table(copy, uncertain="maybe"))
    (copy / "train").rename(tmp_path / "gone")
    assert "no folder 'train'" in complaint(lambda: table(copy))
    (copy / "valid.csv").unlink()
    assert "valid.csv: the file cannot be read" in complaint(lambda: table(copy))


def test_it_is_described(copy: Path) -> None:
    told = describe(table(copy), "no partition", {"short": 1})
    assert [(row.split, row.patients, row.rows, row.reports, row.views) for row in told.rows] == [
        ("train", 4, 5, 0, (5,)),
        ("validate", 2, 2, 0, (2,)),
        ("test", 0, 0, 0, (0,)),
        ("all", 6, 7, 0, (7,)),
    ]
    edema = CHEXPERT_LABELS.index("Edema")
    train, every = told.by_split["train"], told.by_split["all"]
    assert (train.positive[edema], train.negative[edema], train.uncertain[edema], train.blank[edema]) == (1, 1, 1, 2)
    assert (every.ones[edema], every.known[edema]) == (2, 7), "blank and uncertain count as absent"
    assert told.edges == () and told.scored["validate"].rows == 0
