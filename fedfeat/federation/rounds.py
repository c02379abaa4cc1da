"""The loop of rounds: dispatch, local training, aggregation, validation; the best round's model is what is tested."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import torch
from torch import Tensor

from fedfeat.data.prepare import MODALITIES, Studies
from fedfeat.errors import FedfeatError
from fedfeat.evaluation.auc import macro_auc
from fedfeat.federation import client
from fedfeat.federation.aggregation import rule
from fedfeat.federation.client import SERVER, ClientState, Member
from fedfeat.federation.forward import predict
from fedfeat.imputers.base import Context, Dims, Imputer, Reply, State
from fedfeat.models.classifier import Classifier, keys_of
from fedfeat.models.training import Training
from fedfeat.randomness import scoped, torch_generator

CPU = torch.device("cpu")
Progress = Callable[[int, int, float], None]  # round, rounds, validation AUC
Tokenized = Callable[[Sequence[str]], Tensor]  # reports to (n, T) ids


@dataclass(frozen=True)
class Traffic:
    """Bytes that a client sends (up) and gets (down) in a round, for the classifier and for the method's tensors."""

    model_up: int
    method_up: int
    model_down: int
    method_down: int


@dataclass(frozen=True)
class Outcome:
    """What federated training leaves.

    Attributes:
        model: the best round's classifier, every key, on the CPU.
        shared: the method's dispatched tensors of that round.
        best_round: its number; 0: the untrained model.
        validation_auc: macro AUC, the untrained model first, then one a round.
        history: one dict a round: round, seconds, loss, validation_auc and the method's mean metrics.
        traffic: client number -> the bytes of a round, as they were in the last one; nothing of the server's.
        modalities: client number -> those whose encoders it trained in the last round.
        rows_trained: rows times epochs, over all clients and rounds.
        pretraining: how the method's pretraining went; of no rounds if it has none.
    """

    model: State
    shared: State
    best_round: int
    validation_auc: tuple[float, ...]
    history: tuple[dict[str, float], ...]
    traffic: dict[int, Traffic]
    modalities: dict[int, tuple[str, ...]]
    rows_trained: int
    pretraining: "Pretraining"


@dataclass(frozen=True)
class Pretraining:
    """A method's pretraining.

    Attributes:
        shared: the method's dispatched tensors that go on to the classifier's rounds.
        history: one dict a round: round, seconds, the validation loss if the method has one, its mean metrics.
        best_round: the round whose tensors go on; 0: there was none.
        traffic: client number -> the bytes of a round, as they were in the last one.
    """

    shared: State
    history: tuple[dict[str, float], ...] = ()
    best_round: int = 0
    traffic: Mapping[int, Traffic] = field(default_factory=dict)


