"""The user's own studies: a CSV of images and reports (see docs/manifest.md)."""

import hashlib
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fedfeat.data.images import grey
from fedfeat.data.studies import COLUMNS, SPLITS, Pool, Setup, StudyTable
from fedfeat.errors import FedfeatError

LABEL_PREFIX = "label:"
REQUIRED = ("patient_id", "image", "report")
TRAIN_SHARE, VALIDATE_SHARE = 0.7, 0.1  # of patients, where the manifest has no split; the rest is test
UNCERTAIN_POLICIES = ("masked", "zeros", "ones")
_VALUES = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "-1": -1.0, "-1.0": -1.0, "": np.nan}


def load(path: Path, uncertain: str = "masked") -> StudyTable:
    """Read a manifest.

    Args:
        path: the CSV; image paths are relative to its folder.
        uncertain: what the value -1 counts as: "masked", "zeros" or "ones".

    Raises:
        FedfeatError: the file, a column, a row or an image is not as docs/manifest.md says.
    """
    frame, notes = _read(path)
    labels = tuple(name.removeprefix(LABEL_PREFIX) for name in frame.columns if name.startswith(LABEL_PREFIX))
    findings = _findings(path, frame, labels)
    empty = frame.index[(frame["image"] == "") & (frame["report"] == "")]
    if len(empty):
        raise FedfeatError(f"{path}: row {empty[0] + 2} has neither image nor report; give it one of them or remove it")
    unnamed = frame.index[frame["patient_id"] == ""]
    if len(unnamed):
        raise FedfeatError(f"{path}: row {unnamed[0] + 2} has no patient_id; give it one")
    folder = path.resolve().parent
    _require_own_images(path, folder, frame)
    rows = pd.DataFrame(
        {
            "patient": frame["patient_id"],
            "image": frame["image"],
            "report": frame["report"],
            "site": frame.get("site", "manifest"),
            "split": _splits(path, frame),
        },
        columns=list(COLUMNS),
    ).reset_index(drop=True)
    first_row = dict(zip(frame["image"][::-1], frame.index[::-1], strict=True))

    def read_image(key: str) -> Image.Image:
        return _open(path, folder, first_row[key], key)

    everyone = Pool(None, None)
    return StudyTable(
        source="manifest",
        labels=labels,
        rows=rows,
        findings=findings,
        uncertain=uncertain,
        blank="masked",
        setups={"homogeneous": Setup({"image": everyone, "text": everyone, "multimodal": everyone}, None)},
        no_setup={"heterogeneous": "a manifest is one source, and the heterogeneous setup needs three"},
        read_image=read_image,
        content=_content(path, folder, frame),
        notes=notes,
    )


def split_of(patient: str) -> str:
    """Return the split of a patient by a stable hash: 70% train, 10% validate, 20% test."""
    place = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") / 2**64
    return SPLITS[0] if place < TRAIN_SHARE else SPLITS[1] if place < TRAIN_SHARE + VALIDATE_SHARE else SPLITS[2]


