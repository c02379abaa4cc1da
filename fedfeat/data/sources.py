"""The data sets that a case can name, and how each is read."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from platformdirs import user_cache_dir

from fedfeat.data import cxr, manifest, openi_text, phantom
from fedfeat.data.disk import layout
from fedfeat.data.disk.collections import COLLECTIONS
from fedfeat.data.studies import StudyTable
from fedfeat.errors import FedfeatError


def cache_folder() -> Path:
    """Return where decoded pictures and the embedded studies are kept: FEDFEAT_CACHE, or the user's cache folder."""
    return Path(os.environ.get("FEDFEAT_CACHE") or user_cache_dir("fedfeat"))


@dataclass(frozen=True)
class Source:
    """How a data set is read.

    Attributes:
        read: returns its table, of the place where it lies and of what uncertain labels count as.
        data: what the user's path is, in words; empty: there is none, the data set is embedded, and its place is a
            folder of the cache.
        uncertain: what uncertain labels count as unless the user says otherwise.
    """

    read: Callable[[Path, str], StudyTable]
    data: str = ""
    uncertain: str = "zeros"


def _phantom(place: Path, uncertain: str) -> StudyTable:
    try:
        return replace(phantom.load(place), uncertain=uncertain)
    except OSError as error:
        raise FedfeatError(
            f"{place.parent}: the cache cannot be written ({error.strerror}); set FEDFEAT_CACHE"
        ) from error


def _prepared(name: str, place: Path, uncertain: str) -> StudyTable:
    return layout.read(place, name, uncertain)


_PREPARED = "the folder that `fedfeat prepare` wrote"
SOURCES = {
    "phantom": Source(_phantom),
    "manifest": Source(manifest.load, "the CSV of your images and reports", "masked"),
    **{name: Source(partial(_prepared, name), _PREPARED) for name in COLLECTIONS},
    "openi_text": Source(
        openi_text.table, "the reports of Open-I: the folder of XMLs, NLMCXR_reports.tgz or indiana_reports.csv"
    ),
    cxr.SOURCE: Source(cxr.load, _PREPARED),
}


def load(name: str, path: Path | None = None, uncertain: str | None = None, cache: Path | None = None) -> StudyTable:
    """Return the table of studies of a data set.

    Args:
        name: one of `SOURCES`.
        path: the user's data, for the sources that have any.
        uncertain: what uncertain labels count as ("masked", "zeros", "ones"); None: as the source has it.
        cache: where to keep what is made once; None: `cache_folder()`.

    Raises:
        FedfeatError: an unknown name, or data that are not as the source's documentation says.
    """
    check_name(name)
    if uncertain is not None and uncertain not in manifest.UNCERTAIN_POLICIES:
        raise FedfeatError(
            f"--uncertain {uncertain}: unknown; the known ones are {', '.join(manifest.UNCERTAIN_POLICIES)}"
        )
    source = SOURCES[name]
    if source.data and path is None:
        raise FedfeatError(f"--dataset {name} needs --data PATH, {source.data}")
    if path is not None and not source.data:
        raise FedfeatError(
            f"--data {path}: the data set {name} is embedded and takes no --data; for your own use --dataset manifest"
        )
    return source.read(path or (cache or cache_folder()) / name, uncertain or source.uncertain)


def check_name(name: str) -> None:
    """Raise FedfeatError if no data set is called `name`."""
    if name not in SOURCES:
        raise FedfeatError(f"data set {name!r} is unknown; the known ones are {', '.join(SOURCES)}")
