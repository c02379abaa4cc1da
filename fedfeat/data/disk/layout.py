"""The folder of a prepared collection: its files, how they are checked, and the table of studies read from them."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fedfeat.data import folders
from fedfeat.data.studies import CHEXPERT_LABELS, Origin, Pictures, Stored, StudyTable
from fedfeat.errors import FedfeatError

FORMAT = 1  # raise it when the layout changes, or what `images.square`, `reports.clean` or `radiology` return
ABOUT = "source.json"  # written last
ROWS, FINDINGS, IMAGES, TOKENS, LEFT_OUT = "rows.csv", "findings.npy", "images.npy", "tokens.npy", "left-out.csv"
UNFINISHED = ".part"  # what the folder's name ends with until it is whole
PLACE = "place"  # the column of rows.csv that says which picture of images.npy is the row's


@dataclass(frozen=True)
class Request:
    """What was asked for: a second call with the same is done, or goes on.

    A new field has a default that says what was done before it, or `FORMAT` rises: older folders do not have it.

    Attributes:
        source: a name of `collections.COLLECTIONS`.
        images, reports, labels: the user's folders and file, as absolute paths; empty: none.
        hand_labelled: the test split is that of the studies labelled by hand.
        size: of a picture, in pixels.
        length: of a report, in tokens; 0 without reports.
        vocabulary: `reports.fingerprint` of the tokenizer; empty without reports.
    """

    source: str
    images: str
    reports: str
    labels: str
    hand_labelled: bool
    size: int
    length: int
    vocabulary: str

    def differs(self, other: "Request") -> str:
        """Return the first thing that differs, in words, the own value first; "" if nothing does."""
        if self.vocabulary != other.vocabulary:
            return "another vocabulary (--preset, --text-weights, --from-scratch)"
        for name in (entry.name for entry in fields(self)):
            mine, theirs = (_in_words(getattr(one, name)) for one in (self, other))
            if mine != theirs:
                return f"{name.replace('_', '-')} {mine}, not {theirs}"
        return ""


def _in_words(value: object) -> str:
    match value:
        case "":
            return "none"
        case True:
            return "yes"
        case False:
            return "no"
    return str(value)


@dataclass(frozen=True)
class About:
    """What `source.json` says.

    Attributes:
        request: what was asked for.
        origin: for records; its checksum is of the other files.
        notes: of the reading.
        broken: pictures that were left out.
        files: name -> (bytes, hash) of each file that is read.
        made_with: versions of the libraries that decoded.
        format: `FORMAT` of the code that wrote it.
    """

    request: Request
    origin: Origin
    notes: tuple[str, ...]
    broken: int
    files: dict[str, tuple[int, str]]
    made_with: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def folder_of(place: Path, source: str) -> Path:
    """Return the folder of a source: `place` itself if it was prepared for one, or the one in it of the source's name.

    Raises:
        FedfeatError: it is not there, not finished, or of another version.
    """
    folder, part = place / source, place / (source + UNFINISHED)
    if (place / ABOUT).is_file() or (place.name == source and not folder.is_dir() and not part.is_dir()):
        folder = place
    again = f"fedfeat prepare {source} {folder.parent}"
    if not (folder / ABOUT).is_file():
        if folder.with_name(folder.name + UNFINISHED).is_dir():
            raise FedfeatError(f"{folder}: only half prepared; give the same `{again}` again: it goes on where it was")
        if any((folder / name).is_file() for name in (FINDINGS, IMAGES)):
            raise FedfeatError(f"{folder}: no {ABOUT} in it, so it is not whole; remove it and call `{again}`")
        if folder.is_dir():  # perhaps what was published, of which there may be no other copy
            raise FedfeatError(f"{folder}: not a folder that `fedfeat prepare` wrote; name another one")
        raise FedfeatError(f"{place}: no prepared {source} here; call `{again}` first")
    about = about_of(folder)
    if about.request.source != source:
        raise FedfeatError(f"{folder}: holds {about.request.source}, not {source}; name the folder of {source}")
    return folder


def about_of(folder: Path) -> About:
    """Return what is written of a prepared folder.

    Raises:
        FedfeatError: another version prepared it, or the file is damaged.
    """
    path = folder / ABOUT
    remove = f"remove the folder {folder} and call `fedfeat prepare` again"
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        form = read["format"]
    except OSError as error:
        raise FedfeatError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FedfeatError(f"{path}: damaged; {remove}") from error
    if form != FORMAT:
        raise FedfeatError(
            f"{path}: prepared by another version of fedfeat (format {form}, this one reads {FORMAT}); {remove}"
        )
    try:
        return About(
            request=Request(**read["request"]),
            origin=Origin(**read["origin"]),
            notes=tuple(read["notes"]),
            broken=int(read["broken"]),
            files={name: (int(size), str(digest)) for name, (size, digest) in read["files"].items()},
            made_with=read["made_with"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FedfeatError(f"{path}: damaged; {remove}") from error


def require_whole(folder: Path, about: About, pictures: bool = False) -> None:
    """Raise FedfeatError if a file is missing or not as it was written.

    Args:
        folder: the prepared folder.
        about: what it says of itself.
        pictures: hash the pictures too, which takes as long as reading them; otherwise only their size is looked at.
    """
    for name, (size, digest) in about.files.items():
        path = folder / name
        try:
            wrong = path.stat().st_size != size
            if not wrong and (pictures or name != IMAGES):
                wrong = checksum(path) != digest
        except OSError as error:
            raise FedfeatError(f"{path}: cannot be read ({error.strerror}); prepare the folder again") from error
        if wrong:
            raise FedfeatError(
                f"{path}: has changed since it was prepared; remove the folder {folder} and prepare again"
            )


def checksum(path: Path) -> str:
    """Return a hash of a file, 32 hexadecimal digits; memory does not grow with the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16)).hexdigest()


