"""The paper's claims, one frozen record each, and what a section of a board says to them.

"Level" means: not lower by more than a margin. The paper calls feature imputation with two multimodal clients
"comparable" to zero filling with six, at 86.16 against 86.94: 0.78 points lower. A margin of just that would leave a
result like the paper's own undecided for ever, since its interval could never lie above it; so the margin is twice
that, 1.56 points. It also spans what the paper calls "highly competitive" with CAR-MFL: at most 1.50 points lower.
Being higher is no breach of being level: the claims are that nothing is lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fedfeat.results import paper
from fedfeat.results.board import Row, Section, Table
from fedfeat.results.comparisons import Comparisons
from fedfeat.results.record import Record
from fedfeat.results.significance import MARKS, Difference, Outcome, outcomes, shortage
from fedfeat.results.text import large, quotient, ratio

LEVEL_MARGIN = 1.56
"""Points of macro AUC; see the module's docstring."""

Verdict = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Cell:
    """A method in a column of the paper's tables."""

    setup: str
    partition: str
    method: str

    @property
    def column(self) -> str:
        """The column's name."""
        return f"{self.setup} {self.partition}"

    @property
    def paper(self) -> float | None:
        """The paper's macro AUC in points."""
        return paper.value(self.setup, self.partition, self.method)


@dataclass(frozen=True)
class Pair:
    """Two cells, of which the first is claimed to be above the second by more than `against` points."""

    first: Cell
    second: Cell
    against: float = 0.0

    @property
    def name(self) -> str:
        """What tells it from the other pairs of its claim: the column, or both if they differ."""
        if self.first.column == self.second.column:
            return self.first.column
        return f"{self.first.column} against {self.second.column}"


@dataclass(frozen=True)
class Judged:
    """A claim in a section.

    Attributes:
        here: its numbers here; empty: there are none.
        verdict: "holds", "fails" or "undecided".
        reason: why, where the numbers do not say it.
    """

    here: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Scores:
    """A claim about scores: the first of every pair is above the second.

    It holds if all pairs are significantly above, adjusted for all of them together; it fails if any is significantly
    below, adjusted in the same way.
    """

    claim: str
    pairs: tuple[Pair, ...]

    @property
    def paper(self) -> str:
        """What the paper reports: the smallest and the largest difference of the pairs, in points."""
        both = [(pair.first.paper, pair.second.paper) for pair in self.pairs]
        values = [first - second for first, second in both if first is not None and second is not None]
        ends = dict.fromkeys(f"{value:+.2f}" for value in (min(values), max(values)))
        first, second = both[0]
        return " to ".join(ends) + (f" ({first:.2f} against {second:.2f})" if len(values) == 1 else "")

    def judge(self, section: Section, comparisons: Comparisons) -> Judged:
        """Return what the section's records say to it."""
        asked = [_Asked(section, pair, comparisons) for pair in self.pairs]
        found = [(one.pair, one.difference) for one in asked if one.difference is not None]
        results = outcomes([difference for _, difference in found])
        here = "; ".join(
            _text(difference, result, self._name(pair))
            for (pair, difference), result in zip(found, results, strict=True)
        )
        verdicts = [result.verdict for result in results]
        counts = {
            "hold": verdicts.count("above"),
            "fail": verdicts.count("below"),
            "open": verdicts.count("undecided"),
            "missing": len(self.pairs) - len(found),
        }
        verdict: Verdict = "undecided"
        if counts["fail"]:
            verdict = "fails"
        elif counts["hold"] == len(self.pairs):
            verdict = "holds"
        said = [f"{number} {what}" for what, number in counts.items() if number]
        parts = [f"of {len(self.pairs)}: {', '.join(said)}"] if len(self.pairs) > 1 else []
        if verdict == "undecided":
            reasons = [result.reason for result in results] + [one.missing for one in asked]
            parts += [reason for reason in dict.fromkeys(reasons) if reason]
        return Judged(here, verdict, "; ".join(parts))

    def _name(self, pair: Pair) -> str:
        """Return what a difference is called in the cell of the numbers; nothing if there is only one."""
        if len(self.pairs) == 1:
            return ""
        return pair.name if len({one.name for one in self.pairs}) > 1 else pair.first.method


