"""Parameters and multiply-accumulates, against the paper's Table 3 and fvcore's count."""

import pytest
import torch
from torch import nn

from fedfeat.imputers.r2gen.cost import macs_behind_trunk
from fedfeat.imputers.r2gen.generation import Writing
from fedfeat.imputers.r2gen.network import PAPER, R2Gen, Sizes
from fedfeat.imputers.r2gen.trunks import patch_trunk
from fedfeat.models.counting import count, parameter_count


@pytest.mark.parametrize("words", [1, 760, 1015, 4000])
def test_the_papers_network_has_its_parameters(words: int) -> None:
    with torch.device("meta"):
        trunk, width = patch_trunk("resnet50")
        network = R2Gen(trunk, width, words, PAPER)
    assert parameter_count(network) == 58_701_376 + 1_025 * (words + 1)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(
    ("sizes", "patch_width", "patches", "words", "length", "beams"),
    [
        (PAPER, 2048, 49, 1015, 4, 3),
        (Sizes(16, 24, heads=4, layers=2, slots=2), 6, 5, 11, 6, 3),
        (Sizes(8, 8, heads=2, layers=1, slots=1), 3, 4, 7, 3, 1),
        (Sizes(8, 32, heads=1, layers=3, slots=4), 9, 2, 20, 5, 4),
    ],
    ids=["paper", "middle", "one", "many"],
)
def test_the_closed_form_is_fvcores_count(
    sizes: Sizes, patch_width: int, patches: int, words: int, length: int, beams: int, cached: bool
) -> None:
    with torch.device("meta"):
        network = R2Gen(nn.Identity(), patch_width, words, sizes)
    images = torch.zeros(1, patches, patch_width, device="meta")
    counted = count(Writing(network, length, beams, cached), (images,))
    assert counted.macs == macs_behind_trunk(sizes, patch_width, patches, words, length, beams, cached)
    assert not {"aten::linear", "aten::addmm", "aten::matmul", "aten::bmm"} & set(counted.unsupported)


def test_table_3() -> None:
    """R2Gen's row, 59.74 M and 94.059 G: 1,015 words, beam 3, 40 steps without a cache.

    fvcore finds the same for all 40 steps at once, but needs a quarter of a minute to trace them.
    """
    with torch.random.fork_rng():
        trunk, width = patch_trunk("resnet50")
    with torch.device("meta"):
        network = R2Gen(trunk, width, 1015, PAPER)
    assert parameter_count(network) == 59_742_776
    of_trunk = count(trunk, (torch.zeros(1, 1, 224, 224),)).macs
    assert of_trunk is not None
    assert of_trunk + macs_behind_trunk(PAPER, width, 49, 1015, 40, beams=3, cached=False) == 94_058_645_504
    assert of_trunk + macs_behind_trunk(PAPER, width, 49, 1015, 40, beams=3) == 8_400_238_592
