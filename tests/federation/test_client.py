"""Local training is a function of its arguments, and one client with all the data is plain training."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from fedfeat.data.augment import augment, scaled
from fedfeat.data.prepare import Prepared, Studies
from fedfeat.federation import client
from fedfeat.federation.client import BadPair, ClientState, Diverged, Member
from fedfeat.federation.forward import BadFill
from fedfeat.federation.rounds import federate
from fedfeat.imputers.base import Context, Reply
from fedfeat.imputers.fin import FIN
from fedfeat.imputers.zero import Zero
from fedfeat.models.classifier import Classifier
from fedfeat.models.training import Training
from fedfeat.randomness import scoped, torch_generator

PATIENTS = {"train": 8, "validate": 8, "test": 4}
Make = Callable[..., Classifier]


def members(prepared: Prepared, *kinds: str) -> list[Member]:
    holds = {"image": ("image",), "text": ("text",), "multimodal": ("image", "text")}
    parts = np.array_split(np.arange(16), len(kinds))
    return [Member(number, kind, prepared.hold(parts[number], holds[kind])) for number, kind in enumerate(kinds)]


def train(classifier: Classifier, ctx: Context, member: Member, imputer: Zero | FIN, **state: ClientState):  # type: ignore[no-untyped-def]
    start = {key: value.clone() for key, value in classifier.state_dict().items()}
    return client.train(classifier, start, member, state.get("state", ClientState()), imputer, ctx, seed=5)


def test_one_client_with_all_the_data_is_plain_training_bit_for_bit(
    make_prepared: Callable[..., Prepared], make_classifier: Make, training: Training
) -> None:
    prepared = make_prepared(PATIENTS)
    (member,) = members(prepared, "multimodal")
    training = replace(training, rounds=3)
    validation = prepared.hold(prepared.split("validate", None))
    outcome = federate(make_classifier(), Zero(), [member], validation, training, "fedavg", seed=5)

    model, snapshots = make_classifier(), []
    adam = torch.optim.Adam(model.parameters(), lr=training.learning_rate, fused=True)
    for number in (1, 2, 3):
        model.train()
        names = ("client", 0, "round", number)
        generator = torch_generator(5, "batches", *names)
        with scoped(torch.device("cpu"), 5, "train", *names):
            for _ in range(training.local_epochs):
                for index in torch.randperm(16, generator=generator).split(training.batch_size):
                    batch = member.studies.batch(index)
                    assert batch.images is not None
                    images = augment(scaled(batch.images), 15.0, True, generator)
                    adam.zero_grad()
                    loss = nn.functional.binary_cross_entropy_with_logits(
                        model.classify(model.encode(batch, images)), batch.targets
                    )
                    loss.backward()  # type: ignore[no-untyped-call]
                    nn.utils.clip_grad_norm_(model.parameters(), 2.0)
                    adam.step()
        snapshots.append({key: value.clone() for key, value in model.state_dict().items()})
    plain = snapshots[outcome.best_round - 1]
    different = [
        key for key, value in outcome.model.items() if value.is_floating_point() and not torch.equal(value, plain[key])
    ]
    assert different == []


@pytest.mark.parametrize(("kind", "lacks"), [("image", "text"), ("text", "image")])
def test_a_unimodal_client_neither_trains_nor_sends_the_other_encoder(
    make_prepared: Callable[..., Prepared],
    make_classifier: Make,
    make_context: Callable[..., Context],
    kind: str,
    lacks: str,
) -> None:
    classifier = make_classifier()
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    (member,) = members(make_prepared(PATIENTS), kind)
    reply, kept = train(classifier, make_context(classifier), member, Zero())
    assert {key.split(".")[0] for key in reply.model} == {kind, "head"}
    assert {key.split(".")[0] for key in kept.optimizer} == {kind, "head"}
    assert reply.rows == {kind: 16, lacks: 0, "head": 16}
    after = classifier.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before if key.startswith(f"{lacks}."))
    half = {"image": slice(0, 16), "text": slice(16, 32)}
    change = (reply.model["head.weight"] - before["head.weight"]).abs()
    assert float(change[:, half[lacks]].max()) == 0.0  # zero filling: no gradient reaches that half of the head
    assert float(change[:, half[kind]].max()) > 0.0


def test_training_depends_on_its_arguments_only(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context]
) -> None:
    (member,) = members(make_prepared(PATIENTS), "multimodal")
    first_model, second_model = make_classifier(), make_classifier()
    first, _ = train(first_model, make_context(first_model), member, Zero())
    torch.manual_seed(99)
    torch.rand(7)
    state = torch.get_rng_state()
    second, _ = train(second_model, make_context(second_model), member, Zero())
    assert torch.equal(torch.get_rng_state(), state), "training must leave the global generator as it was"
    assert all(torch.equal(first.model[key], second.model[key]) for key in first.model)


def test_optimizers_live_on_only_if_asked(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context]
) -> None:
    (member,) = members(make_prepared(PATIENTS), "multimodal")
    model = make_classifier()
    ctx = make_context(model)
    _, state = train(model, ctx, member, Zero())
    assert state.optimizer["head.weight.step"].item() == 8  # 16 rows, batches of 4, 2 epochs
    results = {}
    for persistent in (True, False):
        classifier = make_classifier()
        context = replace(ctx, training=replace(ctx.training, persistent_optimizer=persistent), round=2)
        results[persistent], kept = train(classifier, context, member, Zero(), state=state)
        assert kept.optimizer["head.weight.step"].item() == (16 if persistent else 8)
    assert not torch.equal(results[True].model["head.weight"], results[False].model["head.weight"])


def test_fin_is_learnt_at_multimodal_clients_only(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context]
) -> None:
    prepared, model = make_prepared(PATIENTS), make_classifier()
    shared, _ = FIN(layers=1).init(make_context(model).dims, torch_generator(0))
    unimodal, multimodal = members(prepared, "image", "multimodal")
    reply, kept = train(model, make_context(model, shared), unimodal, FIN(layers=1))
    assert reply.method == {} == kept.own
    reply, kept = train(make_classifier(), make_context(make_classifier(), shared), multimodal, FIN(layers=1))
    assert set(reply.method) == set(shared)
    assert any(not torch.equal(reply.method[key], shared[key]) for key in shared)
    assert {key.split(".")[0] for key in kept.own} == {"image_to_text", "text_to_image"}


def test_an_infinite_loss_names_round_and_client(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context]
) -> None:
    (member,) = members(make_prepared(PATIENTS), "image")
    model = make_classifier()
    with torch.no_grad():
        model.head.bias.fill_(float("inf"))
    with pytest.raises(Diverged, match="the loss is nan in round 1 at client 0; try a lower learning rate"):
        train(model, make_context(model), member, Zero())


@dataclass(frozen=True)
class Poison(Zero):
    """Fills with what no loss survives."""

    name = "poison"
    value: float = math.nan

    def fill(self, ctx, features, present, targets):  # type: ignore[no-untyped-def]
        return {name: torch.full_like(feature, self.value) for name, feature in features.items()}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_fill_that_is_not_finite_is_told_from_a_rate_that_is_too_high(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context], value: float
) -> None:
    (member,) = members(make_prepared(PATIENTS), "text")
    model = make_classifier()
    message = "method poison: fill returned NaN or infinity for image in round 1 at client 0"
    with pytest.raises(BadFill, match=message):
        train(model, make_context(model), member, Poison(value))


def test_a_fill_is_not_blamed_for_features_that_were_not_finite_before(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context]
) -> None:
    (member,) = members(make_prepared(PATIENTS), "text")
    model = make_classifier()
    with torch.no_grad():
        next(model.text.parameters()).fill_(math.nan)
    with pytest.raises(Diverged, match="the loss is nan in round 1 at client 0"):
        train(model, make_context(model), member, Poison())


class Meddler(Zero):
    """Does in `learn` what a method must not be able to spoil, and returns what it is told to."""

    name = "meddler"
    returns: object = ({}, {}, {})

    def learn(self, ctx: Context, studies: Studies):  # type: ignore[no-untyped-def]
        with torch.no_grad():
            ctx.classifier.head.weight.zero_()
            for tensor in (*ctx.shared.values(), *ctx.own.values()):
                tensor += 1
        return self.returns


def test_learn_cannot_spoil_what_is_sent_nor_what_others_get(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context]
) -> None:
    (member,) = members(make_prepared(PATIENTS), "image")
    shared, own = {"a": torch.zeros(2)}, {"b": torch.zeros(2)}
    reply, _ = train(
        make_classifier(), make_context(make_classifier(), shared), member, Meddler(), state=ClientState(own=own)
    )
    assert float(reply.model["head.weight"].abs().sum()) > 0
    assert shared["a"].tolist() == own["b"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("returns", "says"),
    [
        (None, r"method meddler: learn must return \(upload, own, metrics\)"),
        (({}, {}), r"method meddler: learn must return \(upload, own, metrics\)"),
        (({}, {}, {"loss": 1.0}), "method meddler: learn returned a metric 'loss'"),
        (({}, {}, {"own_loss": math.nan}), "learn returned nan as the metric 'own_loss' in round 1 at client 0"),
        (({}, {}, {"own_loss": torch.tensor(math.inf)}), r"learn returned tensor\(inf\) as the metric 'own_loss'"),
        (({}, {}, {"own_loss": "low"}), "learn returned 'low' as the metric 'own_loss' in round 1 at client 0"),
    ],
)
def test_a_wrong_learn_names_the_method(
    make_prepared: Callable[..., Prepared],
    make_classifier: Make,
    make_context: Callable[..., Context],
    monkeypatch: pytest.MonkeyPatch,
    returns: object,
    says: str,
) -> None:
    (member,) = members(make_prepared(PATIENTS), "image")
    monkeypatch.setattr(Meddler, "returns", returns)
    with pytest.raises((TypeError, ValueError), match=says):
        train(make_classifier(), make_context(make_classifier()), member, Meddler())


@pytest.mark.parametrize(
    "upload", [{"b": torch.zeros(2)}, {"a": torch.zeros(3)}, {}, {"a": torch.zeros(2, dtype=torch.int64)}]
)
def test_the_default_merge_refuses_what_it_cannot_average(upload: dict[str, torch.Tensor]) -> None:
    shared = {"a": torch.zeros(2)}
    reply = Reply(4, "multimodal", {"image": 1, "text": 1, "head": 1}, {}, upload, {})
    if not upload:
        assert Zero().merge(shared, [reply], 1) == shared
        return
    with pytest.raises(ValueError, match="method zero: "):
        Zero().merge(shared, [reply], 1)


@dataclass(frozen=True)
class Paired(Zero):
    """Pairs rows that lack a report by whatever it is given."""

    change: Callable[[Studies], object] = lambda studies: studies

    def pair(self, ctx: Context, studies: Studies) -> tuple[Studies, dict[str, torch.Tensor]]:
        with torch.no_grad():
            ctx.classifier.head.bias.fill_(9.0)  # what is done to the model here is not trained on
        return self.change(studies), {**ctx.own, "rounds": torch.tensor(1.0)}  # type: ignore[return-value]


def with_tokens(studies: Studies) -> Studies:
    return studies.paired(tokens=torch.full((len(studies), 16), 2, dtype=torch.int32))


def test_what_is_paired_is_trained_on_and_sent(
    make_prepared: Callable[..., Prepared], make_classifier: Make, make_context: Callable[..., Context]
) -> None:
    (member, _) = members(make_prepared(PATIENTS), "image", "image")
    results = []
    for imputer in (Zero(), Paired(change=lambda studies: studies), Paired(change=with_tokens)):
        classifier = make_classifier()
        results.append(train(classifier, make_context(classifier), member, imputer))
    (plain, _), (same, state), (paired, _) = results
    assert all(torch.equal(plain.model[key], same.model[key]) for key in plain.model), "pair spoilt the model"
    assert state.own["rounds"] == 1
    assert not any(key.startswith("text.") for key in same.model)
    assert any(key.startswith("text.") for key in paired.model)
    assert dict(paired.rows) == {"image": 8, "text": 8, "head": 8}
    assert dict(same.rows) == {"image": 8, "text": 0, "head": 8}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda studies: None, "returned NoneType for the studies"),
        (lambda studies: replace(studies, rows=studies.rows + 1), "changed rows"),
        (lambda studies: replace(studies, targets=1 - studies.targets), "changed targets"),
        (lambda studies: replace(studies, label_mask=~studies.label_mask), "changed label_mask"),
        (lambda studies: replace(studies, images=255 - studies.images), "changed the image of rows that have it"),
        (lambda studies: replace(studies, images=None), "changed the image of rows that have it"),
        (
            lambda studies: replace(studies, present={**studies.present, "text": studies.present["image"]}),
            "says that rows have a text, and gives none",
        ),
    ],
)
def test_a_pair_that_changes_more_than_what_was_lacking_is_refused(
    make_prepared: Callable[..., Prepared],
    make_classifier: Make,
    make_context: Callable[..., Context],
    change: Callable[[Studies], object],
    says: str,
) -> None:
    (member,) = members(make_prepared(PATIENTS), "image")
    classifier = make_classifier()
    with pytest.raises(BadPair, match=rf"^method zero: pair {says} in round 1 at client 0; it must return"):
        train(classifier, make_context(classifier), member, Paired(change=change))


def test_a_pair_must_return_two_things(
    make_prepared: Callable[..., Prepared],
    make_classifier: Make,
    make_context: Callable[..., Context],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Paired, "pair", lambda self, ctx, studies: studies)
    (member,) = members(make_prepared(PATIENTS), "image")
    classifier = make_classifier()
    with pytest.raises(BadPair, match="did not return two things"):
        train(classifier, make_context(classifier), member, Paired())
