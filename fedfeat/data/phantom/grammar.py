"""Reports: what a radiologist of a site might dictate about a study, from the templates in `phrases` and `asides`.

Side, place, size and severity words come from the finding that is drawn, so that picture and report share more than the
labels; omissions, hedges, paraphrases and lists of what is absent keep the words from settling the labels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedfeat.data.phantom import asides, phrases
from fedfeat.data.phantom.devices import TUBE_SIDES, device_side
from fedfeat.data.phantom.drawing import lesion_radius
from fedfeat.data.phantom.findings import BOTH, DEVICES, LOWER, UPPER, Finding, Study
from fedfeat.data.phantom.sites import CHEXPERT, MIMIC, OPENI
from fedfeat.randomness import numpy_generator

# Ours, to calibrate: share of positive findings that a report leaves out, by severity; what is drawn stays the label.
OMISSION: Mapping[str, float] = {"mild": 0.30, "moderate": 0.18, "severe": 0.08}
# Ours: share of the deniable absent findings that a report denies.
DENIAL: Mapping[str, float] = {MIMIC: 0.50, CHEXPERT: 0.22, OPENI: 0.50}

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
_GRADES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mild": (("mild", "slight"), ("small", "tiny", "minimal")),
    "moderate": (("moderate", "moderate", "mild"), ("moderate", "moderate-sized", "small")),
    "severe": (("severe", "marked", "extensive"), ("large", "sizable", "massive")),
}
_ADVERBS = {"extensively": "markedly"}


@dataclass(frozen=True)
class Report:
    """A report and what it says.

    Attributes:
        text: the report.
        statements: label -> the sentences about a present or uncertain finding.
        denied: labels that the report says are absent.
        omitted: positive labels that it does not mention.
    """

    text: str
    statements: Mapping[str, str]
    denied: frozenset[str]
    omitted: frozenset[str]


def grade(severity: float) -> str:
    """Return "mild", "moderate" or "severe"."""
    return "mild" if severity < 0.35 else "moderate" if severity < 0.62 else "severe"


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _expand(rng: np.random.Generator, template: str, **slots: str) -> str:
    """Choose among the alternatives of a template, then fill its slots."""
    text = _ALTERNATIVES.sub(lambda match: _pick(rng, match.group(1).split("|")), template)
    for name, word in slots.items():
        text = text.replace("{" + name + "}", word)
    text = " ".join(text.split()).replace(" ,", ",")
    for wrong, better in _ADVERBS.items():
        text = text.replace(wrong, better)
    return text


def _place(rng: np.random.Generator, finding: Finding) -> str:
    """Return side and zone in words."""
    both = finding.side == BOTH
    words: tuple[str, ...]
    if finding.zone == LOWER:
        words = ("bases", "lower lobes", "lower lungs") if both else ("base", "lower lobe", "lower lung")
    elif finding.zone == UPPER:
        words = ("upper lobes", "upper lungs") if both else ("upper lobe", "upper lung", "apex")
    else:
        words = ("mid lungs", "mid zones") if both else ("mid lung", "mid zone")
    return f"{finding.side} {_pick(rng, words)}"


def _describe(rng: np.random.Generator, study: Study, label: str) -> str:
    """Return one sentence about a finding other than devices, in words that fit what is drawn."""
    finding = study.findings[label]
    degrees, sizes = _GRADES[grade(finding.severity)]
    # One degree a study and label, so that findings and impression agree.
    same = int(abs(finding.offset[0]) * 1e6)
    measure = f"{32.0 * lesion_radius(finding):.0f}" if label == "Lung Lesion" else ""
    templates = (phrases.PRESENT if finding.value > 0 else phrases.DOUBTFUL)[label]
    return _expand(
        rng,
        _pick(rng, templates),
        degree=degrees[same % len(degrees)],
        size=sizes[same % len(sizes)],
        side=finding.side,
        place=_place(rng, finding),
        kind=finding.kind,
        measure=measure,
    )


def _devices(rng: np.random.Generator, seed: int, study: Study) -> str:
    """Return the sentences about the devices: most are named, at least one."""
    finding = study.findings[DEVICES]
    if finding.value < 0:
        side = device_side(seed, study, study.devices[0])
        return _expand(rng, _pick(rng, phrases.DOUBTFUL[DEVICES]), side=side)
    named = [device for device in study.devices if rng.random() < 0.8] or [study.devices[0]]
    sentences = []
    for device in named:
        slots = {"measure": str(int(rng.integers(2, 7)))}
        if device in TUBE_SIDES:
            slots["side"] = device_side(seed, study, device)
        sentences.append(_expand(rng, _pick(rng, phrases.DEVICE[device]), **slots))
    return ". ".join(sentences)


def _statements(rng: np.random.Generator, seed: int, study: Study) -> tuple[dict[str, str], frozenset[str]]:
    """Return the sentences by label, and the labels left out."""
    statements: dict[str, str] = {}
    omitted: set[str] = set()
    for label, finding in study.findings.items():
        if finding.value > 0 and rng.random() < OMISSION[grade(finding.severity)]:
            omitted.add(label)
        elif label == DEVICES:
            statements[label] = _devices(rng, seed, study)
        else:
            statements[label] = _describe(rng, study, label)
    return statements, frozenset(omitted)


def _denials(rng: np.random.Generator, study: Study) -> tuple[list[str], frozenset[str]]:
    """Return the normal and negating sentences and what they deny; nothing that the study has is denied."""
    share = DENIAL[study.patient.site]
    sentences: list[str] = []
    denied: set[str] = set()
    for templates, labels, absent in phrases.NORMAL:
        free = not (labels | absent) & set(study.findings) and not labels & denied
        if free and rng.random() < share:
            sentences.append(_expand(rng, _pick(rng, templates)))
            denied |= labels
    usual = {"Pleural Effusion": 1.5, "Pneumothorax": 1.5, "Consolidation": 1.0, "Edema": 0.6, "Pneumonia": 0.5}
    nouns = []
    for label, words in phrases.DENIED.items():
        if label == "Lung Opacity" and phrases.DENSE & set(study.findings):
            continue
        if label not in study.findings and label not in denied and rng.random() < share * usual.get(label, 0.15):
            nouns.append(_pick(rng, words))
            denied.add(label)
    order = [int(i) for i in rng.permutation(len(nouns))]
    while order:
        chunk, order = [nouns[i] for i in order[:3]], order[3:]
        start = _pick(rng, ("no", "there is no", "no evidence of", "negative for", "no sign of"))
        sentences.append(f"{start} {', '.join(chunk[:-1]) + ' or ' if chunk[1:] else ''}{chunk[-1]}")
    if study.index and rng.random() < 0.35:
        gone = [label for label in phrases.RESOLVED if label not in study.findings and label not in denied]
        if gone:
            label = _pick(rng, gone)
            sentences.append(_expand(rng, _pick(rng, phrases.CLEARED)).replace("{name}", phrases.RESOLVED[label]))
            denied.add(label)
    return sentences, frozenset(denied)


def _indication(rng: np.random.Generator, study: Study) -> str:
    labels = sorted(study.findings)
    if labels and rng.random() < 0.55:
        parts = [_pick(rng, asides.SYMPTOMS[_pick(rng, labels)])]
    else:
        parts = [_expand(rng, _pick(rng, asides.COMPLAINTS))]
    if rng.random() < 0.5:
        parts.append(_expand(rng, _pick(rng, asides.HISTORY)))
    if rng.random() < 0.6:
        person = _pick(rng, ("woman", "female") if study.patient.female else ("man", "male"))
        parts.insert(0, f"{study.patient.age} {_pick(rng, ('year old', 'y/o'))} {person}")
    return ", ".join(parts)


def _sentences(parts: Sequence[str]) -> str:
    """Return the parts as sentences: a capital first, a full stop last."""
    pieces = [piece for part in parts for piece in part.split(". ") if piece]
    return " ".join(piece[0].upper() + piece[1:] + "." for piece in pieces)


def _impression(rng: np.random.Generator, study: Study, statements: Mapping[str, str]) -> list[str]:
    """Return the summing up: the gravest findings again in other words, or that there is nothing acute."""
    chief = [label for label in statements if label != DEVICES]
    if not chief:
        return [_expand(rng, _pick(rng, phrases.ALL_CLEAR if study.findings else phrases.NORMAL_CHEST))]
    chief.sort(key=lambda label: -study.findings[label].severity)
    parts = [_describe(rng, study, label) for label in chief[: int(rng.integers(1, 4))]]
    if not set(chief) & phrases.ACUTE and rng.random() < 0.5:
        return [_expand(rng, _pick(rng, phrases.ALL_CLEAR)), *parts[: int(rng.integers(0, 2))]]
    if rng.random() < 0.3:
        parts.append(_expand(rng, _pick(rng, asides.ADVICE)))
    return parts


def _arrange(rng: np.random.Generator, study: Study, body: list[str], impression: list[str]) -> str:
    """Return the sections in the style of the site."""
    site = study.patient.site
    if site == CHEXPERT:
        lines = body if len(impression) > 1 and rng.random() < 0.8 else [*impression, *body]
        text = " ".join(f"{i}. {_sentences([line])}" for i, line in enumerate(lines, 1))
        head = "NARRATIVE: " + _sentences([_indication(rng, study)]) + " " if rng.random() < 0.35 else ""
        return f"{head}IMPRESSION: {text}"
    if site == OPENI:
        sections = [_sentences(body)] if rng.random() < 0.9 else []
        if not sections or rng.random() < 0.85:
            sections.append(_sentences(impression))
        return " ".join(sections)
    sections = []
    if rng.random() < 0.5:
        titles = asides.EXAMINATION if study.portable else asides.EXAMINATION_STANDING
        sections.append("EXAMINATION: " + _sentences([_expand(rng, _pick(rng, titles))]))
    if rng.random() < 0.7:
        sections.append("INDICATION: " + _sentences([_indication(rng, study)]))
    with_body = rng.random() < 0.9
    if with_body:
        sections.append("FINDINGS: " + _sentences(body))
    if not with_body or rng.random() < 0.7:
        sections.append("IMPRESSION: " + _sentences(impression if with_body else [*impression, *body]))
    return " ".join(sections)


def write(seed: int, study: Study) -> Report:
    """Return the report of a study."""
    rng = numpy_generator(seed, *study.names, "report")
    statements, omitted = _statements(rng, seed, study)
    normal, denied = _denials(rng, study)
    impression = _impression(rng, study, statements)
    site = study.patient.site
    body = [*statements.values(), *normal]
    if site != CHEXPERT:
        for _ in range(int(rng.integers(0, 3 if site == MIMIC else 2))):
            body.append(_expand(rng, _pick(rng, asides.IRRELEVANT)))
    elif rng.random() < 0.5:
        body.append(_expand(rng, _pick(rng, asides.IRRELEVANT)))
    if not body:
        body.append(_expand(rng, _pick(rng, asides.IRRELEVANT)))
    body = [body[int(i)] for i in rng.permutation(len(body))]
    if study.index and rng.random() < 0.6:
        body.insert(0, _expand(rng, f"{_pick(rng, asides.COMPARED)}, {_pick(rng, asides.CHANGE)}"))
    return Report(_arrange(rng, study, body, impression), statements, denied, omitted)
