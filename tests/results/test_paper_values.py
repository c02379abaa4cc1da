import pytest

from fedfeat.results import paper


def test_every_cell_of_the_tables_is_there() -> None:
    assert len(paper.COLUMNS) == 10
    assert len(paper.VALUES) == 4 * 4 + 4 * 6
    assert all(60 < value < 100 for value in paper.VALUES.values())


@pytest.mark.parametrize(
    ("setup", "partition", "method", "value", "gain"),
    [
        ("homogeneous", "8:0:2", "zero", 79.8, None),
        ("homogeneous", "8:0:2", "fin", 86.16, 6.36),
        ("heterogeneous", "8:0:2", "r2gen", 67.32, -5.44),
        ("homogeneous", "4:4:2", "uniform", 85.74, 5.44),
        ("homogeneous", "2:2:6", "car_mfl", 89.94, 2.85),
        ("homogeneous", "8:0:2", "car_mfl", None, None),
        ("heterogeneous", "0:8:2", "fin", None, None),
    ],
)
def test_values_and_gains(setup: str, partition: str, method: str, value: float | None, gain: float | None) -> None:
    assert paper.value(setup, partition, method) == value
    assert paper.gain(setup, partition, method) == (None if gain is None else pytest.approx(gain))