def read(place: Path, source: str, uncertain: str = "zeros") -> StudyTable:
    """Return the table of a prepared collection; its pictures stay on the disk.

    Args:
        place: the folder given to `fedfeat prepare`, or that of the source in it.
        source: a name of `collections.COLLECTIONS`.
        uncertain: what -1 counts as.

    Raises:
        FedfeatError: the folder is not there, not whole, or of another version.
    """
    folder = folder_of(place, source)
    about = about_of(folder)
    require_whole(folder, about)
    rows = pd.read_csv(folder / ROWS, dtype=str, keep_default_na=False)
    places = rows.pop(PLACE).to_numpy(dtype=np.int64)
    tokens = np.load(folder / TOKENS, mmap_mode="r", allow_pickle=False) if TOKENS in about.files else None
    findings: np.ndarray = np.load(folder / FINDINGS, allow_pickle=False)
    if findings.shape != (len(rows), len(CHEXPERT_LABELS)) or (tokens is not None and len(tokens) != len(rows)):
        raise FedfeatError(f"{folder}: its tables are of different lengths; remove it and prepare it again")
    pictures = Pictures.of(np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False), places)
    read_image = StoredReader(pictures, rows["image"])
    table = folders.collection(about.origin, rows, findings, uncertain, about.notes, read_image)
    request, digest = about.request, about.origin.checksum
    return replace(table, stored=Stored(pictures, request.size, tokens, request.vocabulary, digest))


@dataclass(frozen=True, eq=False)
class StoredReader:
    """Reads a prepared picture by its name in the rows' column `image`."""

    pictures: Pictures
    names: "pd.Series[str]"

    def __call__(self, key: str) -> Image.Image:
        """Return the picture; raise FedfeatError if there is none."""
        found = np.flatnonzero((self.names == key).to_numpy())[:1]
        if not len(found):
            raise FedfeatError(f"no image {key!r} was prepared; use a key of the table")
        return Image.fromarray(self.pictures[found][0])
