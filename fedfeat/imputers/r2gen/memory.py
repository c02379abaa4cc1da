"""The relational memory of R2Gen, and the layer norm that it conditions (the paper's sections 2.3 and 2.4)."""

import torch
from torch import Tensor, nn

from fedfeat.imputers.r2gen.layers import Attention, linear, standardised

FIRST_BIAS = 0.1  # what the biases of a conditioned norm's networks start from


class RelationalMemory(nn.Module):
    """A few slots that every token rewrites through attention and gates.

    From the memory M and a token y: Z = M + attention(M over [M; y]), Z = Z + MLP(Z), (i, f) = W y + U tanh(M),
    M' = sigmoid(i) tanh(Z) + sigmoid(f) M.
    """

    def __init__(self, width: int, heads: int, slots: int, dropout: float) -> None:
        super().__init__()
        self.slots, self.width = slots, width
        self.attention = Attention(width, heads, dropout)
        self.mlp = nn.Sequential(linear(width, width), nn.ReLU(), linear(width, width), nn.ReLU())
        self.token_gates = linear(width, 2 * width)
        self.memory_gates = linear(width, 2 * width)

    def start(self, count: int) -> Tensor:
        """Return the memory before the first token, (count, slots, width): the identity's first rows."""
        weight = self.token_gates.weight
        return torch.eye(self.slots, self.width, dtype=weight.dtype, device=weight.device).expand(count, -1, -1)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Take embedded tokens (n, L, width) and the memory before them, (n, slots, width).

        Returns the memory after each token, (n, L, slots, width). Only what depends on the memory runs token by token.
        """
        keys_values = self.attention.key_value(tokens).split(1, 1)  # unlike slices, pieces have one gradient together
        gates = self.token_gates(tokens).split(1, 1)
        after = []
        for of_token, gate in zip(keys_values, gates, strict=True):
            memory = self._rewritten(memory, of_token, gate)
            after.append(memory)
        return torch.stack(after, 1)

    def _rewritten(self, memory: Tensor, keys_values: Tensor, gates: Tensor) -> Tensor:
        keys, values = self.attention.by_head(torch.cat((self.attention.key_value(memory), keys_values), 1))
        draft = memory + self.attention(memory, keys, values)
        draft = draft + self.mlp(draft)
        enter, keep = torch.sigmoid(gates + self.memory_gates(torch.tanh(memory))).chunk(2, -1)
        return enter * torch.tanh(draft) + keep * memory


class ConditionedNorm(nn.Module):
    """Layer norm (MCLN) whose gain and bias are shifted by networks of the flattened memory."""

    def __init__(self, width: int, slots: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.gain_shift = _shift(width, slots)
        self.bias_shift = _shift(width, slots)

    def forward(self, states: Tensor, memory: Tensor) -> Tensor:
        """Take (n, L, width) and the memory of each position, (n, L, slots * width); return (n, L, width)."""
        gain: Tensor = self.gain + self.gain_shift(memory)
        bias: Tensor = self.bias + self.bias_shift(memory)
        return gain * standardised(states) + bias


def _shift(width: int, slots: int) -> nn.Sequential:
    first, second = linear(slots * width, width), linear(width, width)
    for layer in (first, second):
        nn.init.constant_(layer.bias, FIRST_BIAS)
    return nn.Sequential(first, nn.ReLU(), second)