@dataclass(frozen=True)
class Cost:
    """A claim that feature imputation costs many times less than R2Gen.

    It holds if the ratio here is at least what is claimed, or what the paper's own figures give if that is less. It is
    asked of records of preset `paper` only: the ratio follows from the sizes of networks, and others have other sizes.

    Attributes:
        claim: in words.
        field: of the record: "parameters" or "macs".
        key: into that field.
        claimed: the ratio.
        figures: the paper's own for R2Gen and for feature imputation.
        both_key: into that field, of both directions, whose ratio is shown beside; empty: it is the same as `key`'s.
    """

    claim: str
    field: Literal["parameters", "macs"]
    key: str
    claimed: float
    figures: tuple[float, float]
    both_key: str = ""
    pairs: tuple[Pair, ...] = ()

    @property
    def paper(self) -> str:
        """What the paper's own figures give."""
        return quotient(*self.figures)

    def judge(self, section: Section, comparisons: Comparisons) -> Judged:
        """Return what the section's records say to it; scores play no part."""
        del comparisons
        if section.axes.preset != "paper":
            reason = f"preset {section.axes.preset} has networks of other sizes; Table 3 counts the paper's"
            return Judged("", "undecided", reason)
        costs = {method: self._cost(section, method, self.key) for method in ("r2gen", "fin")}
        dear, cheap = costs["r2gen"], costs["fin"]
        if not dear or not cheap:
            lacking = [f"no {self.field} of {method} in the records" for method, cost in costs.items() if not cost]
            return Judged("", "undecided", ", ".join(lacking))
        both = self._cost(section, "fin", self.both_key) if self.both_key else None
        here = quotient(dear, cheap)
        beside = f"; both directions are sent, {large(both)}: {ratio(dear / both)}" if both else ""
        return Judged(here + beside, "holds" if self.holds(dear, cheap) else "fails")

    def holds(self, dear: float, cheap: float) -> bool:
        """Return whether the ratio is at least what is claimed, or what the paper's own figures give."""
        return dear / cheap >= min(self.claimed, self.figures[0] / self.figures[1])

    def _cost(self, section: Section, method: str, key: str) -> float | None:
        rows = [row for table in section.tables if (row := table.row(method)) is not None]
        records = [record for row in rows for record in row.records.values() if record.status == "passed"]
        values = (getattr(record, self.field).get(key) for record in records)
        return next((float(value) for value in values if value), None)


Claim = Scores | Cost


@dataclass(frozen=True)
class _Asked:
    """A pair in a section: its difference, or why there is none."""

    section: Section
    pair: Pair
    comparisons: Comparisons

    @property
    def _sides(self) -> list[tuple[Cell, Table | None, Row | None]]:
        found = []
        for cell in (self.pair.first, self.pair.second):
            table = self.section.table(cell.setup, cell.partition)
            found.append((cell, table, table.row(cell.method) if table else None))
        return found

    @cached_property
    def difference(self) -> Difference | None:
        """The difference, None if it was not computed or cannot be trusted."""
        sides = in_section(self.section, self.pair)
        return self.comparisons.of(*sides, self.pair.against) if sides else None

    @property
    def missing(self) -> str:
        """Say why there is no difference; empty if there is one."""
        if self.difference is not None:
            return ""
        known = {record.method for record in self.section.records}
        unknown = [cell.method for cell, _, _ in self._sides if cell.method not in known]
        if unknown:
            return f"no records of {' and '.join(unknown)}"
        for cell, table, row in self._sides:
            if table is None:
                return "columns without records"
            if row is None:
                return f"no single row of {cell.method} in {cell.column}"
            if table.differences:
                return f"rows of {cell.column} differ in {', '.join(table.differences)}"
            small = shortage(len(table.seeds), table.test_rows)
            if small:
                return small
            if table.complete(row) is None:
                return f"{cell.method} lacks a seed in {cell.column}"
        return "not the same seeds and test rows, or no scores to compare"


