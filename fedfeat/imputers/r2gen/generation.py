"""Reports from images by beam search, with or without a cache of what was computed for earlier tokens.

Both ways return the same tokens. Without the cache every step computes the whole prefix anew: this is what the paper's
Table 3 counts (R2Gen 94.059 G).
"""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from fedfeat.imputers.r2gen.network import END, R2Gen

PEEK = 8  # steps between two looks at whether reports have ended, where a look makes the host wait for the device


class _Decoding(Protocol):
    """The n * b sequences of a search as the network sees them."""

    def logits(self, tokens: Tensor) -> Tensor:
        """Append a token to each sequence, (n * b,); return the logits of the next, (n * b, words + 1)."""

    def follow(self, rows: Tensor, images: Tensor | None) -> None:
        """Go on with these sequences, of these of the n images (None: all)."""


class _Cached:
    def __init__(self, network: R2Gen, images: Tensor) -> None:
        self._network = network
        self._carried = network.start(network.encode(images))

    def logits(self, tokens: Tensor) -> Tensor:
        states, self._carried = self._network.step(self._carried, tokens)
        logits: Tensor = self._network.output(states)
        return logits

    def follow(self, rows: Tensor, images: Tensor | None) -> None:
        self._carried = self._carried.follow(rows, images)


class _Recomputed:
    def __init__(self, network: R2Gen, images: Tensor) -> None:
        self._network = network
        self._encoded = network.encode(images)
        self._prefix = torch.zeros(images.shape[0], 0, dtype=torch.long, device=images.device)

    def logits(self, tokens: Tensor) -> Tensor:
        self._prefix = torch.cat((self._prefix, tokens[:, None]), 1)
        logits: Tensor = self._network.output(self._network.decode(self._encoded, self._prefix)[:, -1])
        return logits

    def follow(self, rows: Tensor, images: Tensor | None) -> None:
        self._prefix, self._encoded = self._prefix[rows], self._encoded[rows]


@torch.no_grad()
def generate(
    network: R2Gen, images: Tensor, length: int, beams: int = 3, cached: bool = True, stop_early: bool = True
) -> Tensor:
    """Return the reports' ids, (n, length), padded with `END` behind the words; one beam is greedy.

    Every report is the likeliest among those that the search has ended, and those still open after `length` words;
    there is no length penalty. Among equals the one that ended first wins, then the earlier beam and the smaller id.

    Args:
        network: is put into evaluation mode for the call.
        images: what its trunk takes, on its device.
        length: words at most.
        beams: sequences an image.
        cached: keep keys, values and memory instead of computing the prefix anew at every step.
        stop_early: leave out steps that cannot change a result; False: all `length` steps run, as the paper counts.
    """
    training = network.training
    network.eval()
    try:
        decoding: _Decoding = _Cached(network, images) if cached else _Recomputed(network, images)
        every = 1 if images.device.type == "cpu" else PEEK
        return _search(decoding, images, length, beams, every if stop_early else None)
    finally:
        network.train(training)


class Writing(nn.Module):
    """`generate` as one call of all its steps, for counting."""

    def __init__(self, network: R2Gen, length: int, beams: int = 3, cached: bool = True) -> None:
        super().__init__()
        self.network, self.length, self.beams, self.cached = network, length, beams, cached

    def forward(self, images: Tensor) -> Tensor:
        """Take images; return ids (n, length)."""
        return generate(self.network, images, self.length, self.beams, self.cached, stop_early=False)


def _search(decoding: _Decoding, images: Tensor, length: int, beams: int, every: int | None) -> Tensor:
    """Search; after `every` so many steps look which images are settled, and leave them out (None: never)."""
    device, count = images.device, images.shape[0]
    # Each image's best ended report, and how likely it is.
    reports = torch.full((count, length), END, device=device)
    best = torch.full((count,), -math.inf, dtype=torch.float64, device=device)
    # The images still searched: their numbers, and the log-probabilities, latest tokens and tokens of their sequences.
    # All sequences of an image begin alike, so the first step has only one.
    numbers = torch.arange(count, device=device)
    scores = torch.zeros(count, 1, device=device)
    latest = torch.full((count, 1), END, device=device)
    written = torch.zeros(count, 1, 0, dtype=torch.long, device=device)
    for step in range(length):
        logits = decoding.logits(latest.flatten())
        gains = torch.log_softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32))
        gains = gains.unflatten(0, latest.shape)
        scores, picks = _highest((scores[..., None] + gains).flatten(1), beams)
        parents, latest = picks // gains.shape[-1], picks % gains.shape[-1]
        rows = parents + torch.arange(0, written.shape[0] * written.shape[1], written.shape[1], device=device)[:, None]
        written = torch.cat((written.flatten(0, 1)[rows], latest[..., None]), 2)

        ended = latest == END if step < length - 1 else torch.ones_like(latest, dtype=torch.bool)
        score, place = scores.masked_fill(~ended, -math.inf).double().max(1)
        better = score > best[numbers]
        best[numbers] = torch.where(better, score, best[numbers])
        likeliest = written[torch.arange(len(numbers), device=device), place]
        reports[numbers, : step + 1] = torch.where(better[:, None], likeliest, reports[numbers, : step + 1])
        scores = scores.masked_fill(ended, -math.inf)  # its place goes to the next word of another sequence

        kept = None
        if every is not None and step % every == every - 1:
            # A report never becomes likelier as it grows: an image is settled once nothing open is likelier than its
            # best.
            searched = scores.max(1).values > best[numbers]
            if not bool(searched.all()):
                kept = searched.nonzero()[:, 0]
                if len(kept) == 0:
                    break
                numbers, scores, latest, written, rows = (
                    tensor[kept] for tensor in (numbers, scores, latest, written, rows)
                )
        if step < length - 1:
            decoding.follow(rows.flatten(), kept)
    return reports


def _highest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` highest of each row, (n, count), and their places, among equals the first.

    `torch.topk` would promise no order among equals.
    """
    found = [values.max(1)]
    for _ in range(count - 1):
        values = values.scatter(1, found[-1].indices[:, None], -math.inf)
        found.append(values.max(1))
    return torch.stack([one.values for one in found], 1), torch.stack([one.indices for one in found], 1)
