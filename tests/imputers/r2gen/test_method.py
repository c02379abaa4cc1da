"""R2Gen as a federated method: who learns what when, and what image-only clients read."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedfeat.data.augment import scaled
from fedfeat.data.prepare import Prepared
from fedfeat.federation.client import Member
from fedfeat.federation.rounds import Outcome, federate
from fedfeat.imputers import r2gen
from fedfeat.imputers.base import Context, Reply, State
from fedfeat.imputers.r2gen import ReportGeneration
from fedfeat.imputers.r2gen.generation import Writing
from fedfeat.imputers.r2gen.vocabulary import UNKNOWN
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import count
from fedfeat.models.training import Training
from fedfeat.randomness import torch_generator

PATIENTS = {"train": 12, "validate": 6, "test": 1}
SHORT = ReportGeneration(rounds=3, epochs=2, threshold=1, length=12, batch_size=4)
MakeContext = Callable[..., Context]


@pytest.fixture
def prepared(make_prepared: Callable[..., Prepared]) -> Prepared:
    return make_prepared(PATIENTS)


@pytest.fixture
def members(prepared: Prepared) -> list[Member]:
    holds = {"image": ("image",), "multimodal": ("image", "text")}
    kinds = ("multimodal", "image", "multimodal")
    return [
        Member(number, kind, prepared.hold(np.arange(8 * number, 8 * number + 8), holds[kind]))
        for number, kind in enumerate(kinds)
    ]


@pytest.fixture
def outcome(
    prepared: Prepared, members: list[Member], make_classifier: Callable[..., Classifier], training: Training
) -> Outcome:
    validation = prepared.hold(prepared.split("validate", None))
    return federate(
        make_classifier(), SHORT, members, validation, replace(training, rounds=2), "fedavg", 0,
        tokenized=prepared.tokenized,
    )  # fmt: skip


def test_it_learns_before_the_classifier_and_is_then_left_alone(outcome: Outcome) -> None:
    history = outcome.pretraining.history
    assert [entry["round"] for entry in history] == [1, 2, 3, 4]
    assert "token_loss" not in history[0], "the first round counts words"
    losses = [entry["validation_loss"] for entry in history]  # the first of the network as it starts
    assert losses[-1] < losses[0]
    assert outcome.pretraining.best_round == 1 + losses.index(min(losses))
    assert all("token_loss" not in entry for entry in outcome.history)
    assert all(torch.equal(outcome.shared[key], value) for key, value in outcome.pretraining.shared.items())


def test_the_network_is_sent_to_multimodal_clients_and_later_once_to_the_others(outcome: Outcome) -> None:
    sizes = {n: (one.method_up, one.method_down) for n, one in outcome.pretraining.traffic.items()}
    assert sizes[0] == sizes[2] and min(sizes[0]) > 1_000_000
    assert sizes[1] == (0, 0)
    last = {n: (one.method_up, one.method_down) for n, one in outcome.traffic.items()}
    assert set(last.values()) == {(0, 0)}, "in the second round nobody needs it any more"
    assert outcome.modalities == dict.fromkeys(range(3), ("image", "text"))


def test_reports_are_written_once_and_read_in_every_round(
    prepared: Prepared,
    members: list[Member],
    outcome: Outcome,
    make_classifier: Callable[..., Classifier],
    make_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ctx = replace(make_context(make_classifier(), outcome.pretraining.shared), tokenized=prepared.tokenized)
    studies = members[1].studies
    paired, own = SHORT.pair(ctx, studies)
    texts = SHORT.written(ctx, studies)
    assert paired.tokens is not None
    assert torch.equal(paired.tokens, prepared.tokenized(texts))
    assert all(texts)
    monkeypatch.setattr(r2gen, "generate", None)
    again, kept = SHORT.pair(replace(ctx, own=own, shared={}), studies)
    assert again.tokens is not None
    assert torch.equal(again.tokens, paired.tokens)
    assert kept == own
    assert SHORT.pair(ctx, members[0].studies)[0] is members[0].studies


def _counted(words: dict[str, int], number: int) -> Reply:
    method = {"words": r2gen._packed(list(words)), "counts": torch.tensor(list(words.values()))}
    return Reply(number, "multimodal", {"head": 1}, {}, method, {})


def test_the_vocabulary_is_of_all_clients_counts() -> None:
    start: State = SHORT.init(None, torch_generator(0))[0]  # type: ignore[arg-type]
    replies = [_counted({"edema": 2, "no": 5, "rare": 1}, 0), _counted({"edema": 1, "caf\u00e9": 3}, 1)]
    merged = ReportGeneration(threshold=3).merge(start, replies, 1)
    assert r2gen._unpacked(merged["words"]).words == (UNKNOWN, "caf\u00e9", "edema", "no")


def test_a_client_tells_counts_of_words_and_no_report(
    members: list[Member], make_classifier: Callable[..., Classifier], make_context: MakeContext
) -> None:
    ctx = replace(make_context(make_classifier(), SHORT.init(None, torch_generator(0))[0]), phase="pretrain")  # type: ignore[arg-type]
    upload, own, _ = SHORT.learn(ctx, members[0].studies)
    words = r2gen._words(upload["words"])
    assert words == sorted(words)
    assert len(words) == len(upload["counts"]) == len(set(words))
    assert own == {}
    assert SHORT.learn(ctx, members[1].studies)[0] == {}


def test_writing_costs_the_trunk_and_all_words(
    members: list[Member], outcome: Outcome, make_classifier: Callable[..., Classifier], make_context: MakeContext
) -> None:
    ctx = make_context(make_classifier(), outcome.pretraining.shared)
    network = SHORT._network(ctx)
    one = members[1].studies
    assert one.images is not None
    whole = count(Writing(network, SHORT.length, SHORT.beams), (scaled(one.images[:1]),))
    cost = SHORT.cost(ctx, one, "text")
    assert (cost.macs, cost.parameters) == (whole.macs, whole.parameters)
    sent = sum(value.numel() for key, value in outcome.shared.items() if key.startswith("network."))
    assert cost.parameters is not None and sent > cost.parameters, "statistics are sent as well"


def test_rounds_follow_the_classifiers(training: Training) -> None:
    assert ReportGeneration().pretrain_rounds(replace(training, rounds=5)) == 6
    assert SHORT.pretrain_rounds(training) == 4


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (["image", "multimodal"], None),
        (["multimodal"], None),
        (["image", "multimodal", "text"], "no image from a report"),
        (["image"], "no client is multimodal"),
    ],
)
def test_columns_with_text_only_clients_are_skipped(kinds: list[str], reason: str | None) -> None:
    found = ReportGeneration().applies(kinds)
    assert found is None if reason is None else found is not None and reason in found


def test_records_tell_how_good_the_reports_are(
    prepared: Prepared, outcome: Outcome, make_classifier: Callable[..., Classifier], make_context: MakeContext
) -> None:
    ctx = make_context(make_classifier(), outcome.pretraining.shared)
    studies = prepared.hold(prepared.split("validate", None))
    numbers, samples = SHORT.describe(ctx, studies)
    written = SHORT.written(ctx, studies)
    assert (numbers["written"], numbers["distinct"]) == (12, len(set(written)))
    assert 0 <= numbers["bleu4"] <= 1 and 0 <= numbers["bleu4_constant"] <= 1
    assert [sample["written"] for sample in samples] == written[:5]
    assert samples[0]["real"] == f"{studies.reports[0]} ."  # type: ignore[index]