def federate(
    classifier: Classifier,
    imputer: Imputer,
    members: Sequence[Member],
    validation: Studies,
    training: Training,
    aggregation: str,
    seed: int,
    progress: Progress | None = None,
    tokenized: Tokenized | None = None,
) -> Outcome:
    """Run every round of a case.

    Args:
        classifier: the model on its device, with the weights that round 1 starts from.
        imputer: the method.
        members: the clients that take part, each with at least one row, on the same device; the server too, as the
            last of them and of kind "server", if the method has it train on public studies.
        validation: the validation rows, on the same device.
        training: hyper-parameters.
        aggregation: a name of `aggregation.RULES`.
        seed: the case's.
        progress: called after each round.
        tokenized: `Context.tokenized`, for methods that write reports.

    Raises:
        FedfeatError: no label of the validation rows has both classes, so that no round can be chosen.
        client.Diverged: a loss, or a score of the aggregated model, is not finite.
        forward.BadFill: the method's `fill` does not return what it must.
    """
    aggregate = rule(aggregation)
    shared, own = _first(classifier, imputer, seed)
    states = {member.number: ClientState(own=own) for member in members}
    global_state: State = {key: value.detach().clone() for key, value in classifier.state_dict().items()}
    scores = [_score(classifier, imputer, _context(classifier, shared, training, 0, seed), validation)]
    pretraining, states = _pretrain(
        classifier, global_state, imputer, members, states, shared, validation, training, seed
    )
    shared = pretraining.shared
    best, best_state, best_shared = 0, client.copied(global_state, CPU), shared
    history: list[dict[str, float]] = []
    traffic: dict[int, Traffic] = {}
    modalities: dict[int, tuple[str, ...]] = {}
    for number in range(1, training.rounds + 1):
        start = time.perf_counter()
        ctx = replace(_context(classifier, shared, training, number, seed), tokenized=tokenized)
        replies: list[Reply] = []
        for member in members:
            sent = _sent(imputer, member, ctx)
            reply, states[member.number] = client.train(
                classifier, global_state, member, states[member.number], imputer, replace(ctx, shared=sent), seed
            )
            replies.append(reply)
            if member.kind != SERVER:
                modalities[member.number] = tuple(name for name in MODALITIES if reply.rows[name])
                traffic[member.number] = _traffic(global_state, sent, modalities[member.number], reply)
        global_state = aggregate(global_state, replies, imputer.weights)
        shared = imputer.merge(shared, replies, number)
        client.restore(classifier, global_state)
        evaluation = _context(classifier, shared, training, number, seed)
        scores.append(_score(classifier, imputer, evaluation, validation, replies))
        if scores[-1] > max(scores[1:-1], default=-1.0):  # the untrained model is never the one that is tested
            best, best_state, best_shared = number, client.copied(global_state, CPU), shared
        history.append(_entry(number, time.perf_counter() - start, scores[-1], replies))
        if progress:
            progress(number, training.rounds, scores[-1])
    return Outcome(
        model=best_state,
        shared=best_shared,
        best_round=best,
        validation_auc=tuple(scores),
        history=tuple(history),
        traffic=traffic,
        modalities=modalities,
        rows_trained=sum(len(member.studies) for member in members) * training.local_epochs * training.rounds,
        pretraining=pretraining,
    )


def pretrain(
    classifier: Classifier,
    imputer: Imputer,
    members: Sequence[Member],
    validation: Studies,
    training: Training,
    seed: int,
) -> Pretraining:
    """Run the method's rounds before the classifier's, as `federate` does, and no other; arguments as there."""
    shared, own = _first(classifier, imputer, seed)
    states = {member.number: ClientState(own=own) for member in members}
    start: State = {key: value.detach().clone() for key, value in classifier.state_dict().items()}
    return _pretrain(classifier, start, imputer, members, states, shared, validation, training, seed)[0]


def _pretrain(
    classifier: Classifier,
    start: State,
    imputer: Imputer,
    members: Sequence[Member],
    states: Mapping[int, ClientState],
    shared: State,
    validation: Studies,
    training: Training,
    seed: int,
) -> tuple[Pretraining, dict[int, ClientState]]:
    """Run the method's rounds before the classifier's; return how they went, and what the clients keep.

    `start` is the global model, which stays as it is.
    """
    states = dict(states)
    found, least = Pretraining(shared), math.inf
    for number in range(1, imputer.pretrain_rounds(training) + 1):
        began = time.perf_counter()
        ctx = replace(_context(classifier, shared, training, number, seed), phase="pretrain")
        replies: list[Reply] = []
        traffic: dict[int, Traffic] = {}
        for member in members:
            sent = _sent(imputer, member, ctx)
            reply, states[member.number] = client.pretrain(
                classifier, start, member, states[member.number], imputer, replace(ctx, shared=sent), seed
            )
            replies.append(reply)
            if member.kind != SERVER:
                traffic[member.number] = Traffic(0, size_of(reply.method), 0, size_of(sent))
        shared = imputer.merge(shared, replies, number)
        client.restore(classifier, start)  # whatever the method did to it
        with scoped(ctx.device, 0, "evaluation"), torch.no_grad():
            evaluation = replace(_context(classifier, shared, training, number, seed), phase="pretrain")
            loss = imputer.validation_loss(evaluation, validation)
        seconds = {"round": number, "seconds": round(time.perf_counter() - began, 3)}
        entry = seconds | ({} if loss is None else {"validation_loss": loss}) | _means(replies)
        if loss is not None and not math.isfinite(loss):
            raise client.Diverged(
                f"method {imputer.name}: the validation loss is {loss} after round {number} of pretraining; "
                "try a lower learning rate"
            )
        better = loss is None or loss < least
        found = Pretraining(
            shared if better else found.shared,
            (*found.history, entry),
            number if better else found.best_round,
            traffic,
        )
        least = min(least, math.inf if loss is None else loss)
    return found, states


