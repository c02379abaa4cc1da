"""Methods that learn nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fedfeat.imputers.base import Context, Dims, Imputer
from fedfeat.imputers.complete import Complete
from fedfeat.imputers.multimodal_only import MultimodalOnly
from fedfeat.imputers.uniform import Uniform
from fedfeat.imputers.zero import Zero
from fedfeat.models.classifier import Classifier
from fedfeat.randomness import torch_generator


@pytest.fixture
def ctx(make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]) -> Context:
    return make_context(make_classifier())


def lacking_text(rows: int = 6, width: int = 256) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """All rows have an image, the first two a report."""
    present = {"image": torch.ones(rows, dtype=torch.bool), "text": torch.arange(rows) < 2}
    return {name: torch.randn(rows, width) * mask[:, None] for name, mask in present.items()}, present


@pytest.mark.parametrize("method", [Zero(), Complete(), MultimodalOnly()])
def test_zero_filling_leaves_absent_rows_at_zero(ctx: Context, method: Imputer) -> None:
    features, present = lacking_text()
    given = {name: feature.clone() for name, feature in features.items()}
    filled = method.fill(ctx, features, present, None)
    assert set(filled) == set(given)
    assert all(torch.equal(filled[name], given[name]) for name in given)
    assert not filled["text"][2:].any()


@pytest.mark.parametrize("method", [Zero(), Complete(), MultimodalOnly(), Uniform()])
def test_they_learn_and_send_nothing(ctx: Context, method: Imputer) -> None:
    assert method.init(Dims(16, 3), torch_generator(0)) == ({}, {})
    assert method.merge({}, [], 1) == {}


def test_uniform_draws_lie_between_zero_and_one(ctx: Context) -> None:
    features, present = lacking_text(rows=500)
    drawn = Uniform().fill(ctx, features, present, None)["text"][2:]
    assert 0.0 <= drawn.min() < 0.001
    assert 0.999 < drawn.max() < 1.0
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.var().item() == pytest.approx(1 / 12, abs=0.002)
    assert drawn.norm(dim=1).mean().item() == pytest.approx(9.24, abs=0.05)  # the square root of 256 / 3


def test_uniform_draws_anew_at_every_call_and_row(ctx: Context) -> None:
    features, present = lacking_text()
    first, second = (Uniform().fill(ctx, features, present, None)["text"] for _ in range(2))
    rows = torch.cat([first[2:], second[2:]])
    assert len(rows.unique(dim=0)) == len(rows) == 8


def test_uniform_draws_depend_on_the_contexts_generator_only(ctx: Context) -> None:
    features, present = lacking_text()
    ctx.generator.manual_seed(3)
    first = Uniform().fill(ctx, features, present, None)["text"]
    torch.rand(5)
    ctx.generator.manual_seed(3)
    assert torch.equal(Uniform().fill(ctx, features, present, None)["text"], first)


def test_uniform_leaves_a_modality_that_all_rows_have(ctx: Context) -> None:
    features, present = lacking_text()
    assert Uniform().fill(ctx, features, present, None)["image"] is features["image"]


def test_the_normalised_variant_has_unit_norm(ctx: Context) -> None:
    features, present = lacking_text()
    drawn = Uniform(normalise=True).fill(ctx, features, present, None)["text"][2:]
    assert torch.allclose(drawn.norm(dim=1), torch.ones(4), atol=1e-5)
    assert bool((drawn >= 0).all())
    assert (Uniform().params, Uniform(normalise=True).params) == ({"normalise": False}, {"normalise": True})


def test_only_the_upper_bound_has_nothing_missing() -> None:
    assert Complete.nothing_missing
    assert Complete.marks == ("upper bound",)
    assert not any(method.nothing_missing for method in (Zero, Uniform, MultimodalOnly))


@pytest.mark.parametrize("kinds", [("image", "text"), ("image",), ("image", "multimodal")])
def test_methods_that_need_no_pairs_always_apply(kinds: tuple[str, ...]) -> None:
    for method in (Zero(), Uniform(), Complete()):
        assert method.applies(kinds) is None
        assert all(method.takes_part(kind) for kind in kinds)


def test_unimodal_clients_stay_away_from_multimodal_only() -> None:
    method = MultimodalOnly()
    assert [method.takes_part(kind) for kind in ("image", "text", "multimodal")] == [False, False, True]
    assert method.applies(("image", "multimodal")) is None
    assert method.applies(("image", "text")) == "no client is multimodal"
