"""Differences by hand, and when they count."""

from dataclasses import replace

import numpy as np
import pytest

from fedfeat.results.significance import Difference, Outcome, difference, holm, outcomes


def _difference(mean: float = 2.0, p: float = 0.002, seeds: tuple[float, ...] = (1.0, 2.0, 3.0)) -> Difference:
    return Difference(mean, mean - 1, mean + 1, p, seeds, 600)


def test_mean_interval_and_p_by_hand() -> None:
    # the mean over two seeds runs from -0.30 to 9.69 points in steps of 0.01
    steps = np.arange(-30, 970) / 1e4
    found = difference([0.75, 0.5], [0.5, 0.5], np.stack([2 * steps, 0 * steps]), np.zeros((2, 1000)), 600)
    assert found.seeds == (25.0, 0.0)
    assert found.mean == 12.5
    assert (found.low, found.high) == (pytest.approx(-0.06), pytest.approx(9.45))
    assert found.p == pytest.approx(2 * (1 + 31) / 1001)  # -0.30 to 0.00 are not above 0


@pytest.mark.parametrize("not_above", [24, 25])
def test_the_interval_leaves_out_zero_just_if_p_is_below_5_percent(not_above: int) -> None:
    draws = np.where(np.arange(1000) < not_above, -0.1, 0.1)[np.newaxis]
    found = difference([0.5], [0.4], draws, 0 * draws, 600)
    other = difference([0.4], [0.5], 0 * draws, draws, 600)
    assert (found.low > 0) is (found.p < 0.05) is (not_above == 24)
    assert (other.high < 0) is (not_above == 24)


def test_a_method_that_equals_another_is_undecided() -> None:
    draws = np.random.default_rng(0).random((3, 1000))
    found = difference([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], draws, draws, 600)
    assert (found.mean, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert [one.verdict for one in outcomes([found])] == ["undecided"]


def test_p_asks_about_the_value_it_is_held_against() -> None:
    draws = np.full((3, 1000), -0.01)
    against = {margin: difference([0.5] * 3, [0.51] * 3, draws, 0 * draws, 600, -margin) for margin in (0.0, 0.5, 2.0)}
    assert [one.p for one in against.values()] == [pytest.approx(2 / 1001)] * 3
    assert [outcomes([one])[0].verdict for one in against.values()] == ["below", "below", "above"]


def test_draws_in_which_nothing_could_be_scored_are_left_out() -> None:
    draws = np.array([[0.6, np.nan, 0.6]])
    found = difference([0.6], [0.5], draws, draws - 0.1, 600)
    assert (found.low, found.high) == (pytest.approx(10), pytest.approx(10))
    assert found.p == 2 / 3


def test_holm_by_hand() -> None:
    assert holm([0.03, 0.01, 0.04, 0.9]) == pytest.approx((0.09, 0.04, 0.09, 0.9))
    assert holm([]) == ()


def test_what_is_significant_alone_may_not_be_in_a_family() -> None:
    found = _difference(p=0.02)
    assert outcomes([found])[0] == Outcome("above", 0.02)
    crowd = [found, _difference(p=0.5), replace(found, p=0.03)]
    assert [one.verdict for one in outcomes(crowd)] == ["undecided"] * 3
    assert outcomes([_difference(), *crowd])[0] == Outcome("above", 0.008)


def test_all_seeds_must_agree() -> None:
    assert outcomes([_difference(seeds=(3.0, 3.1, -0.1))])[0] == Outcome("undecided", 0.002, "the seeds disagree")
    assert outcomes([_difference(seeds=(3.0, 3.0, 0.0))])[0].verdict == "undecided"
    below = _difference().reversed()
    assert (below.mean, below.low, below.high, below.seeds) == (-2.0, -3.0, -1.0, (-1.0, -2.0, -3.0))
    assert outcomes([below])[0].verdict == "below"


def test_too_few_seeds_or_rows_are_undecided_and_weigh_on_no_other() -> None:
    few = replace(_difference(), seeds=(1.0, 2.0), test_rows=499)
    enough = _difference(p=0.05)
    found = outcomes([few, enough])
    assert found[0] == Outcome("undecided", None, "2 seeds (3 needed), 499 test rows (500 needed)")
    assert found[1].verdict == "above"
