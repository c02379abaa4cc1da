"""Records sorted into what a board shows: sections of comparable cases, tables, rows, ranks. No text is made here."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any

from fedfeat.errors import FedfeatError
from fedfeat.results import paper
from fedfeat.results.comparisons import Comparisons
from fedfeat.results.record import Record
from fedfeat.results.significance import Difference, Outcome, outcomes, shortage
from fedfeat.results.text import data_text

BASELINE = "zero"
"""The method over which gains are counted."""
NOT_COMPARED = Comparisons()
STALE = "stale"
"""The mark of records that an older core made and the canaries no longer vouch for."""


@dataclass(frozen=True)
class Axes:
    """What the cases of one section have in common."""

    dataset: str
    synthetic: bool
    preset: str
    missing: float
    test_modalities: str
    aggregation: str
    engine: str
    imported_partition: str
    real_reports: bool

    @property
    def as_in_paper(self) -> bool:
        """Whether the paper's values answer the same question (the engine changes no question)."""
        asked = (self.missing, self.test_modalities, self.aggregation, self.imported_partition)
        return asked == (1.0, "both", "fedavg", "")

    @property
    def data(self) -> str:
        """The data set, and whether it is synthetic, as headings name it."""
        return data_text(self.dataset, self.synthetic, self.real_reports)

    @property
    def paper_data(self) -> bool:
        """Whether the scores are scores on the paper's own data."""
        return self.dataset == "cxr" and not self.synthetic


