"""Canary cases: run anew in the present tree, they tell whether the committed board still holds.

Equal scores, bit for bit, are promised for an equal kind of device, threads and versions. What differs with all of them
and the method's file equal was changed by the core. A record's hash tells whether scores are equal; how far apart they
are is measured against its sidecar, in 16 bits. A record older than the hash has its full scores beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedfeat import provenance
from fedfeat.case import Case
from fedfeat.errors import FedfeatError
from fedfeat.machine import device_of
from fedfeat.pipeline import CaseFailed, execute
from fedfeat.plan import CaseSkipped, Resources, plan
from fedfeat.results import store
from fedfeat.results.record import Record
from fedfeat.results.staleness import Canary, Findings, Outcome, kind_of

CANARIES = (
    Case("zero", "homogeneous", "8:0:2"),  # reports are missing
    Case("complete", "homogeneous", "8:0:2"),
    Case("uniform", "homogeneous", "0:8:2"),  # images are missing
    Case("fin", "homogeneous", "4:4:2"),  # both are missing, at different clients
    Case("fin", "heterogeneous", "8:0:2"),
    Case("multimodal_only", "heterogeneous", "8:0:2"),
)
TOLERANCE = 0.01
"""Macro AUC within which results of other library versions count as close; nothing follows from it."""


def chosen(cases: Sequence[Case], only: str | None) -> tuple[Case, ...]:
    """Return the cases whose id contains one of the texts of a comma list; all for None.

    Raises:
        FedfeatError: no id contains one of the texts.
    """
    if only is None:
        return tuple(cases)
    texts = only.split(",")
    for text in texts:
        if not text or not any(text in case.case_id for case in cases):
            raise FedfeatError(
                f"--only {only}: no canary has {text!r} in its id; they are {', '.join(case.case_id for case in cases)}"
            )
    return tuple(case for case in cases if any(text in case.case_id for text in texts))


def watch(
    cases: Sequence[Case],
    records: Path,
    former: Findings,
    complete: bool,
    resources: Resources = Resources(),  # noqa: B008
    show: Callable[[Canary], None] = lambda canary: None,
) -> Findings:
    """Run canaries, hold them against their committed records, and return what is known then.

    Args:
        cases: the canaries.
        records: folder of the committed records.
        former: what was known before.
        complete: whether `cases` are all canaries.
        resources: what the cases need; their device is taken from the records.
        show: called after each canary.

    Raises:
        FedfeatError: a record or its scores cannot be read, or there are no records at all.
    """
    committed = store.read(records)
    if not committed:
        raise FedfeatError(f"{records}: no records there to hold canaries against; name the folder with --records")
    ids = {case.case_id for case in cases}
    held = {one.case_id: (one, store.read_scores(records, one.case_id)) for one in committed if one.case_id in ids}
    core = provenance.core_digest()
    found = []
    for case in cases:
        found.append(examine(case, *held[case.case_id], resources) if case.case_id in held else _absent(case))
        show(found[-1])
    return former.after(core, found, committed, complete)


def examine(case: Case, record: Record, scores: npt.NDArray[np.float32], resources: Resources) -> Canary:
    """Run a case as its record was made, and compare.

    Args:
        case: the canary.
        record: its committed record.
        scores: those of its sidecar, (rows, labels).
        resources: what the case needs.
    """
    dataset, preset, device = kind_of(record)
    canary = Canary(
        case_id=case.case_id,
        dataset=dataset,
        preset=preset,
        device=device,
        record_core=record.core,
        outcome="not run",
    )
    try:
        device_of(device)
    except FedfeatError as error:
        return replace(canary, reason=f"its record was made on {device}: {error}")
    try:
        result = execute(plan(case, replace(resources, device=device)))
    except CaseSkipped as skipped:
        return replace(canary, outcome="differs", reason=f"skipped: {skipped}")
    except CaseFailed as failed:
        return _judged(canary, record, failed.record, f"failed: {failed}")
    present = result.record
    if (present.test_set, result.scores.shape) != (record.test_set, scores.shape):
        return _judged(canary, record, present, "it is scored on other test rows")
    before, now = record.macro_auc, present.macro_auc
    equal, difference = _held(record, scores, result.scores)
    canary = replace(
        canary,
        score_difference=difference,
        auc_difference=None if before is None or now is None else abs(before - now),
    )
    if equal:
        return _judged(canary, record, present, None if before == now else "")
    return _judged(canary, record, present, "" if difference else "scores differ by less than 16 bits show")


def _held(record: Record, kept: npt.NDArray[np.float32], fresh: npt.NDArray[np.float32]) -> tuple[bool, float]:
    """Return whether fresh scores are those of a record, bit for bit, and the largest difference from its sidecar."""
    if record.scores_hash:
        difference = np.abs(store.as_kept(fresh).astype(np.float64) - kept)
        return record.scores_hash == store.scores_hash(fresh), float(difference.max())
    return np.array_equal(fresh, kept), float(np.abs(fresh.astype(np.float64) - kept).max())


def _absent(case: Case) -> Canary:
    reason = "there is no committed record of it"
    return Canary(
        case_id=case.case_id, dataset=case.dataset, preset=case.preset, device="", outcome="not run", reason=reason
    )


def _judged(canary: Canary, record: Record, present: Record, fault: str | None) -> Canary:
    """Return the canary with its outcome and what it ran on.

    Args:
        canary: with its differences, if it has any.
        record: the committed one.
        present: what the case gave here.
        fault: what is wrong beside the scores, or nothing (""); None: it gave the very scores of its record.
    """
    changed = _changes(record, present)
    outcome: Outcome = "differs"
    reason = fault or ""
    if fault is None:
        outcome = "reproduced"
    elif changed:
        outcome = "unclear"
        within = canary.auc_difference is not None and canary.auc_difference <= TOLERANCE
        close = fault or f"macro AUC {'' if within else 'not '}within {TOLERANCE}"
        reason = f"made otherwise ({', '.join(changed)}), so it tells nothing about the core; {close}"
    elif record.core == present.core:
        outcome = "unclear"
        reason = f"the very core of its record gives something else here: another kind of processor? {fault}".strip()
    return replace(
        canary,
        outcome=outcome,
        reason=reason,
        versions=dict(present.versions),
        commit=present.commit,
        dirty=present.dirty,
        date=present.date,
    )


def _changes(record: Record, present: Record) -> list[str]:
    """Return what numbers may differ by beside the core, as it was and as it is."""
    names = sorted({*record.versions, *present.versions})
    pairs = [(name, record.versions.get(name, "none"), present.versions.get(name, "none")) for name in names]
    pairs.append(("threads", str(record.threads), str(present.threads)))
    changes = [f"{name} {before}, here {now}" for name, before, now in pairs if before != now]
    if record.method_source and record.method_source != present.method_source:
        changes.append(f"another {record.method}.py")
    return changes


def line(canary: Canary) -> str:
    """Return a canary's outcome as one line."""
    differences = (
        ""
        if not (canary.score_difference or canary.auc_difference)
        else f"scores by up to {canary.score_difference:.3g}, macro AUC by {canary.auc_difference or 0.0:.3g}"
    )
    details = "; ".join(part for part in (differences, canary.reason) if part)
    return f"{canary.outcome} {canary.case_id}" + (f": {details}" if details else "")
