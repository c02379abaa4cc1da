"""Paired bootstrap over patients: macro AUCs of the test rows under the same draws of patients for every case.

A draw takes as many patients as there are, with replacement; all rows of a patient come and go together. So a row's
weight in a draw is how often its patient was drawn, and no row is ever copied.
"""

import numpy as np
import numpy.typing as npt

from fedfeat.results.store import TestSet

DRAWS = 10_000
"""With a tenth of them a p value of 0.05, adjusted for four methods, scatters by 0.02: marks would hang on chance."""
QUICK_DRAWS = 1_000
"""For a board that is looked at and thrown away: a tenth of the time, 0.05 s a case."""
_CHUNK = 125
"""Draws at a time: the sums of a thousand rows then stay in a processor's cache."""

Floats = npt.NDArray[np.float64]


def multiplicities(test_set: TestSet, draws: int = DRAWS) -> npt.NDArray[np.int32]:
    """Return how often each row's patient is drawn, (rows, draws). Equal test sets give equal draws."""
    _, patient = np.unique(test_set.patients, return_inverse=True)
    count = int(patient.max()) + 1
    generator = np.random.default_rng(int(test_set.digest(), 16))
    drawn = generator.integers(count, size=(draws, count))
    times = np.stack([np.bincount(one, minlength=count) for one in drawn], axis=1)
    return times[patient].astype(np.int32)


def macro_aucs(test_set: TestSet, scores: npt.NDArray[np.floating], weights: npt.NDArray[np.int32]) -> Floats:
    """Return the macro AUC of every draw, (draws,), in [0, 1].

    A label of which a draw holds one class only is left out of that draw's average. Whether it does depends on the
    draw and the labels alone, so it is left out for all cases alike. NaN: a draw in which no label has two classes.

    Args:
        test_set: the rows; unknown labels are left out of their label.
        scores: (rows, labels), larger means more likely.
        weights: (rows, draws), of `multiplicities`; a column of ones gives the plain macro AUC.
    """
    total, defined = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    for start in range(0, weights.shape[1], _CHUNK):
        chunk = slice(start, start + _CHUNK)
        part = weights[:, chunk].astype(np.float64)
        for label in range(len(test_set.names)):
            known = test_set.known[:, label]
            positive = known & (test_set.labels[:, label] == 1)
            auc = weighted_auc(scores[:, label], positive, known & ~positive, part)
            there = ~np.isnan(auc)
            total[chunk][there] += auc[there]
            defined[chunk] += there
    with np.errstate(invalid="ignore"):
        return total / defined


def weighted_auc(
    scores: npt.NDArray[np.floating],
    positive: npt.NDArray[np.bool_],
    negative: npt.NDArray[np.bool_],
    weights: Floats,
) -> Floats:
    """Return the AUC of one label under each column of weights, (draws,); NaN where a class has no weight.

    It is the weighted share of pairs in which the positive row scores higher; ties count half. One sort of the
    negatives serves all draws.

    Args:
        scores: (rows,).
        positive: (rows,), which rows are positive.
        negative: (rows,), which are negative; rows that are neither are left out.
        weights: (rows, draws), 0 or more.
    """
    of_negatives = scores[negative]
    order = np.argsort(of_negatives, kind="stable")
    ordered = of_negatives[order]
    # below[n]: the weight of the n lowest negatives
    below = np.zeros((len(order) + 1, weights.shape[1]))
    np.cumsum(weights[np.flatnonzero(negative)[order]], axis=0, out=below[1:])
    lower = below[np.searchsorted(ordered, scores[positive], "left")]
    not_higher = below[np.searchsorted(ordered, scores[positive], "right")]
    of_positives = weights[positive]
    wins = np.einsum("rd,rd->d", of_positives, lower + not_higher) / 2
    with np.errstate(invalid="ignore"):
        auc: Floats = wins / (below[-1] * of_positives.sum(axis=0))
    return auc
