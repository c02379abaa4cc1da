"""From a seed to the table of studies: which patients, in which split, drawn and written."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from PIL import Image

from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.findings import Patient, Study, label_values, sample_patient, sample_studies
from fedfeat.data.phantom.grammar import write
from fedfeat.data.phantom.shapes import SIZE
from fedfeat.data.phantom.sites import (
    BENCHMARK,
    CHEXPERT,
    HOMOGENEOUS_PATIENTS,
    IMAGE_PATIENTS,
    MIMIC,
    MULTIMODAL_PATIENTS,
    OPENI,
    PUBLIC_PATIENTS,
    SITES,
    Sizes,
)
from fedfeat.data.studies import CHEXPERT_LABELS, COLUMNS, Pool, Setup, StudyTable
from fedfeat.errors import FedfeatError

_PATIENTS_AT_MOST = 100_000  # a limit on the search for rare positives, far above what it takes
SETUPS: Mapping[str, Setup] = MappingProxyType(
    {
        "homogeneous": Setup(
            {kind: Pool(MIMIC, HOMOGENEOUS_PATIENTS) for kind in ("image", "text", "multimodal")},
            evaluation_site=MIMIC,
            public_patients=PUBLIC_PATIENTS,
        ),
        "heterogeneous": Setup(
            {"image": Pool(CHEXPERT, IMAGE_PATIENTS), "multimodal": Pool(OPENI, MULTIMODAL_PATIENTS)},
            evaluation_site=MIMIC,
            partitions=("8:0:2",),
            public_patients=PUBLIC_PATIENTS,
        ),
    }
)


@dataclass(frozen=True)
class Content:
    """What is cached.

    Attributes:
        rows: n rows, the string columns `COLUMNS`.
        findings: (n, 14) float32 in the order of `CHEXPERT_LABELS`.
        images: (n, SIZE, SIZE) uint8.
    """

    rows: pd.DataFrame
    findings: np.ndarray
    images: np.ndarray


def _fixed(seed: int, site: str, split: str, patients: int) -> list[list[Study]]:
    return [sample_studies(seed, sample_patient(seed, site, split, number)) for number in range(patients)]


def _enough(seed: int, site: str, split: str, rows: int, positives: int) -> list[list[Study]]:
    """Return patients, added one by one until there are `rows` studies and `positives` positive ones of every label."""
    chosen: list[list[Study]] = []
    counts, total = np.zeros(len(CHEXPERT_LABELS), dtype=int), 0
    for number in range(_PATIENTS_AT_MOST):
        if total >= rows and counts.min() >= positives:
            return chosen
        studies = sample_studies(seed, sample_patient(seed, site, split, number))
        chosen.append(studies)
        total += len(studies)
        for study in studies:
            counts += label_values(study, frozenset()) == 1.0
    raise FedfeatError(
        f"phantom: no {positives} positives of every label in {_PATIENTS_AT_MOST} patients; ask for fewer"
    )


def sample(seed: int, sizes: Sizes) -> list[tuple[str, Study]]:
    """Return (patient name, study) of every row, in the order of the table; nothing is drawn yet."""
    groups = []
    for site in SITES:
        series = _fixed(seed, site, "train", sizes.train.get(site, 0))
        if site == MIMIC:
            series += _enough(seed, site, "validate", sizes.validation_rows, sizes.validation_positives)
            series += _enough(seed, site, "test", sizes.test_rows, sizes.test_positives)
        groups += [(f"{site}-{number:05d}", study) for number, studies in enumerate(series) for study in studies]
    return groups


def make(seed: int, sizes: Sizes) -> Content:
    """Sample, draw and write every study."""
    rows, findings, images = [], [], []
    for name, study in sample(seed, sizes):
        report = write(seed, study)
        key = f"{name}-{study.index}"
        rows.append((name, key, report.text, study.patient.site, study.patient.split))
        findings.append(label_values(study, report.denied))
        images.append(draw(seed, study))
    return Content(
        pd.DataFrame(rows, columns=list(COLUMNS)),
        np.array(findings, dtype=np.float32).reshape(-1, len(CHEXPERT_LABELS)),
        np.array(images, dtype=np.uint8).reshape(-1, SIZE, SIZE),
    )


def as_table(content: Content) -> StudyTable:
    """Return the content as every source returns it."""
    places = {key: place for place, key in enumerate(content.rows["image"])}

    def read_image(key: str) -> Image.Image:
        if key not in places:
            raise FedfeatError(f"phantom: no image {key!r}; its keys stand in the table's image column")
        return Image.fromarray(content.images[places[key]])

    return StudyTable(
        source="phantom",
        labels=CHEXPERT_LABELS,
        rows=content.rows,
        findings=content.findings,
        uncertain="zeros",
        blank="zeros",
        setups=SETUPS,
        no_setup={},
        read_image=read_image,
        synthetic=True,
    )


def generate(seed: int, sizes: Sizes = BENCHMARK) -> StudyTable:
    """Return the studies that follow from a seed: the same on every call, whatever ran before."""
    return as_table(make(seed, sizes))


def fingerprint(table: StudyTable) -> str:
    """Return a hash of the rows, the findings and the pictures, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for row in table.rows[list(COLUMNS)].itertuples(index=False):
        digest.update("\x1f".join(row).encode() + b"\x1e")
    digest.update(np.nan_to_num(table.findings, nan=-9.0).astype("<f4").tobytes())
    for key in table.rows["image"]:
        digest.update(table.read_image(key).tobytes())
    return digest.hexdigest()


def vocabulary_corpus(seed: int, n: int) -> list[str]:
    """Return `n` reports, from all sites in turn, of patients that are in no benchmark split."""

    def study(number: int) -> Study:
        patient: Patient = sample_patient(seed, SITES[number % len(SITES)], "vocabulary", number)
        return sample_studies(seed, patient)[0]

    return [write(seed, study(number)).text for number in range(n)]
