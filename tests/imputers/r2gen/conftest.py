"""Small networks that tests of R2Gen share."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from fedfeat.imputers.r2gen.network import R2Gen, Sizes

PATCH_WIDTH = 6


@pytest.fixture
def make_network() -> Callable[..., R2Gen]:
    """Build a network whose images are patches already, (n, patches, 6), with weights from a seed.

    `spread` multiplies the output layer, whose fresh weights would make all words almost equally likely.
    """

    def build(seed: int = 0, words: int = 11, layers: int = 2, spread: float = 1.0, dropout: float = 0.0) -> R2Gen:
        sizes = Sizes(16, 24, heads=4, layers=layers, slots=3, dropout=dropout, visual_dropout=dropout)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = R2Gen(nn.Identity(), PATCH_WIDTH, words, sizes).double()
        with torch.no_grad():
            network.output.weight.mul_(spread)
        return network.eval()

    return build