def _sent(imputer: Imputer, member: Member, ctx: Context) -> State:
    """Return what of the method's tensors a member gets in this round."""
    return ctx.shared if imputer.dispatches(member.kind, ctx.phase, ctx.round) else {}


def first_context(classifier: Classifier, imputer: Imputer, training: Training, seed: int) -> Context:
    """Return the method's context for evaluating the untrained model."""
    return _context(classifier, _first(classifier, imputer, seed)[0], training, 0, seed)


def evaluation_context(classifier: Classifier, outcome: Outcome, training: Training, seed: int) -> Context:
    """Return the method's context for scoring the best round's model, which is put into `classifier`."""
    client.restore(classifier, outcome.model)
    return _context(classifier, outcome.shared, training, outcome.best_round, seed)


def size_of(state: State) -> int:
    """Return the bytes of the tensors."""
    return sum(value.numel() * value.element_size() for value in state.values())


def _traffic(global_state: State, shared: State, modalities: Sequence[str], reply: Reply) -> Traffic:
    keys = keys_of(global_state, modalities)
    held = {key: global_state[key] for key in keys if global_state[key].is_floating_point()}
    return Traffic(size_of(reply.model), size_of(reply.method), size_of(held), size_of(shared))


def _first(classifier: Classifier, imputer: Imputer, seed: int) -> tuple[State, State]:
    return imputer.init(_dims(classifier), torch_generator(seed, "init", imputer.name))


def _dims(classifier: Classifier) -> Dims:
    return Dims(classifier.width, classifier.head.out_features, classifier.names.image)


def _context(classifier: Classifier, shared: State, training: Training, number: int, seed: int) -> Context:
    device = classifier.head.weight.device
    generator = torch_generator(seed, "evaluation", number)
    here = {key: value.to(device) for key, value in shared.items()}
    return Context(classifier, _dims(classifier), here, {}, training, "train", number, generator, device)


def _score(
    classifier: Classifier, imputer: Imputer, ctx: Context, validation: Studies, replies: Sequence[Reply] = ()
) -> float:
    """Return the macro AUC on the validation rows; `replies` are those that the model is made of."""
    with scoped(ctx.device, 0, "evaluation"):
        logits = predict(classifier, imputer, ctx, validation)
    if not bool(logits.isfinite().all()):
        # A client's last step can spoil its model after a finite loss.
        spoilt = [r.client for r in replies if not all(bool(value.isfinite().all()) for value in r.model.values())]
        whose = f" (client {spoilt[0]}'s model is not)" if spoilt else ""
        raise client.Diverged(
            f"validation scores are not finite after round {ctx.round}{whose}; try a lower learning rate"
        )
    score = macro_auc(logits.numpy(), validation.targets.cpu().numpy(), validation.label_mask.cpu().numpy()).macro
    if score is None:
        raise FedfeatError(
            f"the {len(validation)} validation rows hold no label with both classes, so no round can be chosen; "
            "add validation rows (column split)"
        )
    return score


def _entry(number: int, seconds: float, score: float, replies: Sequence[Reply]) -> dict[str, float]:
    return {"round": number, "seconds": round(seconds, 3), "validation_auc": score, **_means(replies)}


def _means(replies: Sequence[Reply]) -> dict[str, float]:
    """Return the mean of every metric over the clients that have it."""
    names = dict.fromkeys(name for reply in replies for name in reply.metrics)
    return {name: fmean(reply.metrics[name] for reply in replies if name in reply.metrics) for name in names}
