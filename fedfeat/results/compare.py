"""New records beside stored ones, in two tiers: a coarse floor that fails, a tight tolerance that warns.

Scores from another device or library version differ in more than the last digits, since training amplifies what
rounding starts; so the floor is coarse, and a drift shows in many warnings.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from fedfeat.errors import FedfeatError
from fedfeat.results.record import Record

FLOOR = 5.0
"""Points of macro AUC (0 to 100) that a case may lose against the stored record before the comparison fails."""
TOLERANCE = 1.0
"""Points that it may differ by in either direction without a warning."""
_NAMED = 3


@dataclass(frozen=True)
class Comparison:
    """A case that was run, and the stored record of the same case if there is one."""

    record: Record
    stored: Record | None
    floor: float
    tolerance: float

    @property
    def difference(self) -> float | None:
        """New less stored macro AUC in points; None if either has none."""
        if self.stored is None or self.stored.macro_auc is None or self.record.macro_auc is None:
            return None
        return 100 * (self.record.macro_auc - self.stored.macro_auc)

    @property
    def verdict(self) -> str:
        """Return "fails", "warns", "agrees", or "new" where nothing is stored."""
        if self.record.status == "failed":
            return "fails"
        difference = self.difference
        if difference is None:
            return "new"
        if difference < -self.floor:
            return "fails"
        return "agrees" if abs(difference) <= self.tolerance else "warns"

    @property
    def reason(self) -> str:
        """Say what a reader must know beside the numbers; empty where there is nothing."""
        if self.record.status == "failed":
            return f"the case failed: {' '.join((self.record.error or 'no reason given').split())}"
        if self.stored is None:
            return "no stored record"
        parts = []
        for what in ("data", "weights", "test_set"):
            if getattr(self.stored, what) != getattr(self.record, what):
                parts.append(f"other {what.replace('_', ' ')}")
        return ", ".join(parts)


def compare(
    records: Iterable[Record], stored: Iterable[Record], floor: float = FLOOR, tolerance: float = TOLERANCE
) -> tuple[Comparison, ...]:
    """Return a comparison a record, in their order; `floor` and `tolerance` in points.

    Raises FedfeatError if there is no record, if none has a stored one (a comparison of nothing would always agree), or
    if a limit is not from 0 to 100.
    """
    if not (0 <= floor <= 100 and 0 <= tolerance <= 100):  # NaN is refused as well
        raise FedfeatError(f"floor {floor:g} and tolerance {tolerance:g} must be points of AUC, from 0 to 100")
    by_id = {record.case_id: record for record in stored if record.status == "passed"}
    found = tuple(Comparison(record, by_id.get(record.case_id), floor, tolerance) for record in records)
    if not found:
        raise FedfeatError("no records to compare; run `pytest benchmarks` first, or name their folder")
    if all(one.stored is None for one in found):
        raise FedfeatError(
            f"none of the {len(found)} cases has a stored record; name the folder of the board's records"
        )
    return found


@dataclass(frozen=True)
class Column:
    """The stored cases of one column of the board, and those of them that have no new record, failed or passed."""

    name: str
    stored: tuple[str, ...]
    not_run: tuple[str, ...]


def columns(records: Iterable[Record], stored: Iterable[Record]) -> tuple[Column, ...]:
    """Return the columns of the passed stored records by name, with what is missing among the new records."""
    run = {record.case_id for record in records}
    ids: dict[str, list[str]] = defaultdict(list)
    for record in stored:
        if record.status == "passed":
            ids[f"{record.setup} {record.partition}, {record.dataset}, preset {record.preset}"].append(record.case_id)
    return tuple(
        Column(name, tuple(sorted(cases)), tuple(sorted(set(cases) - run))) for name, cases in sorted(ids.items())
    )


def render_not_run(columns: Sequence[Column]) -> str:
    """Return how many of the stored cases were not run, with a Markdown list of their columns and some of their ids."""
    stored, absent = sum(len(column.stored) for column in columns), sum(len(column.not_run) for column in columns)
    if not absent:
        return "every stored case was run"
    lines = [f"{absent} of {stored} stored cases {'was' if absent == 1 else 'were'} not run:", ""]
    for column in columns:
        count = len(column.not_run)
        if count == len(column.stored):
            lines.append(f"- {column.name}: all {count}")
        elif count:
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            lines.append(
                f"- {column.name}: {count} of {len(column.stored)}: {', '.join(column.not_run[:_NAMED])}{more}"
            )
    return "\n".join(lines)


def render(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table, the worst first, with seconds and memory of both sides, and a closing count."""
    order = ("fails", "warns", "new", "agrees")
    rows = [
        [
            one.verdict,
            one.record.case_id,
            _points(one.record),
            _points(one.stored),
            "" if one.difference is None else f"{one.difference:+.2f}",
            _pair(one, "seconds"),
            _pair(one, "peak_memory_mb"),
            _devices(one),
            one.reason.replace("|", "\\|"),
        ]
        for one in sorted(comparisons, key=lambda one: (order.index(one.verdict), one.record.case_id))
    ]
    headings = ["verdict", "case", "AUC", "stored", "difference", "seconds (stored)", "MB (stored)", "device", "note"]
    table = tabulate(rows, headings, tablefmt="pipe", disable_numparse=True)
    counts = ", ".join(f"{sum(one.verdict == what for one in comparisons)} {what}" for what in order)
    return f"{table}\n\n{len(comparisons)} {'case' if len(comparisons) == 1 else 'cases'}: {counts}"


def _points(record: Record | None) -> str:
    return "" if record is None or record.macro_auc is None else f"{100 * record.macro_auc:.2f}"


def _pair(one: Comparison, field: str) -> str:
    def cell(record: Record | None) -> str:
        value = None if record is None else getattr(record, field)
        return "" if value is None else f"{value:.0f}"

    return cell(one.record) if one.stored is None else f"{cell(one.record)} ({cell(one.stored)})"


def _devices(one: Comparison) -> str:
    if one.stored is None or one.stored.device == one.record.device:
        return one.record.device
    return f"{one.record.device} ({one.stored.device})"
