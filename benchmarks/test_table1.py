"""Table 1: unimodal image clients, in the homogeneous and the heterogeneous setup."""

from collections.abc import Callable

from fedfeat.case import Case
from fedfeat.results.record import Record

COLUMNS = [("heterogeneous", "8:0:2"), ("homogeneous", "8:0:2"), ("homogeneous", "6:0:4"), ("homogeneous", "4:0:6")]


def test_table1(case: Case, measure: Callable[[Case], Record]) -> None:
    """Run the full federated pipeline of a case, and hold its result against the sanity bounds."""
    measure(case)
