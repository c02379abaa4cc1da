"""Table 3: what it costs to make up for a missing report, FIN beside R2Gen, at the paper's sizes."""

from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from fedfeat import table3
from fedfeat.plan import Resources
from fedfeat.results.table3 import Table3

COUNTS = {
    "FIN, one direction": (6_320_640, 6_314_496),
    "FIN, one direction with a label head (inferred)": (6_324_238, 6_318_080),
    "FIN, both directions": (12_641_280, 12_628_992),
    "R2Gen, without a cache": (59_742_776, 94_058_645_504),
    "R2Gen, with a cache": (59_742_776, 8_400_238_592),
}
"""Parameters and multiply-accumulates, to the last digit."""


def test_table3(resources: Resources, table3_file: Any, benchmark: BenchmarkFixture) -> None:
    """Count and time both systems; hold the counts against the paper's figures and, to the last digit, our own."""
    runs = 0 if resources.smoke else table3.RUNS
    table3_file.require(table3.key(resources.device, runs))
    table: Table3 = benchmark.pedantic(table3.measure, args=(resources.device, runs), rounds=1, iterations=1)
    assert {one.name: (one.parameters, one.macs) for one in table.systems} == COUNTS
    for one in table.systems:
        if one.paper_macs and one.paper_parameters and one.role != "fin":  # the scored network lacks the label head
            assert abs(one.parameters / one.paper_parameters - 1) < 1e-4
            assert abs(one.macs / one.paper_macs - 1) < 1e-4
        assert (one.milliseconds or 0) > 0 if runs else one.milliseconds is None
    table3_file.write(table)
