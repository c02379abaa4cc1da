"""What the paper reports: macro AUC in points (0 to 100), mean of three seeds, on MIMIC-CXR; sizes of networks."""

from types import MappingProxyType

COLUMNS = (
    ("homogeneous", "8:0:2"),
    ("homogeneous", "6:0:4"),
    ("homogeneous", "4:0:6"),
    ("heterogeneous", "8:0:2"),
    ("homogeneous", "0:8:2"),
    ("homogeneous", "0:6:4"),
    ("homogeneous", "0:4:6"),
    ("homogeneous", "4:4:2"),
    ("homogeneous", "3:3:4"),
    ("homogeneous", "2:2:6"),
)
"""Setup and partition of the tables' columns, from left to right: the first four are Table 1, the others Table 2."""

_ROWS: dict[str, tuple[float | None, ...]] = {
    "zero": (79.8, 82.81, 86.94, 72.76, 86.18, 86.8, 88.21, 80.3, 84.57, 87.09),
    "uniform": (80.6, 84.83, 87.79, 71.16, 88.37, 88.64, 89.27, 85.74, 86.9, 88.49),
    "r2gen": (77.32, 83.1, 86.83, 67.32, None, None, None, None, None, None),
    "fin": (86.16, 87.61, 89.31, 77.94, 88.98, 89.3, 89.52, 88.79, 88.12, 89.12),
    "car_mfl": (None, None, None, None, 89.22, 90.12, 90.06, 88.93, 89.62, 89.94),
}

VALUES = MappingProxyType(
    {
        (*column, method): value
        for method, row in _ROWS.items()
        for column, value in zip(COLUMNS, row, strict=True)
        if value is not None
    }
)
"""(setup, partition, method) to macro AUC in points; R2Gen stands in Table 1 only, CAR-MFL in Table 2 only."""

PARAMETERS = MappingProxyType({"r2gen": 59.74e6, "fin": 6.324e6})
"""Table 3's, of one of FIN's directions."""
MACS = MappingProxyType({"r2gen": 94.059e9, "fin": 6.318e6})
"""Table 3's, which it calls FLOPs: for one report, and for one feature."""


def value(setup: str, partition: str, method: str) -> float | None:
    """Return the paper's macro AUC in points, None where its tables have no such cell."""
    return VALUES.get((setup, partition, method))


def gain(setup: str, partition: str, method: str) -> float | None:
    """Return the paper's gain over zero filling in points, None for zero filling itself and where it has no cell."""
    own, zero = value(setup, partition, method), value(setup, partition, "zero")
    return None if own is None or zero is None or method == "zero" else own - zero
