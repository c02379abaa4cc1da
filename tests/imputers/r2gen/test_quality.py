"""BLEU-4 against a computation by hand, and the count of different reports."""

import math
import warnings

import pytest

from fedfeat.imputers.r2gen.quality import bleu4, distinct, usual


def test_bleu_by_hand() -> None:
    written, real = "The heart is normal. No edema.", "The heart is normal. No effusion."
    # Written: the heart is normal . no edema . (8 words); real: the same with effusion in the place of edema.
    precisions = (7 / 8, 5 / 7, 4 / 6, 3 / 5)
    assert bleu4([written], [real]) == pytest.approx(math.prod(precisions) ** 0.25)


def test_short_reports_are_penalised_over_the_corpus() -> None:
    # 5 and 5 of 5 and 9 real words, everything found: the penalty is exp(1 - 14 / 10), once for both.
    real = ["Heart size is normal.", "Heart size is normal. No edema seen."]
    written = ["Heart size is normal."] * 2
    assert bleu4(written, real) == pytest.approx(math.exp(1 - (5 + 9) / 10))


def test_what_is_written_alike_once_cleaned_is_perfect() -> None:
    assert bleu4(["no EDEMA is seen ."], ["1. No edema is seen."]) == pytest.approx(1)


@pytest.mark.parametrize("written", ["Fracture.", "", "No edema and no fracture."])
def test_nothing_in_common_is_zero_without_a_warning(written: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bleu4([written], ["No edema. Clear lungs."]) == 0.0


@pytest.mark.parametrize(("written", "real"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_every_report_needs_a_real_one(written: list[str], real: list[str]) -> None:
    with pytest.raises(ValueError, match="one real report for each"):
        bleu4(written, real)


def test_different_reports_are_counted_once_cleaned() -> None:
    assert distinct(["No edema.", "no edema .", "Edema.", ""]) == 3
    assert distinct([]) == 0


def test_the_usual_report_is_the_commonest_or_made_of_the_commonest_sentences() -> None:
    twice = ["Heart normal. No effusion.", "Edema.", "heart normal. no effusion."]
    assert usual(twice) == "heart normal . no effusion ."
    reports = ["heart normal. no effusion. clear.", "clear. heart normal. pads.", "edema. heart normal. no effusion."]
    assert usual(reports) == "heart normal . clear . no effusion ."