@dataclass(frozen=True)
class Row:
    """One method, with one set of parameters, in one table: its records by seed, passed and failed."""

    name: str
    title: str
    variant: str
    """What sets its parameters apart from the method's other variants in the section; empty if it has none."""
    records: dict[int, Record]

    @property
    def params(self) -> Mapping[str, Any]:
        """The method's parameters, equal in all of the records."""
        return next(iter(self.records.values())).params

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks that any of the records bears, once each."""
        return tuple(dict.fromkeys(mark for record in self.records.values() for mark in record.marks))

    @property
    def upper_bound(self) -> bool:
        """Whether the method uses what the others have to do without."""
        return "upper bound" in self.marks

    @property
    def failed(self) -> bool:
        """Whether the case of any seed failed."""
        return any(record.status == "failed" for record in self.records.values())

    def passed(self, seed: int) -> Record | None:
        """Return the record of a seed if its case passed."""
        record = self.records.get(seed)
        return record if record is not None and record.status == "passed" else None

    def mean(self, seeds: Sequence[int], value: Callable[[Record], float | None]) -> float | None:
        """Return the mean of a value over the seeds, None if it is missing for any: a hole is never averaged away."""
        passed = [self.passed(seed) for seed in seeds]
        values = [None if record is None else value(record) for record in passed]
        known = [one for one in values if one is not None]
        return fmean(known) if known and len(known) == len(values) else None


@dataclass(frozen=True)
class Table:
    """One column of the paper's tables: a setup and a partition, on one section's axes."""

    axes: Axes
    setup: str
    partition: str
    seeds: tuple[int, ...]
    """All seeds that any row has: a row is complete only with all of them."""
    rows: tuple[Row, ...]
    """Upper bounds first, then by mean macro AUC, the best first; incomplete rows last."""
    comparisons: Comparisons = NOT_COMPARED
    """What the table may show, of its records or of others."""

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """All records of the table."""
        return tuple(record for row in self.rows for record in row.records.values())

    @cached_property
    def baseline(self) -> Row | None:
        """The zero-filling row; None without one, or with several variants of it."""
        rows = [row for row in self.rows if row.name == BASELINE]
        return rows[0] if len(rows) == 1 else None

    @cached_property
    def test_rows(self) -> int:
        """The number of test rows that every passed record has at least."""
        return min((record.test_rows for record in self.records if record.status == "passed"), default=0)

    @cached_property
    def too_small(self) -> bool:
        """Whether there are too few seeds or test rows to rank by."""
        return bool(shortage(len(self.seeds), self.test_rows))

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """What differs between rows beside the method, so that their scores cannot be compared."""
        passed = [record for record in self.records if record.status == "passed"]
        by_seed = [[record for record in passed if record.seed == seed] for seed in self.seeds]
        found = {
            "test rows": len({record.test_set for record in passed}) > 1,
            "prepared data": any(len({record.data for record in records}) > 1 for records in by_seed),
            "encoders' start": any(len({record.weights for record in records}) > 1 for records in by_seed),
        }
        found["cores (some are stale)"] = len({STALE in record.marks for record in passed}) > 1
        return tuple(what for what, differs in found.items() if differs)

    @cached_property
    def ranked(self) -> tuple[Record, ...]:
        """The records of the methods that are ranked."""
        rows = [row for row in self.rows if self.rank(row) is not None]
        return tuple(record for row in rows for record in row.records.values())

    def row(self, method: str) -> Row | None:
        """Return the row of a method; None without one, or with several variants of it: none can be told to be it."""
        rows = [row for row in self.rows if row.name == method and not row.variant]
        return rows[0] if len(rows) == 1 else None

    def auc(self, row: Row) -> float | None:
        """Return a row's mean macro AUC in points, rounded to the two decimals that the board shows."""
        mean = row.mean(self.seeds, lambda record: record.macro_auc)
        return None if mean is None else round(100 * mean, 2)

    def rank(self, row: Row) -> int | None:
        """Return the rank from 1; equal shown values share one. None for upper bounds and where ranking is unsound."""
        own = self.auc(row)
        if own is None or row.upper_bound or self.too_small or self.differences:
            return None
        others = [self.auc(other) for other in self.rows if not other.upper_bound]
        return 1 + sum(other is not None and other > own for other in others)

    @cached_property
    def _outcomes(self) -> dict[tuple[str, str], tuple[Difference, Outcome]]:
        """Name and variant to the difference to zero filling, adjusted for all methods that have one."""
        baseline = self.complete(self.baseline) if self.baseline and not self.differences else None
        if baseline is None:
            return {}
        found = {}
        for row in self.rows:
            records = None if row is self.baseline else self.complete(row)
            difference = self.comparisons.of(records, baseline) if records else None
            if difference is not None:
                found[row.name, row.variant] = difference
        return dict(zip(found, zip(found.values(), outcomes(list(found.values())), strict=True), strict=True))

    def complete(self, row: Row) -> tuple[Record, ...] | None:
        """Return a row's records in the order of the table's seeds; None if any seed is missing or failed."""
        passed = tuple(record for seed in self.seeds if (record := row.passed(seed)) is not None)
        return passed if len(passed) == len(self.seeds) else None

    def outcome(self, row: Row) -> tuple[Difference, Outcome] | None:
        """Return the difference to zero filling and what it says, None if it was not computed."""
        return self._outcomes.get((row.name, row.variant))

    def rank_interval(self, row: Row) -> tuple[int, int] | None:
        """Return between which ranks a row lies in 95 % of the draws of patients, None if that was not computed."""
        if self.rank(row) is None:
            return None
        return self.comparisons.rank_interval(next(iter(row.records.values())), self.ranked)

    def gain(self, row: Row) -> float | None:
        """Return the mean over the seeds of the paired differences to zero filling, in points.

        None if a seed lacks one of the two, or if the two were scored on different test rows.
        """
        baseline = self.baseline
        if baseline is None:
            return None

        def difference(record: Record) -> float | None:
            zero = baseline.passed(record.seed)
            if zero is None or zero.macro_auc is None or record.macro_auc is None or zero.test_set != record.test_set:
                return None
            return 100 * (record.macro_auc - zero.macro_auc)

        return row.mean(self.seeds, difference)

    def paper_value(self, row: Row) -> float | None:
        """Return the paper's macro AUC in points for the row's method, None where it reports none."""
        return paper.value(self.setup, self.partition, row.name) if self._is_papers(row) else None

    def paper_gain(self, row: Row) -> float | None:
        """Return the paper's gain over zero filling in points for the row's method, None where it reports none."""
        return paper.gain(self.setup, self.partition, row.name) if self._is_papers(row) else None

    def _is_papers(self, row: Row) -> bool:
        """Return whether a row may stand for the paper's method: of several variants, none can be told to be it."""
        return self.axes.as_in_paper and not row.variant


