"""Benchmarks for multimodal federated learning with missing modalities."""

from fedfeat.case import Case
from fedfeat.errors import FedfeatError
from fedfeat.imputers.base import Context, Dims, Imputer, Reply
from fedfeat.pipeline import CaseFailed, Result, run
from fedfeat.plan import CaseSkipped, Resources

__all__ = [
    "Case",
    "CaseFailed",
    "CaseSkipped",
    "Context",
    "Dims",
    "FedfeatError",
    "Imputer",
    "Reply",
    "Resources",
    "Result",
    "run",
]
