"""What a client does in a round, as a function of its arguments."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fedfeat.data.augment import augment, scaled
from fedfeat.data.prepare import MODALITIES, Studies
from fedfeat.federation.forward import BadFill, filled, not_finite
from fedfeat.imputers.base import Context, Imputer, Reply, State
from fedfeat.models.classifier import Classifier, keys_of, masked_loss
from fedfeat.models.training import NamedAdam, Training, batches
from fedfeat.randomness import scoped, torch_generator

SERVER = "server"
"""The kind of the server, where it trains on public studies as a further member."""
RESERVED_METRICS = frozenset(("round", "seconds", "validation_auc", "loss"))


class BadPair(Exception):
    """A method's `pair` did not return what the contract says."""


class Diverged(Exception):
    """A loss is not finite."""


@dataclass(frozen=True)
class Member:
    """A client of the federation, or the server as one: its number, its kind and its studies (on the device)."""

    number: int
    kind: str
    studies: Studies
    public: Studies | None = None
    """The public studies, of a method that asks for them."""


@dataclass(frozen=True)
class ClientState:
    """What lives on at a client between rounds, by name and on the CPU: the optimizer's moments, the method's `own`."""

    optimizer: State = field(default_factory=dict)
    own: State = field(default_factory=dict)


def restore(classifier: Classifier, state: State) -> None:
    """Put a global state into the one model on the device, in place, buffers included."""
    with torch.no_grad():
        for name, tensor in classifier.state_dict().items():
            tensor.copy_(state[name])


def train(
    classifier: Classifier,
    global_state: State,
    member: Member,
    state: ClientState,
    imputer: Imputer,
    ctx: Context,
    seed: int,
) -> tuple[Reply, ClientState]:
    """Train one client for a round: the method's `pair`, local epochs from the global state, the method's `learn`.

    Args:
        classifier: the model on the device, used as workspace: restored from `global_state` first.
        global_state: the server's model, every key.
        member: the client.
        state: what the client kept from its last round.
        imputer: the method.
        ctx: the method's context for this round; `classifier`, `own`, `public` and `generator` are set here.
        seed: the case's seed; batches, augmentation and dropout follow from it, the round and the client.

    Returns:
        The reply, and what the client keeps.

    Raises:
        Diverged: the loss is NaN or infinite; the message names round and client.
        BadFill: it is so because the method's `fill` returned NaN or infinity; likewise.
        BadPair: the method's `pair` changed more than what the studies lacked.
    """
    names = ("client", member.number, "round", ctx.round)
    restore(classifier, global_state)
    ctx = _at(member, state, classifier, ctx, torch_generator(seed, "fill", *names))
    studies = member.studies
    if type(imputer).pair is not Imputer.pair:
        with scoped(ctx.device, seed, "pair", *names), torch.no_grad():
            pairing = replace(ctx, generator=torch_generator(seed, "pair", *names))
            studies, own = _paired(imputer, imputer.pair(pairing, studies), studies, _where(ctx, member))
        ctx = replace(ctx, own=own)
        restore(classifier, global_state)
    trained = set(keys_of(global_state, studies.modalities))
    parameters = {name: parameter for name, parameter in classifier.named_parameters() if name in trained}
    adam = NamedAdam(parameters, ctx.training, state.optimizer if ctx.training.persistent_optimizer else {})
    with scoped(ctx.device, seed, "train", *names):
        training = replace(member, studies=studies)
        loss = _local_epochs(classifier, training, imputer, ctx, adam, torch_generator(seed, "batches", *names))
    local = classifier.state_dict()
    model = {  # copied before `learn` sees the model; integer buffers are neither sent nor averaged
        key: local[key].detach().cpu().clone() for key in local if key in trained and local[key].is_floating_point()
    }
    with scoped(ctx.device, seed, "learn", *names):
        learning = replace(ctx, generator=torch_generator(seed, "learn", *names))
        upload, own, metrics = _learnt(imputer, imputer.learn(learning, member.studies), _where(ctx, member))
    reply = Reply(
        client=member.number,
        kind=member.kind,
        rows=_rows(studies),
        model=model,
        method=upload,
        metrics={"loss": loss, **metrics},
    )
    return reply, ClientState(adam.state_by_name(), own)


def pretrain(
    classifier: Classifier,
    global_state: State,
    member: Member,
    state: ClientState,
    imputer: Imputer,
    ctx: Context,
    seed: int,
) -> tuple[Reply, ClientState]:
    """Let one client learn for a round of the method's pretraining; arguments and returns as in `train`."""
    restore(classifier, global_state)
    names = ("client", member.number, "pretraining round", ctx.round)
    ctx = _at(member, state, classifier, ctx, torch_generator(seed, "learn", *names))
    where = f"in round {ctx.round} of pretraining at client {member.number}"
    with scoped(ctx.device, seed, "learn", *names):
        upload, own, metrics = _learnt(imputer, imputer.learn(ctx, member.studies), where)
    reply = Reply(member.number, member.kind, _rows(member.studies), {}, upload, metrics)
    return reply, ClientState(state.optimizer, own)


