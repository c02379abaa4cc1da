"""Which cases are done: one line a case, as `pytest benchmarks --list` and `fedfeat list` print them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fedfeat.results import store

State = Literal["done", "changed", "failed", "missing", "skipped"]


@dataclass(frozen=True)
class Listed:
    """A case, its state, and what else there is to say: the macro AUC in points, an error, a reason."""

    case_id: str
    state: State
    detail: str = ""


def listed(records: Path, case_id: str, key: str) -> Listed:
    """Return how a case stands that would run with this key.

    "done": its record stands, and it would not run again; "changed": it passed, but with another key, on which see
    `Record.key`; "failed": it broke, and would run again; "missing": it has no record that can be read.
    """
    done = store.find(records, case_id, key)
    if done:
        return Listed(case_id, "done", "" if done.macro_auc is None else f"{100 * done.macro_auc:.2f}")
    former = store.latest(records, case_id)
    if former is None:
        return Listed(case_id, "missing")
    if former.status == "failed":
        return Listed(case_id, "failed", " ".join((former.error or "no reason given").split()))
    return Listed(case_id, "changed")


def render(records: Path, cases: Sequence[Listed]) -> str:
    """Return a line a case and a closing count."""
    if not cases:
        return "no case is selected"
    width = max(len(case.case_id) for case in cases)
    lines = [f"{case.state:<8} {case.case_id:<{width}}  {case.detail}".rstrip() for case in cases]
    states = [case.state for case in cases]
    counts = ", ".join(f"{states.count(state)} {state}" for state in get_args(State) if state in states)
    return "\n".join([*lines, f"{len(cases)} {'case' if len(cases) == 1 else 'cases'}, records in {records}: {counts}"])
