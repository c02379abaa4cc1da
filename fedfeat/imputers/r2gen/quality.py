"""What can be said of written reports without any label: how close to real ones, and how many different ones."""

import warnings
from collections import Counter
from collections.abc import Sequence
from statistics import median

from fedfeat.imputers.r2gen.vocabulary import clean

_NO_MATCH = 1e-60  # where no n-gram of some length matches, nltk puts the smallest float in the place of zero


def bleu4(written: Sequence[str], real: Sequence[str]) -> float:
    """Return corpus BLEU-4 (Papineni et al., 2002) in [0, 1], unsmoothed, of reports each held against one real one.

    Both are cleaned alike; a full stop counts as a word, as in what R2Gen learns. 0 where no four words in a row match.

    Raises:
        ValueError: there is no report, or not one real report for each.
    """
    if not written or len(written) != len(real):
        raise ValueError(f"{len(written)} written and {len(real)} real reports; give one real report for each")
    from nltk.translate.bleu_score import corpus_bleu  # here: it takes a second, which most commands need not wait for

    references = [[clean(report).split()] for report in real]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nltk warns where nothing matches
        score = float(corpus_bleu(references, [clean(report).split() for report in written]))
    return score if score > _NO_MATCH else 0.0


def distinct(written: Sequence[str]) -> int:
    """Return how many different reports there are, once cleaned."""
    return len({clean(report) for report in written})


def usual(reports: Sequence[str]) -> str:
    """Return the most frequent report, cleaned; where none stands twice, one of the most frequent sentences.

    It then has as many sentences as the reports have (the median). Among equals the first in alphabetical order is
    taken.
    """
    cleaned = [clean(report) for report in reports]
    report, times = _most_frequent(cleaned, 1)[0]
    if times > 1:
        return report
    split = [[part for part in (piece.strip() for piece in one.split(" .")) if part] for one in cleaned]
    sentences = _most_frequent([part for parts in split for part in parts], int(median(map(len, split))))
    return " ".join(f"{sentence} ." for sentence, _ in sentences)


def _most_frequent(texts: Sequence[str], count: int) -> list[tuple[str, int]]:
    return sorted(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))[:count]
