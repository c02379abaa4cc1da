"""What the readers of published folders share: finding files, reading their CSVs and pictures, and the table."""

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from fedfeat.data.images import grey
from fedfeat.data.manifest import UNCERTAIN_POLICIES
from fedfeat.data.studies import CHEXPERT_LABELS, COLUMNS, VIEW, Origin, Pool, Setup, StudyTable
from fedfeat.errors import FedfeatError

_MANY = re.compile(r"[ps]\d{3,}|patient\d+|study\d+", re.IGNORECASE)  # folders of patients and studies: never searched
_CLIMBS = r"(?:^|/)\.\.(?:/|$)|^/|^[A-Za-z]:|\\|\0"


def holders(root: Path, name: str, depth: int) -> list[Path]:
    """Return the folders nearest below `root`, itself first, that hold an entry whose whole name matches; sorted.

    Args:
        root: where to begin.
        name: a regular expression.
        depth: how many levels below `root` are searched; folders of single patients are not.

    Raises:
        FedfeatError: `root` is no folder that can be read.
    """
    wanted, level = re.compile(name), [root]
    for step in range(depth + 1):
        found, below = [], []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    listed = list(entries)
            except OSError as error:
                if step:
                    continue
                raise FedfeatError(f"{root}: the folder cannot be read ({error.strerror}); check the path") from error
            if any(wanted.fullmatch(entry.name) for entry in listed):
                found.append(folder)
            below += [Path(entry.path) for entry in listed if not _MANY.fullmatch(entry.name) and entry.is_dir()]
        if found:
            return sorted(found)
        level = sorted(below)
    return []


