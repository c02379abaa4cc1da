"""The Feature Imputation Network: its size, what it learns, and which rows it touches."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from fedfeat.data.prepare import Prepared, Studies
from fedfeat.evaluation.cost import fill_cost
from fedfeat.imputers.base import Context, Dims, Reply, State
from fedfeat.imputers.fin import DIRECTIONS, FIN
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import count, parameter_count
from fedfeat.models.encoders import GREY, EncoderNames, ImageEncoder
from fedfeat.models.training import Training
from fedfeat.randomness import torch_generator

MakeClassifier = Callable[..., Classifier]
MakeContext = Callable[..., Context]
PATIENTS = {"train": 6, "validate": 1, "test": 1}
SMALL = FIN(layers=2)


class Numbers(nn.Module):
    """Encodes a report's ids as an image encoder does pixels: by a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Linear(16, 16)

    def forward(self, tokens: Tensor) -> Tensor:
        return normalize(self.projection(tokens / 255.0 - 0.5), dim=1)


@pytest.fixture
def paired_classifier() -> Classifier:
    """Encoders that are linear maps, so that the feature of one modality follows from that of the other."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        classifier = Classifier(EncoderNames("basic-blocks", "bert-small", 16), 3)
        classifier.image = ImageEncoder(nn.Flatten(), 16, 16, GREY)
        classifier.text = Numbers()  # type: ignore[assignment]
        nn.init.orthogonal_(classifier.image.projection.weight)
    return classifier


def paired_studies(rows: int, seed: int) -> Studies:
    """4 x 4 pictures, and 16 ids that repeat their pixels."""
    pixels = torch.randint(1, 256, (rows, 16), generator=torch.Generator().manual_seed(seed))
    return Studies(
        images=pixels.view(rows, 1, 4, 4).to(torch.uint8),
        tokens=pixels.to(torch.int32),
        targets=torch.zeros(rows, 3),
        label_mask=torch.ones(rows, 3, dtype=torch.bool),
        present={name: torch.ones(rows, dtype=torch.bool) for name in ("image", "text")},
        patients=tuple(map(str, range(rows))),
        rows=torch.arange(rows),
    )


def mixed() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Two rows with both modalities, two with images, two with text, two with nothing."""
    present = {
        "image": torch.tensor([1, 1, 1, 1, 0, 0, 0, 0]) == 1,
        "text": torch.tensor([1, 1, 0, 0, 1, 1, 0, 0]) == 1,
    }
    features = {name: normalize(torch.randn(8, 16), dim=1) * mask[:, None] for name, mask in present.items()}
    return features, present


def started(fin: FIN, dims: Dims, seed: int = 0) -> State:
    return fin.init(dims, torch_generator(seed))[0]


def test_one_direction_has_the_papers_size_and_macs() -> None:
    network = FIN().network(Dims(256, 14))
    assert parameter_count(network) == 6_320_640
    assert count(network, (torch.rand(1, 256),)).macs == 6_314_496


@pytest.mark.parametrize("missing", ["text", "image"])
def test_filling_one_row_costs_one_network(
    make_classifier: MakeClassifier, make_context: MakeContext, missing: str
) -> None:
    ctx = make_context(make_classifier(features=256))
    shared = started(FIN(), ctx.dims)
    assert sum(value.numel() for value in shared.values()) == 2 * 6_320_640
    ctx = replace(ctx, shared=shared)
    assert fill_cost(FIN(), ctx, missing).macs == 6_314_496
    said = FIN().cost(ctx, paired_studies(3, 0), missing)
    assert (said.macs, said.parameters) == (6_314_496, 6_320_640)


def test_the_start_depends_on_the_generator_only() -> None:
    first = started(SMALL, Dims(16, 3))
    torch.manual_seed(4)
    state = torch.get_rng_state()
    again, other = started(SMALL, Dims(16, 3)), started(SMALL, Dims(16, 3), seed=1)
    assert torch.equal(torch.get_rng_state(), state), "init must leave the global generator as it was"
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_both_directions_start_differently() -> None:
    shared = started(SMALL, Dims(16, 3))
    there, back = (
        {key.split(".", 1)[1]: value for key, value in shared.items() if key.startswith(direction)}
        for direction in DIRECTIONS
    )
    assert set(there) == set(back)
    matrices = [key for key, value in there.items() if value.dim() == 2]
    assert len(matrices) == 12  # attention in and out, twice, and two of the feed-forward part: 6 a layer
    assert not any(torch.equal(there[key], back[key]) for key in matrices)


