"""CAR-MFL: what is retrieved, what a client trains on, and what weighs how much."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedfeat.data.augment import scaled
from fedfeat.data.prepare import Prepared, Studies
from fedfeat.federation.client import SERVER, ClientState, Member, train
from fedfeat.federation.rounds import federate
from fedfeat.imputers.base import Context, Reply
from fedfeat.imputers.car_mfl import CarMfl, jaccard, retrieved
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import count
from fedfeat.models.training import Training

PATIENTS = {"train": 12, "validate": 4, "test": 1}
PUBLIC = np.arange(16, 24)
MakePrepared = Callable[..., Prepared]


def by_brute_force(own: np.ndarray, public: np.ndarray, mine: np.ndarray, theirs: np.ndarray, nearest: int) -> int:
    """Return the public study for one row, as the paper describes it, one study at a time."""
    order = sorted(range(len(public)), key=lambda place: (float(((own - public[place]) ** 2).sum()), place))[:nearest]
    best, best_similarity = -1, -1.0
    for place in order:
        first, second = set(np.flatnonzero(mine)), set(np.flatnonzero(theirs[place]))
        similarity = len(first & second) / len(first | second) if first | second else 1.0
        if similarity > best_similarity:
            best, best_similarity = place, similarity
    return best


@pytest.mark.parametrize("nearest", [1, 3, 10, 50])
@pytest.mark.parametrize("rows", [7, 1500])  # more than are held against the public set at once
def test_retrieval_equals_brute_force_ties_included(nearest: int, rows: int) -> None:
    random = np.random.default_rng(nearest)
    own = random.integers(0, 3, (rows, 4)).astype(np.float32)  # few values: many equal distances
    public = random.integers(0, 3, (40, 4)).astype(np.float32)
    findings = random.random((rows, 3)) < 0.3  # few findings: many equal and empty sets
    public_findings = random.random((40, 3)) < 0.3
    found = retrieved(*map(torch.from_numpy, (own, public, findings, public_findings)), nearest)
    wanted = [by_brute_force(own[row], public, findings[row], public_findings, nearest) for row in range(rows)]
    assert found.tolist() == wanted
    assert len(set(wanted)) > 3


def test_jaccard_by_hand() -> None:
    sets = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]]) == 1
    assert jaccard(sets[0], sets).tolist() == [1.0, 0.25, 0.0]
    assert jaccard(sets[2], sets).tolist() == [0.0, 0.0, 1.0]


def _replies(kinds: list[str], rows: int = 100) -> list[Reply]:
    counts = {"image": rows, "text": rows, "head": rows}
    return [Reply(number, kind, counts, {}, {}, {}) for number, kind in enumerate(kinds)]


def test_the_weights_of_eleven_equal_members() -> None:
    replies = _replies(["image"] * 8 + ["multimodal"] * 2 + [SERVER])
    text = CarMfl().weights(replies, "text")
    assert [round(weight, 4) for weight in text] == [0.0893] * 8 + [0.0952] * 3
    assert sum(text) == pytest.approx(1)
    for group in ("image", "head"):  # no image encoder was trained on retrieved images
        assert CarMfl().weights(replies, group) == pytest.approx([1 / 11] * 11)


def test_each_encoder_counts_the_members_that_lack_its_modality_less() -> None:
    replies = _replies(["image", "text", "multimodal", SERVER])
    image, text = (CarMfl().weights(replies, group) for group in ("image", "text"))
    assert image[0] == image[2] == image[3] > image[1]
    assert text[1] == text[2] == text[3] > text[0]


@pytest.fixture
def prepared(make_prepared: MakePrepared) -> Prepared:
    return make_prepared(PATIENTS)


@pytest.mark.parametrize(("holds", "lacking"), [(("image",), "text"), (("text",), "image")])
def test_rows_get_the_raw_modality_of_a_public_study(
    prepared: Prepared,
    make_classifier: Callable[..., Classifier],
    make_context: Callable[..., Context],
    holds: tuple[str, ...],
    lacking: str,
) -> None:
    classifier, public = make_classifier(), prepared.hold(PUBLIC)
    studies = prepared.hold(np.arange(6), holds)
    paired, _ = CarMfl().pair(replace(make_context(classifier), public=public), studies)
    features = {name: classifier.features(part, 8)[holds[0]] for name, part in (("own", studies), ("public", public))}
    rows = retrieved(features["own"], features["public"], studies.targets == 1, public.targets == 1, 10)
    given, source = (part.images if lacking == "image" else part.tokens for part in (paired, public))
    assert given is not None and source is not None
    assert torch.equal(given, source[rows])
    kept, own = (part.images if lacking == "text" else part.tokens for part in (paired, studies))
    assert kept is own
    assert paired.modalities == ("image", "text")
    assert (studies.images is None, studies.tokens is None) == (lacking == "image", lacking == "text")


def test_rows_that_have_both_keep_them(
    prepared: Prepared, make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]
) -> None:
    ctx = replace(make_context(make_classifier()), public=prepared.hold(PUBLIC))
    whole = prepared.hold(np.arange(6))
    assert CarMfl().pair(ctx, whole)[0] is whole
    there = torch.arange(6) != 2
    assert whole.tokens is not None
    holed = replace(whole, tokens=whole.tokens * there[:, None].int(), present={**whole.present, "text": there})
    paired = CarMfl().pair(ctx, holed)[0]
    assert paired.tokens is not None
    assert torch.equal(paired.tokens[there], whole.tokens[there])
    assert any(torch.equal(paired.tokens[2], tokens) for tokens in ctx.public.tokens)  # type: ignore[union-attr]


def test_findings_that_are_not_known_are_none(
    prepared: Prepared, make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]
) -> None:
    """Masked labels would otherwise choose the study."""
    ctx = replace(make_context(make_classifier()), public=prepared.hold(PUBLIC))
    studies = prepared.hold(np.arange(6), ("image",))
    unknown = replace(studies, label_mask=torch.zeros_like(studies.label_mask))
    assert ctx.public is not None
    own, public = (ctx.classifier.features(part, 8)["image"] for part in (studies, ctx.public))
    rows = retrieved(own, public, torch.zeros(6, 3) == 1, ctx.public.targets == 1, 10)
    assert ctx.public.tokens is not None
    assert torch.equal(CarMfl().pair(ctx, unknown)[0].tokens, ctx.public.tokens[rows])  # type: ignore[arg-type]


def test_a_unimodal_client_trains_and_sends_both_encoders(
    prepared: Prepared, make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]
) -> None:
    classifier = make_classifier()
    start = {key: value.clone() for key, value in classifier.state_dict().items()}
    member = Member(0, "image", prepared.hold(np.arange(6), ("image",)), prepared.hold(PUBLIC))
    reply, _ = train(classifier, start, member, ClientState(), CarMfl(), make_context(classifier), seed=0)
    assert dict(reply.rows) == {"image": 6, "text": 6, "head": 6}
    moved = [key for key in reply.model if key.startswith("text.") and not torch.equal(reply.model[key], start[key])]
    assert moved


def test_the_server_trains_as_a_member_and_sends_nothing(
    prepared: Prepared, make_classifier: Callable[..., Classifier], training: Training
) -> None:
    public = prepared.hold(PUBLIC)

    def members(with_server: bool) -> list[Member]:
        clients = [Member(0, "image", prepared.hold(np.arange(6), ("image",)), public)]
        clients.append(Member(1, "multimodal", prepared.hold(np.arange(6, 12)), public))
        return [*clients, *([Member(2, SERVER, public, public)] if with_server else [])]

    def run(with_server: bool) -> dict[str, torch.Tensor]:
        validation: Studies = prepared.hold(prepared.split("validate", None))
        outcome = federate(make_classifier(), CarMfl(), members(with_server), validation, training, "fedavg", 0)
        assert set(outcome.traffic) == {0, 1}
        assert outcome.modalities == {0: ("image", "text"), 1: ("image", "text")}
        return dict(outcome.model)

    with_it, without = run(True), run(False)
    assert not torch.equal(with_it["head.weight"], without["head.weight"])


@pytest.mark.parametrize(("holds", "lacking"), [("image", "text"), ("text", "image")])
def test_a_retrieval_costs_encodings_and_distances(
    prepared: Prepared,
    make_classifier: Callable[..., Classifier],
    make_context: Callable[..., Context],
    holds: str,
    lacking: str,
) -> None:
    ctx = replace(make_context(make_classifier()), public=prepared.hold(PUBLIC))
    cost = CarMfl().cost(ctx, prepared.hold(np.arange(4), (holds,)), lacking)
    studies = prepared.hold(np.arange(1), (holds,))
    raw = scaled(studies.images) if holds == "image" else studies.tokens  # type: ignore[arg-type]
    encoding = count(ctx.classifier.get_submodule(holds), (raw,)).macs  # type: ignore[arg-type]
    assert encoding is not None
    assert cost.macs == encoding + 8 * encoding // 4 + 8 * 16  # four rows share the encodings of eight studies


def test_only_the_modality_that_is_compared_is_encoded(
    prepared: Prepared,
    make_classifier: Callable[..., Classifier],
    make_context: Callable[..., Context],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = make_classifier()
    ctx = replace(make_context(classifier), public=prepared.hold(PUBLIC))
    monkeypatch.setattr(classifier.text, "forward", None)
    assert CarMfl().pair(ctx, prepared.hold(np.arange(6), ("image",)))[0].modalities == ("image", "text")
