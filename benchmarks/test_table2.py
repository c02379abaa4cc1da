"""Table 2: unimodal text clients, and unimodal clients of both kinds, in the homogeneous setup."""

from collections.abc import Callable

from fedfeat.case import Case
from fedfeat.results.record import Record

COLUMNS = [
    ("homogeneous", "0:8:2"),
    ("homogeneous", "0:6:4"),
    ("homogeneous", "0:4:6"),
    ("homogeneous", "4:4:2"),
    ("homogeneous", "3:3:4"),
    ("homogeneous", "2:2:6"),
]


def test_table2(case: Case, measure: Callable[[Case], Record]) -> None:
    """Run the full federated pipeline of a case, and hold its result against the sanity bounds."""
    measure(case)
