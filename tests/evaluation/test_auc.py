"""Macro AUC against scikit-learn and against values computed by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fedfeat.evaluation.auc import macro_auc


def test_it_is_scikit_learns_over_the_known_rows_of_each_label() -> None:
    random = np.random.default_rng(0)
    scores, targets = random.normal(size=(60, 4)), random.integers(0, 2, (60, 4)).astype(np.float32)
    mask = random.random((60, 4)) < 0.7
    result = macro_auc(scores, targets, mask)
    expected = [roc_auc_score(targets[mask[:, label], label], scores[mask[:, label], label]) for label in range(4)]
    assert list(result.per_label) == expected
    assert result.macro == pytest.approx(sum(expected) / 4)


@pytest.mark.parametrize("unknown", [0.0, 1.0, float("nan")])
def test_what_stands_at_unknown_labels_does_not_matter(unknown: float) -> None:
    random = np.random.default_rng(1)
    scores, targets = random.normal(size=(40, 3)), random.integers(0, 2, (40, 3)).astype(float)
    mask = random.random((40, 3)) < 0.6
    assert macro_auc(scores, np.where(mask, targets, unknown), mask) == macro_auc(scores, targets, mask)


def test_a_label_of_one_class_is_left_out_of_the_average() -> None:
    scores = np.array([[0.1, 0.5, 0.1, 0.2], [0.9, 0.4, 0.2, 0.3], [0.5, 0.3, 0.3, 0.4]])
    targets = np.array([[0, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 0]])
    mask = np.ones((3, 4), dtype=bool)
    mask[1, 3] = False  # the last label's known rows hold one class only
    result = macro_auc(scores, targets, mask)
    assert result.per_label == (1.0, None, None, None)
    assert result.macro == 1.0
    assert result.named(("a", "b", "c", "d")) == {"a": 1.0, "b": None, "c": None, "d": None}


@pytest.mark.parametrize("known", [True, False])
def test_without_a_label_to_score_there_is_no_average(known: bool) -> None:
    result = macro_auc(np.zeros((5, 2)), np.zeros((5, 2)), np.full((5, 2), known))
    assert result.per_label == (None, None)
    assert result.macro is None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], 1.0),
        ([0.9, 0.8, 0.2, 0.1], 0.0),
        ([0.5, 0.5, 0.5, 0.5], 0.5),  # a tie counts one half
        ([0.1, 0.5, 0.5, 0.9], 0.875),  # 3.5 of 4 pairs
    ],
)
def test_pairs_and_ties_by_hand(scores: list[float], expected: float) -> None:
    column = np.array(scores)[:, None]
    assert macro_auc(column, np.array([[0], [0], [1], [1]]), np.ones((4, 1), dtype=bool)).macro == expected


def test_scale_does_not_matter() -> None:
    random = np.random.default_rng(2)
    scores, targets = random.normal(size=(30, 2)), random.integers(0, 2, (30, 2))
    mask = np.ones((30, 2), dtype=bool)
    assert macro_auc(scores * 1e-3 - 7, targets, mask) == macro_auc(scores, targets, mask)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_number_raises(bad: float) -> None:
    scores = np.zeros((4, 2))
    scores[2, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        macro_auc(scores, np.eye(4, 2), np.ones((4, 2), dtype=bool))


def test_labels_need_names_of_equal_number() -> None:
    result = macro_auc(np.zeros((2, 2)), np.eye(2), np.ones((2, 2), dtype=bool))
    with pytest.raises(ValueError, match="zip"):
        result.named(("only one",))
