"""Prevalence, co-occurrence and what lasts, on findings alone."""

from itertools import pairwise

import numpy as np
import pytest

from fedfeat.data.phantom.copula import both_above, correlation_factor, tetrachoric, upper_threshold
from fedfeat.data.phantom.findings import DEVICES, label_values, sample_patient, sample_studies
from fedfeat.data.phantom.sites import FINDINGS, MIMIC, PREVALENCE, SITES
from fedfeat.data.studies import UNCERTAIN

PATIENTS = 4_000


@pytest.fixture(scope="module", params=SITES)
def series(request):
    site = request.param
    return site, [sample_studies(11, sample_patient(11, site, "large", number)) for number in range(PATIENTS)]


def test_prevalence_is_the_published_one(series):
    site, patients = series
    published = PREVALENCE[site]
    first = np.array([label_values(studies[0], frozenset()) for studies in patients])  # independent: one a patient
    for i, label in enumerate(FINDINGS, 1):
        for value, counts in ((1.0, published.positive), (UNCERTAIN, published.uncertain)):
            share = counts[label] / published.studies
            bound = 4.0 * np.sqrt(share * (1 - share) / PATIENTS) + 1 / PATIENTS
            assert abs(np.mean(first[:, i] == value) - share) < bound, (site, label, value)


def test_later_studies_have_the_prevalence_of_first_ones(series):
    site, patients = series
    later = np.array([label_values(study, frozenset()) for studies in patients for study in studies[1:]])
    if site == "openi-like":
        assert later.size == 0
        return
    published = PREVALENCE[site]
    for i, label in enumerate(FINDINGS, 1):
        share = published.positive[label] / published.studies
        # A patient's later studies are not independent: the bound takes each as half a study.
        assert abs(np.mean(later[:, i] == 1.0) - share) < 4.0 * np.sqrt(2 * share / len(later)), (site, label)


def test_no_finding_is_the_absence_of_all_but_devices(series):
    _, patients = series
    for studies in patients[:500]:
        for study in studies:
            clear = not set(study.findings) - {DEVICES}
            assert (label_values(study, frozenset())[0] == 1.0) == clear


def test_no_finding_comes_near_the_published_share():
    shares = {}
    for site in SITES:
        studies = [sample_studies(12, sample_patient(12, site, "large", number))[0] for number in range(2_000)]
        shares[site] = np.mean([not set(study.findings) - {DEVICES} for study in studies])
    published = {site: PREVALENCE[site].no_finding / PREVALENCE[site].studies for site in SITES}
    assert shares[MIMIC] == pytest.approx(published[MIMIC], abs=0.05)
    assert shares["chexpert-like"] == pytest.approx(published["chexpert-like"], abs=0.03)
    assert shares["openi-like"] == pytest.approx(published["openi-like"], abs=0.12)


def test_effusion_and_atelectasis_come_together():
    studies = [sample_studies(13, sample_patient(13, MIMIC, "large", number))[0] for number in range(4_000)]
    one, two = (
        np.array([label in study.findings for study in studies]) for label in ("Pleural Effusion", "Atelectasis")
    )
    assert np.mean(one & two) > 1.3 * np.mean(one) * np.mean(two)


def test_tetrachoric_finds_the_correlation_of_simulated_normals():
    rng = np.random.default_rng(0)
    x = rng.normal(size=400_000)
    y = 0.6 * x + 0.8 * rng.normal(size=x.size)
    both = np.mean((x > 1.0) & (y > 1.3))
    assert both_above(1.0, 1.3, 0.6) == pytest.approx(both, abs=0.002)
    assert tetrachoric(np.mean(x > 1.0), np.mean(y > 1.3), both) == pytest.approx(0.6, abs=0.02)
    assert tetrachoric(0.1, 0.2, 0.02) == pytest.approx(0.0, abs=1e-6)
    assert upper_threshold(0.025) == pytest.approx(1.96, abs=0.001)


@pytest.mark.parametrize("site", SITES)
def test_correlations_are_a_correlation_matrix(site):
    factor = correlation_factor(site)
    matrix = factor @ factor.T
    assert np.allclose(np.diag(matrix), 1.0)
    assert np.linalg.eigvalsh(matrix).min() > 0.01


def test_chronic_findings_last_and_keep_their_place_while_acute_ones_change():
    kept = {"Cardiomegaly": [], "Edema": []}
    for number in range(3_000):
        studies = sample_studies(14, sample_patient(14, MIMIC, "large", number))
        for earlier, later in pairwise(studies):
            for label, record in kept.items():
                if label in earlier.findings:
                    record.append(label in later.findings)
            for label in ("Fracture", "Pleural Other", "Lung Lesion"):
                if label in earlier.findings and label in later.findings:
                    one, two = earlier.findings[label], later.findings[label]
                    assert (one.side, one.zone, one.kind, one.offset) == (two.side, two.zone, two.kind, two.offset)
            assert ("pacemaker" in earlier.devices) == ("pacemaker" in later.devices)
    assert np.mean(kept["Cardiomegaly"]) > 0.75
    assert 0.15 < np.mean(kept["Edema"]) < 0.6


def test_severity_orders_uncertain_below_certain(series):
    _, patients = series
    findings = [f for studies in patients[:800] for study in studies for f in study.findings.values()]
    certain = [f.severity for f in findings if f.value == 1.0]
    doubtful = [f.severity for f in findings if f.value == UNCERTAIN]
    assert max(doubtful) <= 0.15 <= min(certain) and max(certain) <= 1.0
    assert 0.25 < np.median(certain) < 0.65
