"""MIMIC-CXR: the pictures and labels of MIMIC-CXR-JPG, the reports of MIMIC-CXR (see docs/sources.md)."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from fedfeat.data import folders
from fedfeat.data.folders import counted
from fedfeat.data.radiology import sections
from fedfeat.data.studies import CHEXPERT_LABELS, SPLITS, Origin, StudyTable
from fedfeat.errors import FedfeatError

SOURCE = "mimic_cxr"
FRONTAL = ("AP", "PA")
RELEASES = ("2.0.0", "2.1.0")
RENAMED = {"Airspace Opacity": "Lung Opacity"}  # as the hand-labelled set has it
_DEPTH = 4  # physionet.org/files/mimic-cxr-jpg/2.1.0, as wget leaves it
_TEN = r"p\d\d"  # the ten folders of patients


def table(
    images: Path,
    reports: Path | None,
    uncertain: str = "zeros",
    hand_labelled: bool = False,
    missing: float = 1.0,
) -> StudyTable:
    """Return a row for each frontal picture whose study has labels. Pictures are not looked for until they are read.

    Args:
        images: the folder of MIMIC-CXR-JPG 2.0.0 or 2.1.0, or one that holds it.
        reports: the folder of MIMIC-CXR with files/p10/..., or one that holds it; None: no row has a report.
        uncertain: what -1 counts as: "zeros", "ones" or "masked".
        missing: which share of the studies may lack their report's file, 0 to 1.
        hand_labelled: take the test studies that 2.1.0 has labels of radiologists for, with these, and no others.

    Raises:
        FedfeatError: a file is missing, broken, or not as it was published.
    """
    folders.require_policy(uncertain)
    root, others = _root(images)
    release = _release(root)
    # no folder's name: notes are published
    notes = (
        [f"read from release {release}; {counted(len(others), 'other copy', 'other copies')} beside it"]
        if others
        else []
    )
    split_file, label_file = _file(root, "split"), _file(root, "chexpert")
    frame = _pictures(_file(root, "metadata"), notes).merge(_splits(split_file, notes), on="dicom_id", how="left")
    without = frame["split"].isna()
    if without.any():
        notes.append(f"{counted(int(without.sum()), 'frontal image')} left out: not in the split file")
    frame = frame[~without]
    labels, findings = _labels(label_file, notes)
    frame = frame.merge(labels, on=["subject_id", "study_id"], how="left")
    unlabelled = frame["place"].isna()
    if unlabelled.any():
        studies = frame.loc[unlabelled, "study_id"].nunique()
        notes.append(f"{counted(studies, 'study', 'studies')} with frontal images left out: no labels")
    stray = int((~labels["place"].isin(frame["place"])).sum())
    if stray:
        notes.append(f"{counted(stray, 'labelled study', 'labelled studies')} without a frontal image")
    frame = frame[~unlabelled].reset_index(drop=True)
    values = findings[frame["place"].to_numpy(dtype=int)]
    if hand_labelled:
        frame, values = _by_hand(_hand_file([root, *others, root.parent]), frame, values, notes)
    if not len(frame):
        raise FedfeatError(
            f"{root}: no frontal image has a split and labels; metadata, split and chexpert CSVs must be of one release"
        )
    study = "p" + frame["subject_id"].str[:2] + "/p" + frame["subject_id"] + "/s" + frame["study_id"]
    rows = pd.DataFrame(
        {
            "patient": frame["subject_id"],
            "image": _prefix(root) + study + "/" + frame["dicom_id"] + ".jpg",
            "report": "",
            "split": frame["split"],
            "view": frame["view"],
        }
    )
    folders.require_below(root, rows["image"])
    folders.require_whole_patients(split_file, rows)
    if reports is not None:
        rows["report"] = study.map(_texts(reports, study.unique().tolist(), notes, missing))
    by = "CheXpert labeler, test by radiologists" if hand_labelled else "CheXpert labeler"
    return folders.as_table(Origin(SOURCE, release, by, True), root, rows, values, uncertain, notes)


def _root(images: Path) -> tuple[Path, list[Path]]:
    """Return the newest release with pictures, and the other ones found beside it."""
    name = r"mimic-cxr-[\d.]+-metadata\.csv(?:\.gz)?"
    found = folders.holders(images, name, _DEPTH) or folders.holders(images.resolve().parent, name, 0)
    if not found:
        raise FedfeatError(
            f"{images}: no mimic-cxr-2.0.0-metadata.csv.gz here or in the folders below; "
            "name the folder of MIMIC-CXR-JPG"
        )
    best = max(found, key=lambda folder: ((folder / "files").is_dir(), _version(folder.name), folder.name))
    return best, [folder for folder in found if folder != best]


def _version(name: str) -> tuple[int, ...]:
    found = re.search(r"\d+(?:\.\d+)+", name)
    return tuple(map(int, found[0].split("."))) if found else ()


def _release(root: Path) -> str:
    """Return the release: by its folder's name, or by its tables, of which 2.1.0 keeps 2.0.0's and adds one."""
    found = {release for release in RELEASES for path in root.glob("mimic-cxr-*") if release in path.name}
    return root.name if root.name in RELEASES else max(found, default="")


def _file(root: Path, kind: str) -> Path:
    """Return the CSV of the newest release in the folder; as published, so packed, where both forms are there."""
    found = [*root.glob(f"mimic-cxr-*-{kind}.csv"), *root.glob(f"mimic-cxr-*-{kind}.csv.gz")]
    if not found:
        raise FedfeatError(f"{root}: no mimic-cxr-2.0.0-{kind}.csv.gz here; fetch it from MIMIC-CXR-JPG")
    return max(found, key=lambda path: (_version(path.name), path.suffix == ".gz"))


def _hand_file(places: list[Path]) -> Path:
    for place in places:
        found = sorted(place.glob("mimic-cxr-*-test-set-labeled.csv*"))
        if found:
            return found[-1]
    raise FedfeatError(
        f"{places[0]}: no mimic-cxr-2.1.0-test-set-labeled.csv here; fetch it from MIMIC-CXR-JPG 2.1.0, "
        "or do without the hand-labelled test set"
    )


def _prefix(root: Path) -> str:
    """Return where the ten folders of patients lie below the root."""
    if (root / "files").is_dir():
        return "files/"
    if any(root.glob("p1[0-9]")):  # copies that dropped the folder
        return ""
    raise FedfeatError(f"{root}: no folder 'files' with the images here; fetch them, or name the folder that holds it")


def _unique(frame: pd.DataFrame, path: Path, keys: list[str], notes: list[str]) -> pd.DataFrame:
    """Return the frame without rows that lack a key or repeat one; ids that match nothing are counted later."""
    empty = (frame[keys] == "").any(axis=1)
    again = frame.duplicated(keys) & ~empty
    for rows, why in ((empty, "without an id"), (again, "that repeat an id")):
        if rows.any():
            notes.append(f"{counted(int(rows.sum()), 'row')} {why} left out of {path.name}")
    return frame[~(empty | again)]


def _pictures(path: Path, notes: list[str]) -> pd.DataFrame:
    frame = folders.read_csv(path, ("dicom_id", "subject_id", "study_id", "ViewPosition"))
    frame["subject_id"] = folders.identifiers(frame["subject_id"], "p")
    frame["study_id"] = folders.identifiers(frame["study_id"], "s")
    frame["dicom_id"] = frame["dicom_id"].str.removesuffix(".jpg")
    frame = _unique(frame, path, ["dicom_id"], notes)
    lost = (frame["subject_id"] == "") | (frame["study_id"] == "")
    frame["view"] = frame["ViewPosition"].str.upper()
    frontal = frame["view"].isin(FRONTAL)
    if lost.any():
        notes.append(f"{counted(int(lost.sum()), 'image')} left out: no patient or study in {path.name}")
    if not frontal.all():
        notes.append(f"{counted(int((~frontal).sum()), 'image')} left out: the view is not AP or PA")
    return frame.loc[frontal & ~lost, ["dicom_id", "subject_id", "study_id", "view"]]


def _splits(path: Path, notes: list[str]) -> pd.DataFrame:
    frame = _unique(folders.read_csv(path, ("dicom_id", "split")), path, ["dicom_id"], notes)
    wrong = frame.index[~frame["split"].isin(SPLITS)]
    if len(wrong):
        raise FedfeatError(
            f"{path}: row {wrong[0] + 2}: split {frame['split'][wrong[0]]!r} is none of {', '.join(SPLITS)}; "
            "use the file as it was published"
        )
    return frame.assign(dicom_id=frame["dicom_id"].str.removesuffix(".jpg"))


def _labels(path: Path, notes: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the labelled studies, `place` being their row in the (n, 14) findings."""
    frame = folders.read_csv(path, ("subject_id", "study_id", *CHEXPERT_LABELS), RENAMED)
    findings = folders.label_values(path, frame)
    ids = pd.DataFrame(
        {
            "subject_id": folders.identifiers(frame["subject_id"], "p"),
            "study_id": folders.identifiers(frame["study_id"], "s"),
            "place": np.arange(len(frame)),
        }
    )
    return _unique(ids, path, ["subject_id", "study_id"], notes), findings