def read_csv(
    path: Path, columns: Sequence[str], renamed: Mapping[str, str] | None = None, optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Return these columns of a CSV as stripped strings, "" where blank; gzipped or not, whatever its name says.

    Args:
        path: the file.
        columns: the columns to read; others are ignored, and their order in the file does not matter.
        renamed: other names of columns -> their name in `columns`; the first of them that the file has is taken.
        optional: columns to read as well, "" throughout where the file lacks them.

    Raises:
        FedfeatError: the file cannot be read or unpacked, is no CSV, or lacks a column.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FedfeatError(f"{path}: the file cannot be read ({error.strerror})") from error
    if raw[:2] == b"\x1f\x8b":  # browsers unpack what they fetch and keep its name
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise FedfeatError(f"{path}: the gzip is broken ({error}); fetch the file again") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # a comma too many at the end of each line
            names = pd.read_csv(
                BytesIO(raw), nrows=0, index_col=False, encoding="utf-8-sig", encoding_errors="replace"
            ).columns
            own = _renamed([str(name) for name in names], renamed or {})
            missing = [name for name in columns if name not in own.values()]
            if missing:
                raise FedfeatError(
                    f"{path}: column {missing[0]!r} is missing (it begins with {', '.join(own)[:80]!r}); "
                    "use the file as it was published"
                )
            frame = pd.read_csv(
                BytesIO(raw),
                dtype=str,
                keep_default_na=False,
                index_col=False,
                usecols=[name for name, clean in own.items() if clean in (*columns, *optional)],
                encoding="utf-8-sig",
                encoding_errors="replace",
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise FedfeatError(f"{path}: not a CSV ({error}); use the file as it was published") from error
    frame = frame.rename(columns=own)
    again = frame.columns[frame.columns.duplicated()]
    if len(again):
        raise FedfeatError(f"{path}: column {again[0]!r} stands twice; use the file as it was published")
    there = [name for name in (*columns, *optional) if name in frame]
    read = pd.DataFrame({name: frame[name].fillna("").str.strip() for name in there})
    return read.assign(**{name: "" for name in optional if name not in there})


def _renamed(names: Sequence[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Return what each column is called here; of several names for one, its own goes first."""
    own = {name: name.strip() for name in names}
    for other, name in renamed.items():
        for column, stripped in own.items():
            if stripped == other and name not in own.values():
                own[column] = name
    return own


def identifiers(column: "pd.Series[str]", prefix: str = "") -> "pd.Series[str]":
    """Return ids as strings: without the ".0" of tables that took them for floats, and without a prefix of digits."""
    return column.str.replace(r"\.0+$", "", regex=True).str.replace(rf"^(?:{prefix})(?=\d+$)", "", regex=True)


def label_values(path: Path, frame: pd.DataFrame) -> np.ndarray:
    """Return (n, 14) float32 in the order of CHEXPERT_LABELS: 1, 0, -1 or NaN, from columns of strings.

    Raises:
        FedfeatError: a value is none of them.
    """
    findings = np.full((len(frame), len(CHEXPERT_LABELS)), np.nan, dtype=np.float32)
    for place, label in enumerate(CHEXPERT_LABELS):
        values = pd.to_numeric(frame[label], errors="coerce")
        wrong = frame.index[~values.isin([1.0, 0.0, -1.0]) & (frame[label] != "")]
        if len(wrong):
            raise FedfeatError(
                f"{path}: row {wrong[0] + 2}, column {label}: {frame[label][wrong[0]]!r} is no label value; "
                "use 1 (present), 0 (absent), -1 (uncertain) or leave it blank"
            )
        findings[:, place] = values.to_numpy(dtype=np.float32)
    return findings


def require_below(path: Path, keys: "pd.Series[str]") -> None:
    """Raise FedfeatError if a key is a path that does not stay below the root. Links may lead anywhere."""
    wrong = keys[keys.str.contains(_CLIMBS)]
    if len(wrong):
        raise FedfeatError(f"{path}: {wrong.iloc[0]!r} leads out of the folder of images; use the file as published")


def require_whole_patients(path: Path, rows: pd.DataFrame) -> None:
    """Raise FedfeatError if a patient stands in two splits: it could be trained on and tested."""
    splits = rows[["patient", "split"]].drop_duplicates()
    torn = splits["patient"][splits["patient"].duplicated()]
    if len(torn):
        raise FedfeatError(f"{path}: patient {torn.iloc[0]!r} is in two splits; use the file as it was published")


def require_policy(uncertain: str) -> None:
    """Raise FedfeatError if `uncertain` names no way to count uncertain labels."""
    if uncertain not in UNCERTAIN_POLICIES:
        raise FedfeatError(f"uncertain {uncertain!r} is unknown; the known ones are {', '.join(UNCERTAIN_POLICIES)}")


class BrokenPicture(FedfeatError):
    """A picture is missing, or its file is none."""


@dataclass(frozen=True)
class Reader:
    """Reads a picture by its path below `root`; a class, so that other processes can be handed one."""

    root: Path

    def __call__(self, key: str) -> Image.Image:
        """Return the picture as 8-bit grey.

        Raises:
            BrokenPicture: it is missing, or no picture can be made of the file.
            FedfeatError: the disk or the memory refuses, which says nothing of the picture.
        """
        place = self.root / key
        if re.search(_CLIMBS, key) or PurePosixPath(key).is_absolute():
            raise FedfeatError(f"{self.root}: image {key!r} leads out of the folder; use a key of the table")
        if not place.is_file():  # reading a named pipe would wait for ever
            raise BrokenPicture(f"{place}: no such image; fetch it, or leave its row out")
        try:
            with Image.open(place) as picture:
                return grey(picture)
        except Exception as error:  # on damaged files decoders raise anything
            if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:  # Pillow's own have none
                reason = getattr(error, "strerror", None) or "out of memory"
                raise FedfeatError(f"{place}: cannot be read ({reason}); mend that and try again") from error
            raise BrokenPicture(
                f"{place}: the image cannot be decoded ({error or type(error).__name__}); fetch the file again"
            ) from error


def require_most(place: Path, what: str, missing: int, of: int, allowed: float) -> None:
    """Raise FedfeatError if more than this share of files is missing: a copy is not whole, or the folder is wrong."""
    if missing > allowed * of:
        raise FedfeatError(
            f"{place}: {missing:,} of {of:,} {what} are missing, more than {allowed:.1%}; fetch them, or allow more "
            "with --broken-share"
        )


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return "1 study", "2,000 studies"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def as_table(
    origin: Origin, root: Path, rows: pd.DataFrame, findings: np.ndarray, uncertain: str, notes: Sequence[str]
) -> StudyTable:
    """Return the table of one published collection, whose pictures are read when asked for.

    Args:
        origin: its name is also the site of every row.
        root: what the rows' `image` is relative to.
        rows: n rows with patient, image, report and split, and view if it is known.
        findings: (n, 14) float32.
        uncertain: what -1 counts as.
        notes: what was left out, and how labels came about.
    """
    columns = [*COLUMNS, *([VIEW] if VIEW in rows else [])]
    rows = rows.assign(site=origin.name)[columns].reset_index(drop=True)
    return collection(origin, rows, findings, uncertain, notes, Reader(root))


def collection(
    origin: Origin,
    rows: pd.DataFrame,
    findings: np.ndarray,
    uncertain: str,
    notes: Sequence[str],
    read_image: Callable[[str], Image.Image],
) -> StudyTable:
    """Return the table of one published collection: blank is absent; one setup, if it has reports."""
    everyone = Pool(None, None)
    setups = {"homogeneous": Setup({"image": everyone, "text": everyone, "multimodal": everyone}, None)}
    no_setup = {"heterogeneous": f"{origin.name} is one source, and the heterogeneous setup needs three"}
    if not (rows["report"] != "").any():
        no_setup["homogeneous"] = f"{origin.name} has no reports here, so that nothing could be scored"
        setups = {}
    return StudyTable(
        source=origin.name,
        labels=CHEXPERT_LABELS,
        rows=rows,
        findings=findings,
        uncertain=uncertain,
        blank="zeros",
        setups=setups,
        no_setup=no_setup,
        read_image=read_image,
        notes=tuple(notes),
        origins=(origin,),
    )
