"""Lengths of reports are those of the real cleaning and of the real tokenizer, which are not run over each report."""

from pathlib import Path

import pandas as pd
import pytest

from fedfeat.data.reports import EMBEDDED_VOCABULARY, clean, tokenizer
from fedfeat.description import lengths

REPORTS = [
    "",
    " \n ",
    "Clear.",
    "1. Edema. 2) Old fracture, 3.5 cm; see 12. of it. 7.",  # the last is no list number: nothing follows it
    "1. Edema 2.\n",
    "1.Edema (2.) 100. x",
    "Coeur-de-lion... ___ -- / \N{BULLET} na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve \N{ZERO WIDTH SPACE}x",
    "\N{CJK UNIFIED IDEOGRAPH-80BA}\N{CJK UNIFIED IDEOGRAPH-708E} \N{LATIN CAPITAL LETTER I WITH DOT ABOVE}",
    "pneumo" * 40,
    "No edema. No edema. No edema.",
]


def test_words_are_those_of_the_cleaned_reports() -> None:
    assert lengths.words(REPORTS).tolist() == [len(clean(report).split()) for report in REPORTS]
    assert lengths.words(REPORTS).tolist()[:5] == [0, 0, 1, 10, 1]


def test_tokens_are_those_of_the_tokenizer() -> None:
    pieces = tokenizer(EMBEDDED_VOCABULARY, 10_000)
    expected = [len(pieces.encode(clean(report)).ids) for report in REPORTS]
    assert lengths.tokens(REPORTS).tolist() == expected
    assert (lengths.words(REPORTS) + lengths.SPECIAL <= lengths.tokens(REPORTS)).all()


@pytest.mark.parametrize("path", ["covid_cxr/manifest.csv", "openi/indiana_reports.csv"])
def test_real_reports_are_measured_so_too(shared_data: Path, path: str) -> None:
    frame = pd.read_csv(shared_data / path, dtype=str, keep_default_na=False)
    reports = frame["report" if "report" in frame else "findings"].tolist()
    pieces = tokenizer(EMBEDDED_VOCABULARY, 10_000)
    cleaned = [clean(report) for report in reports]
    assert lengths.words(reports).tolist() == [len(report.split()) for report in cleaned]
    assert lengths.tokens(reports).tolist() == [len(found.ids) for found in pieces.encode_batch(cleaned)]
