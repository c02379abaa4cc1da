"""CheXpert-v1.0, small or full: pictures and labels, no reports (see docs/sources.md)."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from fedfeat.data import folders
from fedfeat.data.folders import counted
from fedfeat.data.studies import CHEXPERT_LABELS, Origin, StudyTable
from fedfeat.errors import FedfeatError

SOURCE = "chexpert"
FILES = {"train": "train.csv", "validate": "valid.csv"}
# "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"; some copies drop or change what stands before
_PATH = r"^(?P<first>.*?)/?(?P<image>(?:train|valid)/(?P<patient>[^/]+)/.+)$"
_BATCH = re.compile(r"batch \d+ \(train \d+\)$")  # how the full version is handed out: train in three folders


def table(images: Path, uncertain: str = "zeros") -> StudyTable:
    """Return a row for each frontal picture. Pictures are not looked for until they are read.

    Args:
        images: the folder with train.csv and valid.csv, or the one that holds it.
        uncertain: what -1 counts as: "zeros", "ones" or "masked".

    Raises:
        FedfeatError: a file is missing, broken, or not as it was published.
    """
    folders.require_policy(uncertain)
    root = _root(images)
    notes = ["chexpert has no reports and no test split: train.csv is train, valid.csv is validate"]
    parts = [_read(root / name, split, notes) for split, name in FILES.items()]
    frame = pd.concat([part for part, _ in parts], ignore_index=True)
    findings = np.concatenate([values for _, values in parts])
    if not len(frame):
        raise FedfeatError(f"{root / 'train.csv'}: no row is a frontal image; use the file as it was published")
    folders.require_whole_patients(root / "valid.csv", frame)
    top, prefixes = _prefixes(root, frame)
    lost = prefixes.isna().to_numpy()
    if lost.any():
        notes.append(f"{counted(int(lost.sum()), 'row')} left out: no batch holds the patient")
    frame = frame.assign(image=prefixes + frame["image"], report="")[~lost]
    small = "small" in f"{root.name}/{frame['first'].iloc[0]}".lower()
    origin = Origin(SOURCE, "1.0, small" if small else "1.0", "CheXpert labeler, validation by radiologists", True)
    return folders.as_table(origin, top, frame, findings[~lost], uncertain, notes)


def _root(images: Path) -> Path:
    found = folders.holders(images, r"train\.csv", 2)
    if not found:
        raise FedfeatError(f"{images}: no train.csv here or in the folders below; name the folder of CheXpert-v1.0")
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise FedfeatError(f"{images}: holds several copies ({names}); name one of them")
    return found[0]


def _read(path: Path, split: str, notes: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the frontal rows of one CSV (patient, image, first: what stands before the image) and their findings."""
    frame = folders.read_csv(path, ("Path", "Frontal/Lateral", *CHEXPERT_LABELS), optional=("AP/PA",))
    frontal = frame["Frontal/Lateral"].str.lower() == "frontal"
    if not frontal.all():
        notes.append(f"{counted(int((~frontal).sum()), 'image')} of {path.name} left out: not frontal")
    frame = frame[frontal]
    paths = frame["Path"].str.replace("\\", "/")
    parts = paths.str.extract(_PATH)
    lost = parts["image"].isna()
    if lost.all() and len(lost):
        raise FedfeatError(
            f"{path}: no Path is like CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg "
            f"(the first is {frame['Path'].iloc[0]!r}); use the file as it was published"
        )
    if lost.any():
        notes.append(f"{counted(int(lost.sum()), 'row')} of {path.name} left out: the Path names no patient")
    folders.require_below(path, parts["image"].dropna())
    again = parts["image"].duplicated() & ~lost
    if again.any():
        notes.append(f"{counted(int(again.sum()), 'row')} of {path.name} left out: the image stands there before")
    kept = ~(lost | again)
    views = frame["AP/PA"].str.upper()
    views = views.where(views.isin(("AP", "PA")), "frontal")  # a few are "LL" or "RL", though frontal, or blank
    return parts[kept].assign(split=split, view=views[kept]), folders.label_values(path, frame[kept])


def _prefixes(root: Path, frame: pd.DataFrame) -> tuple[Path, "pd.Series[str]"]:
    """Return the folder that images are relative to, and for each row what stands before its image, NaN if unknown."""
    first = frame["first"].iloc[0].strip("/").rpartition("/")[2]
    for prefix in ("", f"{first}/"):
        if (root / prefix / "train").is_dir():
            return root, pd.Series(prefix, index=frame.index)
    batches = [folder for folder in sorted(root.parent.iterdir()) if _BATCH.search(folder.name)]
    if not batches:
        raise FedfeatError(f"{root}: no folder 'train' with the images beside train.csv; fetch it, or put it there")
    of_patient = {patient.name: f"{batch.name}/" for batch in batches for patient in batch.iterdir()}
    train = frame["split"] == "train"
    places = frame["patient"].map(of_patient).where(train, f"{root.name}/")
    # within a batch the folder "train" is left out
    frame["image"] = frame["image"].where(~train, frame["image"].str.removeprefix("train/"))
    return root.parent, places
