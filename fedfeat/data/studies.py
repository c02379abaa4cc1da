"""The table of studies that every source returns.

A row is one frontal image with its study's report and labels; a study with two frontal images is two rows. Partitions,
splits and bootstraps go by patient, everything else by row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

CHEXPERT_LABELS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
COLUMNS = ("patient", "image", "report", "site", "split")
VIEW = "view"  # a further column that a source may have: no run depends on it
SPLITS = ("train", "validate", "test")
UNCERTAIN = -1.0  # in `StudyTable.findings`; NaN there is blank: not mentioned


@dataclass(frozen=True)
class Pool:
    """Where the clients of one kind find their patients.

    Attributes:
        site: the site whose training patients the clients share, or None for all sites.
        patients: patients a client, or None for an equal share of the pool.
    """

    site: str | None
    patients: int | None


@dataclass(frozen=True)
class Setup:
    """One of the paper's experimental setups (section 3.1) on a source.

    Attributes:
        pools: for each kind of client ("image", "text", "multimodal") that the setup has, its pool.
        evaluation_site: the site of the validation, test and public studies, or None for all sites.
        partitions: the `I:T:M` it is defined for, or None for any.
        public_patients: patients set aside as public, or None for about one and a quarter clients' equal share.
    """

    pools: Mapping[str, Pool]
    evaluation_site: str | None
    partitions: tuple[str, ...] | None = None
    public_patients: int | None = None


@dataclass(frozen=True)
class Origin:
    """A published collection that studies come from, as records name it.

    Attributes:
        name: of the reader, such as "mimic_cxr".
        version: as it was published, such as "2.1.0"; empty: unknown.
        labels: where the labels come from.
        credentialed: whether its terms forbid to pass on anything about a single study: then no file with a value a row
            is published.
        checksum: of what `fedfeat prepare` made of it; empty: it was read directly.
    """

    name: str
    version: str
    labels: str
    credentialed: bool = False
    checksum: str = ""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Decoded pictures in one or more files, behind one row number.

    Attributes:
        files: (m, S, S) uint8 each, memory-mapped.
        file: (n,) which of them holds the row.
        place: (n,) where in it.
    """

    files: tuple[np.ndarray, ...]
    file: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, file: np.ndarray, place: np.ndarray) -> "Pictures":
        """Gather from one file."""
        return cls((file,), np.zeros(len(place), dtype=np.int64), place)

    @classmethod
    def together(cls, parts: Sequence["Pictures"]) -> "Pictures":
        """Put the rows of several behind each other."""
        before = np.cumsum([0, *(len(part.files) for part in parts)])
        numbers = [part.file + first for part, first in zip(parts, before, strict=False)]
        files = tuple(file for part in parts for file in part.files)
        return cls(files, np.concatenate(numbers), np.concatenate([part.place for part in parts]))

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Return (k, S, S) uint8 of k rows."""
        found = np.empty((len(rows), *self.files[0].shape[1:]), dtype=np.uint8)
        for number, file in enumerate(self.files):
            mine = self.file[rows] == number
            found[mine] = file[self.place[rows[mine]]]
        return found


@dataclass(frozen=True)
class Stored:
    """What `fedfeat prepare` has made of a table's n rows.

    Attributes:
        pictures: of the rows.
        size: S, in pixels.
        tokens: (n, T) int32 token ids, padded; None: none were made.
        vocabulary: `reports.fingerprint` of the tokenizer that made them.
        checksum: of the files that all this was read from.
    """

    pictures: Pictures
    size: int
    tokens: np.ndarray | None
    vocabulary: str
    checksum: str


@dataclass(frozen=True)
class StudyTable:
    """What a source returns.

    Attributes:
        source: the source's name, as records and boards show it.
        labels: the L label names, in the order of `findings`.
        rows: n rows with the string columns `COLUMNS`; an empty `image` or `report` means that the row has none;
            `split` is one of `SPLITS`. A source that knows views has the column `VIEW` as well: "AP", "PA", "frontal"
            where it is one of the two, "" where it is not known.
        findings: (n, L) float32: 1 present, 0 absent, `UNCERTAIN`, NaN blank.
        uncertain: what an uncertain value counts as: "zeros", "ones" or "masked".
        blank: what a blank value counts as: "zeros" or "masked".
        setups: the setups that can be run on the source, by name; why another cannot stands in `no_setup`.
        no_setup: setup name -> why it cannot be run on this source.
        read_image: takes an `image` entry and returns the picture; raises FedfeatError if it cannot be read.
        synthetic: True if the studies, or their images, are not real; then every board says so.
        real_reports: True if the reports of synthetic studies are real: then every board calls them half synthetic.
        content: hash of everything read, pictures included: decoded pictures are cached under it; empty: not cached.
        notes: what a reader of a result should know about the reading (one line each).
        origins: the published collections that the studies come from; none for others.
        stored: pictures and tokens that were prepared; None: pictures are read one by one.
    """

    source: str
    labels: tuple[str, ...]
    rows: pd.DataFrame
    findings: np.ndarray
    uncertain: str
    blank: str
    setups: Mapping[str, Setup]
    no_setup: Mapping[str, str]
    read_image: Callable[[str], Image.Image]
    synthetic: bool = False
    real_reports: bool = False
    content: str = ""
    notes: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    stored: Stored | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def views(self) -> "pd.Series[str]":
        """The view of each row, "" where it is not known."""
        if VIEW not in self.rows:
            return pd.Series("", index=self.rows.index, dtype=str)
        return self.rows[VIEW].fillna("")  # tables joined of several sources have none where one lacks the column
