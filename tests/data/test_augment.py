"""Augmentation against torchvision's, and its independence of the device."""

import torch
from torchvision.transforms.functional import InterpolationMode, rotate

from fedfeat.data.augment import augment, scaled
from fedfeat.randomness import torch_generator


def test_nothing_asked_changes_nothing() -> None:
    images = torch.rand(5, 1, 16, 16)
    assert torch.allclose(augment(images, 0.0, False, torch_generator(0)), images, atol=1e-5)


def test_half_are_flipped() -> None:
    images = torch.rand(200, 1, 8, 8)
    result = augment(images, 0.0, True, torch_generator(0))
    same = torch.isclose(result, images, atol=1e-4).flatten(1).all(1)
    flipped = torch.isclose(result, images.flip(3), atol=1e-4).flatten(1).all(1)
    assert bool((same | flipped).all())
    assert 60 < int(flipped.sum()) < 140


def test_rotation_equals_torchvision() -> None:
    images = torch.rand(6, 1, 33, 33)
    result = augment(images, 15.0, False, torch_generator(3))
    angles = (torch.rand(6, generator=torch_generator(3)) * 2 - 1) * 15
    assert float(angles.abs().max()) > 5
    for image, turned, angle in zip(images, result, angles, strict=True):
        expected = rotate(image, float(angle), InterpolationMode.BILINEAR)
        assert torch.allclose(turned, expected, atol=1e-4)


def test_scaling() -> None:
    assert scaled(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]
