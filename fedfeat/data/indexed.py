"""From the MeSH terms of a report to the phantom study that its picture is drawn from.

Which findings there are, and whether they are doubtful, is what `mesh` takes from the terms. Side, zone, kind, severity
and devices are as the terms say; where they are silent, they are drawn as for a patient of the openi-like site. The
report's text has no part in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from fedfeat.data.mesh import Statement, statements, values
from fedfeat.data.phantom.devices import TUBE_SIDES
from fedfeat.data.phantom.findings import (
    BOTH,
    DEVICES,
    LEFT,
    LOWER,
    MIDDLE,
    ONE_SIDE,
    RIGHT,
    SIDE_SHARES,
    UPPER,
    Finding,
    Study,
    attributes,
    sample_patient,
    severity_of,
    temporary_devices,
    thresholds,
)
from fedfeat.data.phantom.grammar import grade
from fedfeat.data.phantom.sites import FINDINGS, IMPLANT_SHARE, IMPLANTS, OPENI, PREVALENCE, STYLES, TEMPORARY_DEVICES
from fedfeat.data.studies import CHEXPERT_LABELS
from fedfeat.randomness import numpy_generator

SPLIT = "reports"  # in the names of the random streams: apart from all of the embedded studies'

# Only the right lung has a middle lobe, only the left one a lingula; a side that is named goes before.
SIDES: Mapping[str, frozenset[str]] = {
    "right": frozenset({RIGHT}),
    "left": frozenset({LEFT}),
    "bilateral": frozenset({RIGHT, LEFT}),
}
SIDE_OF_LOBE: Mapping[str, str] = {"middle lobe": RIGHT, "lingula": LEFT}
ZONES: Mapping[str, str] = {
    "apex": UPPER,
    "upper lobe": UPPER,
    "hilum": MIDDLE,
    "middle lobe": MIDDLE,
    "lingula": MIDDLE,
    "base": LOWER,
    "lower lobe": LOWER,
    "costophrenic angle": LOWER,
    "retrocardiac": LOWER,
}
GRADES: Mapping[str, str] = {  # qualifier -> the generator's word for a range of severities, which its reports go by
    "borderline": "mild",
    "mild": "mild",
    "small": "mild",
    "moderate": "moderate",
    "large": "severe",
    "severe": "severe",
}
_MILD_FIRST = ("mild", "moderate", "severe")
# (label, heading or qualifier) -> kind
KINDS: Mapping[tuple[str, str], str] = {
    ("Lung Lesion", "nodule"): "nodule",
    ("Lung Lesion", "granuloma"): "nodule",
    ("Lung Lesion", "calcified granuloma"): "nodule",
    ("Lung Lesion", "mass"): "mass",
    ("Pleural Other", "thickening"): "thickening",
    ("Pleural Other", "cicatrix"): "thickening",
    ("Pleural Other", "calcinosis"): "plaque",
    ("Fracture", "healed"): "healed",
    ("Fracture", "chronic"): "healed",
    ("Fracture", "acute"): "acute",
    ("Atelectasis", "streaky"): "linear",
}
_TUBES = ("endotracheal tube", "enteric tube", "chest tube")
_AIRWAY = frozenset({"trachea", "trachea, carina"})
_OF_THE_CHEST = frozenset({"right", "left", "bilateral", "thorax", "anterior", "posterior"})
_NORMAL = NormalDist()


def study(seed: int, number: int, terms: Iterable[str]) -> Study:
    """Return the study of a report.

    Args:
        seed: of the generator.
        number: the report's; it names all random streams, so that no study depends on another.
        terms: the report's MeSH terms.

    Raises:
        ValueError: the report was not indexed.
    """
    terms = list(terms)
    told, labels = statements(terms), values(terms)
    if told is None or labels is None:
        raise ValueError(f"report {number} has no terms")
    patient = replace(sample_patient(seed, OPENI, SPLIT, number), implant="")
    drawn = Study(patient, 0, 1, False, {}, ())
    portable = bool(numpy_generator(seed, *drawn.names, "portable").random() < STYLES[OPENI].portable)
    drawn = replace(drawn, portable=portable)
    findings: dict[str, Finding] = {}
    for label in FINDINGS:
        value = float(labels[CHEXPERT_LABELS.index(label)])
        if value:
            own = [one for one in told if one.label == label and one.value == value]
            findings[label] = _finding(label, value, own, numpy_generator(seed, *drawn.names, "findings", label))
    if DEVICES not in findings:
        return replace(drawn, findings=findings)
    of_devices = [one for one in told if one.label == DEVICES]
    devices, sides = _devices(of_devices, numpy_generator(seed, *drawn.names, "devices"))
    implant = next((device for device in devices if device in IMPLANTS), "")
    return replace(
        drawn, patient=replace(patient, implant=implant), findings=findings, devices=devices, device_sides=sides
    )


def _finding(label: str, value: float, told: Sequence[Statement], rng: np.random.Generator) -> Finding:
    side, zone, kind, offset = attributes(label, rng)
    words = [word for one in told for word in one.qualifiers]
    both_drawn = SIDE_SHARES.get(label, ONE_SIDE)[2] > 0  # else the generator draws the finding on one side only
    sides = sides_of(told)
    if len(sides) == 1:
        (side,) = sides
    elif sides and both_drawn:
        side = BOTH
    zone = next((ZONES[word] for word in words if word in ZONES), zone)
    names = [name for one in told for name in (*one.qualifiers, one.heading)]
    kind = next((KINDS[label, name] for name in names if (label, name) in KINDS), kind)
    grades = [GRADES[word] for word in words if word in GRADES and value == 1]
    gravest = max(grades, key=_MILD_FIRST.index) if grades else ""
    return Finding(value, _severity(label, value, gravest, rng), side, zone, kind, offset)


def sides_of(told: Iterable[Statement]) -> frozenset[str]:
    """Return the sides, right and left, that the terms name together; empty if they name none."""
    found: set[str] = set()
    for one in told:
        named = [SIDES[word] for word in one.qualifiers if word in SIDES]
        implied = [frozenset({SIDE_OF_LOBE[word]}) for word in one.qualifiers if word in SIDE_OF_LOBE]
        found.update(*(named or implied))
    return frozenset(found)


def _severity(label: str, value: float, wanted: str, rng: np.random.Generator) -> float:
    """Draw a severity as the generator has it for a finding of this value, of the grade `wanted` if any."""
    place = FINDINGS.index(label)
    positive, at_least = (float(limits[place]) for limits in thresholds(OPENI))
    low, high = _NORMAL.cdf(at_least), _NORMAL.cdf(positive)
    while True:
        latent = _NORMAL.inv_cdf(float(rng.uniform(high, 1.0) if value == 1 else rng.uniform(low, high)))
        _, severity = severity_of(latent, positive, at_least, label)
        if not wanted or grade(severity) == wanted:
            return severity


def _devices(told: Sequence[Statement], rng: np.random.Generator) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the devices that the terms name or may mean, and the side of those for which they name one."""
    devices: list[str] = []
    sides: dict[str, set[str]] = {}
    for one in told:
        side = sides_of([one]) if set(one.qualifiers) <= _OF_THE_CHEST else frozenset()  # not that of an arm
        meant = _meant(one, bool(side), rng)
        devices += meant
        for device in meant:
            if device in TUBE_SIDES:
                sides.setdefault(device, set()).update(side)
    # One of each kind is drawn: of two on two sides, chance says which.
    return tuple(dict.fromkeys(devices)), {device: min(named) for device, named in sides.items() if len(named) == 1}


def _meant(told: Statement, sided: bool, rng: np.random.Generator) -> tuple[str, ...]:
    """Return the devices of one term: the generator's that it names, else some of those that it may mean."""
    words = set(told.qualifiers)
    if told.heading == "catheters, indwelling":
        return ("central line",)
    if told.heading == "tube, inserted":
        if words & _AIRWAY:
            return ("endotracheal tube",)
        if "abdomen" in words:
            return ("enteric tube",)
        if sided or "thorax" in words:  # the other two lie in the middle
            return ("chest tube",)
        shares = np.array([TEMPORARY_DEVICES[OPENI][tube] for tube in _TUBES])
        return (str(rng.choice(_TUBES, p=shares / shares.sum())),)
    if told.heading == "implanted medical device":
        return ("pacemaker",) if sided else (_implant(rng),)
    implanted = IMPLANT_SHARE[OPENI] * PREVALENCE[OPENI].studies / PREVALENCE[OPENI].positive[DEVICES]
    return (_implant(rng),) if rng.random() < implanted else temporary_devices(OPENI, rng)


def _implant(rng: np.random.Generator) -> str:
    return str(rng.choice(list(IMPLANTS), p=list(IMPLANTS.values())))