def _by_hand(
    path: Path, frame: pd.DataFrame, findings: np.ndarray, notes: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows with the test split of the hand-labelled studies alone, under their labels."""
    hand = folders.read_csv(path, ("study_id", *CHEXPERT_LABELS), RENAMED)
    values = folders.label_values(path, hand)
    ids = pd.DataFrame({"study_id": folders.identifiers(hand["study_id"], "s"), "hand": np.arange(len(hand))})
    place = frame.merge(_unique(ids, path, ["study_id"], notes), on="study_id", how="left")["hand"]
    test, labelled = (frame["split"] == "test").to_numpy(), place.notna().to_numpy()
    known, chosen = frame["study_id"][labelled & test].nunique(), labelled & test
    findings = findings.copy()
    findings[chosen] = values[place[chosen].to_numpy(dtype=int)]
    left = frame["study_id"][test & ~labelled].nunique()
    notes.append(
        f"test: the {counted(known, 'study', 'studies')} labelled by hand in {path.name} (of {len(hand):,} there); "
        f"{counted(left, 'other test study', 'other test studies')} left out"
    )
    kept = ~test | labelled
    return frame[kept].reset_index(drop=True), findings[kept]


def _texts(reports: Path, studies: list[str], notes: list[str], allowed: float) -> dict[str, str]:
    """Return the report of each study ("p10/p10000032/s50414267"), "" where there is none."""
    bases = folders.holders(reports, _TEN, _DEPTH) or folders.holders(reports.resolve().parent, _TEN, 0)
    if not bases:
        raise FedfeatError(
            f"{reports}: no folder p10 to p19 here or in the folders below; name the folder of MIMIC-CXR's reports "
            "(unpack mimic-cxr-reports.zip)"
        )
    texts, missing, unnamed, silent = {}, 0, 0, 0
    for study in studies:
        raw = _read(bases, study)
        if raw is None:
            missing += 1
            texts[study] = ""
            continue
        found = sections(raw.decode("utf-8", errors="replace"))
        unnamed += bool(found.rest)
        silent += not found.text
        texts[study] = found.text
    if missing == len(studies):
        raise FedfeatError(f"{reports}: no report of a study was found; looked for {bases[0] / studies[0]}.txt")
    folders.require_most(reports, "studies' reports", missing, len(studies), allowed)
    if missing:
        notes.append(f"{counted(missing, 'study', 'studies')} without a report file: kept without a report")
    if unnamed:
        notes.append(f"{counted(unnamed, 'report')} without headings of findings or impression: read as a whole")
    if silent:
        notes.append(f"{counted(silent, 'report')} left out: nothing said of the image")
    return texts


def _read(bases: list[Path], study: str) -> bytes | None:
    for base in bases:
        try:
            return (base / f"{study}.txt").read_bytes()
        except (OSError, ValueError):
            continue
    return None
