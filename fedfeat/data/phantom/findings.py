"""Who the patients are and what each of their studies has: sampled before anything is drawn or written.

A patient's values come from a generator named by site, split and number, a study's from one named by its number as
well: no study depends on how many others are made or in which order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fedfeat.data.phantom.copula import correlation_factor, upper_threshold
from fedfeat.data.phantom.sites import (
    CHRONIC,
    FINDINGS,
    IMPLANT_SHARE,
    IMPLANTS,
    MEAN_STUDIES,
    MOST_STUDIES,
    PERSISTENCE,
    PREVALENCE,
    STYLES,
    TEMPORARY_DEVICES,
)
from fedfeat.data.studies import CHEXPERT_LABELS, UNCERTAIN
from fedfeat.randomness import numpy_generator

RIGHT, LEFT, BOTH = SIDES = ("right", "left", "bilateral")  # the patient's: the right lung is on the picture's left
UPPER, MIDDLE, LOWER = ZONES = ("upper", "middle", "lower")
DEVICES = "Support Devices"

# Ours: shares of right, left and bilateral; of upper, middle and lower; the kinds of a finding. Edema is always
# bilateral.
SIDE_SHARES: Mapping[str, tuple[float, float, float]] = {
    "Lung Opacity": (0.42, 0.33, 0.25),
    "Edema": (0.0, 0.0, 1.0),
    "Atelectasis": (0.30, 0.35, 0.35),
    "Pleural Effusion": (0.33, 0.32, 0.35),
}
ONE_SIDE = (0.55, 0.45, 0.0)
_ZONE_SHARES: Mapping[str, tuple[float, float, float]] = {
    "Atelectasis": (0.08, 0.17, 0.75),
    "Pneumothorax": (1.0, 0.0, 0.0),
    "Pleural Effusion": (0.0, 0.0, 1.0),
    "Consolidation": (0.25, 0.20, 0.55),
    "Pneumonia": (0.20, 0.25, 0.55),
    "Lung Lesion": (0.45, 0.30, 0.25),
    "Pleural Other": (0.5, 0.25, 0.25),
}
_ANY_ZONE = (0.3, 0.35, 0.35)
KINDS: Mapping[str, tuple[str, str]] = {
    "Lung Lesion": ("nodule", "mass"),
    "Pleural Other": ("thickening", "plaque"),
    "Fracture": ("healed", "acute"),
    "Atelectasis": ("linear", "volume loss"),
}
_FIRST_KIND: Mapping[str, float] = {"Lung Lesion": 0.65, "Pleural Other": 0.6, "Fracture": 0.5, "Atelectasis": 0.6}


@dataclass(frozen=True)
class Finding:
    """One abnormal finding of one study.

    Attributes:
        value: 1.0 present or `UNCERTAIN`.
        severity: 0 (barely there) to 1 (extreme); an uncertain finding is below 0.15.
        side: one of `SIDES`.
        zone: one of `ZONES`, thirds of a lung from the top.
        kind: one of `KINDS` of its label, or "".
        offset: (across, down), each in [-1, 1]: where in its zone it lies.
    """

    value: float
    severity: float
    side: str
    zone: str
    kind: str
    offset: tuple[float, float]


@dataclass(frozen=True)
class Patient:
    """What stays the same over a patient's studies.

    Attributes:
        site, split, number: they name the patient's random stream.
        female: sex as far as it shows (breast shadows).
        age: years, 18 to 95.
        girth: soft tissue, -2 (thin) to 2 (obese).
        build: (3,) standard normals: width of the chest, length of the lungs, size of the heart.
        implant: one of `IMPLANTS`, or "".
        granuloma: a calcified granuloma, which is no label: (side, zone, across, down), or None.
        latent: (13,) the patient's share of the latent variables of `FINDINGS`.
    """

    site: str
    split: str
    number: int
    female: bool
    age: int
    girth: float
    build: tuple[float, float, float]
    implant: str
    granuloma: tuple[str, str, float, float] | None
    latent: np.ndarray


@dataclass(frozen=True)
class Study:
    """One study: what the picture is drawn and the report is written from.

    Attributes:
        patient: whose.
        index: 0 for the patient's first study.
        count: number of the patient's studies.
        portable: an AP picture of a lying patient, else PA.
        findings: label -> finding, only those present or uncertain; devices are among them.
        devices: what is there of support devices: keys of `IMPLANTS` and of `TEMPORARY_DEVICES`.
        device_sides: device -> side, where it is not left to chance; empty for the studies that are sampled here.
    """

    patient: Patient
    index: int
    count: int
    portable: bool
    findings: Mapping[str, Finding]
    devices: tuple[str, ...]
    device_sides: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str | int, ...]:
        """The names of the study's random stream."""
        return ("phantom", self.patient.site, self.patient.split, self.patient.number, self.index)

    def without(self, label: str) -> "Study":
        """Return the same study less one finding."""
        kept = {name: finding for name, finding in self.findings.items() if name != label}
        return replace(self, findings=kept, devices=() if label == DEVICES else self.devices)


