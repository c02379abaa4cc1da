"""Which methods are compared, and their differences from the scores beside the records."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedfeat.errors import FedfeatError
from fedfeat.results import claims, store
from fedfeat.results.board import Section, Table, sections
from fedfeat.results.bootstrap import DRAWS, Floats, macro_aucs, multiplicities
from fedfeat.results.comparisons import Compared, Comparisons, RankInterval, cases_of
from fedfeat.results.record import Record
from fedfeat.results.significance import difference

_DIGITS = 4  # of a point: a file of comparisons does not change with a processor's last digits

ReadScores = Callable[[Record], tuple[npt.NDArray[np.floating], store.TestSet] | None]


@dataclass(frozen=True, eq=False)
class _Scored:
    """The macro AUC of some cases of the same seeds, (seeds,) on all test rows and (seeds, draws) in each draw."""

    aucs: Floats
    draws: Floats


def compare_all(records: Iterable[Record], scores: ReadScores, draws: int = DRAWS) -> Comparisons:
    """Return the comparisons of all pairs of methods of every table, and of the pairs that the paper's claims ask for.

    Tables that are too small to rank, rows that lack a seed and cases without scores are left out.

    Args:
        records: of any number of sections.
        scores: returns a case's scores, (rows, labels), and its test set; None without them.
        draws: of patients, on which intervals and p values rest.

    Raises FedfeatError if two records stand for the same case, or if `scores` does.
    """
    bootstrap = _Bootstrap(scores, draws)
    compared: list[Compared] = []
    ranks: list[tuple[RankInterval, ...]] = []
    for section in sections(records):
        for table in section.tables:
            if table.too_small or table.differences:
                continue
            methods = [cases for row in table.rows if (cases := table.complete(row))]
            scored = [(cases, one) for cases in methods if (one := bootstrap.of(cases))]
            compared += [_compared(*first, *second) for first, second in combinations(scored, 2)]
            ranks += _ranks(table, scored)
        compared += [_compared(*first, *second, against) for first, second, against in _claimed(section, bootstrap)]
    return Comparisons(tuple(compared), tuple(ranks), draws if compared else 0)


def scores_in(folder: Path) -> ReadScores:
    """Return a reader of the scores beside the records of a folder: None for a case without them.

    The reader raises FedfeatError, naming the file, for sidecars that are damaged or of another run.
    """

    def read(record: Record) -> tuple[npt.NDArray[np.floating], store.TestSet] | None:
        if not record.test_set or not store.scores_path(folder, record.case_id).exists():
            return None
        if not store.labels_path(folder, record.test_set).exists():
            return None
        scores = store.read_scores(folder, record.case_id)
        test_set = store.read_test_set(folder, record.test_set)
        if scores.shape != test_set.labels.shape:
            path = store.scores_path(folder, record.case_id)
            raise FedfeatError(
                f"{path}: scores of shape {scores.shape} for a test set of {test_set.labels.shape}; "
                "remove it and run the case again with --rerun"
            )
        return scores, test_set

    return read


class _Bootstrap:
    """Bootstraps a case once, and draws the patients of a test set once."""

    def __init__(self, scores: ReadScores, draws: int) -> None:
        self._scores = scores
        self._draws = draws
        self._drawn: dict[str, npt.NDArray[np.int32]] = {}
        self._cases: dict[str, tuple[float, Floats] | None] = {}

    def of(self, records: Sequence[Record]) -> _Scored | None:
        """Return the macro AUCs of records, None if any has no scores."""
        cases = [case for record in records if (case := self._case(record)) is not None]
        if not cases or len(cases) < len(records):
            return None
        return _Scored(np.array([auc for auc, _ in cases]), np.stack([draws for _, draws in cases]))

    def _case(self, record: Record) -> tuple[float, Floats] | None:
        if record.case_id not in self._cases:
            found = self._scores(record)
            self._cases[record.case_id] = None if found is None else self._bootstrapped(*found)
        return self._cases[record.case_id]

    def _bootstrapped(self, scores: npt.NDArray[np.floating], test_set: store.TestSet) -> tuple[float, Floats] | None:
        digest = test_set.digest()
        if digest not in self._drawn:
            # in front of the draws: every row once, which gives the plain macro AUC
            drawn = multiplicities(test_set, self._draws)
            self._drawn[digest] = np.concatenate([np.ones_like(drawn[:, :1]), drawn], axis=1)
        aucs = macro_aucs(test_set, scores, self._drawn[digest])
        # no label has two classes among the test rows: there is no macro AUC to compare, in no draw either
        return None if np.isnan(aucs[0]) else (float(aucs[0]), aucs[1:])


def _claimed(
    section: Section, bootstrap: _Bootstrap
) -> Iterator[tuple[tuple[tuple[Record, ...], _Scored], tuple[tuple[Record, ...], _Scored], float]]:
    for pair in claims.pairs():
        sides = claims.in_section(section, pair)
        if sides is None:
            continue
        first, second = (bootstrap.of(side) for side in sides)
        if first and second:
            yield (sides[0], first), (sides[1], second), pair.against


def _compared(
    first: Sequence[Record], scored: _Scored, second: Sequence[Record], other: _Scored, against: float = 0.0
) -> Compared:
    rows = min(record.test_rows for record in (*first, *second))
    found = difference(scored.aucs, other.aucs, scored.draws, other.draws, rows, against)
    return Compared(cases_of(first), cases_of(second), found.rounded(_DIGITS))


def _ranks(table: Table, scored: Sequence[tuple[tuple[Record, ...], _Scored]]) -> list[tuple[RankInterval, ...]]:
    """Return between which ranks the methods lie, upper bounds left out.

    Nothing for one method alone, or if any that is ranked has no scores.
    """
    wanted = {record.case_id for record in table.ranked}
    rivals = [(records, one) for records, one in scored if records[0].case_id in wanted]
    if len(rivals) < 2 or {record.case_id for records, _ in rivals for record in records} != wanted:
        return []
    means = np.stack([one.draws.mean(axis=0) for _, one in rivals])
    means = means[:, ~np.isnan(means).any(axis=0)]
    placed = 1 + (means[np.newaxis] > means[:, np.newaxis]).sum(axis=1)
    low = np.quantile(placed, 0.025, axis=1, method="lower")
    high = np.quantile(placed, 0.975, axis=1, method="higher")
    return [
        tuple(
            RankInterval(cases_of(records), int(low[place]), int(high[place]))
            for place, (records, _) in enumerate(rivals)
        )
    ]
