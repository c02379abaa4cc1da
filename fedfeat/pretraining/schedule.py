"""How a trunk and its throw-away heads are optimised while pretraining."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

WARM_UP = 0.05  # share of the steps
PRINT_EVERY = 200  # steps


def rate(step: int, steps: int) -> float:
    """Return the factor on the learning rate: up over the warm-up, then down a half cosine to 0."""
    warm = max(1.0, WARM_UP * steps)
    return min((step + 1) / warm, 0.5 * (1.0 + math.cos(math.pi * step / steps)))


def descend(
    parameters: Iterable[nn.Parameter],
    losses: Iterable[Callable[[], Tensor]],
    steps: int,
    learning_rate: float,
    report: Callable[[str], None],
) -> list[float]:
    """Take one AdamW step down each of `losses`, of which there are `steps`; return their values."""
    kept = list(parameters)
    adam = torch.optim.AdamW(kept, lr=learning_rate, weight_decay=0.01)
    values: list[float] = []
    for step, closure in enumerate(losses):
        for group in adam.param_groups:
            group["lr"] = learning_rate * rate(step, steps)
        adam.zero_grad(set_to_none=True)
        loss = closure()
        loss.backward()
        nn.utils.clip_grad_norm_(kept, 1.0)
        adam.step()
        values.append(loss.item())
        if (step + 1) % PRINT_EVERY == 0 or step + 1 == steps:
            recent = values[-PRINT_EVERY:]
            report(f"step {step + 1} of {steps}: loss {sum(recent) / len(recent):.3f}")
    return values
