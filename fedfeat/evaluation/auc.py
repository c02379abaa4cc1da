"""Macro AUC over the labels that can be scored."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Scores:
    """AUC a label, and their mean.

    Attributes:
        per_label: (L,) AUC in [0, 1]; None where the known rows hold one class only.
        macro: the mean over the labels that have one; None if none has.
    """

    per_label: tuple[float | None, ...]
    macro: float | None

    def named(self, labels: tuple[str, ...]) -> Mapping[str, float | None]:
        """Return the AUC by label name."""
        return dict(zip(labels, self.per_label, strict=True))


def macro_auc(scores: np.ndarray, targets: np.ndarray, mask: np.ndarray) -> Scores:
    """Return the area under the ROC curve of each label over its known rows, and the macro average.

    Args:
        scores: (n, L), larger means more likely.
        targets: (n, L) in {0, 1}.
        mask: (n, L) bool; False rows are left out of that label.

    Raises:
        ValueError: a score is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    per_label: list[float | None] = []
    for label in range(targets.shape[1]):
        known = mask[:, label].astype(bool)
        truth = targets[known, label]
        both = len(np.unique(truth)) == 2
        per_label.append(float(roc_auc_score(truth, scores[known, label])) if both else None)
    defined = [value for value in per_label if value is not None]
    return Scores(tuple(per_label), float(np.mean(defined)) if defined else None)
