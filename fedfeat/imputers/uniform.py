"""Uniform filling (paper, equation 3)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fedfeat.imputers.base import Context, Imputer


@dataclass(frozen=True)
class Uniform(Imputer):
    """Every element of a missing feature is drawn from U(0, 1) anew at every step.

    Attributes:
        normalise: scale the draw to unit norm, as encoders' features are. The paper does not: at 256 dimensions a draw
            has a norm of about 9.2.
    """

    name = "uniform"
    title = "Uniform filling"
    paper = True

    normalise: bool = False

    def fill(
        self, ctx: Context, features: Mapping[str, Tensor], present: Mapping[str, Tensor], targets: Tensor | None
    ) -> Mapping[str, Tensor]:
        """Return a fresh draw for every row of each modality that some row lacks."""
        return {
            name: feature if bool(present[name].all()) else self._draw(ctx, feature)
            for name, feature in features.items()
        }

    def _draw(self, ctx: Context, like: Tensor) -> Tensor:
        drawn = torch.rand(like.shape, generator=ctx.generator).to(like.device)
        return functional.normalize(drawn, dim=1) if self.normalise else drawn
