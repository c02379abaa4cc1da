"""FedAvg, key by key: the one seam for other rules of aggregation."""

from collections.abc import Callable, Sequence

from torch import Tensor

from fedfeat.errors import FedfeatError
from fedfeat.imputers.base import Reply, State, average


def fedavg(global_state: State, replies: Sequence[Reply]) -> dict[str, Tensor]:
    """Average each key over the clients that trained it, by their training rows (the released code's rule).

    Weights are renormalised for every key: an encoder's keys are averaged over the rows that have its modality.
    BatchNorm statistics are averaged like parameters; integer buffers stay as they are.
    """
    return _by_group(global_state, replies, lambda reply: reply.model)


def fedavg_all(global_state: State, replies: Sequence[Reply]) -> dict[str, Tensor]:
    """Average the complete models of all clients (paper's wording); who did not train a key returns it as it was."""
    return _by_group(global_state, replies, lambda reply: {**global_state, **reply.model}, group="head")


def _by_group(
    global_state: State, replies: Sequence[Reply], model: Callable[[Reply], State], group: str | None = None
) -> dict[str, Tensor]:
    after: dict[str, Tensor] = {}
    for part in ("image", "text", "head"):
        before = {key: value for key, value in global_state.items() if key.startswith(f"{part}.")}
        after |= average(before, [(model(reply), reply.rows[group or part]) for reply in replies])
    return after


RULES: dict[str, Callable[[State, Sequence[Reply]], dict[str, Tensor]]] = {"fedavg": fedavg, "fedavg_all": fedavg_all}


def rule(name: str) -> Callable[[State, Sequence[Reply]], dict[str, Tensor]]:
    """Return the rule of that name; raise FedfeatError, with the known ones, if there is none."""
    if name not in RULES:
        raise FedfeatError(f"aggregation {name!r} is unknown; the known ones are {', '.join(RULES)}")
    return RULES[name]
