"""Macro AUC under draws of patients, held against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fedfeat.results import store
from fedfeat.results.bootstrap import DRAWS, macro_aucs, multiplicities, weighted_auc

ROWS, LABELS = 60, 4


def _test_set(rows: int = ROWS, labels: int = LABELS, share: float = 0.3) -> store.TestSet:
    generator = np.random.default_rng(5)
    return store.TestSet(
        rows=np.array([f"r{n}" for n in range(rows)]),
        patients=np.array([f"p{n // 2}" for n in range(rows)]),
        labels=(generator.random((rows, labels)) < share).astype(np.uint8),
        known=generator.random((rows, labels)) < 0.9,
        names=tuple(f"label {n}" for n in range(labels)),
    )


def _scores(ties: bool, shape: tuple[int, int] = (ROWS, LABELS)) -> np.ndarray:
    scores = np.random.default_rng(7).normal(size=shape).astype(np.float32)
    return np.round(scores) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_every_draw_agrees_with_scikit_learn(ties: bool) -> None:
    test_set, scores = _test_set(), _scores(ties)
    weights = multiplicities(test_set, 130)  # more than a chunk
    expected = [
        np.mean(
            [
                roc_auc_score(test_set.labels[known, n], scores[known, n], sample_weight=weight[known])
                for n, known in enumerate(test_set.known.T)
            ]
        )
        for weight in weights.T
    ]
    np.testing.assert_allclose(macro_aucs(test_set, scores, weights), expected, rtol=1e-12)


def test_by_hand() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    positive = np.array([True, True, False, False])
    # pairs: 0.9 > 0.5, 0.9 > 0.1, 0.5 = 0.5 (half), 0.5 > 0.1
    once, twice, gone = [1, 1, 1, 1], [1, 1, 2, 1], [0, 0, 1, 1]
    auc = weighted_auc(scores, positive, ~positive, np.array([once, twice, gone], dtype=np.float64).T)
    np.testing.assert_allclose(auc, [3.5 / 4, (2 + 1 + 1 + 1) / 6, np.nan])


def test_rows_of_a_patient_are_drawn_together_and_as_many_patients_as_there_are() -> None:
    weights = multiplicities(_test_set())
    assert weights.shape == (ROWS, DRAWS)
    np.testing.assert_array_equal(weights[0::2], weights[1::2])
    np.testing.assert_array_equal(weights[0::2].sum(axis=0), ROWS // 2)
    assert weights.min() == 0
    assert weights.max() > 2


def test_equal_test_sets_have_equal_draws_and_others_have_others() -> None:
    test_set = _test_set()
    first = multiplicities(test_set)
    np.testing.assert_array_equal(first, multiplicities(_test_set()))
    other = replace(test_set, rows=test_set.rows[::-1])
    assert (first != multiplicities(other)).any()


def test_a_label_with_one_class_in_a_draw_is_left_out_of_that_draw_for_all() -> None:
    test_set = store.TestSet(
        rows=np.array(["a", "b", "c", "d"]),
        patients=np.array(["a", "b", "c", "d"]),
        labels=np.array([[1, 1], [0, 1], [1, 0], [0, 0]], dtype=np.uint8),
        known=np.ones((4, 2), dtype=np.bool_),
        names=("one", "two"),
    )
    # all four; a, b: the second label has positives only; b: no label has two classes
    weights = np.array([[1, 1, 1, 1], [2, 2, 0, 0], [0, 4, 0, 0]], dtype=np.int32).T
    good = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    bad = good * [1, -1]
    np.testing.assert_allclose(macro_aucs(test_set, good, weights), [1.0, 1.0, np.nan])
    np.testing.assert_allclose(macro_aucs(test_set, bad, weights), [0.5, 1.0, np.nan])
