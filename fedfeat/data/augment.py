"""Training augmentation of the released protocol, batched on the device: horizontal flip, rotation up to 15 degrees."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def scaled(images: Tensor) -> Tensor:
    """Return uint8 (n, 1, S, S) as float32 in [0, 1]."""
    return images.float() / 255.0


def augment(images: Tensor, degrees: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Flip each picture with probability 1/2 and rotate it by an angle uniform in ±`degrees`.

    Args:
        images: (n, 1, S, S) float in [0, 1]; what rotation uncovers becomes 0 (black).
        degrees: largest angle, in degrees.
        flip: whether pictures are flipped.
        generator: a CPU generator, so that the draws do not depend on the device.

    Returns:
        (n, 1, S, S) float in [0, 1].
    """
    count = len(images)
    angle = (torch.rand(count, generator=generator) * 2 - 1) * math.radians(degrees)
    sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) if flip else torch.ones(count)
    cosine, sine, zero = torch.cos(angle), torch.sin(angle), torch.zeros(count)
    matrix = torch.stack(
        [torch.stack([cosine * sign, -sine, zero], 1), torch.stack([sine * sign, cosine, zero], 1)], 1
    ).to(images.device)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
