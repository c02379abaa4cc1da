"""The complete model: its size, its features, and the loss over known labels."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fedfeat import presets
from fedfeat.data.prepare import MODALITIES, Prepared, Studies
from fedfeat.models.classifier import Classifier, in_order, keys_of, masked_loss
from fedfeat.models.counting import parameter_count

PATIENTS = {"train": 5, "validate": 2, "test": 2}
ROWS = np.arange(10)
Make = Callable[..., Classifier]
Build = Callable[..., Prepared]


@pytest.fixture(scope="module")
def paper() -> Iterator[Classifier]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield Classifier(presets.get("paper").encoders, 14)


def state_of(classifier: Classifier) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in classifier.state_dict().items()}


def test_the_papers_model_has_its_size(paper: Classifier) -> None:
    assert parameter_count(paper) == 133_718_862
    assert paper.head.weight.shape == (14, 512)


def test_the_papers_features_have_unit_norm(paper: Classifier, make_prepared: Build) -> None:
    features = paper.features(make_prepared(PATIENTS).hold(ROWS[:3]), 2)
    for name in MODALITIES:
        assert features[name].shape == (3, 256)
        assert torch.allclose(features[name].norm(dim=1), torch.ones(3), atol=1e-5)


def test_absent_rows_are_zeros_and_never_reach_the_encoder(make_classifier: Make, make_prepared: Build) -> None:
    classifier = make_classifier().eval()
    studies = make_prepared(PATIENTS).hold(ROWS)
    present = {"image": torch.arange(10) < 3, "text": torch.arange(10) % 2 == 0}
    given: dict[str, list[Tensor]] = {name: [] for name in MODALITIES}
    for name in MODALITIES:
        classifier.get_submodule(name).register_forward_pre_hook(
            lambda _, arguments, name=name: given[name].append(arguments[0])
        )
    features = classifier.encode(replace(studies, present=present))
    (images,), (tokens,) = given["image"], given["text"]
    assert studies.images is not None
    assert studies.tokens is not None
    assert torch.equal(images, studies.images[:3] / 255.0)
    assert torch.equal(tokens, studies.tokens[::2])
    complete = classifier.encode(studies)
    for name in MODALITIES:
        assert not features[name][~present[name]].any()
        assert torch.allclose(features[name][present[name]], complete[name][present[name]], atol=1e-6)


@pytest.mark.parametrize(("holds", "lacks"), [("image", "text"), ("text", "image")])
def test_a_modality_that_is_not_held_costs_no_encoder_call(
    make_classifier: Make, make_prepared: Build, holds: str, lacks: str
) -> None:
    classifier = make_classifier()
    calls: list[str] = []
    for name in MODALITIES:
        classifier.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    features = classifier.encode(make_prepared(PATIENTS).hold(ROWS, (holds,)))
    assert calls == [holds]
    assert features[lacks].shape == (10, 16)
    assert not features[lacks].any()
    assert not features[lacks].requires_grad


def test_augmented_pictures_take_the_place_of_the_batchs_own(make_classifier: Make, make_prepared: Build) -> None:
    classifier = make_classifier().eval()
    studies = make_prepared(PATIENTS).hold(ROWS)
    assert studies.images is not None
    white = torch.ones_like(studies.images, dtype=torch.float32)
    replaced = classifier.encode(studies, white)["image"]
    assert torch.allclose(replaced, classifier.image(white), atol=1e-6)
    assert not torch.allclose(replaced, classifier.encode(studies)["image"], atol=1e-3)


def test_the_head_reads_image_then_text(make_classifier: Make) -> None:
    classifier = make_classifier()
    image, text = torch.randn(4, 16), torch.randn(4, 16)
    logits = classifier.classify({"text": text, "image": image})
    by_hand = image @ classifier.head.weight[:, :16].T + text @ classifier.head.weight[:, 16:].T + classifier.head.bias
    assert torch.allclose(logits, by_hand, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_features_leave_the_model_as_it_was(make_classifier: Make, make_prepared: Build, training: bool) -> None:
    classifier = make_classifier().train(training)
    before = state_of(classifier)
    features = classifier.features(make_prepared(PATIENTS).hold(ROWS), 4)
    assert all(module.training is training for module in classifier.modules())
    assert all(torch.equal(before[key], value) for key, value in classifier.state_dict().items())
    assert not any(feature.requires_grad for feature in features.values())


def test_features_do_not_depend_on_the_batch(make_classifier: Make, make_prepared: Build) -> None:
    classifier = make_classifier()
    studies = make_prepared(PATIENTS).hold(ROWS)
    together, alone = classifier.features(studies, 8), classifier.features(studies, 1)
    for name in MODALITIES:
        assert together[name].shape == (10, 16)
        assert torch.allclose(together[name], alone[name], atol=1e-5)


def test_features_of_no_rows_are_empty(make_classifier: Make, make_prepared: Build) -> None:
    nothing: Studies = make_prepared(PATIENTS).hold(ROWS[:0])
    assert {name: tuple(feature.shape) for name, feature in make_classifier().features(nothing, 8).items()} == {
        "image": (0, 16),
        "text": (0, 16),
    }


def test_in_order_has_every_row_once(make_prepared: Build) -> None:
    parts = in_order(make_prepared(PATIENTS).hold(ROWS), 4)
    assert [part.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_keys_are_those_of_the_held_encoders_and_the_head(make_classifier: Make) -> None:
    state = make_classifier().state_dict()
    groups = {holds: {key.split(".")[0] for key in keys_of(state, holds)} for holds in (("image",), ("text",), ())}
    assert groups == {("image",): {"image", "head"}, ("text",): {"text", "head"}, (): {"head"}}
    assert keys_of(state, MODALITIES) == list(state)
    assert keys_of(["images.weight", "header.bias"], MODALITIES) == []


def test_the_loss_over_known_labels_is_plain_cross_entropy_bit_for_bit() -> None:
    logits, targets = torch.randn(7, 5, requires_grad=True), torch.randint(0, 2, (7, 5)).float()
    loss = masked_loss(logits, targets, torch.ones(7, 5, dtype=torch.bool))
    plain = binary_cross_entropy_with_logits(logits, targets)
    assert torch.equal(loss, plain)
    assert torch.equal(*(torch.autograd.grad(value, logits)[0] for value in (loss, plain)))


@pytest.mark.parametrize("garbage", [1e6, -1.0, float("nan")])
def test_unknown_labels_do_not_matter(garbage: float) -> None:
    logits, targets = torch.randn(7, 5, requires_grad=True), torch.randint(0, 2, (7, 5)).float()
    mask = torch.rand(7, 5) < 0.5
    mask[0, :2] = torch.tensor([True, False])
    loss = masked_loss(logits, targets.masked_fill(~mask, garbage), mask)
    by_hand = nn.BCEWithLogitsLoss(reduction="none")(logits, targets)[mask].mean()
    assert torch.allclose(loss, by_hand)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[~mask].any()
    assert gradient[mask].all()


def test_without_a_known_label_loss_and_gradient_are_zero() -> None:
    logits = torch.randn(7, 5, requires_grad=True)
    loss = masked_loss(logits, torch.full((7, 5), float("nan")), torch.zeros(7, 5, dtype=torch.bool))
    assert loss.item() == 0.0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient.any()