def _read(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FedfeatError(f"{path}: the manifest cannot be read ({error.strerror}); check --data") from error
    text, notes = _decoded(raw)
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if "\0" in header:  # UTF-16, and spreadsheets' own formats, would be said to lack a column
        raise FedfeatError(f"{path}: not a CSV in UTF-8 (its first line holds NUL bytes); save it as CSV, UTF-8")
    if not header.strip():
        raise FedfeatError(
            f"{path}: not a CSV (its first line is empty, and has to name the columns); "
            "see docs/manifest.md for the format"
        )
    separator = ";" if header.count(";") > header.count(",") else ","  # what spreadsheets of many countries write
    try:
        # without header=None pandas renames repeated columns, and takes surplus cells for an index
        cells = pd.read_csv(
            StringIO(text), sep=separator, dtype=str, keep_default_na=False, header=None, skip_blank_lines=False
        ).fillna("")
    except pd.errors.ParserError as error:
        unclosed = re.search(r"EOF inside string starting at row (\d+)", str(error))  # pandas counts from 0
        if unclosed:
            raise FedfeatError(
                f"{path}: row {int(unclosed[1]) + 1}: a quote is opened and never closed; close it, or write two"
            ) from error
        raise FedfeatError(f"{path}: not a CSV ({error}); see docs/manifest.md for the format") from error
    cells = cells.apply(lambda column: column.str.strip())
    names = cells.iloc[0].str.replace(rf"^{LABEL_PREFIX}\s+", LABEL_PREFIX, regex=True)  # or a label could stand twice
    frame = cells.iloc[1:].set_axis(names.tolist(), axis=1).reset_index(drop=True)
    frame = frame.loc[:, frame.columns != ""]  # spreadsheets leave empty columns behind
    frame = frame[(frame != "").any(axis=1)]  # the index goes on counting the lines left out
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise FedfeatError(
            f"{path}: column {missing[0]!r} is missing; it needs {', '.join(REQUIRED)} and {LABEL_PREFIX}<name>, "
            "separated by commas or semicolons"
        )
    if not any(name.startswith(LABEL_PREFIX) for name in frame.columns):
        raise FedfeatError(
            f"{path}: no label column; name each as {LABEL_PREFIX}<name>, for example {LABEL_PREFIX}Edema"
        )
    if LABEL_PREFIX in frame.columns:
        raise FedfeatError(f"{path}: the column {LABEL_PREFIX!r} names no label; name it {LABEL_PREFIX}<name>")
    for name in frame.columns:  # else a label would be ignored in silence
        if re.match(rf"{LABEL_PREFIX[:-1]}\s*:", name, re.IGNORECASE) and not name.startswith(LABEL_PREFIX):
            raise FedfeatError(f"{path}: column {name!r} is not a label as it is written; name it {LABEL_PREFIX}<name>")
    if not len(frame):
        raise FedfeatError(f"{path}: the manifest has no rows; add one row an image with its report")
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise FedfeatError(f"{path}: column {repeated[0]!r} stands twice; rename or remove one")
    again = frame.index[frame.duplicated()]
    if len(again):
        first = frame.index[(frame == frame.loc[again[0]]).all(axis=1)][0]
        raise FedfeatError(
            f"{path}: rows {first + 2} and {again[0] + 2} are the same in every column; remove one of them"
        )
    return frame, notes


def _decoded(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text, and what is to be noted about it."""
    try:
        return raw.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        note = "the manifest is not UTF-8 throughout: unreadable bytes were replaced"
        return raw.decode("utf-8-sig", errors="replace"), (note,)


def _findings(path: Path, frame: pd.DataFrame, labels: tuple[str, ...]) -> np.ndarray:
    findings = np.full((len(frame), len(labels)), np.nan, dtype=np.float32)
    for place, label in enumerate(labels):
        column = frame[LABEL_PREFIX + label]
        wrong = column.index[~column.isin(list(_VALUES))]
        if len(wrong):
            raise FedfeatError(
                f"{path}: row {wrong[0] + 2}, column {LABEL_PREFIX}{label}: {column[wrong[0]]!r} is no label value; "
                "use 1 (present), 0 (absent), -1 (uncertain) or leave it blank"
            )
        findings[:, place] = column.map(_VALUES).to_numpy(dtype=np.float32)
    return findings


def _splits(path: Path, frame: pd.DataFrame) -> "pd.Series[str]":
    if "split" not in frame:
        return frame["patient_id"].map(split_of)
    wrong = frame.index[~frame["split"].isin(SPLITS)]
    if len(wrong):
        raise FedfeatError(
            f"{path}: row {wrong[0] + 2}: split {frame['split'][wrong[0]]!r} is none of {', '.join(SPLITS)}"
        )
    torn = frame.groupby("patient_id")["split"].nunique()
    if (torn > 1).any():
        raise FedfeatError(f"{path}: patient {torn.idxmax()!r} is in two splits; keep every row of a patient in one")
    return frame["split"]


def _require_own_images(path: Path, folder: Path, frame: pd.DataFrame) -> None:
    """Raise FedfeatError if a file is the image of two patients: it could be trained on and tested."""
    first: dict[Path, int] = {}
    patients = dict(zip(frame.index, frame["patient_id"], strict=True))
    for row, key in zip(frame.index, frame["image"], strict=True):
        if not key:
            continue
        other = first.setdefault(_locate(path, folder, row, key), row)
        mine, theirs = patients[row], patients[other]
        if mine != theirs:
            raise FedfeatError(
                f"{path}: rows {other + 2} and {row + 2}: image {key!r} is of two patients, {theirs!r} and {mine!r}; "
                "give each row its own image, or both the same patient_id"
            )


def _locate(path: Path, folder: Path, row: int, key: str) -> Path:
    try:
        place = (folder / key).resolve()
        no_file = place.exists() and not place.is_file()  # reading a named pipe would wait for ever
    except (OSError, RuntimeError, ValueError) as error:  # a NUL; links in a circle (RuntimeError before Python 3.13)
        raise _unreadable(path, row, key, getattr(error, "strerror", None) or str(error)) from error
    if not place.is_relative_to(folder):
        raise FedfeatError(
            f"{path}: row {row + 2}: image {key!r} lies outside the manifest's folder; use paths below it"
        )
    if no_file:
        raise _unreadable(path, row, key, "it is no file")
    return place


def _unreadable(path: Path, row: int, key: str, reason: str) -> FedfeatError:
    return FedfeatError(
        f"{path}: row {row + 2}: image {key!r} cannot be read ({reason}); restore the file or leave the column empty"
    )


def _content(path: Path, folder: Path, frame: pd.DataFrame) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for row, key in zip(frame.index, frame["image"], strict=True):
        digest.update(f"\x1f{key}".encode())
        if key:
            try:
                digest.update(_locate(path, folder, row, key).read_bytes())
            except OSError as error:
                raise _unreadable(path, row, key, str(error.strerror)) from error
    return digest.hexdigest()


def _open(path: Path, folder: Path, row: int, key: str) -> Image.Image:
    place = _locate(path, folder, row, key)
    try:
        with Image.open(place) as picture:
            return grey(picture)
    except Exception as error:  # on damaged files decoders raise anything: struct.error, NotImplementedError, ...
        raise FedfeatError(
            f"{path}: row {row + 2}: image {key!r} cannot be decoded ({error or type(error).__name__}); "
            "replace the file or leave the column empty"
        ) from error
