"""The 14 labels of Open-I's studies, from the MeSH terms that its indexers gave each report (see docs/sources.md).

A term is a heading and its qualifiers, "Opacity/lung/base/left". All positive findings of a report were indexed, so
what no term names is absent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fedfeat.data.studies import CHEXPERT_LABELS, UNCERTAIN

UNINDEXED = "no indexing"  # the only term of reports that were never indexed

LUNG = (
    "lung",
    "upper lobe",
    "middle lobe",
    "lower lobe",
    "lingula",
    "apex",
    "base",
    "hilum",
    "retrocardiac",
    "pulmonary alveoli",
)


@dataclass(frozen=True)
class Rule:
    """One heading that tells of a label.

    Attributes:
        label: one of `CHEXPERT_LABELS`.
        heading: the heading, in lower case.
        one_of: the term counts only with one of these qualifiers; empty: with any or none.
        uncertain: with this qualifier the label is uncertain; empty: never.
    """

    label: str
    heading: str
    one_of: tuple[str, ...] = ()
    uncertain: str = ""


RULES = (
    Rule("No Finding", "normal"),
    Rule("Enlarged Cardiomediastinum", "mediastinum", ("enlarged", "prominent")),
    Rule("Cardiomegaly", "cardiomegaly", uncertain="borderline"),
    Rule("Cardiomegaly", "cardiac shadow", ("enlarged", "prominent", "borderline"), uncertain="borderline"),
    Rule("Lung Opacity", "opacity", LUNG),
    Rule("Lung Opacity", "density", LUNG),
    Rule("Lung Opacity", "infiltrate"),
    Rule("Lung Opacity", "airspace disease"),
    Rule("Lung Opacity", "markings", ("interstitial", "reticular")),
    Rule("Lung Opacity", "lung diseases, interstitial"),
    Rule("Lung Lesion", "nodule", LUNG),
    Rule("Lung Lesion", "mass", LUNG),
    Rule("Lung Lesion", "granuloma", LUNG),
    Rule("Lung Lesion", "calcified granuloma", LUNG),
    Rule("Lung Lesion", "cavitation", LUNG),
    Rule("Lung Lesion", "cysts", LUNG),
    Rule("Edema", "pulmonary edema"),
    Rule("Edema", "pulmonary congestion"),
    Rule("Consolidation", "consolidation"),
    Rule("Pneumonia", "pneumonia"),
    Rule("Atelectasis", "pulmonary atelectasis"),
    Rule("Pneumothorax", "pneumothorax"),
    Rule("Pneumothorax", "hydropneumothorax"),
    Rule("Pneumothorax", "hemopneumothorax"),
    Rule("Pleural Effusion", "pleural effusion"),
    Rule("Pleural Effusion", "hydropneumothorax"),
    Rule("Pleural Effusion", "hemopneumothorax"),
    Rule("Pleural Effusion", "hemothorax"),
    Rule("Pleural Other", "pleura"),
    Rule("Pleural Other", "thickening", ("pleura",)),
    Rule("Pleural Other", "cicatrix", ("pleura",)),
    Rule("Pleural Other", "calcinosis", ("pleura",)),
    Rule("Fracture", "fractures, bone"),
    Rule("Support Devices", "catheters, indwelling"),
    Rule("Support Devices", "implanted medical device"),
    Rule("Support Devices", "medical device"),
    Rule("Support Devices", "tube, inserted"),
    Rule("Support Devices", "stents"),
)


@dataclass(frozen=True)
class Statement:
    """What one term tells of one label.

    Attributes:
        label: one of `CHEXPERT_LABELS`.
        heading: the term's heading, in lower case.
        qualifiers: the term's qualifiers, in lower case.
        value: 1 or `UNCERTAIN`.
    """

    label: str
    heading: str
    qualifiers: tuple[str, ...]
    value: float


def statements(terms: Iterable[str]) -> list[Statement] | None:
    """Return what the terms tell, in their order; None for a report that was not indexed."""
    found = [[part.strip().lower() for part in term.split("/")] for term in terms]
    found = [parts for parts in found if parts[0]]
    if not found or any(parts[0] == UNINDEXED for parts in found):
        return None
    return [
        Statement(rule.label, rule.heading, tuple(qualifiers), value)
        for heading, *qualifiers in found
        for rule in RULES
        if (value := _value(rule, heading, qualifiers))
    ]


def values(terms: Iterable[str]) -> np.ndarray | None:
    """Return (14,) float32 in the order of CHEXPERT_LABELS: 1, 0 or -1; None for a report that was not indexed."""
    told = statements(terms)
    if told is None:
        return None
    labels = np.zeros(len(CHEXPERT_LABELS), dtype=np.float32)
    for one in told:
        place = CHEXPERT_LABELS.index(one.label)
        if labels[place] != 1:  # what one term is sure of, another does not make uncertain
            labels[place] = one.value
    if (np.delete(labels, CHEXPERT_LABELS.index("No Finding")) != 0).any():
        labels[CHEXPERT_LABELS.index("No Finding")] = 0
    return labels


def _value(rule: Rule, heading: str, qualifiers: Sequence[str]) -> float:
    if " ".join(heading.split()) != rule.heading:
        return 0.0
    if rule.one_of and not set(rule.one_of) & set(qualifiers):
        return 0.0
    return UNCERTAIN if rule.uncertain and rule.uncertain in qualifiers else 1.0