def test_it_learns_a_linear_map(paired_classifier: Classifier, make_context: MakeContext, training: Training) -> None:
    train, test = paired_studies(256, 0), paired_studies(64, 1)
    ctx = make_context(paired_classifier)
    ctx = replace(ctx, training=replace(training, batch_size=32, local_epochs=15), shared=started(SMALL, ctx.dims))
    known, held_out = (paired_classifier.features(studies, 64) for studies in (train, test))

    def error(shared: State) -> dict[str, float]:
        errors = {}
        for source, target in DIRECTIONS.values():
            present = {source: torch.ones(64, dtype=torch.bool), target: torch.zeros(64, dtype=torch.bool)}
            given = {source: held_out[source], target: torch.zeros(64, 16)}
            filled = SMALL.fill(replace(ctx, shared=shared), given, present, None)[target]
            errors[target] = mse_loss(filled, held_out[target]).item()
        return errors

    before, losses = error(ctx.shared), []
    for number in (1, 2):
        upload, own, metrics = SMALL.learn(replace(ctx, round=number), train)
        ctx = replace(ctx, shared=upload, own=own)
        losses.append(metrics)
    after = error(ctx.shared)
    for source, target in DIRECTIONS.values():
        constant = mse_loss(known[target].mean(0).expand(64, -1), held_out[target]).item()
        assert after[target] < 0.6 * constant
        assert after[target] < 0.3 * before[target]
        assert losses[1][f"mse_{source}_to_{target}"] < losses[0][f"mse_{source}_to_{target}"]


def test_learning_keeps_optimizers_only_if_asked(
    paired_classifier: Classifier, make_context: MakeContext, training: Training
) -> None:
    ctx = make_context(paired_classifier)
    ctx = replace(ctx, shared=started(SMALL, ctx.dims))
    studies = paired_studies(8, 0)
    _, own, _ = SMALL.learn(ctx, studies)
    step = "image_to_text.decoder.layers.0.linear1.weight.step"
    assert own[step].item() == 4  # 8 rows, batches of 4, 2 epochs
    for persistent, steps in ((True, 8), (False, 4)):
        options = replace(training, persistent_optimizer=persistent)
        assert SMALL.learn(replace(ctx, own=own, training=options), studies)[1][step].item() == steps


def test_epochs_are_the_presets_unless_given(paired_classifier: Classifier, make_context: MakeContext) -> None:
    ctx = make_context(paired_classifier)
    fin = FIN(layers=1, epochs=5)
    _, own, _ = fin.learn(replace(ctx, shared=started(fin, ctx.dims)), paired_studies(4, 0))
    assert own["text_to_image.decoder.layers.0.linear1.weight.step"].item() == 5


def test_learning_leaves_the_classifier_as_it_was(
    make_prepared: Callable[..., Prepared], make_classifier: MakeClassifier, make_context: MakeContext
) -> None:
    classifier = make_classifier().train()
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    ctx = make_context(classifier)
    ctx = replace(ctx, shared=started(SMALL, ctx.dims))
    start = {key: value.clone() for key, value in ctx.shared.items()}
    upload, _, _ = SMALL.learn(ctx, make_prepared(PATIENTS).hold(np.arange(12)))
    assert all(torch.equal(before[key], value) for key, value in classifier.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in classifier.parameters())
    assert all(module.training for module in classifier.modules())
    assert set(upload) == set(start)
    assert not any(torch.equal(upload[key], start[key]) for key in start)
    assert all(torch.equal(ctx.shared[key], value) for key, value in start.items())


@pytest.mark.parametrize("holds", [("image",), ("text",)])
def test_a_client_without_pairs_uploads_nothing(
    make_prepared: Callable[..., Prepared],
    make_classifier: MakeClassifier,
    make_context: MakeContext,
    holds: tuple[str, ...],
) -> None:
    ctx = make_context(make_classifier())
    own = {"anything": torch.ones(1)}
    ctx = replace(ctx, shared=started(SMALL, ctx.dims), own=own)
    assert SMALL.learn(ctx, make_prepared(PATIENTS).hold(np.arange(12), holds)) == ({}, own, {})


