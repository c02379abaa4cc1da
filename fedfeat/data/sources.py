"""The data sets that a case can name, and how each is read."""

import os
from collections.abc import Callable
from dataclasses import replace
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


def _phantom(path: Path | None, uncertain: str | None, cache: Path) -> StudyTable:
    if path is not None:
        raise FedfeatError(
            f"--data {path}: the data set phantom is embedded and takes no --data; for your own use --dataset manifest"
        )
    try:
        table = phantom.load(cache / "phantom")
    except OSError as error:
        raise FedfeatError(f"{cache}: the cache cannot be written ({error.strerror}); set FEDFEAT_CACHE") from error
    return replace(table, uncertain=uncertain) if uncertain else table


def _manifest(path: Path | None, uncertain: str | None, cache: Path) -> StudyTable:
    if path is None:
        raise FedfeatError("--dataset manifest needs --data PATH, the CSV of your images and reports")
    return manifest.load(path, uncertain or "masked")


def _openi_text(path: Path | None, uncertain: str | None, cache: Path) -> StudyTable:
    if path is None:
        raise FedfeatError(
            "--dataset openi_text needs --data PATH, the reports of Open-I: the folder of XMLs, NLMCXR_reports.tgz or "
            "indiana_reports.csv"
        )
    return openi_text.table(path, uncertain or "zeros")


def _prepared(name: str, path: Path | None, uncertain: str | None, cache: Path) -> StudyTable:
    return layout.read(_folder(name, path), name, uncertain or "zeros")


def _cxr(path: Path | None, uncertain: str | None, cache: Path) -> StudyTable:
    return cxr.load(_folder(cxr.SOURCE, path), uncertain or "zeros")


def _folder(name: str, path: Path | None) -> Path:
    if path is None:
        raise FedfeatError(f"--dataset {name} needs --data PATH, the folder that `fedfeat prepare` wrote")
    return path


SOURCES: dict[str, Callable[[Path | None, str | None, Path], StudyTable]] = {
    "phantom": _phantom,
    "manifest": _manifest,
    **{name: partial(_prepared, name) for name in COLLECTIONS},
    "openi_text": _openi_text,
    cxr.SOURCE: _cxr,
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
    return SOURCES[name](path, uncertain, cache or cache_folder())


def check_name(name: str) -> None:
    """Raise FedfeatError if no data set is called `name`."""
    if name not in SOURCES:
        raise FedfeatError(f"data set {name!r} is unknown; the known ones are {', '.join(SOURCES)}")
