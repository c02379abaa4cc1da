"""R2Gen's image trunks: the benchmark's own, without their pooling."""

import torch
from torch import Tensor, nn
from torchvision.models import ResNet

from fedfeat.models.encoders import IMAGE_TRUNKS, IMAGENET_MEAN, IMAGENET_STD


class PatchTrunk(nn.Module):
    """Grey pictures to the patches of a trunk's last feature map.

    `trunk` keeps the keys of the encoders' trunk, so that what loads weights into that one loads them into this.

    Args:
        trunk: takes (n, channels, S, S) and returns (n, width * patches), the flattened feature map.
        width: the feature map's channels.
        channels: as `ImageEncoder` has it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Module, width: int, channels: int) -> None:
        super().__init__()
        self.trunk, self.width = trunk, width
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        if channels == 1:
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, -1, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Take (n, 1, S, S) in [0, 1]; return (n, patches, width): 49 patches of ResNet-50 at 224 pixels."""
        pictures = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        patches: Tensor = self.trunk(pictures).unflatten(1, (self.width, -1))
        return patches.transpose(1, 2)


def patch_trunk(name: str) -> tuple[PatchTrunk, int]:
    """Return a trunk of `IMAGE_TRUNKS` with fresh weights, and the width of its patches."""
    trunk, width, channels = IMAGE_TRUNKS[name]()
    # Both flatten behind the pooling, so without it they return the whole feature map, flattened.
    if isinstance(trunk, ResNet):
        trunk.avgpool = nn.Identity()
    else:
        pooling = next(place for place, part in trunk.named_children() if isinstance(part, nn.AdaptiveAvgPool2d))
        setattr(trunk, pooling, nn.Identity())
    return PatchTrunk(trunk, width, channels), width
