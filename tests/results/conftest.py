"""Records with invented numbers."""

from collections.abc import Callable
from typing import Any

import pytest

from fedfeat.results.record import Record


def _record(method: str = "fin", seed: int = 0, auc: float | None = 0.75, **others: Any) -> Record:
    content: dict[str, Any] = {
        "key": "k1",
        "method": method,
        "title": method.upper(),
        "setup": "homogeneous",
        "partition": "8:0:2",
        "seed": seed,
        "dataset": "phantom",
        "synthetic": True,
        "preset": "phantom",
        "status": "passed",
        "macro_auc": auc,
        "test_rows": 600,
        "commit": "c0ffee",
        "dirty": False,
        "date": "2001-01-01T00:00:00Z",
    } | others
    parts = [content[name] for name in ("dataset", "setup", "partition", "method")]
    content.setdefault("case_id", ":".join([*parts, f"seed{seed}"]))
    return Record(**content)


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """A factory of passed records: method, seed, macro AUC and any other field."""
    return _record
