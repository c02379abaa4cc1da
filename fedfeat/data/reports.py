"""Reports to token ids: the cleaning and the WordPiece of the released protocol."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from fedfeat.errors import FedfeatError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD_ID = 0  # [PAD] is the first line of BERT's vocabularies; `tokenizer` checks it
EMBEDDED_VOCABULARY = Path(__file__).with_name("vocabulary.txt")

_LIST_NUMBER = re.compile(r"(?:(?<=^)|(?<=\s))\d{1,2}[.)](?=\s)")


def clean(report: str) -> str:
    """Lower-case, strip list numbers and punctuation, collapse white space."""
    text = _LIST_NUMBER.sub(" ", report.lower())
    kept = (" " if unicodedata.category(letter)[0] in "PSC" else letter for letter in text)
    return " ".join("".join(kept).split())


def tokenizer(vocabulary: Path, length: int) -> Tokenizer:
    """Return BERT's uncased WordPiece tokenizer over a `vocab.txt`; its output is cut at `length` tokens.

    Raises:
        FedfeatError: the file is missing, or is no BERT vocabulary whose first line is [PAD].
    """
    try:
        words = vocabulary.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise FedfeatError(
            f"{vocabulary}: no vocabulary can be read here ({error.strerror}); name a BERT folder"
        ) from error
    if words[0] != "[PAD]" or not set(SPECIAL_TOKENS) <= set(words):
        raise FedfeatError(f"{vocabulary}: not a BERT vocabulary: it must begin with [PAD] and hold {SPECIAL_TOKENS}")
    pieces: Tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)._tokenizer
    pieces.enable_truncation(length)
    return pieces


def fingerprint(pieces: Tokenizer) -> str:
    """Return a hash of a tokenizer's vocabulary, 32 hexadecimal digits: equal ones give equal token ids."""
    words = sorted(pieces.get_vocab().items(), key=lambda entry: entry[1])
    return hashlib.blake2b("\n".join(word for word, _ in words).encode(), digest_size=16).hexdigest()


def tokenize(reports: Sequence[str], pieces: Tokenizer, length: int) -> np.ndarray:
    """Return (n, length) int32 token ids of the cleaned reports, [CLS] first, padded with `PAD_ID`."""
    ids = np.full((len(reports), length), PAD_ID, dtype=np.int32)
    for row, encoding in enumerate(pieces.encode_batch([clean(report) for report in reports])):
        ids[row, : len(encoding.ids)] = encoding.ids
    return ids
