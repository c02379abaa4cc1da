"""Benchmarks for multimodal federated learning with missing modalities.

The names below are imported when they are first used: reading records and boards needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedfeat.case import Case
    from fedfeat.data.prepare import Studies
    from fedfeat.errors import FedfeatError
    from fedfeat.imputers.base import Context, Dims, Imputer, Reply, State
    from fedfeat.models.counting import Cost
    from fedfeat.pipeline import CaseFailed, Result, run
    from fedfeat.plan import CaseSkipped, Resources

_HOMES = {
    "Case": "fedfeat.case",
    "CaseFailed": "fedfeat.pipeline",
    "CaseSkipped": "fedfeat.plan",
    "Context": "fedfeat.imputers.base",
    "Cost": "fedfeat.models.counting",
    "Dims": "fedfeat.imputers.base",
    "FedfeatError": "fedfeat.errors",
    "Imputer": "fedfeat.imputers.base",
    "Reply": "fedfeat.imputers.base",
    "Resources": "fedfeat.plan",
    "Result": "fedfeat.pipeline",
    "State": "fedfeat.imputers.base",
    "Studies": "fedfeat.data.prepare",
    "run": "fedfeat.pipeline",
}

__all__ = [
    "Case",
    "CaseFailed",
    "CaseSkipped",
    "Context",
    "Cost",
    "Dims",
    "FedfeatError",
    "Imputer",
    "Reply",
    "Resources",
    "Result",
    "State",
    "Studies",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
