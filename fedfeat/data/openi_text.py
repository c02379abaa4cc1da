"""The real reports of NIH Open-I, each with a phantom picture drawn from its MeSH terms (docs/sources.md).

Half synthetic: what the terms tell of a report is drawn, so that methods meet radiologists' prose without any image.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fedfeat.data import folders, indexed, mesh, openi
from fedfeat.data.folders import counted
from fedfeat.data.manifest import split_of
from fedfeat.data.openi import Report, read_reports
from fedfeat.data.phantom import SEED
from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.sites import BENCHMARK
from fedfeat.data.phantom.store import cache_key
from fedfeat.data.studies import COLUMNS, Origin, StudyTable
from fedfeat.errors import FedfeatError

SOURCE = "openi_text"


def table(reports: Path, uncertain: str = "zeros") -> StudyTable:
    """Return a row for each report that has text and terms; its picture is drawn when it is read.

    Args:
        reports: the folder of XMLs, NLMCXR_reports.tgz, indiana_reports.csv, or a folder that holds one of them.
        uncertain: what -1 counts as: "zeros", "ones" or "masked".

    Raises:
        FedfeatError: a file is missing, broken, or not as it was published.
    """
    folders.require_policy(uncertain)
    notes: list[str] = []
    found = read_reports(reports, notes)
    kept = _kept(found, notes)
    if not kept:
        raise FedfeatError(f"{reports}: no report has both text and MeSH terms; use the files as they were published")
    notes += [
        "half synthetic: the reports are real, the images are drawn from their MeSH terms (docs/sources.md)",
        "labels by Open-I's MeSH terms (docs/sources.md), not by a labeler of reports",
        "Open-I names no patients: a study counts as one",
        openi.SPLITS_NOTE,
    ]
    rows = pd.DataFrame(
        [(report.uid, report.uid, report.text, split_of(report.uid)) for report in kept],
        columns=["patient", "image", "report", "split"],
    )
    findings = np.array([mesh.values(report.terms) for report in kept], dtype=np.float32)
    terms = {report.uid: report.terms for report in kept}

    def read_image(key: str) -> Image.Image:
        if key not in terms:
            raise FedfeatError(f"{SOURCE}: no image {key!r}; its keys stand in the table's image column")
        return Image.fromarray(draw(SEED, indexed.study(SEED, int(key), terms[key])))

    rows = rows.assign(site=SOURCE)[list(COLUMNS)]
    origin = Origin(openi.SOURCE, "", "MeSH terms")
    table = folders.collection(replace(origin, name=SOURCE), rows, findings, uncertain, notes, read_image)
    return replace(table, synthetic=True, real_reports=True, content=_content(kept), origins=(origin,))


def _kept(found: Sequence[Report], notes: list[str]) -> list[Report]:
    """Return the reports with text and terms; note how many others there are."""
    labelled = [report for report in found if mesh.values(report.terms) is not None]
    kept = [report for report in labelled if report.text]
    for number, why in (
        (len(found) - len(labelled), "no MeSH terms (No Indexing)"),
        (len(labelled) - len(kept), "neither findings nor impression"),
    ):
        if number:
            notes.append(f"{counted(number, 'report')} left out: {why}")
    return kept


def _content(kept: Sequence[Report]) -> str:
    """Return a hash of the reports and of all source that makes pictures of them."""
    digest = hashlib.blake2b(cache_key(SEED, BENCHMARK).encode(), digest_size=16)
    for name in ("indexed.py", "mesh.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    for report in kept:
        digest.update("\x1f".join((report.uid, report.text, *report.terms)).encode() + b"\x1e")
    return digest.hexdigest()
