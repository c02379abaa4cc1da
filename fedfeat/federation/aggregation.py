"""FedAvg, key by key: the one seam for other rules of aggregation."""

from collections.abc import Callable, Sequence

from torch import Tensor

from fedfeat.errors import FedfeatError
from fedfeat.imputers.base import Reply, State, average

Weights = Callable[[Sequence[Reply], str], Sequence[float]]
"""Replies and a group of keys ("image", "text", "head") to a weight for each reply: `Imputer.weights`."""


def fedavg(global_state: State, replies: Sequence[Reply], weights: Weights) -> dict[str, Tensor]:
    """Average each key over the clients that trained it, by their weights: training rows in the released code.

    Weights are renormalised for every key: an encoder's keys are averaged over the rows that have its modality.
    BatchNorm statistics are averaged like parameters; integer buffers stay as they are.
    """
    return _by_group(global_state, [reply.model for reply in replies], lambda group: weights(replies, group))


def fedavg_all(global_state: State, replies: Sequence[Reply], weights: Weights) -> dict[str, Tensor]:
    """Average the complete models of all clients (paper's wording); who did not train a key returns it as it was."""
    complete = [{**global_state, **reply.model} for reply in replies]
    return _by_group(global_state, complete, lambda _: weights(replies, "head"))


def _by_group(
    global_state: State, models: Sequence[State], weights: Callable[[str], Sequence[float]]
) -> dict[str, Tensor]:
    after: dict[str, Tensor] = {}
    for group in ("image", "text", "head"):
        before = {key: value for key, value in global_state.items() if key.startswith(f"{group}.")}
        found = list(weights(group))
        if len(found) != len(models):
            raise ValueError(f"weights returned {len(found)} weights of {group!r} for {len(models)} replies")
        after |= average(before, list(zip(models, found, strict=True)))
    return after


Rule = Callable[[State, Sequence[Reply], Weights], dict[str, Tensor]]
RULES: dict[str, Rule] = {"fedavg": fedavg, "fedavg_all": fedavg_all}


def rule(name: str) -> Rule:
    """Return the rule of that name; raise FedfeatError, with the known ones, if there is none."""
    if name not in RULES:
        raise FedfeatError(f"aggregation {name!r} is unknown; the known ones are {', '.join(RULES)}")
    return RULES[name]
