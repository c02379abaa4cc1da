"""Reports to R2Gen's words and back."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedfeat.imputers.r2gen.network import END

UNKNOWN = "<unk>"  # no cleaned report holds it, since punctuation is dropped

_LIST_NUMBER = re.compile(r"(^|[.:;?!\n])\s*\d{1,2}[.)](?=\s)")


def clean(report: str) -> str:
    """Return a report's sentences in lower case, each followed by " .", without list numbers.

    A sentence ends at a full stop before white space, or where a line begins with a list number. Punctuation but
    hyphens is dropped, so "2.5" becomes "25", repeated full stops count as one, and a gap of underscores vanishes.
    """
    text = _LIST_NUMBER.sub(lambda found: ". " if found[1] == "\n" else found[1], report.lower())
    text = " ".join(text.split())
    sentences = (" ".join(_without_punctuation(sentence).split()) for sentence in text.split(". "))
    return " ".join(f"{sentence} ." for sentence in sentences if sentence)


def word_counts(reports: Iterable[str]) -> Counter[str]:
    """Return how often each word of the cleaned reports stands in them; counts of several holders can be added."""
    return Counter(word for report in reports for word in clean(report).split())


@dataclass(frozen=True)
class Vocabulary:
    """The words of ids 1 to `len(words)`, `UNKNOWN` among them; id 0 is `END`."""

    words: tuple[str, ...]

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {word: number for number, word in enumerate(self.words, 1)}

    def encode(self, reports: Sequence[str], length: int) -> np.ndarray:
        """Return (n, length) int32 ids of the cleaned reports, cut at `length` - 1 words; `END` fills the rest."""
        ids = np.full((len(reports), length), END, dtype=np.int32)
        unknown = self._ids[UNKNOWN]
        for row, report in enumerate(reports):
            found = [self._ids.get(word, unknown) for word in clean(report).split()[: length - 1]]
            ids[row, : len(found)] = found
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the words before the first `END`, joined by spaces."""
        words = []
        for number in ids:
            if number == END:
                break
            words.append(self.words[number - 1])
        return " ".join(words)


def vocabulary(counts: Mapping[str, int], threshold: int) -> Vocabulary:
    """Return the words that stand in the reports at least `threshold` times, in alphabetical order, after `UNKNOWN`."""
    return Vocabulary((UNKNOWN, *sorted(word for word, count in counts.items() if count >= threshold)))


def _without_punctuation(text: str) -> str:
    return "".join(letter for letter in text if letter == "-" or unicodedata.category(letter)[0] not in "PSC")
