"""Nuisance targets for the `basic-blocks` trunk: pose, exposure and painted shapes, never a finding, never a report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfeat.data.phantom.nuisance import CELLS, KINDS, LIGHT, POSE, Scenes, Targets, exercise, sample_view, take, view
from fedfeat.models.encoders import ImageEncoder
from fedfeat.pretraining.schedule import descend
from fedfeat.randomness import numpy_generator, scoped

_MIDDLE, _WIDTH, _LAST = 6, 64, 7  # the stage whose map has CELLS x CELLS places, its channels, and the last stage
# The cells' cross-entropy is a mean over mostly empty places; this brings it to the size of the other terms.
_NUMBERS = len(POSE) + len(LIGHT) + 1 + CELLS * CELLS  # regression targets
_CELLS_WEIGHT, _POSITIVE_WEIGHT = 10.0, 3.0


@dataclass(frozen=True)
class Vision:
    """Hyper-parameters of the image side."""

    pictures: int = 6_000
    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 3e-3
    degrees: float = 15.0


@dataclass(frozen=True)
class VisionScores:
    """On held-out pictures: the loss, R2 a target of pose and light, mean AUC over kinds of shapes of cells and of
    whole pictures."""

    loss: float
    explained: dict[str, float]
    cells_auc: float
    picture_auc: float


@dataclass(frozen=True)
class Answers:
    """What the heads say about n pictures: logits of cells by either map, and of kinds, and regressions."""

    middle: Tensor
    last: Tensor
    kinds: Tensor
    regression: Tensor
    marks: Tensor


class NuisanceHeads(nn.Module):
    """Linear heads on the pooled feature and on two unpooled maps. Thrown away after pretraining."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pooled = nn.Linear(width, len(KINDS) + _NUMBERS)
        self.middle = nn.Conv2d(_WIDTH, len(KINDS) + 2, 1)
        self.last = nn.Conv2d(width, 4 * len(KINDS), 1)  # each of the 2 x 2 places answers for its 2 x 2 cells

    def forward(self, encoder: ImageEncoder, images: Tensor) -> Answers:
        """Take (n, 1, 64, 64) in [0, 1]."""
        stages = list(encoder.trunk.children())
        states = encoder.standardise(images)
        maps = []
        for stage in stages:
            states = stage(states)
            maps.append(states)
        middle = self.middle(maps[_MIDDLE])
        kinds, regression = self.pooled(states).split([len(KINDS), _NUMBERS], 1)
        last = functional.pixel_shuffle(self.last(maps[_LAST]), 2)
        return Answers(middle[:, : len(KINDS)], last, kinds, regression, middle[:, len(KINDS) :])


def nuisance_loss(answers: Answers, targets: Targets) -> Tensor:
    """Return the weighted sum of all terms, a scalar."""
    cells, marks = torch.from_numpy(targets.cells), torch.from_numpy(targets.marks)
    weight = torch.tensor(_POSITIVE_WEIGHT)
    located = sum(
        functional.binary_cross_entropy_with_logits(logits, cells, pos_weight=weight)
        for logits in (answers.middle, answers.last)
    )
    present = functional.binary_cross_entropy_with_logits(answers.kinds, cells.amax((2, 3)), pos_weight=weight)
    occupied = cells.amax(1, keepdim=True)
    measured = ((answers.marks - marks).square() * occupied).sum() / (2.0 * occupied.sum()).clamp(min=1.0)
    regression = functional.mse_loss(answers.regression, _regression_targets(targets))
    total: Tensor = _CELLS_WEIGHT * located + 4.0 * present + 0.5 * measured + 4.0 * regression
    return total


def _regression_targets(targets: Targets) -> Tensor:
    added = targets.added.reshape(len(targets.added), -1)
    return torch.from_numpy(np.column_stack([targets.pose, targets.light, targets.count, added]))


def _as_images(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures[:, None]).contiguous(memory_format=torch.channels_last)


def pretrain_images(
    encoder: ImageEncoder, corpus: Scenes, settings: Vision, seed: int, report: Callable[[str], None]
) -> tuple[NuisanceHeads, list[float]]:
    """Train the encoder's trunk in place; return the heads and the loss of every step.

    Every picture is turned, painted and exposed anew in each epoch.
    """
    with scoped(torch.device("cpu"), seed, "pretraining", "nuisance heads"):
        heads = NuisanceHeads(encoder.projection.in_features)
    encoder.trunk.train().to(memory_format=torch.channels_last)  # twice as fast on CPUs

    def losses() -> Iterator[Callable[[], Tensor]]:
        for epoch in range(settings.epochs):
            for rows, rng in _epoch(len(corpus), settings.batch_size, seed, epoch):
                pictures, targets = exercise(take(corpus, rows), rng, settings.degrees)
                yield lambda p=pictures, t=targets: nuisance_loss(heads(encoder, _as_images(p)), t)  # type: ignore[misc]

    steps = settings.epochs * (len(corpus) // settings.batch_size)
    values = descend(
        [*encoder.trunk.parameters(), *heads.parameters()], losses(), steps, settings.learning_rate, report
    )
    return heads, values


def _epoch(count: int, size: int, seed: int, epoch: int) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    order = numpy_generator(seed, "pretraining", "order", epoch).permutation(count)
    for number in range(count // size):
        rows = order[number * size : (number + 1) * size]
        yield rows, numpy_generator(seed, "pretraining", "exercise", epoch, number)


@torch.no_grad()
def settle_statistics(encoder: ImageEncoder, corpus: Scenes, settings: Vision, seed: int) -> None:
    """Set the trunk's BatchNorm statistics to their means over pictures turned and mirrored but not painted over.

    What the encoder will see in training is not painted over either.
    """
    norms = [module for module in encoder.trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    encoder.trunk.train()
    for rows, rng in _epoch(len(corpus), settings.batch_size, seed, settings.epochs):
        pictures = view(corpus.pictures[rows], *sample_view(rng, len(rows), settings.degrees))
        encoder.trunk(encoder.standardise(_as_images(pictures)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def score_images(
    encoder: ImageEncoder, heads: NuisanceHeads, held_out: Scenes, settings: Vision, seed: int
) -> VisionScores:
    """Score the trunk, in evaluation mode, on painted pictures of patients that it has not seen."""
    from sklearn.metrics import roc_auc_score  # only here: it is slow to import

    encoder.trunk.eval()
    pictures, targets = exercise(held_out, numpy_generator(seed, "pretraining", "held-out"), settings.degrees)
    answers = heads(encoder, _as_images(pictures))
    wanted = _regression_targets(targets)
    left = (answers.regression - wanted).square().mean(0) / wanted.var(0, correction=0)
    cells = targets.cells.transpose(1, 0, 2, 3).reshape(len(KINDS), -1)
    said = answers.last.transpose(0, 1).reshape(len(KINDS), -1).numpy()
    present = targets.cells.max((2, 3)).T
    kinds = answers.kinds.T.numpy()
    return VisionScores(
        loss=nuisance_loss(answers, targets).item(),
        explained={
            name: 1.0 - float(share)
            for name, share in zip((*POSE, *LIGHT, "count", *("added",) * CELLS**2), left.tolist(), strict=True)
        },
        cells_auc=float(np.mean([roc_auc_score(y, p) for y, p in zip(cells, said, strict=True)])),
        picture_auc=float(np.mean([roc_auc_score(y, p) for y, p in zip(present, kinds, strict=True)])),
    )