@dataclass(frozen=True)
class Section:
    """The tables that share all axes but setup and partition."""

    axes: Axes
    tables: tuple[Table, ...]

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """All records of the section."""
        return tuple(record for table in self.tables for record in table.records)

    def table(self, setup: str, partition: str) -> Table | None:
        """Return the table of a column, None without one."""
        return next((one for one in self.tables if (one.setup, one.partition) == (setup, partition)), None)


def sections(records: Iterable[Record], comparisons: Comparisons = NOT_COMPARED) -> tuple[Section, ...]:
    """Sort records into sections: real data first, the paper's before others, tables in the paper's order.

    Half synthetic data go before synthetic ones. `comparisons` are those that the tables may show, of these records or
    of others.

    Raises FedfeatError, naming both, if two records stand for the same case.
    """
    by_axes: dict[Axes, list[Record]] = defaultdict(list)
    for record in records:
        by_axes[_axes(record)].append(record)
    order = sorted(by_axes, key=lambda axes: (axes.synthetic, not axes.real_reports, not axes.paper_data, repr(axes)))
    return tuple(Section(axes, _tables(axes, by_axes[axes], comparisons)) for axes in order)


def _axes(record: Record) -> Axes:
    return Axes(
        dataset=record.dataset,
        synthetic=record.synthetic,
        preset=record.preset,
        missing=float(record.missing),
        test_modalities=record.test_modalities,
        aggregation=record.aggregation,
        engine=record.engine,
        imported_partition=record.imported_partition,
        real_reports=record.real_reports,
    )


def _tables(axes: Axes, records: list[Record], comparisons: Comparisons) -> tuple[Table, ...]:
    variants = _variants(records)
    by_column: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        by_column[record.setup, record.partition].append(record)
    tables = (_table(axes, *column, by_column[column], variants) for column in sorted(by_column, key=_column_order))
    return tuple(replace(table, comparisons=comparisons) for table in tables)


def _variants(records: list[Record]) -> dict[tuple[str, str], str]:
    """Return the method and parameters of every variant with a text of the parameters in which it is special."""
    by_method: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for record in records:
        by_method[record.method][_frozen(record.params)] = record.params
    texts = {}
    for method, variants in by_method.items():
        names = sorted({name for params in variants.values() for name in params})
        special = [name for name in names if len({_value(params, name) for params in variants.values()}) > 1]
        for frozen, params in variants.items():
            texts[method, frozen] = ", ".join(f"{name} {_value(params, name)}" for name in special)
    return texts


def _value(params: Mapping[str, Any], name: str) -> str:
    return _frozen(params[name]) if name in params else "unset"


def _frozen(value: object) -> str:
    """Return a text that is equal for equal parameters, whatever their order."""
    return json.dumps(value, sort_keys=True, default=dict)


def _column_order(column: tuple[str, str]) -> tuple[int, str, list[str]]:
    """Order the paper's columns as the paper does, and others after them, by setup and numbers of clients."""
    setup, partition = column
    place = paper.COLUMNS.index(column) if column in paper.COLUMNS else len(paper.COLUMNS)
    return place, setup, [part.zfill(9) for part in partition.split(":")]


def _table(
    axes: Axes, setup: str, partition: str, records: list[Record], variants: Mapping[tuple[str, str], str]
) -> Table:
    seeds = tuple(sorted({record.seed for record in records}))
    table = Table(axes, setup, partition, seeds, _rows(records, variants))

    def place(row: Row) -> tuple[bool, float, str, str]:
        auc = table.auc(row)
        return not row.upper_bound, 1.0 if auc is None else -auc, row.title, row.variant

    return replace(table, rows=tuple(sorted(table.rows, key=place)))


def _rows(records: list[Record], variants: Mapping[tuple[str, str], str]) -> tuple[Row, ...]:
    by_variant: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in records:
        row = by_variant[record.method, _frozen(record.params)]
        other = row.setdefault(record.seed, record)
        if other is not record:
            raise FedfeatError(f"{other.case_id} and {record.case_id} are records of the same case; remove one of them")
    return tuple(
        Row(variant[0], next(iter(row.values())).title, variants[variant], dict(sorted(row.items())))
        for variant, row in sorted(by_variant.items())
    )
