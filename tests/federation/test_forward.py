"""What a method gets to see, and what is taken from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from fedfeat.data.prepare import Prepared
from fedfeat.federation.forward import BadFill, filled, predict
from fedfeat.imputers.base import Context, Imputer
from fedfeat.models.classifier import Classifier

PATIENTS = {"train": 8, "validate": 4, "test": 4}


@dataclass(frozen=True)
class Spy(Imputer):
    """Notes what `fill` is given, and returns what it is told to."""

    name = "spy"
    title = "Spy"
    seen: list[tuple[Mapping[str, Tensor], Tensor | None]] = field(default_factory=list)
    value: float = 0.25
    wrong_shape: bool = False
    nothing: bool = False

    def fill(
        self, ctx: Context, features: Mapping[str, Tensor], present: Mapping[str, Tensor], targets: Tensor | None
    ) -> Mapping[str, Tensor]:
        self.seen.append((features, targets))
        if self.nothing:
            return {}
        width = 3 if self.wrong_shape else next(iter(features.values())).shape[1]
        return {
            name: torch.full((len(feature), width), self.value, requires_grad=True)
            for name, feature in features.items()
        }


def batch(rows: int = 4, width: int = 16) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    features = {name: torch.randn(rows, width, requires_grad=True) for name in ("image", "text")}
    present = {"image": torch.ones(rows, dtype=torch.bool), "text": torch.arange(rows) < 2}
    return features, present


def test_only_absent_rows_are_taken_and_without_gradient(
    make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]
) -> None:
    features, present = batch()
    result = filled(Spy(), make_context(make_classifier()), features, present, torch.ones(4, 3))
    assert result["image"] is features["image"]
    assert torch.equal(result["text"][:2], features["text"][:2])
    assert torch.equal(result["text"][2:], torch.full((2, 16), 0.25))
    (gradient,) = torch.autograd.grad(result["text"].sum(), features["text"])
    assert gradient[:2].eq(1).all()
    assert gradient[2:].eq(0).all()


def test_the_method_sees_detached_features(
    make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]
) -> None:
    features, present = batch()
    spy = Spy()
    filled(spy, make_context(make_classifier()), features, present, torch.ones(4, 3))
    ((given, targets),) = spy.seen
    assert not any(feature.requires_grad for feature in given.values())
    assert targets is not None


def test_a_complete_batch_never_reaches_the_method(
    make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]
) -> None:
    features, _ = batch()
    spy = Spy()
    everything = {name: torch.ones(4, dtype=torch.bool) for name in features}
    filled(spy, make_context(make_classifier()), features, everything, None)
    assert spy.seen == []


@pytest.mark.parametrize("phase", ["train", "eval"])
def test_targets_never_reach_a_method_at_evaluation(
    make_classifier: Callable[..., Classifier],
    make_context: Callable[..., Context],
    make_prepared: Callable[..., Prepared],
    phase: str,
) -> None:
    studies = make_prepared(PATIENTS).hold(np.arange(10), ("image",))
    classifier, spy = make_classifier(), Spy()
    predict(classifier, spy, make_context(classifier, phase=phase), studies)
    assert len(spy.seen) == 2  # batches of 8
    assert all(targets is None for _, targets in spy.seen)
    features, present = batch()
    filled(spy, make_context(classifier, phase="eval"), features, present, torch.ones(4, 3))
    assert spy.seen[-1][1] is None


@pytest.mark.parametrize(
    ("spy", "message"),
    [
        (Spy(wrong_shape=True), r"method spy: fill returned shape \(4, 3\) for text, not shape \(4, 16\)"),
        (Spy(nothing=True), "method spy: fill returned nothing for text"),
    ],
)
def test_a_wrong_fill_names_the_method(
    make_classifier: Callable[..., Classifier], make_context: Callable[..., Context], spy: Spy, message: str
) -> None:
    features, present = batch()
    with pytest.raises(BadFill, match=message):
        filled(spy, make_context(make_classifier()), features, present, None)
