"""Make the embedded WordPiece vocabulary: `python -m fedfeat.data.vocabulary` rewrites `vocabulary.txt`.

It is learnt from phantom reports that no benchmark holds, and falls back to single characters, so that the words of any
report in Latin letters are known in pieces.
"""

import string
import sys
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

from fedfeat.data import phantom
from fedfeat.data.reports import EMBEDDED_VOCABULARY, SPECIAL_TOKENS, clean

SIZE = 1500
REPORTS = 20_000
CHARACTERS = string.ascii_lowercase + string.digits


def learn(corpus: Sequence[str], size: int = SIZE) -> list[str]:
    """Return at most `size` pieces: the special tokens, every character alone and as continuation, then learnt ones."""
    pieces = Tokenizer(WordPiece(unk_token="[UNK]"))
    pieces.normalizer = BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = BertPreTokenizer()
    fixed = [*SPECIAL_TOKENS, *CHARACTERS, *(f"##{letter}" for letter in CHARACTERS)]
    trainer = WordPieceTrainer(vocab_size=size, special_tokens=fixed, show_progress=False)
    pieces.train_from_iterator([clean(report) for report in corpus], trainer)
    by_id = sorted(pieces.get_vocab().items(), key=lambda entry: entry[1])
    learnt = [piece for piece, _ in by_id if piece not in fixed]
    return [*fixed, *learnt][:size]


def main(path: Path = EMBEDDED_VOCABULARY) -> None:
    """Write the vocabulary, one piece a line."""
    path.write_text("\n".join(learn(phantom.vocabulary_corpus(0, REPORTS))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
