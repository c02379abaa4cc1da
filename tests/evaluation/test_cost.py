"""Parameters, multiply-accumulates and bytes, against the numbers of the paper's model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from fedfeat import presets
from fedfeat.evaluation.cost import analytic_bytes, classifier_cost, fill_cost
from fedfeat.imputers.base import Context, Imputer
from fedfeat.imputers.uniform import Uniform
from fedfeat.imputers.zero import Zero
from fedfeat.models.classifier import Classifier, keys_of
from fedfeat.models.counting import count, parameter_count

PAPER = presets.get("paper")


@dataclass(frozen=True)
class Filler(Imputer):
    """Fills the report's feature from the picture's, in a way of its own."""

    name = "filler"
    title = "Filler"
    way: Callable[[Tensor], Tensor] = torch.Tensor.clone

    def fill(
        self, ctx: Context, features: Mapping[str, Tensor], present: Mapping[str, Tensor], targets: Tensor | None
    ) -> Mapping[str, Tensor]:
        return {"image": features["image"], "text": self.way(features["image"])}


@pytest.fixture
def ctx(make_classifier: Callable[..., Classifier], make_context: Callable[..., Context]) -> Context:
    return make_context(make_classifier())


@pytest.fixture(scope="module")
def paper() -> Classifier:
    """The paper's architecture, without memory for its weights."""
    with torch.device("meta"):
        return Classifier(PAPER.encoders, 14)


@pytest.mark.parametrize(
    ("holds", "megabytes", "without_statistics"),
    [(("image",), 96.372, 96.159), (("text",), 438.745, 438.745), (("image", "text"), 535.088, 534.875)],
)
def test_the_papers_clients_send_their_encoders_and_the_head(
    paper: Classifier, holds: tuple[str, ...], megabytes: float, without_statistics: float
) -> None:
    sent = analytic_bytes(paper, holds)
    assert round(sent / 1e6, 3) == megabytes
    parameters = sum(parameter_count(paper.get_submodule(name)) for name in (*holds, "head"))
    assert round(4 * parameters / 1e6, 3) == without_statistics


@pytest.mark.parametrize("holds", [("image",), ("text",), ("image", "text"), ()])
def test_the_count_is_that_of_the_floats_with_these_keys(
    make_classifier: Callable[..., Classifier], holds: tuple[str, ...]
) -> None:
    classifier = make_classifier()
    state = classifier.state_dict()
    floats = [state[key] for key in keys_of(state, holds) if state[key].is_floating_point()]
    assert analytic_bytes(classifier, holds) == sum(value.numel() * 4 for value in floats)


def test_the_papers_model_has_its_macs() -> None:
    with torch.random.fork_rng():
        counted = classifier_cost(Classifier(PAPER.encoders, 14), PAPER.image_size, PAPER.report_length)
    assert counted.macs is not None
    assert round(counted.macs / 1e9, 3) == 14.994
    assert not {"aten::linear", "aten::addmm", "aten::matmul", "aten::_convolution"} & set(counted.unsupported)


def test_more_pixels_and_more_tokens_cost_more(make_classifier: Callable[..., Classifier]) -> None:
    classifier = make_classifier()
    small, wide, long = (classifier_cost(classifier, *sizes).macs for sizes in ((32, 16), (64, 16), (32, 32)))
    assert small is not None
    assert wide is not None
    assert long is not None
    assert small < wide
    assert small < long


def test_a_linear_layer_by_hand() -> None:
    counted = count(nn.Sequential(nn.Linear(10, 7), nn.Sigmoid()), (torch.rand(3, 10),))
    assert counted.macs == 3 * 10 * 7
    assert counted.unsupported == {"aten::sigmoid": 1}


def test_fused_attention_hides_nothing_even_without_gradient() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    with torch.no_grad():
        counted = count(layer, (torch.rand(1, 1, 16),))
        assert not torch.is_grad_enabled()
    assert counted.macs is not None
    assert counted.macs >= 4 * 16 * 16 + 2 * 16 * 32  # projections in and out, and the feed-forward part


@pytest.mark.parametrize("method", [Zero(), Uniform()])
@pytest.mark.parametrize("missing", ["image", "text"])
def test_simple_filling_costs_no_multiplication(ctx: Context, method: Imputer, missing: str) -> None:
    assert fill_cost(method, ctx, missing).macs == 0


def test_filling_is_counted_for_one_row(ctx: Context) -> None:
    layer = nn.Linear(16, 16).requires_grad_(False)
    assert fill_cost(Filler(layer), ctx, "text").macs == 16 * 16
    assert fill_cost(Filler(layer), ctx, "image").macs == 0  # nothing of it is needed there


def test_filling_is_counted_at_evaluation(ctx: Context) -> None:
    phases: list[str] = []

    class Noting(Filler):
        def fill(self, ctx: Context, *arguments: object) -> Mapping[str, Tensor]:  # type: ignore[override]
            phases.append(ctx.phase)
            return super().fill(ctx, *arguments)  # type: ignore[arg-type]

    assert ctx.phase == "train"
    fill_cost(Noting(), ctx, "text")
    assert set(phases) == {"eval"}


@pytest.mark.parametrize(
    "way",
    [
        lambda feature: torch.from_numpy(feature.numpy() * 2),  # NumPy takes no tensor that asks for a gradient
        lambda feature: (feature @ torch.ones(16))[:, None].expand(-1, 16),  # fvcore knows no product with a vector
    ],
    ids=["numpy", "vector"],
)
def test_a_fill_that_cannot_be_counted_has_no_count(ctx: Context, way: Callable[[Tensor], Tensor]) -> None:
    counted = fill_cost(Filler(way), ctx, "text")
    assert counted.macs is None
    assert counted.unsupported == {"fill cannot be traced": 1}


def test_parameters_are_counted_once() -> None:
    shared = nn.Linear(3, 4)
    assert parameter_count(nn.Sequential(shared, nn.ReLU(), shared)) == 16
