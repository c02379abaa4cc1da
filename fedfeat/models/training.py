"""How classifiers and imputation networks are optimised: Adam whose state goes in and out by name."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Training:
    """Hyper-parameters of federated training.

    Attributes:
        rounds: communication rounds.
        local_epochs: epochs of a client in a round; also of an imputation network's training.
        batch_size: rows a training batch.
        evaluation_batch_size: rows a batch without gradient.
        learning_rate: Adam's.
        weight_decay: Adam's (L2).
        clip_norm: the gradient's norm is clipped at it; 0: not clipped.
        persistent_optimizer: a client's optimizer state lives on across rounds.
        rotation_degrees: training images are rotated by up to this angle, in degrees.
        flip: training images are flipped horizontally, each with probability 1/2.
        mixed_precision: bfloat16 autocast on CUDA; the CPU always computes in float32.
    """

    rounds: int
    local_epochs: int
    batch_size: int
    evaluation_batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    clip_norm: float = 2.0
    persistent_optimizer: bool = True
    rotation_degrees: float = 15.0
    flip: bool = True
    mixed_precision: bool = True

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the precision context for a forward pass on `device`."""
        if self.mixed_precision and device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()


class NamedAdam:
    """Adam over named parameters; its state is a dict of tensors, `<parameter>.<moment>`."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        training: Training,
        state: Mapping[str, Tensor],
        amsgrad: bool = False,
        clip_value: float = 0.0,
        shares: Mapping[str, float] = {},
    ) -> None:
        """Start from `state` (as `state_by_name` returned it), or afresh where it is empty.

        Args:
            parameters: by name.
            training: the rate, the weight decay and the norm that gradients are clipped at.
            state: of former steps.
            amsgrad: use the variant that never raises a parameter's rate again.
            clip_value: gradients are clipped at it, element by element; 0: not clipped.
            shares: beginning of a name -> what the rate is multiplied by for these parameters.
        """
        self._parameters = dict(parameters)
        self._clip_norm, self._clip_value = training.clip_norm, clip_value
        by_share: dict[float, list[nn.Parameter]] = defaultdict(list)
        for name, parameter in self._parameters.items():
            share = next((one for beginning, one in (shares or {}).items() if name.startswith(beginning)), 1.0)
            by_share[share].append(parameter)
        self._adam = torch.optim.Adam(
            [{"params": members, "lr": share * training.learning_rate} for share, members in by_share.items()],
            weight_decay=training.weight_decay,
            amsgrad=amsgrad,
            fused=True,
        )
        for name, parameter in self._parameters.items():
            moments = {
                key: state[f"{name}.{key}"].to(parameter.device, copy=True)
                for key in ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")
                if f"{name}.{key}" in state
            }
            if moments:
                self._adam.state[parameter] = moments

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss`."""
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        if self._clip_value:
            nn.utils.clip_grad_value_(self._parameters.values(), self._clip_value)
        if self._clip_norm:
            nn.utils.clip_grad_norm_(self._parameters.values(), self._clip_norm)
        self._adam.step()

    def state_by_name(self) -> dict[str, Tensor]:
        """Return the state on the CPU, where it waits for the next round."""
        return {
            f"{name}.{key}": value.detach().cpu()
            for name, parameter in self._parameters.items()
            for key, value in self._adam.state[parameter].items()
        }


def batches(count: int, size: int, generator: torch.Generator) -> Iterable[Tensor]:
    """Yield the numbers 0 to count - 1 in a random order, `size` at a time; the last batch may be smaller."""
    order: tuple[Tensor, ...] = torch.randperm(count, generator=generator).split(size)
    return order
