"""Zero filling (paper, equation 3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from fedfeat.imputers.base import Context, Imputer


@dataclass(frozen=True)
class Zero(Imputer):
    """A missing feature is the zero vector."""

    name = "zero"
    title = "Zero filling"
    paper = True

    def fill(
        self, ctx: Context, features: Mapping[str, Tensor], present: Mapping[str, Tensor], targets: Tensor | None
    ) -> Mapping[str, Tensor]:
        """Return the features as they are: absent rows hold zeros already."""
        return features
