"""When a difference of two methods is more than noise.

Two sources of chance are asked separately, since three seeds cannot settle anything by themselves (a sign test of three
has a two-sided p of 0.25). Which patients happen to be in the test set: an interval over draws of patients, adjusted
after Holm for the comparisons that belong together, must leave out the value that is tested against. Which partition,
initialisation and order of batches happened: all seeds must lie on the same side of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fedfeat.results.bootstrap import Floats

MIN_SEEDS = 3
MIN_TEST_ROWS = 500
"""With fewer seeds or test rows, differences between methods are mostly noise, and the board does not rank."""
LEVEL = 0.05
"""Share of families of comparisons without any difference in which one may be found by chance."""

Verdict = Literal["above", "below", "undecided"]
MARKS: Mapping[Verdict, str] = {"above": "▲", "below": "▼", "undecided": ""}
"""What stands beside a difference."""


@dataclass(frozen=True)
class Difference:
    """The macro AUC of one method less that of another with the same seeds and test rows, in points.

    Attributes:
        mean: over the seeds.
        low: lower end of its 95 % interval from the draws of patients; in each draw the mean over the seeds is taken.
        high: the upper end.
        p: two-sided, for a true difference of `against`. `low` to `high` leaves `against` out just if p < 0.05.
        seeds: the difference of each seed.
        test_rows: how many rows both were scored on.
        against: the value that it is held against: 0, or the negative of a margin that still counts as level.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: tuple[float, ...]
    test_rows: int
    against: float = 0.0

    @property
    def text(self) -> str:
        """The mean with its interval, for a cell."""
        # Adding 0.0 turns the -0.00 of a rounded loss into 0.00.
        mean, low, high = (f"{round(value, 2) + 0.0:+.2f}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"

    def reversed(self) -> "Difference":
        """Return the difference of the second method to the first."""
        seeds = tuple(-one for one in self.seeds)
        return Difference(-self.mean, -self.high, -self.low, self.p, seeds, self.test_rows, -self.against)

    def rounded(self, digits: int) -> "Difference":
        """Return it with rounded numbers of points."""
        mean, low, high = (round(value, digits) for value in (self.mean, self.low, self.high))
        seeds = tuple(round(one, digits) for one in self.seeds)
        return replace(self, mean=mean, low=low, high=high, seeds=seeds)


@dataclass(frozen=True)
class Outcome:
    """What a difference says beside the others of its family.

    Attributes:
        verdict: where the first method lies; "above" and "below" only if that is significant.
        p: adjusted after Holm; None where too little was run to ask.
        reason: why it is undecided; empty otherwise.
    """

    verdict: Verdict
    p: float | None
    reason: str = ""


def difference(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    first_draws: Floats,
    second_draws: Floats,
    test_rows: int,
    against: float = 0.0,
) -> Difference:
    """Return the paired difference of two methods in points.

    Args:
        first: macro AUC of each seed on all test rows, in [0, 1]; `second` in the same order of seeds.
        second: that of the method it is compared with.
        first_draws: (seeds, draws), macro AUC in each draw of patients, the same draws for both.
        second_draws: (seeds, draws).
        test_rows: how many rows the test set has.
        against: in points, see `Difference`.
    """
    seeds = tuple(100 * (float(a) - float(b)) for a, b in zip(first, second, strict=True))
    draws = 100 * (first_draws - second_draws).mean(axis=0)
    draws = draws[~np.isnan(draws)]
    # Interpolated ends could contradict p: with "lower" and "higher" both say the same about `against`.
    tail = LEVEL / 2
    low = float(np.quantile(draws, tail, method="lower"))
    high = float(np.quantile(draws, 1 - tail, method="higher"))
    fewest = min(int((draws <= against).sum()), int((draws >= against).sum()))
    p = min(1.0, 2 * (1 + fewest) / (1 + len(draws)))
    return Difference(float(np.mean(seeds)), low, high, p, seeds, test_rows, against)


def shortage(seeds: int, test_rows: int) -> str:
    """Say what there is too little of to tell methods apart; empty if there is enough."""
    missing = []
    if seeds < MIN_SEEDS:
        missing.append(f"{seeds} {'seed' if seeds == 1 else 'seeds'} ({MIN_SEEDS} needed)")
    if test_rows < MIN_TEST_ROWS:
        missing.append(f"{test_rows:,} test rows ({MIN_TEST_ROWS} needed)")
    return ", ".join(missing)


def outcomes(family: Sequence[Difference]) -> tuple[Outcome, ...]:
    """Return an outcome a difference, in their order, adjusted after Holm for all of the family that can be asked."""
    asked = [one for one in family if not shortage(len(one.seeds), one.test_rows)]
    adjusted = dict(zip(map(id, asked), holm([one.p for one in asked]), strict=True))
    return tuple(_outcome(one, adjusted.get(id(one))) for one in family)


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Return p values adjusted after Holm (1979), in their order: at most LEVEL means significant in the family."""
    adjusted = [1.0] * len(p)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return tuple(adjusted)


def _outcome(one: Difference, p: float | None) -> Outcome:
    if p is None:
        return Outcome("undecided", None, shortage(len(one.seeds), one.test_rows))
    if p > LEVEL:
        return Outcome("undecided", p, "not significant")
    if one.mean > one.against and all(seed > one.against for seed in one.seeds):
        return Outcome("above", p)
    if one.mean < one.against and all(seed < one.against for seed in one.seeds):
        return Outcome("below", p)
    return Outcome("undecided", p, "the seeds disagree")
