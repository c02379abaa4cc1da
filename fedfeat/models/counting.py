"""Counting what a network costs: parameters, and multiply-accumulates by fvcore."""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # importing it calls a function that torch deprecates
    from fvcore.nn import FlopCountAnalysis


@dataclass(frozen=True)
class Cost:
    """What one call costs.

    Attributes:
        macs: multiply-accumulates (what fvcore calls FLOPs); None if torch cannot trace the call, which fvcore needs.
        parameters: of the networks that are called; None if that is not known.
        unsupported: operators that `macs` leaves out, and how often each is called.
    """

    macs: int | None
    parameters: int | None = None
    unsupported: Mapping[str, int] = field(default_factory=dict)


def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> Cost:
    """Count one call of `module`, in evaluation mode.

    Gradients stay enabled: without them the fused attention hides its operators, and too few are counted.
    """
    module.eval()
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
        return Cost(int(analysis.total()), parameter_count(module), dict(Counter(analysis.unsupported_ops())))


def parameter_count(module: nn.Module) -> int:
    """Return the number of parameters of a module, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())
