"""Masked language modelling of a BERT trunk: nothing but reports, no labels and no pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel

from fedfeat.data.reports import PAD_ID, SPECIAL_TOKENS
from fedfeat.pretraining.schedule import descend
from fedfeat.randomness import scoped, torch_generator

MASKED = 0.15  # BERT's share of tokens to predict: of these 80% become [MASK], 10% another piece, 10% stay
MASK_ID = SPECIAL_TOKENS.index("[MASK]")
SUMMARY_MASKED = 0.60  # for what is predicted from the state of [CLS], which must not be read off the neighbours
_SORTED_TOGETHER = 50  # batches among which reports are sorted by length, so that little is computed on padding


@dataclass(frozen=True)
class Language:
    """Hyper-parameters of the text side."""

    reports: int = 24_000
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 1.5e-3


@dataclass(frozen=True)
class LanguageScores:
    """Cross-entropy (nats) and accuracy over the masked tokens of held-out reports."""

    loss: float
    accuracy: float


class MaskedHead(nn.Module):
    """Predicts hidden tokens from their own states, as BERT's head does, or from the state of [CLS].

    The second way sees the two neighbours of a hidden token and the state of [CLS], nothing else of the report: so the
    state that a classifier will read learns to sum the report up, which BERT's way alone leaves untrained (as RetroMAE,
    Xiao et al. 2022, does with a decoder). Output
    matrix and neighbours are the trunk's embedding. Thrown away after pretraining.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        width = embedding.embedding_dim
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.summary = nn.Sequential(
            nn.Linear(3 * width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.LayerNorm(width)
        )
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))

    def forward(self, states: Tensor, embedding: nn.Embedding) -> Tensor:
        """Take (m, width) states of hidden tokens; return (m, vocabulary) logits."""
        return functional.linear(self.transform(states), embedding.weight, self.bias)

    def from_summary(self, states: Tensor, hidden: Tensor, chosen: Tensor, embedding: nn.Embedding) -> Tensor:
        """Take (n, width) states of [CLS], the (n, T) tokens and those to predict; return (m, vocabulary) logits."""
        rows, places = chosen.nonzero(as_tuple=True)  # never the first place nor, thanks to [SEP], the last
        sides = [embedding(hidden[rows, places + step]) for step in (-1, 1)]
        seen = torch.cat([states[rows], *sides], 1)
        return functional.linear(self.summary(seen), embedding.weight, self.bias)


def mask(tokens: Tensor, vocabulary: int, generator: torch.Generator, share: float) -> tuple[Tensor, Tensor]:
    """Return the (n, T) tokens with that `share` hidden, and an (n, T) bool mask of those to predict.

    Neither padding nor a special token is ever chosen.
    """
    chosen = (torch.rand(tokens.shape, generator=generator) < share) & (tokens >= len(SPECIAL_TOKENS))
    fate = torch.rand(tokens.shape, generator=generator)
    others = torch.randint(len(SPECIAL_TOKENS), vocabulary, tokens.shape, generator=generator)
    hidden = torch.where(chosen & (fate < 0.8), MASK_ID, tokens)
    return torch.where(chosen & (fate >= 0.9), others, hidden), chosen


def _states(trunk: BertModel, tokens: Tensor) -> Tensor:
    states: Tensor = trunk(input_ids=tokens, attention_mask=(tokens != PAD_ID).long()).last_hidden_state
    return states


def masked_loss(
    trunk: BertModel, head: MaskedHead, originals: Tensor, views: Sequence[tuple[Tensor, Tensor]]
) -> Tensor:
    """Return the sum of the two ways' cross-entropies, a scalar.

    Args:
        trunk: reads the first view only.
        head: of that trunk.
        originals: (n, T) token ids.
        views: what `mask` returned for them, twice: for BERT's way, and for the way by the state of [CLS].
    """
    embedding = trunk.embeddings.word_embeddings
    (hidden, chosen), (more_hidden, more_chosen) = views
    states = _states(trunk, hidden)
    own = functional.cross_entropy(head(states[chosen], embedding), originals[chosen])
    summary = head.from_summary(states[:, 0], more_hidden, more_chosen, embedding)
    return own + functional.cross_entropy(summary, originals[more_chosen])


def batches_by_length(tokens: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return row numbers in random batches of about equal lengths; the last, smaller one is left out."""
    lengths = (tokens != PAD_ID).sum(1)
    batches: list[Tensor] = []
    for part in torch.randperm(len(tokens), generator=generator).split(_SORTED_TOGETHER * size):
        batches += part[lengths[part].argsort(stable=True)].split(size)
    whole = [batch for batch in batches if len(batch) == size]
    return [whole[int(place)] for place in torch.randperm(len(whole), generator=generator)]


def _trimmed(tokens: Tensor) -> Tensor:
    return tokens[:, : int((tokens != PAD_ID).sum(1).max())]


def pretrain_text(
    trunk: BertModel, tokens: Tensor, settings: Language, seed: int, report: Callable[[str], None]
) -> tuple[MaskedHead, list[float]]:
    """Train the trunk in place on (n, T) token ids; return the head and the loss of every step."""
    with scoped(torch.device("cpu"), seed, "pretraining", "masked head"):
        head = MaskedHead(trunk.embeddings.word_embeddings)
    trunk.train(False)  # no dropout: so small a network does not overfit so many reports
    vocabulary = trunk.config.vocab_size

    def losses() -> Iterator[Callable[[], Tensor]]:
        for epoch in range(settings.epochs):
            generator = torch_generator(seed, "pretraining", "text", epoch)
            for rows in batches_by_length(tokens, settings.batch_size, generator):
                originals = _trimmed(tokens[rows])
                views = [mask(originals, vocabulary, generator, share) for share in (MASKED, SUMMARY_MASKED)]
                yield lambda o=originals, v=views: masked_loss(trunk, head, o, v)  # type: ignore[misc]

    steps = settings.epochs * (len(tokens) // settings.batch_size)
    parameters = [*trunk.parameters(), *head.parameters()]
    return head, descend(parameters, losses(), steps, settings.learning_rate, report)


@torch.no_grad()
def score_text(trunk: BertModel, head: MaskedHead, tokens: Tensor, seed: int) -> LanguageScores:
    """Score the trunk on (n, T) token ids of reports that it has not seen."""
    generator = torch_generator(seed, "pretraining", "held-out text")
    trunk.train(False)
    loss, right, total = 0.0, 0, 0
    for rows in tokens.split(128):
        originals = _trimmed(rows)
        hidden, chosen = mask(originals, trunk.config.vocab_size, generator, MASKED)
        logits = head(_states(trunk, hidden)[chosen], trunk.embeddings.word_embeddings)
        loss += functional.cross_entropy(logits, originals[chosen], reduction="sum").item()
        right += int((logits.argmax(1) == originals[chosen]).sum())
        total += int(chosen.sum())
    return LanguageScores(loss / total, right / total)