def sample_patient(seed: int, site: str, split: str, number: int) -> Patient:
    """Draw a patient of a site."""
    rng = numpy_generator(seed, "phantom", site, split, number, "patient")
    age = int(np.clip(rng.normal(60, 17), 18, 95))
    granuloma = None
    if rng.random() < 0.08:
        zone = ZONES[int(rng.integers(3))]
        granuloma = (SIDES[int(rng.integers(2))], zone, float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)))
    implant = ""
    if rng.random() < IMPLANT_SHARE[site]:
        implant = str(rng.choice(list(IMPLANTS), p=list(IMPLANTS.values())))
    build = np.clip(rng.normal(size=3), -2.2, 2.2)
    return Patient(
        site=site,
        split=split,
        number=number,
        female=bool(rng.random() < 0.48),
        age=age,
        girth=float(np.clip(rng.normal(), -2, 2)),
        build=(float(build[0]), float(build[1]), float(build[2])),
        implant=implant,
        granuloma=granuloma,
        latent=correlation_factor(site) @ rng.normal(size=len(FINDINGS)),
    )


def thresholds(site: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (13,) latent values above which a finding is positive, and above which it is at least uncertain.

    Support devices come from two independent sources, the implant and the latent variable; the second has what the
    first leaves, so that both together have the published share.
    """
    published = PREVALENCE[site]
    positive = np.array([published.positive[label] for label in FINDINGS]) / published.studies
    uncertain = np.array([published.uncertain[label] for label in FINDINGS]) / published.studies
    i, rest = FINDINGS.index(DEVICES), 1.0 - IMPLANT_SHARE[site]
    positive[i] = 1.0 - (1.0 - positive[i]) / rest
    uncertain[i] /= rest
    return (
        np.array([upper_threshold(share) for share in positive]),
        np.array([upper_threshold(share) for share in positive + uncertain]),
    )


def attributes(label: str, rng: np.random.Generator) -> tuple[str, str, str, tuple[float, float]]:
    """Draw side, zone, kind and offset of a finding, as `Finding` has them."""
    side = SIDES[int(rng.choice(3, p=SIDE_SHARES.get(label, ONE_SIDE)))]
    zone = ZONES[int(rng.choice(3, p=_ZONE_SHARES.get(label, _ANY_ZONE)))]
    kind = ""
    if label in KINDS:
        kind = KINDS[label][0 if rng.random() < _FIRST_KIND[label] else 1]
    across, down = rng.uniform(-1, 1, size=2)
    return side, zone, kind, (float(across), float(down))


def severity_of(z: float, positive: float, at_least: float, label: str) -> tuple[float, float]:
    """Return (value, severity) of a latent value above its lower threshold."""
    if z <= positive:
        return UNCERTAIN, 0.15 * (z - at_least) / (positive - at_least)
    # The excess over a high threshold shrinks with it (Mills ratio): multiplied, it is about exponential, whatever the
    # label's prevalence, so that rare findings are not all mild.
    excess = (z - positive) * max(positive, 0.5)
    return 1.0, float(0.15 + 0.85 * (1.0 - np.exp(-excess / 0.9)))


def temporary_devices(site: str, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw which temporary devices, one at least, a study positive for them has."""
    shares = TEMPORARY_DEVICES[site]
    drawn = tuple(kind for kind, share in shares.items() if rng.random() < share)
    return drawn or (max(shares, key=lambda kind: shares[kind]),)


def sample_studies(seed: int, patient: Patient) -> list[Study]:
    """Draw the 1 to `MOST_STUDIES` studies of a patient."""
    site = patient.site
    names = ("phantom", site, patient.split, patient.number)
    course = numpy_generator(seed, *names, "course")
    count = 1 + min(int(course.poisson(MEAN_STUDIES[site] - 1.0)), MOST_STUDIES - 1)
    lasting = {label: attributes(label, numpy_generator(seed, *names, label)) for label in sorted(CHRONIC)}
    positive, at_least = thresholds(site)
    kept = np.array([PERSISTENCE[label] for label in FINDINGS])
    studies = []
    for index in range(count):
        rng = numpy_generator(seed, *names, index, "findings")
        fresh = correlation_factor(site) @ rng.normal(size=len(FINDINGS))
        # Unit variance for every label; correlations across labels of unequal persistence are slightly weakened.
        latent = np.sqrt(kept) * patient.latent + np.sqrt(1.0 - kept) * fresh
        portable = bool(rng.random() < STYLES[site].portable)
        findings: dict[str, Finding] = {}
        devices: tuple[str, ...] = (patient.implant,) if patient.implant else ()
        for label, z, high, low in zip(FINDINGS, latent, positive, at_least, strict=True):
            implanted = label == DEVICES and bool(patient.implant)
            if z <= low and not implanted:
                continue
            value, severity = severity_of(float(z), float(high), float(low), label) if z > low else (1.0, 0.2)
            if implanted:
                value, severity = 1.0, max(severity, 0.2)
            side, zone, kind, offset = lasting[label] if label in CHRONIC else attributes(label, rng)
            findings[label] = Finding(value, severity, side, zone, kind, offset)
            if label == DEVICES and z > low:
                # One equivocal device is a thin line; a certain one may come with others.
                devices += temporary_devices(site, rng) if z > high else ("central line",)
        studies.append(Study(patient, index, count, portable, findings, devices))
    return studies


def label_values(study: Study, denied: frozenset[str]) -> np.ndarray:
    """Return (14,) float32 in the order of `CHEXPERT_LABELS`: 1, 0 for the `denied`, `UNCERTAIN`, NaN for unmentioned.

    "No Finding" is 1 if nothing but support devices is positive or uncertain (the CheXpert labeler's rule), else NaN.
    """
    values = np.full(len(CHEXPERT_LABELS), np.nan, dtype=np.float32)
    for i, label in enumerate(CHEXPERT_LABELS):
        if label in study.findings:
            values[i] = study.findings[label].value
        elif label in denied:
            values[i] = 0.0
    values[0] = 1.0 if not set(study.findings) - {DEVICES} else np.nan
    return values
