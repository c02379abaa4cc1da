"""Which cases are done: one line a case, as `pytest benchmarks --list` and `fedfeat list` print them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fedfeat.results import store
from fedfeat.results.record import Record

State = Literal["done", "changed", "failed", "missing", "skipped"]


_MADE_WITH = {
    "method_source": "the method's file",
    "params": "its parameters",
    "core": "fedfeat itself",
    "configuration": "the preset or an option",
    "data": "the data",
    "partition_hash": "the partition",
    "weights": "the encoders' start",
    "device": "the device",
    "versions": "versions of libraries",
}  # what a key is made of, by the record's fields


@dataclass(frozen=True)
class Listed:
    """A case, its state, and what else there is to say: the macro AUC in points, an error, a reason."""

    case_id: str
    state: State
    detail: str = ""


def listed(records: Path, case_id: str, key: str) -> Listed:
    """Return how a case stands that would run with this key.

    "done": its record stands, and it would not run again; "changed": it passed, but with another key, on which see
    `Record.key`; "failed": it broke, and would run again; "missing": it has no record that can be read, or not with
    its scores.
    """
    done = store.find(records, case_id, key)
    if done:
        return Listed(case_id, "done", "" if done.macro_auc is None else f"{100 * done.macro_auc:.2f}")
    former = store.latest(records, case_id)
    if former is None:
        return Listed(case_id, "missing")
    if former.status == "passed" and former.key == key:
        return Listed(case_id, "missing", "its scores are absent, damaged or another run's")
    if former.status == "failed":
        return Listed(case_id, "failed", " ".join((former.error or "no reason given").split()))
    return Listed(case_id, "changed")


def changes(former: Record, record: Record) -> str:
    """Return in words what differs between what made two records of a case; "" if they have the same key."""
    if former.key == record.key:
        return ""
    pairs = {words: (getattr(former, name), getattr(record, name)) for name, words in _MADE_WITH.items()}
    # An empty hash stands in records that are older than the field: it tells nothing.
    return ", ".join(words for words, (old, new) in pairs.items() if old not in (new, "")) or "the machine"


def render(records: Path, cases: Sequence[Listed]) -> str:
    """Return a line a case and a closing count."""
    if not cases:
        return "no case is selected"
    width = max(len(case.case_id) for case in cases)
    lines = [f"{case.state:<8} {case.case_id:<{width}}  {case.detail}".rstrip() for case in cases]
    states = [case.state for case in cases]
    counts = ", ".join(f"{states.count(state)} {state}" for state in get_args(State) if state in states)
    return "\n".join([*lines, f"{len(cases)} {'case' if len(cases) == 1 else 'cases'}, records in {records}: {counts}"])
