"""How long reports are, without a tokenizer's pass over each: what stands between two spaces is counted once."""

import re
from collections.abc import Callable, Iterable

import numpy as np

from fedfeat.data.reports import EMBEDDED_VOCABULARY, clean, tokenizer

SPECIAL = 2  # tokens around every report, [CLS] and [SEP]
_UNCUT = 1 << 20  # tokens; no piece has so many
_LIST_NUMBER = re.compile(r"\d{1,2}[.)]")


def words(reports: Iterable[str]) -> np.ndarray:
    """Return (n,) int64, the words of each report after the cleaning: a lower bound of its tokens, less `SPECIAL`."""
    return _counted(reports, lambda text: len(text.split()))


def tokens(reports: Iterable[str]) -> np.ndarray:
    """Return (n,) int64, the tokens of each report by the embedded vocabulary, `SPECIAL` ones included."""
    pieces = tokenizer(EMBEDDED_VOCABULARY, _UNCUT)
    return _counted(reports, lambda text: len(pieces.encode(text, add_special_tokens=False).ids)) + SPECIAL


class _Counts(dict[str, int]):
    """What each piece of text comes to; a piece is counted when it is first met."""

    def __init__(self, count: Callable[[str], int]) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, piece: str) -> int:
        count = self[piece] = self._count(clean(f"{piece} "))  # the space: without one a list number is kept
        return count


def _counted(reports: Iterable[str], count: Callable[[str], int]) -> np.ndarray:
    """Return the sums of `count` over the cleaned pieces of each report: the cleaning joins no two of them."""
    counts = _Counts(count)
    sums = []
    for report in reports:
        pieces = report.split()
        total = sum(map(counts.__getitem__, pieces))
        if pieces and _LIST_NUMBER.fullmatch(pieces[-1]) and not report[-1].isspace():
            total += count(clean(pieces[-1]))  # nothing follows it, so that it is no list number
        sums.append(total)
    return np.array(sums, dtype=np.int64)
