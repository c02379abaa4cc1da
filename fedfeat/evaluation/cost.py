"""What a method costs: parameters and multiply-accumulates by fvcore, bytes by counting."""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fedfeat.data.prepare import MODALITIES
from fedfeat.imputers.base import Context, Imputer
from fedfeat.models.classifier import Classifier

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # importing it calls a function that torch deprecates
    from fvcore.nn import FlopCountAnalysis

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates (what fvcore calls FLOPs) of one call, and the operators that fvcore does not count.

    `count` is None if torch cannot trace the call, which fvcore needs.
    """

    count: int | None
    unsupported: Mapping[str, int]


def macs(module: nn.Module, inputs: tuple[Tensor, ...]) -> Macs:
    """Count one call of `module`, in evaluation mode.

    Gradients stay enabled: without them the fused attention hides its operators, and too few are counted.
    """
    module.eval()
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
        return Macs(int(analysis.total()), dict(Counter(analysis.unsupported_ops())))


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


def classifier_macs(classifier: Classifier, image_size: int, tokens: int) -> Macs:
    """Count one row with both modalities, the report at its full length."""
    device = classifier.head.weight.device
    inputs = (
        torch.zeros(1, 1, image_size, image_size, device=device),
        torch.ones(1, tokens, dtype=torch.int32, device=device),
    )
    return macs(_Predict(classifier), inputs)


def fill_macs(imputer: Imputer, ctx: Context, missing: str) -> Macs:
    """Count the filling of one row that lacks `missing` and has the other modality, at evaluation."""
    # The input asks for a gradient, since what the method holds does not: see `macs` for why one must.
    available = torch.full((1, ctx.dims.features), ctx.dims.features**-0.5, device=ctx.device, requires_grad=True)
    try:
        return macs(_Fill(imputer, replace(ctx, phase="eval"), missing), (available,))
    except Exception:  # a method may do what torch cannot trace or fvcore cannot count; its other results still count
        return Macs(None, {"fill cannot be traced": 1})


def parameter_count(module: nn.Module) -> int:
    """Return the number of parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def analytic_bytes(classifier: Classifier, modalities: tuple[str, ...]) -> int:
    """Return what a holder of these modalities sends in a round without the method's tensors, in bytes.

    Counted from the architecture (parameters, and two running statistics a BatchNorm channel), not from what was sent.
    """
    modules: list[nn.Module] = [classifier.get_submodule(name) for name in (*modalities, "head")]
    statistics = sum(
        2 * part.num_features for module in modules for part in module.modules() if isinstance(part, nn.BatchNorm2d)
    )
    return BYTES * (sum(parameter_count(module) for module in modules) + statistics)
