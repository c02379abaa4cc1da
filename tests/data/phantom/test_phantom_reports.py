"""Reports say what is drawn."""

import re

import numpy as np
import pytest

from fedfeat.data.phantom.drawing import lesion_radius
from fedfeat.data.phantom.findings import DEVICES, label_values, sample_patient, sample_studies
from fedfeat.data.phantom.grammar import OMISSION, grade, write
from fedfeat.data.phantom.sites import SITES
from fedfeat.data.studies import CHEXPERT_LABELS

WORDS = {
    "Pleural Effusion": r"effusion|pleural fluid",
    "Pneumothorax": r"pneumothorax",
    "Consolidation": r"consolidation",
    "Edema": r"edema|congestion",
    "Pneumonia": r"pneumonia|infiltrate",
    "Lung Opacity": r"opacity",
    "Lung Lesion": r"nodule|mass",
    "Atelectasis": r"atelectasis",
    "Fracture": r"fracture",
    "Pleural Other": r"pleural thickening",
}
NEGATION = re.compile(
    r"^(there is no|no|no evidence of|negative for|no sign of|without) | has (cleared|resolved|disa)|resolution of"
)


def sentences(text):
    body = re.sub(r"(EXAMINATION|INDICATION|NARRATIVE): .*?(?=(FINDINGS|IMPRESSION|INDICATION):|$)", "", text)
    return [s.strip().lower() for s in re.split(r"\.(?:\s|$)|\d+\. |FINDINGS:|IMPRESSION:", body) if s.strip()]


@pytest.fixture(scope="module")
def written():
    pairs = []
    for site in SITES:
        for number in range(700):
            for study in sample_studies(31, sample_patient(31, site, "report", number)):
                pairs.append((study, write(31, study)))
    return pairs


def test_nothing_present_or_uncertain_is_denied(written):
    negations = 0
    for study, report in written:
        assert not report.denied & set(study.findings)
        for sentence in sentences(report.text):
            if NEGATION.search(sentence):
                negations += 1
                for label, words in WORDS.items():
                    if label in study.findings:
                        assert not re.search(words, sentence), (label, sentence, report.text)
    assert negations > 1_000


def test_what_is_denied_is_labelled_absent_and_the_rest_blank(written):
    for study, report in written[:600]:
        values = label_values(study, report.denied)
        assert set(np.flatnonzero(values == 0.0)) == {
            i for i, label in enumerate(CHEXPERT_LABELS) if label in report.denied
        }


def test_the_side_in_words_is_the_side_drawn(written):
    checked = 0
    for study, report in written:
        for label, sentence in report.statements.items():
            if label in (DEVICES, "Cardiomegaly", "Enlarged Cardiomediastinum", "Edema"):
                continue
            side = study.findings[label].side
            said = set(re.findall(r"\b(right|left|bilateral)\b", sentence))
            assert said == {side}, (label, side, sentence)
            checked += 1
    assert checked > 1_000


def test_words_of_place_and_size_follow_what_is_drawn(written):
    seen = set()
    for study, report in written:
        for label, sentence in report.statements.items():
            if label == DEVICES:
                continue
            finding = study.findings[label]
            if re.search(r"\b(upper lobe|upper lung|apex)", sentence) and label != "Pneumothorax":
                assert finding.zone == "upper", sentence
                seen.add("upper")
            if re.search(r"\b(base|bases|lower lobes?|lower lungs?)\b", sentence):
                assert finding.zone == "lower", sentence
                seen.add("lower")
            if finding.value > 0 and re.search(r"\b(severe|marked|large|massive)", sentence):
                assert grade(finding.severity) == "severe", sentence
                seen.add("severe")
            measure = re.search(r"about (\d+) c", sentence)
            if measure:
                assert int(measure.group(1)) == round(32.0 * lesion_radius(finding))
                seen.add("measure")
    assert seen == {"upper", "lower", "severe", "measure"}


def test_statements_and_devices_are_in_the_text(written):
    text_of = {"pacemaker": "pac|defib|generator", "chest tube": "chest tube|drain|thoracostomy|pigtail"}
    named = 0
    for study, report in written:
        if report.text.startswith("EXAM") or "FINDINGS" in report.text:
            for statement in report.statements.values():
                assert statement.split(". ")[0][1:] in report.text
        if DEVICES in report.statements:
            named += any(re.search(words, report.text) for d, words in text_of.items() if d in study.devices)
    assert named > 50


def test_omissions_keep_near_their_shares(written):
    for name, share in OMISSION.items():
        left_out = [
            label in report.omitted
            for study, report in written
            for label, finding in study.findings.items()
            if finding.value == 1.0 and grade(finding.severity) == name
        ]
        assert len(left_out) > 300
        assert abs(np.mean(left_out) - share) < 4 * np.sqrt(share * (1 - share) / len(left_out))
    assert OMISSION["mild"] > OMISSION["moderate"] > OMISSION["severe"] > 0


def test_omitted_findings_have_no_statement_and_uncertain_ones_are_hedged(written):
    hedge = re.compile(
        "possibl|may|question|borderline|"
        "could|cannot|not excluded|difficult|early|suspected|probable|likely|trace|perhaps"
        "|should be"
    )
    for study, report in written:
        assert not report.omitted & set(report.statements)
        assert report.omitted | set(report.statements) == set(study.findings)
        for label, sentence in report.statements.items():
            if study.findings[label].value < 0:
                assert hedge.search(sentence.lower()), sentence


def test_templates_are_filled_and_reports_have_their_length(written):
    lengths = {site: [] for site in SITES}
    words = set()
    for study, report in written:
        assert not re.search(r"[\[\]{}|]|  |\.\.", report.text), report.text
        lengths[study.patient.site].append(len(report.text.split()))
        words |= set(re.findall("[a-z]+", report.text.lower()))
    means = {site: np.mean(counts) for site, counts in lengths.items()}
    assert 20 < means["openi-like"] < means["mimic-like"] < 60 and 25 < means["chexpert-like"] < 60
    assert np.mean([20 <= n <= 75 for counts in lengths.values() for n in counts]) > 0.8
    assert 500 < len(words) < 1_000


def test_sites_have_their_own_style(written):
    by_site = {site: [report.text for study, report in written if study.patient.site == site] for site in SITES}
    assert np.mean(["FINDINGS:" in text for text in by_site["mimic-like"]]) > 0.8
    assert all("IMPRESSION: 1. " in text for text in by_site["chexpert-like"])
    assert not any(":" in text for text in by_site["openi-like"])
