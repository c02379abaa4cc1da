"""R2Gen's network: patches of an image to a report, token by token (Chen et al., EMNLP 2020)."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfeat.imputers.r2gen.layers import Attention, Norm, causal_mask, feed_forward, sinusoids
from fedfeat.imputers.r2gen.memory import ConditionedNorm, RelationalMemory

END = 0  # one id begins a report, ends it, and pads it


@dataclass(frozen=True)
class Sizes:
    """The sizes of the network behind the image trunk; the defaults are the paper's.

    Attributes:
        width: of tokens, patches and memory slots.
        feedforward: inner width of the feed-forward parts.
        heads: attention heads.
        layers: of the encoder, and of the decoder.
        slots: of the memory.
        dropout: of attention weights, feed-forward parts, sublayers and embedded tokens.
        visual_dropout: of projected patches.
    """

    width: int = 512
    feedforward: int = 512
    heads: int = 8
    layers: int = 3
    slots: int = 3
    dropout: float = 0.1
    visual_dropout: float = 0.5


PAPER = Sizes()
SMALL = Sizes(width=128, feedforward=128, heads=4, layers=1)  # ours: writes and trains in seconds on one core

Cache = tuple[Tensor, Tensor]  # keys and values, (n, heads, T, width / heads) each


@dataclass(frozen=True)
class Carried:
    """What decoding carries from token to token, for n images of b sequences each.

    Attributes:
        patches: each decoder layer's keys and values of the n images' patches.
        past: each decoder layer's keys and values of the n * b sequences so far.
        memory: (n * b, slots, width), after the last token.
        length: tokens so far.
    """

    patches: list[Cache]
    past: list[Cache]
    memory: Tensor
    length: int

    def follow(self, rows: Tensor, images: Tensor | None) -> "Carried":
        """Return the state of these sequences (their numbers in the n * b), of these of the n images (None: all)."""
        patches = self.patches
        if images is not None:
            patches = [(keys[images], values[images]) for keys, values in patches]
        past = [(keys[rows], values[rows]) for keys, values in self.past]
        return Carried(patches, past, self.memory[rows], self.length)


class _EncoderLayer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.feed_forward = feed_forward(sizes.width, sizes.feedforward, sizes.dropout)
        self.norms = nn.ModuleList(Norm(sizes.width) for _ in range(2))
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, states: Tensor) -> Tensor:
        normed = self.norms[0](states)
        states = states + self.dropout(self.attention(normed, *self.attention.keys_values(normed)))
        after: Tensor = states + self.dropout(self.feed_forward(self.norms[1](states)))
        return after


class _DecoderLayer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.own = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.cross = Attention(sizes.width, sizes.heads, sizes.dropout)
        self.feed_forward = feed_forward(sizes.width, sizes.feedforward, sizes.dropout)
        self.norms = nn.ModuleList(ConditionedNorm(sizes.width, sizes.slots) for _ in range(3))
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self, states: Tensor, memory: Tensor, patches: Cache, past: Cache | None, mask: Tensor | None
    ) -> tuple[Tensor, Cache]:
        normed = self.norms[0](states, memory)
        keys, values = self.own.keys_values(normed)
        if past is not None:
            keys, values = torch.cat((past[0], keys), 2), torch.cat((past[1], values), 2)
        states = states + self.dropout(self.own(normed, keys, values, mask))
        # Nothing is masked here, so the sequences of one image can share its patches as if they were positions.
        normed = self.norms[1](states, memory)
        read = self.cross(normed.reshape(patches[0].shape[0], -1, normed.shape[-1]), *patches)
        states = states + self.dropout(read.reshape(states.shape))
        states = states + self.dropout(self.feed_forward(self.norms[2](states, memory)))
        return states, (keys, values)


class R2Gen(nn.Module):
    """An image trunk, a transformer encoder of its patches, and a decoder whose norms follow a relational memory.

    The decoder's memory, unlike its attention, is a recurrence; everything else is computed for all tokens at once.

    Args:
        trunk: takes images; returns patches as (n, patches, patch_width).
        patch_width: the trunk's output width.
        words: words of the vocabulary, ids 1 to `words`; id 0 begins, ends and pads.
        sizes: of everything behind the trunk.
    """

    def __init__(self, trunk: nn.Module, patch_width: int, words: int, sizes: Sizes = PAPER) -> None:
        super().__init__()
        self.sizes = sizes
        self.trunk = trunk
        self.projection = nn.Sequential(
            nn.Linear(patch_width, sizes.width), nn.ReLU(), nn.Dropout(sizes.visual_dropout)
        )
        self.encoder = nn.ModuleList(_EncoderLayer(sizes) for _ in range(sizes.layers))
        self.encoder_norm = Norm(sizes.width)
        self.embedding = nn.Embedding(words + 1, sizes.width)
        nn.init.xavier_uniform_(self.embedding.weight)
        self.embedding_dropout = nn.Dropout(sizes.dropout)
        self.memory = RelationalMemory(sizes.width, sizes.heads, sizes.slots, sizes.dropout)
        self.decoder = nn.ModuleList(_DecoderLayer(sizes) for _ in range(sizes.layers))
        self.decoder_norm = Norm(sizes.width)
        self.output = nn.Linear(sizes.width, words + 1)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits (n, L, words + 1) of the token after each of `tokens`, (n, L) ids that begin with `END`."""
        logits: Tensor = self.output(self.decode(self.encode(images), tokens))
        return logits

    def encode(self, images: Tensor) -> Tensor:
        """Take what the trunk takes; return encoded patches, (n, patches, width)."""
        states: Tensor = self.projection(self.trunk(images))
        for layer in self.encoder:
            states = layer(states)
        encoded: Tensor = self.encoder_norm(states)
        return encoded

    def decode(self, encoded: Tensor, tokens: Tensor) -> Tensor:
        """Take encoded patches (n, patches, width) and ids (n, L); return states (n, L, width) for `output`."""
        return self._extend(self.start(encoded), tokens)[0]

    def start(self, encoded: Tensor) -> Carried:
        """Return what decoding starts from, one sequence an image."""
        patches = [cast(_DecoderLayer, layer).cross.keys_values(encoded) for layer in self.decoder]
        return Carried(patches, [], self.memory.start(encoded.shape[0]), 0)

    def step(self, carried: Carried, tokens: Tensor) -> tuple[Tensor, Carried]:
        """Take the next id of each sequence, (n * b,); return states (n * b, width) for `output`, and what to carry."""
        states, carried = self._extend(carried, tokens[:, None])
        return states[:, 0], carried

    def _extend(self, carried: Carried, tokens: Tensor) -> tuple[Tensor, Carried]:
        length = tokens.shape[1]
        states = self.embedding(tokens) * math.sqrt(self.sizes.width)
        states = self.embedding_dropout(states + sinusoids(carried.length, length, states))
        memories = self.memory(states, carried.memory)
        flat = memories.flatten(2)
        # Padding stands behind a report, where the mask hides it as it hides any later token.
        mask = causal_mask(length, states) if length > 1 else None
        past: list[Cache] = []
        for number, layer in enumerate(self.decoder):
            before = carried.past[number] if carried.past else None
            states, cache = layer(states, flat, carried.patches[number], before, mask)
            past.append(cache)
        after = Carried(carried.patches, past, memories[:, -1], carried.length + length)
        return self.decoder_norm(states), after


def preceding(targets: Tensor) -> Tensor:
    """Return what the decoder is fed to predict these (n, L) ids: what stands before each, `END` before the first."""
    return functional.pad(targets[:, :-1], (1, 0), value=END)


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy, in nats a token, of (n, L, words + 1) logits and (n, L) ids.

    Counted are the words and the `END` behind them; what follows is padding.
    """
    ends = (targets == END).long()
    counted = (ends.cumsum(1) - ends) == 0
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten().long(), reduction="none")
    counted = counted.flatten()
    return (losses * counted).sum() / counted.sum()
