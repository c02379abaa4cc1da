"""What every part of R2Gen is made of: layer norm, attention, the feed-forward part, positions.

Attention is written out instead of fused, so that a count of operations sees it in every mode.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6


def standardised(states: Tensor) -> Tensor:
    """Return (..., d) less its mean over d, divided by its unbiased standard deviation plus `EPSILON`."""
    centred = states - states.mean(-1, keepdim=True)
    # A norm, unlike a standard deviation, has a finite gradient where a row is constant.
    deviation: Tensor = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / math.sqrt(states.shape[-1] - 1)
    return centred / (deviation + EPSILON)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer whose matrix starts as Xavier's (uniform), as the transformer's do."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    return layer


class Norm(nn.Module):
    """Layer norm with gain and bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, states: Tensor) -> Tensor:
        """Take and return (..., width)."""
        return self.gain * standardised(states) + self.bias


class Attention(nn.Module):
    """Scaled dot-product attention of several heads; keys and values can be computed ahead and kept."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.query = linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        for matrix in self.key_value.weight.chunk(2):
            nn.init.xavier_uniform_(matrix)
        self.output = linear(width, width)
        self.dropout = dropout

    def keys_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Take (n, T, width); return keys and values, (n, heads, T, width / heads) each."""
        return self.by_head(self.key_value(states))

    def by_head(self, joint: Tensor) -> tuple[Tensor, Tensor]:
        """Take what `key_value` gives, (n, T, 2 * width); return keys and values as `keys_values` does."""
        keys, values = joint.chunk(2, -1)
        return self._split(keys), self._split(values)

    def forward(self, states: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Take (n, L, width) and what `keys_values` gives; return (n, L, width).

        `mask` is added to the scores, which are (n, heads, L, T).
        """
        scores = (self._split(self.query(states)) * self.scale) @ keys.transpose(-1, -2)
        weights = torch.softmax(scores if mask is None else scores + mask, -1)
        read = functional.dropout(weights, self.dropout, self.training) @ values
        attended: Tensor = self.output(read.transpose(1, 2).flatten(2))
        return attended

    def _split(self, states: Tensor) -> Tensor:
        heads: Tensor = states.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)


def feed_forward(width: int, inner: int, dropout: float) -> nn.Sequential:
    """Return Linear, ReLU, dropout, Linear over (..., width)."""
    return nn.Sequential(linear(width, inner), nn.ReLU(), nn.Dropout(dropout), linear(inner, width))


def causal_mask(length: int, like: Tensor) -> Tensor:
    """Return (length, length) with minus infinity where a position would see a later one, else 0."""
    return torch.full((length, length), -math.inf, dtype=like.dtype, device=like.device).triu(1)


def sinusoids(start: int, length: int, like: Tensor) -> Tensor:
    """Return the positions `start` to `start + length - 1` as (length, d): sines at even, cosines at odd dimensions.

    Wavelengths run from 2 pi to 10,000 times that (Vaswani et al., 2017). `like` gives d (even), dtype and device.
    """
    width = like.shape[-1]
    places = torch.arange(start, start + length, device=like.device, dtype=like.dtype)
    rates = torch.exp(torch.arange(0, width, 2, device=like.device, dtype=like.dtype) * (-math.log(1e4) / width))
    angles = places[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)
