"""Cleaning, and the embedded vocabulary on real notes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from transformers import BertTokenizer

from fedfeat.data import vocabulary
from fedfeat.data.reports import EMBEDDED_VOCABULARY, clean, tokenize, tokenizer
from fedfeat.errors import FedfeatError
from fedfeat.models.weights import MINILM_VOCABULARY, installed


@pytest.mark.parametrize(
    ("report", "cleaned"),
    [
        ("1. No effusion.  2) Heart: normal!", "no effusion heart normal"),
        ("SpO2 85%, PAFI<250.", "spo2 85 pafi 250"),
        ("Nodule of 1.5 cm\n\nin the left-upper lobe", "nodule of 1 5 cm in the left upper lobe"),
        ("", ""),
    ],
)
def test_cleaning(report: str, cleaned: str) -> None:
    assert clean(report) == cleaned


def test_tokens_are_padded_and_cut() -> None:
    pieces = tokenizer(EMBEDDED_VOCABULARY, 8)
    ids = tokenize(["No effusion.", "the " * 50, ""], pieces, 8)
    assert ids.shape == (3, 8)
    start, end = pieces.token_to_id("[CLS]"), pieces.token_to_id("[SEP]")
    assert ids[:, 0].tolist() == [start] * 3
    assert ids[1, -1] == end
    assert ids[2].tolist() == [start, end, 0, 0, 0, 0, 0, 0]
    assert pieces.decode(ids[0].tolist()) == "no effusion"


def test_the_embedded_vocabulary_is_small_and_begins_as_berts() -> None:
    pieces = EMBEDDED_VOCABULARY.read_text().splitlines()
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(pieces) == len(set(pieces)) <= 1500


def test_under_one_percent_of_the_words_of_real_notes_is_unknown(shared_data: Path) -> None:
    with (shared_data / "covid_cxr" / "manifest.csv").open(encoding="utf-8") as file:
        words = [word for row in csv.DictReader(file) for word in clean(row["report"]).split()]
    pieces = tokenizer(EMBEDDED_VOCABULARY, 64)
    unknown = pieces.token_to_id("[UNK]")
    share = np.mean([unknown in pieces.encode(word).ids for word in words])
    assert len(words) > 5000
    assert share < 0.01


def test_learning_a_vocabulary_keeps_every_character() -> None:
    pieces = vocabulary.learn(["no pleural effusion"] * 20, 120)
    assert "effusion" in pieces
    assert set(vocabulary.CHARACTERS) | {f"##{letter}" for letter in vocabulary.CHARACTERS} <= set(pieces)


@pytest.mark.parametrize("content", [None, "hello\nworld\n"])
def test_a_wrong_vocabulary_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "vocab.txt"
    if content:
        path.write_text(content)
    with pytest.raises(FedfeatError, match=r"vocab\.txt"):
        tokenizer(path, 8)


REPORTS = (
    "No acute cardiopulmonary process.",
    "1. Cardiomegaly. 2. Small bilateral pleural effusions, left > right.",
    "Endotracheal tube terminates 4.5 cm above the carina; NG tube courses below the diaphragm.",
    "PA/lateral views: hyperinflated lungs c/w COPD; no pneumothorax.",
    "Interval placement of a right-sided PICC, tip in the mid-SVC.",
    "SpO2 85%, PaO2/FiO2 < 250 mmHg at 12:30.",
    "Röntgenthorax: Erguß links, Σκιά, naïve façade",
    "双肺纹理增多",
    "Unremarkable \u00b5-nodular pattern\twith   tabs\nand lines",
    "AB XXXX-year-old XXXX with dyspnea _____ days",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "",
    "The lungs are clear and the heart is of normal size, as seen before. " * 12,
)


@pytest.mark.usefixtures("light_extra")
def test_ids_are_those_of_the_tokenizer_that_the_text_encoder_was_trained_with() -> None:
    vocabulary = installed(MINILM_VOCABULARY)
    theirs = BertTokenizer.from_pretrained(str(vocabulary.parent), local_files_only=True)
    expected = theirs([clean(one) for one in REPORTS], padding="max_length", truncation=True, max_length=64)
    ids = tokenize(REPORTS, tokenizer(vocabulary, 64), 64)
    assert ids.tolist() == expected["input_ids"]
    assert (ids[-1] != 0).all(), "one is cut"
