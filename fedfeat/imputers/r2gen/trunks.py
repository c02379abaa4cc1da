"""R2Gen's image trunks: the benchmark's own, without their pooling."""

import torch
from torch import Tensor, nn

from fedfeat.models.encoders import IMAGE_TRUNKS, Pixels, Standardise


class PatchTrunk(nn.Module):
    """Grey pictures to the patches of a trunk's last feature map.

    `trunk` keeps the keys of the encoders' trunk, so that what loads weights into that one loads them into this.

    Args:
        trunk: takes (n, channels, S, S) and returns (n, width * patches), the flattened feature map.
        width: the feature map's channels.
        pixels: what pictures the trunk was trained on.
    """

    def __init__(self, trunk: nn.Module, width: int, pixels: Pixels) -> None:
        super().__init__()
        self.trunk, self.width = trunk, width
        self.standardise = Standardise(pixels)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Take (n, 1, S, S) in [0, 1]; return (n, patches, width): 49 patches of ResNet-50 at 224 pixels."""
        patches: Tensor = self.trunk(self.standardise(images)).unflatten(1, (self.width, -1))
        return patches.transpose(1, 2)


def patch_trunk(name: str) -> tuple[PatchTrunk, int]:
    """Return a trunk of `IMAGE_TRUNKS` with fresh weights, and the width of its patches."""
    trunk, width, pixels = IMAGE_TRUNKS[name]()
    # All flatten what comes from the pooling. Flattened in its place, the whole feature map passes that unchanged.
    pooling = next(place for place, part in trunk.named_children() if isinstance(part, nn.AdaptiveAvgPool2d))
    setattr(trunk, pooling, nn.Flatten())
    return PatchTrunk(trunk, width, pixels), width