def test_rows_that_lack_a_modality_are_no_pairs(paired_classifier: Classifier, make_context: MakeContext) -> None:
    ctx = make_context(paired_classifier)
    ctx = replace(ctx, shared=started(SMALL, ctx.dims))
    studies = paired_studies(12, 0)
    lacking = replace(studies, present=studies.present | {"text": torch.arange(12) < 8})
    fewer, of_pairs = (SMALL.learn(replace(ctx, generator=torch_generator(0)), held)[1] for held in (lacking, studies))
    step = "image_to_text.decoder.layers.0.linear1.weight.step"
    assert (fewer[step].item(), of_pairs[step].item()) == (4, 6)  # batches of 4, 2 epochs


def test_only_rows_with_the_other_modality_are_filled(
    make_classifier: MakeClassifier, make_context: MakeContext
) -> None:
    ctx = make_context(make_classifier())
    features, present = mixed()
    given = {name: feature.clone() for name, feature in features.items()}
    filled = SMALL.fill(replace(ctx, shared=started(SMALL, ctx.dims)), features, present, torch.ones(8, 3))
    changed = {name: (filled[name] != given[name]).any(1).nonzero()[:, 0].tolist() for name in given}
    assert changed == {"text": [2, 3], "image": [4, 5]}
    for name, rows in changed.items():
        assert torch.allclose(filled[name][rows].norm(dim=1), torch.ones(2), atol=1e-5)
        assert torch.equal(features[name], given[name])  # what was given is not written to


def test_each_direction_uses_its_own_network(make_classifier: MakeClassifier, make_context: MakeContext) -> None:
    ctx = make_context(make_classifier())
    shared = started(SMALL, ctx.dims)
    features, present = mixed()
    filled = SMALL.fill(replace(ctx, shared=shared), features, present, None)
    for direction, (source, target), rows in zip(DIRECTIONS, DIRECTIONS.values(), ([2, 3], [4, 5]), strict=True):
        network = SMALL.network(ctx.dims).eval()
        prefix = f"{direction}."
        network.load_state_dict({k.removeprefix(prefix): v for k, v in shared.items() if k.startswith(prefix)})
        assert torch.allclose(filled[target][rows], network(features[source][rows]), atol=1e-6)


def test_filling_is_repeatable_and_knows_no_neighbours(
    make_classifier: MakeClassifier, make_context: MakeContext
) -> None:
    ctx = make_context(make_classifier().train())
    ctx = replace(ctx, shared=started(SMALL, ctx.dims))
    features, present = mixed()
    first, second = SMALL.fill(ctx, features, present, None), SMALL.fill(ctx, features, present, None)
    assert all(torch.equal(first[name], second[name]) for name in features)
    alone = SMALL.fill(ctx, {k: v[2:3] for k, v in features.items()}, {k: v[2:3] for k, v in present.items()}, None)
    assert torch.allclose(alone["text"], first["text"][2:3], atol=1e-6)


def test_filling_uses_the_state_of_each_call(make_classifier: MakeClassifier, make_context: MakeContext) -> None:
    ctx = make_context(make_classifier())
    one, other = (replace(ctx, shared=started(SMALL, ctx.dims, seed)) for seed in (0, 1))
    features, present = mixed()
    first = SMALL.fill(one, features, present, None)["text"]
    between = SMALL.fill(other, features, present, None)["text"]
    assert not torch.allclose(first, between, atol=1e-3)
    assert torch.equal(SMALL.fill(one, features, present, None)["text"], first)


def test_merging_averages_over_the_clients_that_uploaded() -> None:
    rows = {"image": 1, "text": 1}
    replies = [
        Reply(0, "image", rows | {"head": 100}, {}, {}, {}),
        Reply(1, "multimodal", rows | {"head": 30}, {}, {"a": torch.tensor([1.0])}, {}),
        Reply(2, "multimodal", rows | {"head": 10}, {}, {"a": torch.tensor([5.0])}, {}),
    ]
    assert FIN().merge({"a": torch.tensor([9.0])}, replies, 1)["a"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("kinds", "applies"),
    [(("image", "multimodal"), True), (("multimodal",), True), (("image", "text"), False), (("image",), False)],
)
def test_it_needs_a_multimodal_client(kinds: tuple[str, ...], applies: bool) -> None:
    reason = FIN().applies(kinds)
    assert reason is None if applies else reason == "no client is multimodal, so no pairs to learn from"
