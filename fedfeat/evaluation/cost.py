"""What a case costs: the classifier's and the method's operations, and bytes by counting."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from fedfeat.data.prepare import MODALITIES, Studies
from fedfeat.imputers.base import Context, Imputer
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import Cost, count, parameter_count

BYTES = 4  # of a float32


class _Predict(nn.Module):
    """The complete model as one call, for counting."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        return self.classifier.classify({"image": self.classifier.image(image), "text": self.classifier.text(tokens)})


class _Fill(nn.Module):
    """A method's `fill` of one modality from the other as one call, for counting."""

    def __init__(self, imputer: Imputer, ctx: Context, missing: str) -> None:
        super().__init__()
        self.imputer, self.ctx, self.missing = imputer, ctx, missing
        self.present = {name: torch.tensor([name != missing], device=ctx.device) for name in MODALITIES}

    def forward(self, available: Tensor) -> Tensor:
        features = {name: torch.zeros_like(available) if name == self.missing else available for name in MODALITIES}
        return self.imputer.fill(self.ctx, features, self.present, None)[self.missing]


def classifier_cost(classifier: Classifier, image_size: int, tokens: int) -> Cost:
    """Count one row with both modalities, the report at its full length."""
    device = classifier.head.weight.device
    inputs = (
        torch.zeros(1, 1, image_size, image_size, device=device),
        torch.ones(1, tokens, dtype=torch.int32, device=device),
    )
    return count(_Predict(classifier), inputs)


def filling_cost(imputer: Imputer, ctx: Context, studies: Studies, missing: str) -> Cost | None:
    """Return what giving one row the modality `missing` costs: as the method says, or else as `fill` is counted.

    None: the method only pairs, and does not say. `studies` are those of a client that lacks the modality.

    Raises:
        TypeError: the method returns no `Cost`, or one that a record cannot hold.
    """
    said: object = imputer.cost(ctx, studies, missing)
    if said is None:
        return None if type(imputer).fill is Imputer.fill else fill_cost(imputer, ctx, missing)
    if not isinstance(said, Cost):
        raise TypeError(f"it returned {type(said).__name__}, no fedfeat.models.counting.Cost")
    counts = [number for number in (said.macs, said.parameters, *said.unsupported.values()) if number is not None]
    if not all(isinstance(number, int) and number >= 0 for number in counts):
        raise TypeError(f"it returned {said}; counts are whole numbers, or None")
    return said


def fill_cost(imputer: Imputer, ctx: Context, missing: str) -> Cost:
    """Count the filling of one row that lacks `missing` and has the other modality, at evaluation."""
    # The input asks for a gradient, since what the method holds does not: see `count` for why one must.
    available = torch.full((1, ctx.dims.features), ctx.dims.features**-0.5, device=ctx.device, requires_grad=True)
    try:
        counted = count(_Fill(imputer, replace(ctx, phase="eval"), missing), (available,))
    except Exception:  # a method may do what torch cannot trace or fvcore cannot count; its other results still count
        return Cost(None, None, {"fill cannot be traced": 1})
    return replace(counted, parameters=None)  # what the method holds is not the module's


def analytic_bytes(classifier: Classifier, modalities: tuple[str, ...]) -> int:
    """Return what a holder of these modalities sends in a round without the method's tensors, in bytes.

    Counted from the architecture (parameters, and two running statistics a BatchNorm channel), not from what was sent.
    """
    modules: list[nn.Module] = [classifier.get_submodule(name) for name in (*modalities, "head")]
    statistics = sum(
        2 * part.num_features for module in modules for part in module.modules() if isinstance(part, nn.BatchNorm2d)
    )
    return BYTES * (sum(parameter_count(module) for module in modules) + statistics)
