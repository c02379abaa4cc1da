"""The paper's own data (section 3.1): MIMIC-CXR, CheXpert and Open-I, as `fedfeat prepare` made them, in one table."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fedfeat.data import chexpert, mimic_cxr, openi
from fedfeat.data.disk import layout
from fedfeat.data.folders import counted
from fedfeat.data.studies import CHEXPERT_LABELS, Pictures, Pool, Setup, Stored, StudyTable
from fedfeat.errors import FedfeatError

SOURCE = "cxr"
SITES = (mimic_cxr.SOURCE, chexpert.SOURCE, openi.SOURCE)
CLIENTS, IMAGE_CLIENTS, MULTIMODAL_CLIENTS = 10, 8, 2  # in every column, and in the heterogeneous one
HOMOGENEOUS_PATIENTS = 810  # a client; all of MIMIC-CXR
IMAGE_PATIENTS, MULTIMODAL_PATIENTS = 900, 1116  # a client of CheXpert and of Open-I in the heterogeneous setup
PUBLIC_PATIENTS = 1012  # of MIMIC-CXR: one and a quarter clients, as in the lab's splits


def load(place: Path, uncertain: str = "zeros") -> StudyTable:
    """Return the rows of all three collections; validation and test are MIMIC-CXR's.

    CheXpert's training rows and all of Open-I, which has no official split, are for training. Patients are named after
    their collection, so that none of two is taken for one.

    Args:
        place: the folder that holds the three prepared ones.
        uncertain: what -1 counts as.

    Raises:
        FedfeatError: one of the three is not there, not whole, or prepared otherwise than the others.
    """
    if (place / layout.ABOUT).is_file():
        raise FedfeatError(f"{place}: one prepared collection; name the folder that holds all three, {place.parent}")
    tables = [layout.read(place, site, uncertain) for site in SITES]
    rows = pd.concat([table.rows for table in tables], ignore_index=True)
    rows.loc[rows["site"] == openi.SOURCE, "split"] = "train"
    for column, between in (("patient", "-"), ("image", "/")):
        rows[column] = rows["site"] + between + rows[column]
    setups, notes = _setups(rows)
    return StudyTable(
        source=SOURCE,
        labels=CHEXPERT_LABELS,
        rows=rows,
        findings=np.concatenate([table.findings for table in tables]),
        uncertain=uncertain,
        blank="zeros",
        setups=setups,
        no_setup={},
        read_image=SiteReader({table.source: table for table in tables}),
        notes=(*notes, *_notes(tables)),
        origins=tuple(origin for table in tables for origin in table.origins),
        stored=_together(place, tables),
    )


def _notes(tables: Sequence[StudyTable]) -> list[str]:
    """Return the tables' notes but that on Open-I's splits, which here is not true: all of it is for training."""
    return [f"{one.source}: {note}" for one in tables for note in one.notes if note != openi.SPLITS_NOTE]


def _setups(rows: pd.DataFrame) -> tuple[dict[str, Setup], list[str]]:
    """Return the paper's setups; where a copy has too few patients for their sizes, equal shares and a note."""
    training = rows[rows["split"] == "train"].groupby("site")["patient"].nunique()
    notes = []

    def pool(site: str, clients: int, patients: int, beside: int = 0) -> Pool:
        there, needed = int(training.get(site, 0)), clients * patients + beside
        if there >= needed:
            return Pool(site, patients)
        notes.append(
            f"NOT the paper's sizes: {site} has {counted(there, 'training patient')} here, and {clients} clients of "
            f"{patients} need {needed:,} with the public ones; its clients share equally"
        )
        return Pool(site, None)

    everyone = pool(mimic_cxr.SOURCE, CLIENTS, HOMOGENEOUS_PATIENTS, PUBLIC_PATIENTS)
    public = PUBLIC_PATIENTS if everyone.patients else None
    heterogeneous = {
        "image": pool(chexpert.SOURCE, IMAGE_CLIENTS, IMAGE_PATIENTS),
        "multimodal": pool(openi.SOURCE, MULTIMODAL_CLIENTS, MULTIMODAL_PATIENTS),
    }
    setups = {
        "homogeneous": Setup(dict.fromkeys(("image", "text", "multimodal"), everyone), mimic_cxr.SOURCE, None, public),
        "heterogeneous": Setup(heterogeneous, mimic_cxr.SOURCE, (f"{IMAGE_CLIENTS}:0:{MULTIMODAL_CLIENTS}",), public),
    }
    return setups, notes


def _together(place: Path, tables: Sequence[StudyTable]) -> Stored:
    """Return pictures and tokens of all rows; raise FedfeatError if they were not prepared alike."""
    stored = [table.stored for table in tables if table.stored is not None]
    sizes = {table.source: one.size for table, one in zip(tables, stored, strict=True)}
    if len(set(sizes.values())) > 1:
        raise FedfeatError(f"{place}: prepared at several sizes ({sizes}, in pixels); prepare all with one --preset")
    pictures = Pictures.together([one.pictures for one in stored])
    checksum = hashlib.blake2b("".join(one.checksum for one in stored).encode(), digest_size=16).hexdigest()
    made = {(one.vocabulary, one.tokens.shape[1]) for one in stored if one.tokens is not None}
    if len(made) != 1:  # they are made anew, which takes a minute
        return Stored(pictures, stored[0].size, None, "", checksum)
    ((vocabulary, length),) = made
    none = [np.zeros((len(table), length), np.int32) for table in tables]
    tokens = [one.tokens if one.tokens is not None else zeros for one, zeros in zip(stored, none, strict=True)]
    return Stored(pictures, stored[0].size, np.concatenate(tokens), vocabulary, checksum)


@dataclass(frozen=True)
class SiteReader:
    """Reads a picture by the name of its collection and its name there."""

    tables: Mapping[str, StudyTable]

    def __call__(self, key: str) -> Image.Image:
        site, _, name = key.partition("/")
        if site not in self.tables:
            raise FedfeatError(f"no image {key!r} was prepared; use a key of the table")
        return self.tables[site].read_image(name)
