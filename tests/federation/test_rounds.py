"""The loop of rounds: which model is kept, what is scored, and what is sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from fedfeat.data.prepare import Prepared, Studies
from fedfeat.errors import FedfeatError
from fedfeat.evaluation import cost
from fedfeat.evaluation.auc import macro_auc
from fedfeat.federation.client import Diverged, Member
from fedfeat.federation.forward import predict
from fedfeat.federation.rounds import Outcome, evaluation_context, federate, pretrain
from fedfeat.imputers.base import Context, Dims, Imputer, State
from fedfeat.imputers.fin import FIN
from fedfeat.imputers.multimodal_only import MultimodalOnly
from fedfeat.imputers.r2gen import ReportGeneration
from fedfeat.imputers.zero import Zero
from fedfeat.models.classifier import Classifier
from fedfeat.models.training import Training

PATIENTS = {"train": 8, "validate": 8, "test": 4}
KINDS = ("image", "multimodal", "text", "multimodal")
HOLDS = {"image": ("image",), "text": ("text",), "multimodal": ("image", "text")}
Make = Callable[..., Classifier]


@pytest.fixture
def prepared(make_prepared: Callable[..., Prepared]) -> Prepared:
    return make_prepared(PATIENTS)


@pytest.fixture
def run(prepared: Prepared, make_classifier: Make, training: Training) -> Callable[..., Outcome]:
    """Train from the same start; `members` and `validation` stand in for the default ones."""
    everyone = members_of(prepared)
    held_out = prepared.hold(prepared.split("validate", None))

    def start(imputer: Imputer, rounds: int = 1, **given: object) -> Outcome:
        options = {"members": everyone, "validation": held_out, "aggregation": "fedavg", "seed": 5, **given}
        return federate(make_classifier(), imputer, training=replace(training, rounds=rounds), **options)  # type: ignore[arg-type]

    return start


def members_of(prepared: Prepared) -> list[Member]:
    parts = np.array_split(np.arange(16), len(KINDS))
    return [Member(number, kind, prepared.hold(parts[number], HOLDS[kind])) for number, kind in enumerate(KINDS)]


def test_the_best_validation_round_is_the_one_kept(run: Callable[..., Outcome]) -> None:
    longer, seed = next(
        (outcome, seed) for seed in range(10) if (outcome := run(Zero(), rounds=3, seed=seed)).best_round < 3
    )
    trained = longer.validation_auc[1:]
    assert longer.best_round == 1 + trained.index(max(trained))
    stopped = run(Zero(), rounds=longer.best_round, seed=seed)
    assert all(torch.equal(longer.model[key], stopped.model[key]) for key in stopped.model)
    assert longer.validation_auc[: longer.best_round + 1] == stopped.validation_auc


def test_the_tensors_of_the_method_are_those_of_the_best_round(run: Callable[..., Outcome]) -> None:
    longer, seed = next(
        (outcome, seed) for seed in range(10) if (outcome := run(FIN(layers=1), rounds=2, seed=seed)).best_round == 1
    )
    stopped = run(FIN(layers=1), rounds=1, seed=seed)
    assert set(longer.shared) == set(stopped.shared) != set()
    assert all(torch.equal(longer.shared[key], stopped.shared[key]) for key in stopped.shared)


def test_validation_begins_with_the_untrained_model_and_ends_with_the_last_round(
    run: Callable[..., Outcome], prepared: Prepared, make_classifier: Make, training: Training
) -> None:
    calls: list[tuple[int, int, float]] = []
    outcome = run(Zero(), rounds=2, progress=lambda *call: calls.append(call))
    validation, model = prepared.hold(prepared.split("validate", None)), make_classifier()

    def auc(classifier: Classifier) -> float | None:
        logits = predict(classifier, Zero(), evaluation_context(classifier, kept, training, 5), validation)
        return macro_auc(logits.numpy(), validation.targets.numpy(), validation.label_mask.numpy()).macro

    kept = replace(outcome, model={key: value.clone() for key, value in model.state_dict().items()}, best_round=0)
    assert outcome.validation_auc[0] == auc(model)
    kept = outcome
    assert outcome.validation_auc[outcome.best_round] == auc(make_classifier(seed=1))  # restored from the outcome
    assert len(outcome.validation_auc) == 3
    assert calls == [(1, 2, outcome.validation_auc[1]), (2, 2, outcome.validation_auc[2])]
    assert [(entry["round"], entry["validation_auc"]) for entry in outcome.history] == [
        (number, score) for number, _, score in calls
    ]
    assert outcome.rows_trained == 16 * training.local_epochs * 2


def test_the_order_of_members_does_not_matter(run: Callable[..., Outcome], prepared: Prepared) -> None:
    first, same = run(FIN(layers=1)), run(FIN(layers=1), members=members_of(prepared))
    reverse = run(FIN(layers=1), members=members_of(prepared)[::-1])
    for name in ("model", "shared"):
        tensors, again, reversed_ = (getattr(outcome, name) for outcome in (first, same, reverse))
        assert tensors
        assert all(torch.equal(tensors[key], again[key]) for key in tensors)
        assert all(torch.allclose(tensors[key], reversed_[key], rtol=0, atol=1e-6) for key in tensors)


def test_traffic_is_what_the_architecture_says(run: Callable[..., Outcome], make_classifier: Make) -> None:
    outcome = run(FIN(layers=1))
    networks = 4 * sum(value.numel() for value in outcome.shared.values())
    assert networks > 0
    for number, kind in enumerate(KINDS):
        sent = outcome.traffic[number]
        expected = cost.analytic_bytes(make_classifier(), HOLDS[kind])
        assert (sent.model_up, sent.model_down) == (expected, expected)
        assert (sent.method_up, sent.method_down) == (networks if kind == "multimodal" else 0, networks)


def test_multimodal_only_is_zero_filling_without_the_other_clients(
    run: Callable[..., Outcome], prepared: Prepared
) -> None:
    present = [member for member in members_of(prepared) if MultimodalOnly().takes_part(member.kind)]
    outcome = run(MultimodalOnly(), members=present)
    assert set(outcome.traffic) == {number for number, kind in enumerate(KINDS) if kind == "multimodal"}
    alone, everyone = run(Zero(), members=present), run(Zero())
    assert all(torch.equal(outcome.model[key], alone.model[key]) for key in alone.model)
    assert not torch.equal(outcome.model["head.weight"], everyone.model["head.weight"])


def test_a_last_step_that_spoils_a_model_names_round_and_client(
    prepared: Prepared, make_classifier: Make, training: Training
) -> None:
    one_step = replace(training, local_epochs=1, batch_size=16, learning_rate=1e38, clip_norm=0.0)
    held_out = prepared.hold(prepared.split("validate", None))
    message = r"validation scores are not finite after round 1 \(client 0's model is not\); try a lower learning rate"
    with pytest.raises(Diverged, match=message):
        federate(make_classifier(), Zero(), members_of(prepared), held_out, one_step, "fedavg", 5)


def test_validation_rows_of_one_class_are_named_before_anything_is_trained(
    run: Callable[..., Outcome], prepared: Prepared
) -> None:
    validation = prepared.hold(prepared.split("validate", None))
    calls: list[tuple[int, int, float]] = []
    with pytest.raises(FedfeatError, match="the 16 validation rows hold no label with both classes") as caught:
        run(
            Zero(),
            validation=replace(validation, targets=torch.zeros_like(validation.targets)),
            progress=lambda *call: calls.append(call),
        )
    assert calls == []
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Counting(Zero):
    """Multimodal clients add 1 to a number in every round of pretraining; how far off it is follows `losses`."""

    name = "counting"
    losses: tuple[float, ...] = (3.0, 1.0, 2.0)
    says: bool = True

    def init(self, dims: Dims, generator: torch.Generator) -> tuple[State, State]:
        return {"number": torch.zeros(1)}, {"visits": torch.zeros(1)}

    def pretrain_rounds(self, training: Training) -> int:
        return len(self.losses)

    def dispatches(self, kind: str, phase: str, round: int) -> bool:
        return phase == "pretrain" and kind == "multimodal"

    def learn(self, ctx: Context, studies: Studies) -> tuple[State, State, Mapping[str, float]]:
        if ctx.phase != "pretrain" or "number" not in ctx.shared:
            return {}, ctx.own, {}
        with torch.no_grad():  # whatever a method does to the model here, the classifier's rounds start as they would
            ctx.classifier.head.weight.add_(1.0)
        visits = {"visits": ctx.own["visits"] + 1}
        return {"number": ctx.shared["number"] + 1}, visits, {"visits": float(visits["visits"])}

    def validation_loss(self, ctx: Context, studies: Studies) -> float | None:
        assert ctx.phase == "pretrain" and studies.modalities == ("image", "text")
        return self.losses[ctx.round - 1] if self.says else None


def test_pretraining_keeps_the_round_with_the_least_loss_and_nothing_else(run: Callable[..., Outcome]) -> None:
    outcome, without = run(Counting(), rounds=2), run(Zero(), rounds=2)
    found = outcome.pretraining
    assert float(outcome.shared["number"]) == found.best_round == 2
    assert [entry["validation_loss"] for entry in found.history] == [3.0, 1.0, 2.0]
    assert [entry["visits"] for entry in found.history] == [1.0, 2.0, 3.0], "what a client keeps comes back to it"
    four = {number: (sent.method_up, sent.method_down) for number, sent in found.traffic.items()}
    assert four == {0: (0, 0), 1: (4, 4), 2: (0, 0), 3: (4, 4)}
    assert all(torch.equal(outcome.model[key], without.model[key]) for key in without.model)
    assert outcome.validation_auc == without.validation_auc


def test_without_a_loss_the_last_round_of_pretraining_counts(run: Callable[..., Outcome]) -> None:
    found = run(Counting(says=False)).pretraining
    assert (found.best_round, float(found.shared["number"])) == (3, 3.0)
    assert all("validation_loss" not in entry for entry in found.history)


def test_a_loss_of_pretraining_that_is_not_finite_ends_the_case(run: Callable[..., Outcome]) -> None:
    with pytest.raises(Diverged, match="the validation loss is nan after round 2 of pretraining"):
        run(Counting(losses=(1.0, float("nan"))))


def test_pretraining_alone_is_that_of_the_whole_run(
    run: Callable[..., Outcome], prepared: Prepared, make_classifier: Make, training: Training
) -> None:
    method = ReportGeneration(rounds=2, epochs=1, threshold=1, length=8, batch_size=4)
    members = [member for member in members_of(prepared) if member.kind != "text"]
    whole = run(method, members=members, tokenized=prepared.tokenized).pretraining
    classifier = make_classifier()
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    alone = pretrain(classifier, method, members, prepared.hold(prepared.split("validate", None)), training, 5)
    assert len(alone.history) == 3
    untimed = [[{**entry, "seconds": 0} for entry in one.history] for one in (whole, alone)]
    assert untimed[0] == untimed[1]
    assert alone.shared.keys() == whole.shared.keys()
    assert all(torch.equal(alone.shared[key], value) for key, value in whole.shared.items())
    assert all(torch.equal(before[key], value) for key, value in classifier.state_dict().items())
