"""NIH Open-I, the chest radiographs of Indiana University: the official files or the Kaggle copy (docs/sources.md)."""

import hashlib
import os
import re
import tarfile
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fedfeat.data import folders, mesh
from fedfeat.data.folders import counted
from fedfeat.data.manifest import split_of
from fedfeat.data.radiology import tidy
from fedfeat.data.studies import CHEXPERT_LABELS, Origin, StudyTable
from fedfeat.errors import FedfeatError

SOURCE = "openi"
SPLITS_NOTE = "Open-I has no official splits: they are by a hash of a study's number (70/10/20)"
VIEWS = "indiana_projections.csv"
REPORTS = "indiana_reports.csv"
IDENTIFIERS = ("uid", "study_id", "study", "uId", "id")  # what a file of labels may call its column of studies
_XML = r"(?:CXR)?\d+\.xml"
_ARCHIVE = r"NLMCXR_reports\.(?:tgz|tar\.gz)"
_DEPTH = 3
# official CXR1000_IM-0003-1001.png (uid 1: CXR1_1_IM-...) is Kaggle's 1000_IM-0003-1001.dcm.png
_IMAGE = r"(?P<name>(?P<uid>\d+)_IM-[\d-]+)(?:\.dcm)?(?:\.png|\.jpe?g)?$"


@dataclass(frozen=True)
class Report:
    """One report: its study's number as a string, findings and impression as one line, and its MeSH terms."""

    uid: str
    text: str
    terms: tuple[str, ...]


def table(
    images: Path, reports: Path, labels: Path | None = None, uncertain: str = "zeros", missing: float = 1.0
) -> StudyTable:
    """Return a row for each frontal picture that is there and whose study has a report file and labels.

    Args:
        images: the folder of pictures under their official or Kaggle names, or one that holds it.
        reports: the folder of XMLs, NLMCXR_reports.tgz, indiana_reports.csv, or a folder that holds one of them.
        labels: a CSV with a column uid (or study_id) and the 14 labels; None: by the MeSH terms (`mesh.RULES`).
        uncertain: what -1 counts as: "zeros", "ones" or "masked".
        missing: which share of the frontal images may lack their file, 0 to 1.

    Raises:
        FedfeatError: a file is missing, broken, or not as it was published.
    """
    folders.require_policy(uncertain)
    notes: list[str] = []
    found = read_reports(reports, notes)
    views = _views(images, reports)
    frame = _frontal(images, views, {report.uid for report in found}, notes, missing)
    texts = {report.uid: report.text for report in found}
    of_study = _by_file(labels, texts, notes) if labels else _by_terms(found, notes)
    unlabelled = ~frame["patient"].isin(list(of_study))
    if unlabelled.any():
        studies = frame.loc[unlabelled, "patient"].nunique()
        why = "no row in the file of labels" if labels else "no MeSH terms (No Indexing)"
        notes.append(f"{counted(studies, 'study', 'studies')} with frontal images left out: {why}")
    frame = frame[~unlabelled].reset_index(drop=True)
    if not len(frame):
        raise FedfeatError(f"{images}: no frontal image belongs to a report with labels; check images and reports")
    frame["report"] = frame["patient"].map(texts)
    frame["view"] = "frontal"  # AP or PA is in none of its files
    frame["split"] = frame["patient"].map({uid: split_of(uid) for uid in frame["patient"].unique()})
    silent = frame["patient"][frame["report"] == ""].nunique()
    if silent:
        notes.append(f"{counted(silent, 'study', 'studies')} without findings and impression: kept without a report")
    notes += ["Open-I names no patients: a study counts as one", SPLITS_NOTE]
    findings = np.stack([of_study[uid] for uid in frame["patient"]])
    by = _of_the_user(labels) if labels else "MeSH terms"
    return folders.as_table(Origin(SOURCE, "", by), images, frame, findings, uncertain, notes)


def read_reports(place: Path, notes: list[str]) -> list[Report]:
    """Return the reports, one a study, by number.

    Args:
        place: as `reports` of `table`.
        notes: gets a line for each kind of report that is left out.

    Raises:
        FedfeatError: nothing here is a report, or a file is broken.
    """
    source = _place_of_reports(place)
    if source.suffix == ".csv":
        reports = list(_of_kaggle(source, notes))
    else:
        reports, broken = [], 0
        for name, raw in _archived(source) if source.is_file() else _files(source):
            report = _parsed(name, raw)
            if report is None:
                broken += 1
            else:
                reports.append(report)
        if broken and not reports:
            raise FedfeatError(f"{source}: none of its {broken} XMLs is a report of Open-I; fetch NLMCXR_reports.tgz")
        if broken:
            notes.append(f"{counted(broken, 'XML')} left out: no report can be read from it")
    if not reports:
        raise FedfeatError(f"{source}: no report here; name the folder of Open-I's XMLs, or NLMCXR_reports.tgz")
    first: dict[str, Report] = {}
    for report in reports:
        first.setdefault(report.uid, report)
    if len(first) < len(reports):
        notes.append(f"{counted(len(reports) - len(first), 'report')} left out: the study has another before")
    return sorted(first.values(), key=lambda report: (len(report.uid), report.uid))


