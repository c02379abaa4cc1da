"""Sanity bounds: what must be true of any result, whichever method made it, or something is broken."""

import math
from collections.abc import Mapping

from fedfeat.results.record import Record

PHANTOM_AUC = (0.55, 0.99)  # below: nothing was learnt; above: labels leak
PHANTOM_LABELS = 12  # of 14
MANIFEST_LABELS = 2  # if the manifest has so many


def least_labels(dataset: str, labels: int) -> int:
    """Return how many of a data set's labels must be scored at least."""
    return PHANTOM_LABELS if dataset == "phantom" else min(MANIFEST_LABELS, labels)


def violations(record: Record, expected_up: Mapping[str, int], expected_down: Mapping[str, int]) -> list[str]:
    """Return what is wrong with a record, one phrase each; empty if nothing is.

    Args:
        record: of a case that ran to its end.
        expected_up: client number -> bytes that it should have sent in a round, counted from the architecture.
        expected_down: the same for what it should have got.
    """
    found: list[str] = []
    auc = record.macro_auc
    least = least_labels(record.dataset, len(record.per_label_auc))
    if record.labels_scored < least:
        found.append(f"{record.labels_scored} labels could be scored, fewer than {least}")
    if auc is None or not math.isfinite(auc):
        found.append("the macro AUC is not a number")
    elif record.dataset == "phantom":
        low, high = PHANTOM_AUC
        if not low <= auc <= high:
            found.append(f"the macro AUC of {auc:.3f} is outside {low} to {high}")
        untrained, trained = record.validation_auc[:1], record.validation_auc[1:]
        if not trained or max(trained) <= untrained[0]:
            found.append("the best validation AUC is not above the untrained model's")
    for what, measured, expected in (
        ("sent", record.bytes_up, expected_up),
        ("got", record.bytes_down, expected_down),
    ):
        for client in dict.fromkeys((*measured, *expected)):
            if measured.get(client, 0) != expected.get(client, 0):
                found.append(
                    f"client {client} {what} {measured.get(client, 0)} bytes a round, not {expected.get(client, 0)}"
                )
    return found