def in_section(section: Section, pair: Pair) -> tuple[tuple[Record, ...], tuple[Record, ...]] | None:
    """Return the records of both sides of a pair, one a seed, in the same order; None if they cannot be compared."""
    sides = []
    for cell in (pair.first, pair.second):
        table = section.table(cell.setup, cell.partition)
        row = table.row(cell.method) if table else None
        records = table.complete(row) if table and row and not table.differences else None
        if records is None:
            return None
        sides.append(records)
    first, second = sides
    if [one.seed for one in first] != [one.seed for one in second]:
        return None
    return (first, second) if len({one.test_set for one in (*first, *second)}) == 1 else None


def _text(difference: Difference, result: Outcome, name: str) -> str:
    return f"{name} {difference.text} {MARKS[result.verdict]}".strip()


def _over_columns(
    first: str, second: str, columns: Iterable[tuple[str, str]], against: float = 0.0
) -> tuple[Pair, ...]:
    return tuple(Pair(Cell(*column, first), Cell(*column, second), against) for column in columns)


_TWO = ("homogeneous", "8:0:2")
_SIX = ("homogeneous", "4:0:6")
_TABLE_2 = tuple(column for column in paper.COLUMNS if paper.value(*column, "car_mfl") is not None)

COMMUNICATION = Cost(
    "FIN sends nearly 10x fewer parameters than R2Gen",
    "parameters",
    "fill_text",
    10,
    (paper.PARAMETERS["r2gen"], paper.PARAMETERS["fin"]),
    both_key="method",
)
OPERATIONS = Cost(
    "FIN takes 1000x fewer operations than R2Gen for a text",
    "macs",
    "fill_text",
    1000,
    (paper.MACS["r2gen"], paper.MACS["fin"]),
)

CLAIMS: tuple[Claim, ...] = (
    Scores("FIN is above zero filling in all ten columns", _over_columns("fin", "zero", paper.COLUMNS)),
    Scores("FIN is above uniform filling in all ten columns", _over_columns("fin", "uniform", paper.COLUMNS)),
    Scores(
        f"FIN with two multimodal clients (homogeneous 8:0:2) is level with zero filling with six (4:0:6), that is at "
        f"most {LEVEL_MARGIN} points lower",
        (Pair(Cell(*_TWO, "fin"), Cell(*_SIX, "zero"), -LEVEL_MARGIN),),
    ),
    Scores("FIN is above R2Gen in homogeneous 8:0:2", _over_columns("fin", "r2gen", [_TWO])),
    Scores(
        "Zero and uniform filling are above R2Gen in homogeneous 8:0:2",
        _over_columns("zero", "r2gen", [_TWO]) + _over_columns("uniform", "r2gen", [_TWO]),
    ),
    Scores(
        f"FIN is level with CAR-MFL in Table 2's columns, that is at most {LEVEL_MARGIN} points lower",
        _over_columns("fin", "car_mfl", _TABLE_2, -LEVEL_MARGIN),
    ),
    COMMUNICATION,
    OPERATIONS,
)
"""In the order in which the board shows them."""


def pairs() -> tuple[Pair, ...]:
    """Return the pairs that the claims ask for, each once, beyond those of a table's rows with each other."""
    asked = dict.fromkeys(pair for claim in CLAIMS for pair in claim.pairs)
    return tuple(pair for pair in asked if pair.against or pair.first.column != pair.second.column)


def judge(section: Section, comparisons: Comparisons) -> tuple[tuple[Claim, Judged], ...]:
    """Return every claim with its verdict; nothing where the paper's question was not asked, or no pair is compared."""
    axes = section.axes
    if not axes.as_in_paper or axes.engine != "local":
        return ()
    asked = [pair for claim in CLAIMS for pair in claim.pairs]
    if not any(_Asked(section, pair, comparisons).difference for pair in asked):
        return ()
    return tuple((claim, claim.judge(section, comparisons)) for claim in CLAIMS)