def _at(
    member: Member, state: ClientState, classifier: Classifier, ctx: Context, generator: torch.Generator
) -> Context:
    """Return the round's context as it is at one client, with copies of the method's tensors."""
    return replace(
        ctx,
        classifier=classifier,
        shared=copied(ctx.shared, ctx.device),
        own=copied(state.own, ctx.device),
        public=member.public,
        generator=generator,
    )


def _rows(studies: Studies) -> dict[str, int]:
    return {name: int(studies.present[name].sum()) for name in MODALITIES} | {"head": len(studies)}


def copied(state: State, device: torch.device) -> State:
    """Return the tensors detached on `device`, sharing no memory with the given ones."""
    return {key: value.detach().to(device, copy=True) for key, value in state.items()}


def _paired(imputer: Imputer, result: object, before: Studies, where: str) -> tuple[Studies, State]:
    """Check what `pair` returned: nothing may differ but the inputs of rows that lacked them."""
    wrong = f"method {imputer.name}: pair {{}} {where}; it must return (studies.paired(...), own)"
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
        raise BadPair(wrong.format("did not return two things"))
    studies, own = result
    if not isinstance(studies, Studies):
        raise BadPair(wrong.format(f"returned {type(studies).__name__} for the studies"))
    for what in ("rows", "targets", "label_mask"):
        if not torch.equal(getattr(studies, what), getattr(before, what)):
            raise BadPair(wrong.format(f"changed {what}"))
    for name, now, former in (("image", studies.images, before.images), ("text", studies.tokens, before.tokens)):
        there = before.present[name]
        if not bool(studies.present[name][there].all()) or (
            now is not former and former is not None and (now is None or not torch.equal(now[there], former[there]))
        ):
            raise BadPair(wrong.format(f"changed the {name} of rows that have it"))
        if now is None and bool(studies.present[name].any()):
            raise BadPair(wrong.format(f"says that rows have a {name}, and gives none"))
    return studies, own


def _where(ctx: Context, member: Member) -> str:
    return f"in round {ctx.round} at client {member.number}"


def _learnt(imputer: Imputer, result: object, where: str) -> tuple[State, State, Mapping[str, float]]:
    """Check what `learn` returned, and bring it to the CPU, detached."""
    if not (isinstance(result, tuple) and len(result) == 3 and all(isinstance(part, Mapping) for part in result)):
        raise TypeError(f"method {imputer.name}: learn must return (upload, own, metrics), three mappings")
    upload, own, metrics = result
    taken = sorted(RESERVED_METRICS & metrics.keys())
    if taken:
        raise ValueError(
            f"method {imputer.name}: learn returned a metric {taken[0]!r}, a name that is the engine's own"
        )
    for name, value in metrics.items():
        if not _is_finite(value):  # no record can hold it, which would show after the last round only
            raise ValueError(f"method {imputer.name}: learn returned {value!r} as the metric {name!r} {where}")
    cpu = torch.device("cpu")
    return copied(upload, cpu), copied(own, cpu), {name: float(value) for name, value in metrics.items()}


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, ValueError):  # no number at all
        return False


def _local_epochs(
    classifier: Classifier, member: Member, imputer: Imputer, ctx: Context, adam: NamedAdam, generator: torch.Generator
) -> float:
    """Train the classifier in place; return the mean loss of the last epoch."""
    studies, training, total = member.studies, ctx.training, 0.0
    classifier.train()
    for _ in range(training.local_epochs):
        total = 0.0
        for index in batches(len(studies), training.batch_size, generator):
            batch = studies.batch(index.to(ctx.device))
            loss, features = _loss(classifier, imputer, ctx, batch, _augmented(batch, training, generator))
            value = float(loss.detach())
            if not math.isfinite(value):
                raise _why(value, imputer, ctx, member, not_finite(features, batch.present))
            adam.step(loss)
            total += value * len(index)
    return total / len(studies)


def _why(value: float, imputer: Imputer, ctx: Context, member: Member, filled_wrong: str | None) -> Exception:
    where = _where(ctx, member)
    if filled_wrong:
        return BadFill(f"method {imputer.name}: fill returned NaN or infinity for {filled_wrong} {where}")
    return Diverged(f"the loss is {value} {where}; try a lower learning rate")


def _augmented(batch: Studies, training: Training, generator: torch.Generator) -> Tensor | None:
    if batch.images is None:
        return None
    return augment(scaled(batch.images), training.rotation_degrees, training.flip, generator)


def _loss(
    classifier: Classifier, imputer: Imputer, ctx: Context, batch: Studies, images: Tensor | None
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return the loss of a batch, and the features that it was computed from."""
    with ctx.training.autocast(ctx.device):
        features = classifier.encode(batch, images)
        known = batch.targets.masked_fill(~batch.label_mask, float("nan"))
        complete: Mapping[str, Tensor] = filled(imputer, ctx, features, batch.present, known)
        logits = classifier.classify(complete)
    return masked_loss(logits, batch.targets, batch.label_mask), complete
