"""Differences that are kept apart from the scores they were computed from: the file `comparisons.json` beside a board.

Scores of credentialed sources may not be published, so what needs them is computed before. A comparison names the
cases on both of its sides with the keys of their records: once a record is another, it no longer counts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fedfeat.errors import FedfeatError
from fedfeat.files import read_text
from fedfeat.results.record import Record
from fedfeat.results.significance import Difference

NAME = "comparisons.json"
SCHEMA = 2
_SAME = 0.01
"""Points by which a seed's difference may differ from that of the records: it comes from scores in 16 bits."""

Cases = Mapping[str, str]
"""Case id to key, of the records of one method in one column, one a seed."""


@dataclass(frozen=True)
class Compared:
    """A difference and whose it is."""

    first: Cases
    second: Cases
    difference: Difference


@dataclass(frozen=True)
class RankInterval:
    """Between which ranks a method lies in 95 % of the draws of patients, among the methods of a table."""

    cases: Cases
    low: int
    high: int


@dataclass(frozen=True)
class Comparisons:
    """What could be compared.

    Attributes:
        compared: the pairs of methods.
        ranks: the rank intervals, a tuple a table.
        draws: of patients, on which every one of them rests at least; 0: nothing is compared.
    """

    compared: tuple[Compared, ...] = ()
    ranks: tuple[tuple[RankInterval, ...], ...] = ()
    draws: int = 0

    @cached_property
    def _by_pair(self) -> dict[tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]], float], Difference]:
        found = {}
        for one in self.compared:
            for difference, first, second in (
                (one.difference.reversed(), one.second, one.first),
                (one.difference, one.first, one.second),
            ):
                found[_frozen(first), _frozen(second), difference.against] = difference
        return found

    def of(self, first: Sequence[Record], second: Sequence[Record], against: float = 0.0) -> Difference | None:
        """Return the difference of two methods; None if these very records were not compared.

        Args:
            first: the method's records, one a seed.
            second: those of the method it is compared with, with the same seeds in the same order.
            against: in points, see `Difference`.
        """
        found = self._by_pair.get((_frozen(cases_of(first)), _frozen(cases_of(second)), against))
        if found is None or not _fits(found, first, second):
            return None
        return found

    def rank_interval(self, record: Record, ranked: Iterable[Record]) -> tuple[int, int] | None:
        """Return the rank interval of a record's method among the methods of all `ranked` records; None without."""
        wanted = _frozen(cases_of(ranked))
        for ranks in self.ranks:
            if _frozen(_all_cases(ranks)) == wanted:
                return next(((one.low, one.high) for one in ranks if record.case_id in one.cases), None)
        return None

    def filled_up(self, older: "Comparisons") -> "Comparisons":
        """Return these, and of the older ones those of pairs and tables that these lack."""
        pairs = {(_frozen(one.first), _frozen(one.second), one.difference.against) for one in self.compared}
        tables = {_frozen(_all_cases(ranks)) for ranks in self.ranks}
        compared = tuple(
            one
            for one in older.compared
            if (_frozen(one.first), _frozen(one.second), one.difference.against) not in pairs
        )
        ranks = tuple(ranks for ranks in older.ranks if _frozen(_all_cases(ranks)) not in tables)
        draws = min(self.draws or older.draws, older.draws) if compared or ranks else self.draws
        return Comparisons(self.compared + compared, self.ranks + ranks, draws)

    def among(self, records: Iterable[Record]) -> "Comparisons":
        """Return those of which every case is among these records, with the same key."""
        known = _frozen(cases_of(records))
        compared = tuple(one for one in self.compared if _frozen(one.first) | _frozen(one.second) <= known)
        ranks = tuple(ranks for ranks in self.ranks if all(_frozen(one.cases) <= known for one in ranks))
        return Comparisons(compared, ranks, self.draws if compared or ranks else 0)

    def to_json(self) -> str:
        """Return the file's text, a line a comparison."""
        compared = [{"first": one.first, "second": one.second} | asdict(one.difference) for one in self.compared]
        ranks = [[asdict(one) for one in table] for table in self.ranks]
        head = f'{{"schema": {SCHEMA},\n"draws": {self.draws},\n'
        return f'{head}"compared": [\n{_lines(compared)}\n],\n"ranks": [\n{_lines(ranks)}\n]}}\n'


def cases_of(records: Iterable[Record]) -> dict[str, str]:
    """Return case ids with their keys."""
    return {record.case_id: record.key for record in records}


def read(folder: Path) -> Comparisons:
    """Return the comparisons beside a board; none if there is no such file.

    Raises FedfeatError if it cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return Comparisons()
    try:
        content: dict[str, Any] = json.loads(read_text(path))
        if content["schema"] == 1:  # it did not say its draws
            content |= {"schema": SCHEMA, "draws": 1000}
        if content["schema"] != SCHEMA:
            raise ValueError("another schema")
        compared = tuple(
            Compared(one.pop("first"), one.pop("second"), Difference(**one | {"seeds": tuple(one["seeds"])}))
            for one in content["compared"]
        )
        draws = int(content["draws"])
        ranks = tuple(tuple(RankInterval(**one) for one in table) for table in content["ranks"])
        for cases in [*(one.first for one in compared), *(one.second for one in compared)]:
            _frozen(cases)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FedfeatError(f"{path}: not as `fedfeat publish` writes it ({error}); remove it and run that") from error
    return Comparisons(compared, ranks, draws)


def _lines(values: Iterable[object]) -> str:
    return ",\n".join(json.dumps(value, ensure_ascii=False, allow_nan=False) for value in values)


def _all_cases(ranks: Iterable[RankInterval]) -> dict[str, str]:
    return {case: key for one in ranks for case, key in one.cases.items()}


def _frozen(cases: Cases) -> frozenset[tuple[str, str]]:
    return frozenset(cases.items())


def _fits(found: Difference, first: Sequence[Record], second: Sequence[Record]) -> bool:
    """Return whether the records have the seeds' differences: the same key, run elsewhere, may give other scores."""
    aucs = [(a.macro_auc, b.macro_auc) for a, b in zip(first, second, strict=True)]
    differences = [100 * (a - b) for a, b in aucs if a is not None and b is not None]
    return len(differences) == len(found.seeds) and all(
        abs(one - seed) <= _SAME for one, seed in zip(differences, found.seeds, strict=True)
    )
