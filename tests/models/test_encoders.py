"""Encoders of one modality."""

import sys

import pytest
import torch
from torch import nn
from torchvision.models import ResNet50_Weights
from torchvision.models.resnet import BasicBlock
from torchvision.transforms import Normalize

from fedfeat import presets
from fedfeat.errors import FedfeatError
from fedfeat.models.encoders import (
    GREY,
    IMAGE_TRUNKS,
    IMAGENET,
    LITE,
    TEXT_TRUNKS,
    EncoderNames,
    ImageEncoder,
    Pixels,
    TextEncoder,
    image_encoder,
    text_encoder,
)

PHANTOM = presets.get("phantom").encoders
LIGHT = presets.get("light").encoders
TORCHVISION = ResNet50_Weights.IMAGENET1K_V1.transforms()


@pytest.fixture(scope="module")
def text() -> TextEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return text_encoder(PHANTOM).eval()


@pytest.mark.parametrize("size", [32, 64, 70])
def test_pictures_become_unit_features(size: int) -> None:
    encoder = image_encoder(PHANTOM).eval()
    features = encoder(torch.rand(3, 1, size, size))
    assert features.shape == (3, 64)
    assert torch.allclose(features.norm(dim=1), torch.ones(3), atol=1e-5)
    assert not torch.allclose(features[0], features[1])


def test_reports_become_unit_features(text: TextEncoder) -> None:
    features = text(torch.randint(1, 1500, (3, 20), dtype=torch.int32))
    assert features.shape == (3, 64)
    assert torch.allclose(features.norm(dim=1), torch.ones(3), atol=1e-5)
    assert not torch.allclose(features[0], features[1])


def test_the_phantom_trunk_is_a_plain_sequence_of_basic_blocks() -> None:
    trunk = image_encoder(PHANTOM).trunk
    assert type(trunk) is nn.Sequential
    names = [type(part).__name__ for part in trunk]
    assert names[:4] == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert all(type(part) is BasicBlock for part in trunk[4:-2])
    assert names[-2:] == ["AdaptiveAvgPool2d", "Flatten"]


@pytest.mark.parametrize("name", sorted(IMAGE_TRUNKS))
def test_each_image_trunk_has_the_width_that_it_tells(name: str, request: pytest.FixtureRequest) -> None:
    if name == LIGHT.image:
        request.getfixturevalue("light_extra")
    with torch.device("meta"):
        trunk, width, pixels = IMAGE_TRUNKS[name]()
        assert trunk.eval()(torch.zeros(2, len(pixels.mean), 64, 64)).shape == (2, width)


def test_each_text_trunk_has_the_width_that_it_tells() -> None:
    with torch.device("meta"):
        for build_text in TEXT_TRUNKS.values():
            bert, width = build_text()
            assert bert.config.hidden_size == width
            assert bert.embeddings.word_embeddings.weight.shape[1] == width


def test_the_papers_trunks_are_resnet50_and_bert_base() -> None:
    names = presets.get("paper").encoders
    assert names == EncoderNames("resnet50", "bert-base-uncased", 256)
    with torch.device("meta"):
        image, text = image_encoder(names), text_encoder(names)
    assert sum(parameter.numel() for parameter in image.trunk.parameters()) == 23_508_032  # torchvision's, less its fc
    assert sum(parameter.numel() for parameter in text.trunk.parameters()) == 109_482_240  # as published
    assert image.projection.weight.shape == (256, 2048)
    assert text.projection.weight.shape == (256, 768)


@pytest.mark.usefixtures("light_extra")
def test_the_light_trunks_are_efficientnet_lite0_and_minilm() -> None:
    assert (LIGHT.image, LIGHT.text, LIGHT.features) == ("efficientnet-lite0", "minilm-l6", 256)
    with torch.device("meta"):
        image, text = image_encoder(LIGHT), text_encoder(LIGHT)
    # the package's network of 4,652,008, less ImageNet's 1,000 classes
    assert sum(parameter.numel() for parameter in image.trunk.parameters()) == 4_652_008 - 1281 * 1000
    assert sum(parameter.numel() for parameter in text.trunk.parameters()) == 22_713_216  # as published
    assert image.projection.weight.shape == (256, 1280)
    assert text.projection.weight.shape == (256, 384)


@pytest.mark.usefixtures("light_extra")
def test_the_light_trunk_gives_what_its_package_gives_before_the_classes() -> None:
    with torch.random.fork_rng():
        trunk = IMAGE_TRUNKS[LIGHT.image]()[0].eval()
    pictures = torch.rand(2, 3, 128, 128).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = trunk.extract_features(pictures).mean((2, 3))  # type: ignore[operator]
        assert torch.allclose(trunk(pictures), expected, atol=1e-5)
    assert expected.std(1).min() > 0


def test_a_trunk_whose_package_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(FedfeatError, match=r"^efficientnet-lite-pytorch is not installed; install fedfeat\[light\]$"):
        image_encoder(LIGHT)


@pytest.mark.parametrize("length", [5, 17, 60])
def test_padding_does_not_change_a_feature(text: TextEncoder, length: int) -> None:
    tokens = torch.zeros(2, 96, dtype=torch.int32)
    tokens[:, :length] = torch.randint(1, 1500, (2, length))
    with torch.no_grad():
        assert torch.allclose(text(tokens), text(tokens[:, :length]), atol=1e-6)


def test_every_word_of_a_report_counts(text: TextEncoder) -> None:
    tokens = torch.randint(1, 1500, (1, 20))
    changed = tokens.clone()
    changed[0, -1] = tokens[0, -1] % 1499 + 1
    assert not torch.allclose(text(tokens), text(changed), atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "mean", "std"),
    [
        (IMAGENET, TORCHVISION.mean, TORCHVISION.std),
        (GREY, [sum(TORCHVISION.mean) / 3], [sum(TORCHVISION.std) / 3]),
        (LITE, [127 / 255] * 3, [128 / 255] * 3),
    ],
)
def test_pictures_are_normalised_as_torchvision_does(pixels: Pixels, mean: list[float], std: list[float]) -> None:
    channels = len(mean)
    seen: list[torch.Tensor] = []
    trunk = nn.Flatten()
    trunk.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    images = torch.rand(2, 1, 8, 8)
    ImageEncoder(trunk, channels * 64, 16, pixels)(images)
    assert torch.allclose(seen[0], Normalize(mean, std)(images.expand(-1, channels, -1, -1)), atol=1e-6)


def test_constants_of_the_normalisation_are_neither_trained_nor_sent() -> None:
    encoder = image_encoder(PHANTOM)
    assert {key.split(".")[0] for key in encoder.state_dict()} == {"trunk", "projection"}
    assert {key.split(".")[0] for key, _ in encoder.named_parameters()} == {"trunk", "projection"}
