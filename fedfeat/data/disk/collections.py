"""The published collections that `fedfeat prepare` knows: to add one, write its reader and an entry here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedfeat.data import chexpert, mimic_cxr, openi
from fedfeat.data.disk.layout import Request
from fedfeat.data.studies import StudyTable

Read = Callable[[Request, float], StudyTable]


@dataclass(frozen=True)
class Collection:
    """One published collection.

    Attributes:
        read: returns its table, of a request and of the share of files that may be missing; its `read_image` is a
            `folders.Reader`.
        has_reports: whether it has any: --reports must name their place, and they are tokenised.
        options: of `fedfeat prepare`, those that are for it alone.
    """

    read: Read
    has_reports: bool
    options: tuple[str, ...] = ()


def _mimic_cxr(request: Request, missing: float) -> StudyTable:
    reports = Path(request.reports)
    return mimic_cxr.table(Path(request.images), reports, hand_labelled=request.hand_labelled, missing=missing)


def _chexpert(request: Request, missing: float) -> StudyTable:
    return chexpert.table(Path(request.images))


def _openi(request: Request, missing: float) -> StudyTable:
    labels = Path(request.labels) if request.labels else None
    return openi.table(Path(request.images), Path(request.reports), labels, missing=missing)


COLLECTIONS = {
    mimic_cxr.SOURCE: Collection(_mimic_cxr, has_reports=True, options=("--hand-labelled",)),
    chexpert.SOURCE: Collection(_chexpert, has_reports=False),
    openi.SOURCE: Collection(_openi, has_reports=True, options=("--labels",)),
}