def _place_of_reports(place: Path) -> Path:
    """Return a folder of XMLs, an archive of them, or Kaggle's CSV; the official ones first."""
    if place.is_file():
        if place.suffix == ".csv" or tarfile.is_tarfile(place) or place.suffix in (".tgz", ".gz"):
            return place
        raise FedfeatError(f"{place}: neither NLMCXR_reports.tgz nor {REPORTS}; name one of them or a folder of XMLs")
    xmls = folders.holders(place, _XML, _DEPTH)
    if xmls:
        return xmls[0]
    for name in (_ARCHIVE, re.escape(REPORTS)):
        for folder in folders.holders(place, name, _DEPTH)[:1]:
            return next(entry for entry in sorted(folder.iterdir()) if re.fullmatch(name, entry.name))
    raise FedfeatError(
        f"{place}: no <number>.xml, NLMCXR_reports.tgz or {REPORTS} here or in the folders below; "
        "name the folder of Open-I's reports"
    )


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()):
        if re.fullmatch(_XML, path.name):
            try:
                yield path.name, path.read_bytes()
            except OSError as error:
                raise FedfeatError(f"{path}: the file cannot be read ({error.strerror})") from error


def _archived(archive: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(archive) as members:
            for member in members:  # nothing is unpacked, so that no name can lead anywhere
                name = member.name.rpartition("/")[2]
                content = members.extractfile(member) if member.isfile() and re.fullmatch(_XML, name) else None
                if content is not None:
                    yield name, content.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise FedfeatError(f"{archive}: the archive is broken ({error}); fetch it again") from error


def _parsed(name: str, raw: bytes) -> Report | None:
    """Return the report in an XML; None if it cannot be parsed or is of something else."""
    try:
        tree = ET.fromstring(raw)
    except (ET.ParseError, ValueError, LookupError):  # the latter two: an encoding that is wrong or unknown
        return None
    node = tree.find("uId")
    uid = _number("" if node is None else node.get("id", "")) or _number(name.partition(".")[0])
    texts = {node.get("Label", "").upper(): "".join(node.itertext()) for node in tree.iter("AbstractText")}
    if not uid or not texts:
        return None
    terms = tuple(node.text or "" for node in tree.findall("MeSH/major"))
    return Report(uid, tidy(f"{texts.get('FINDINGS', '')} {texts.get('IMPRESSION', '')}"), terms)


def _of_kaggle(path: Path, notes: list[str]) -> Iterator[Report]:
    frame = folders.read_csv(path, ("uid", "MeSH", "findings", "impression"))
    uids = frame["uid"].map(_number)
    if (uids == "").any():
        notes.append(f"{counted(int((uids == '').sum()), 'row')} of {path.name} left out: the uid is no number")
    for uid, terms, findings, impression in zip(
        uids, frame["MeSH"], frame["findings"], frame["impression"], strict=True
    ):
        if uid:
            yield Report(uid, tidy(f"{findings} {impression}"), tuple(terms.split(";")))


def _number(uid: str) -> str:
    """Return "1" for "CXR1", "1" and "1.0"; "" for what is no number of a study."""
    found = re.fullmatch(r"(?:CXR)?0*(\d+)(?:\.0+)?", uid.strip(), re.IGNORECASE)
    return found[1] if found else ""


def _views(images: Path, reports: Path) -> "pd.Series[str]":
    """Return the view ("frontal", "lateral") of each image by its name without prefix and ending."""
    own = [place if place.is_dir() else place.parent for place in (images, reports)]
    found = [folder for place in own for folder in folders.holders(place, re.escape(VIEWS), 1)]
    found += [place.resolve().parent for place in own if (place.resolve().parent / VIEWS).is_file()]
    if not found:
        raise FedfeatError(
            f"{images}: no {VIEWS} here, beside it, or at {reports}; Open-I's own files name no views, so take this "
            "one from the Kaggle copy, or write one (filename, projection)"
        )
    path = found[0] / VIEWS
    frame = folders.read_csv(path, ("filename", "projection"))
    names = frame["filename"].str.extract(_IMAGE)["name"]
    if names.isna().all():
        raise FedfeatError(f"{path}: no filename is like 1000_IM-0003-1001.dcm.png; use the file as it was published")
    views = frame["projection"].str.lower().set_axis(names)[names.notna().to_numpy()]
    return views[~views.index.duplicated()]


def _frontal(
    images: Path, views: "pd.Series[str]", reported: set[str], notes: list[str], allowed: float
) -> pd.DataFrame:
    """Return the frontal pictures that are there and have a report file: patient and image, by number and name."""
    frame = pd.DataFrame({"image": sorted(_pictures(images))}, dtype=str)
    frame = frame.join(frame["image"].str.rpartition("/")[2].str.extract(_IMAGE))
    strange = frame["name"].isna()
    if strange.all():
        raise FedfeatError(
            f"{images}: no image is called like CXR1000_IM-0003-1001.png or 1000_IM-0003-1001.dcm.png, here or in the "
            "folders below; name the folder of Open-I's images (NLMCXR_png)"
        )
    frame = frame[~strange].assign(patient=frame["uid"].map(_number, na_action="ignore"))
    again = frame["name"].duplicated()
    frame = frame[~again]
    view = frame["name"].map(views)
    alone = (view == "frontal") & ~frame["patient"].isin(list(reported))
    there = set(frame["name"])
    absent = sum(name not in there for name, view in views.items() if view == "frontal")
    frontal = int((views == "frontal").sum())
    folders.require_most(images, f"frontal images of {VIEWS}", absent, frontal, allowed)
    without = len(reported - set(frame["patient"][view == "frontal"]))
    for number, what, why in (
        (int(strange.sum()), "file", "left out: not the name of an image of Open-I"),
        (int(again.sum()), "file", "left out: the image is there under another path"),
        (int(view.isna().sum()), "image", f"left out: the view is not in {VIEWS}"),
        (int((view.notna() & (view != "frontal")).sum()), "image", "left out: not frontal"),
        (absent, "frontal image", "left out: the file is not there"),
        (int(alone.sum()), "frontal image", "left out: no report file"),
        (without, "report", "left out: no frontal image"),
    ):
        if number:
            notes.append(f"{counted(number, what)} {why}")
    frame = frame[(view == "frontal") & ~alone]
    numbers = frame["patient"].astype(int)
    order = pd.DataFrame({"uid": numbers, "name": frame["name"]}).sort_values(["uid", "name"]).index
    return frame.loc[order, ["patient", "image"]].reset_index(drop=True)


def _pictures(images: Path) -> Iterable[str]:
    """Return the pictures in and below the folder, as paths relative to it."""
    if not images.is_dir():
        raise FedfeatError(f"{images}: no such folder; name the folder of Open-I's images (NLMCXR_png)")
    found = []
    for folder, _, names in os.walk(images):
        below = Path(folder).relative_to(images)
        found += [(below / name).as_posix() for name in names if name.lower().endswith((".png", ".jpg", ".jpeg"))]
    found = [name for name in found if name.isprintable()]  # others cannot be written into a table, and are none of its
    if not found:
        raise FedfeatError(f"{images}: no PNG or JPEG here or in the folders below; name the folder of Open-I's images")
    return found


def _by_terms(reports: list[Report], notes: list[str]) -> dict[str, np.ndarray]:
    found = {report.uid: mesh.values(report.terms) for report in reports}
    notes.append("labels by Open-I's MeSH terms (docs/sources.md), not by a labeler of reports")
    return {uid: values for uid, values in found.items() if values is not None}


def _of_the_user(path: Path) -> str:
    """Name a file in what is published: by what it holds, since its name is the user's own affair."""
    return f"a file of the user's ({hashlib.blake2b(path.read_bytes(), digest_size=4).hexdigest()})"


def _by_file(path: Path, texts: dict[str, str], notes: list[str]) -> dict[str, np.ndarray]:
    """Return the labels of each study from the user's file."""
    ids = dict.fromkeys(IDENTIFIERS, "uid")
    frame = folders.read_csv(path, ("uid", *CHEXPERT_LABELS), {**ids, "Airspace Opacity": "Lung Opacity"})
    values = folders.label_values(path, frame)
    uids = frame["uid"].map(_number)
    again = frame.index[uids.duplicated() & (uids != "")]
    if len(again):
        raise FedfeatError(f"{path}: row {again[0] + 2}: study {frame['uid'][again[0]]!r} stands twice; remove one row")
    unknown = int((~uids.isin(list(texts))).sum())
    notes.append(f"labels from {_of_the_user(path)}")
    if unknown:
        notes.append(f"{counted(unknown, 'row')} of the file of labels left out: no such report")
    return {uid: row for uid, row in zip(uids, values, strict=True) if uid in texts}
