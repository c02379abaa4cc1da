"""R2Gen's network: sizes, what sees what, the loss, and that it learns."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfeat.imputers.r2gen.generation import generate
from fedfeat.imputers.r2gen.layers import sinusoids
from fedfeat.imputers.r2gen.network import SMALL, R2Gen, Sizes, preceding, token_loss
from fedfeat.imputers.r2gen.trunks import patch_trunk
from fedfeat.models.encoders import IMAGE_TRUNKS


def tokens_of(network: R2Gen, count: int, length: int, seed: int = 0) -> Tensor:
    """Random words, as the decoder is fed them."""
    words = network.output.out_features
    targets = torch.randint(1, words, (count, length), generator=torch.Generator().manual_seed(seed))
    return preceding(targets)


def patches(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Bound(nn.Module):
    """A conditioned norm with its memory, in the place of torch's layer norm."""

    def __init__(self, norm: nn.Module, memory: Tensor) -> None:
        super().__init__()
        self.norm, self.memory = norm, memory

    def forward(self, states: Tensor) -> Tensor:
        normed: Tensor = self.norm(states, self.memory)
        return normed


def copy_attention(source: nn.Module, target: nn.MultiheadAttention) -> None:
    state = source.state_dict()
    for kind in ("weight", "bias"):
        packed = torch.cat((state[f"query.{kind}"], state[f"key_value.{kind}"]))
        getattr(target, f"in_proj_{kind}").copy_(packed)
        getattr(target.out_proj, kind).copy_(state[f"output.{kind}"])


def test_the_network_is_torchs_pre_norm_transformer_with_norms_of_its_own(make_network: Callable[..., R2Gen]) -> None:
    network = make_network(spread=8.0)
    options = {"dropout": 0.0, "batch_first": True, "norm_first": True, "dtype": torch.float64}
    images, tokens = patches(2), tokens_of(network, 2, 7)
    with torch.no_grad():
        states = functional.relu(network.projection[0](images))
        for layer in network.encoder:
            encoder = nn.TransformerEncoderLayer(16, 4, 24, **options)
            copy_attention(layer.attention, encoder.self_attn)
            encoder.linear1, encoder.linear2 = layer.feed_forward[0], layer.feed_forward[3]
            encoder.norm1, encoder.norm2 = layer.norms
            states = encoder(states)
        encoded = network.encoder_norm(states)
        states = network.embedding(tokens) * 4
        states = states + sinusoids(0, 7, states)
        memory = network.memory(states, network.memory.start(2)).flatten(2)
        for layer in network.decoder:
            decoder = nn.TransformerDecoderLayer(16, 4, 24, **options)
            copy_attention(layer.own, decoder.self_attn)
            copy_attention(layer.cross, decoder.multihead_attn)
            decoder.linear1, decoder.linear2 = layer.feed_forward[0], layer.feed_forward[3]
            decoder.norm1, decoder.norm2, decoder.norm3 = (Bound(norm, memory) for norm in layer.norms)
            mask = torch.ones(7, 7, dtype=torch.bool).triu(1)
            states = decoder(states, encoded, tgt_mask=mask)
        expected = network.output(network.decoder_norm(states))
        assert torch.allclose(network(images, tokens), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "size", "count"), [("resnet50", 224, 49), ("basic-blocks", 64, 4), ("efficientnet-lite0", 128, 16)]
)
def test_trunks_give_the_patches_of_the_last_feature_map(
    name: str, size: int, count: int, request: pytest.FixtureRequest
) -> None:
    if name == "efficientnet-lite0":
        request.getfixturevalue("light_extra")
    with torch.random.fork_rng():
        trunk, width = patch_trunk(name)
    images = torch.rand(1, 1, size, size)
    found: list[Tensor] = []
    ends = {"resnet50": "layer4", "basic-blocks": "7", "efficientnet-lite0": "_swish"}  # what the pooling follows
    last = trunk.trunk.get_submodule(ends[name])
    last.register_forward_hook(lambda _module, _arguments, output: found.append(output))
    with torch.no_grad():
        seen = trunk.eval()(images)
    assert seen.shape == (1, count, width)
    assert torch.equal(seen, found[-1].flatten(2).transpose(1, 2))  # `_swish` follows the first convolution as well


@pytest.mark.parametrize("name", ["resnet50", "basic-blocks", "efficientnet-lite0"])
def test_a_trunk_takes_the_weights_of_the_encoders_trunk(name: str, request: pytest.FixtureRequest) -> None:
    if name == "efficientnet-lite0":
        request.getfixturevalue("light_extra")
    with torch.device("meta"):
        assert patch_trunk(name)[0].trunk.state_dict().keys() == IMAGE_TRUNKS[name]()[0].state_dict().keys()


def test_the_small_network_reads_pictures_and_gives_every_word_a_logit() -> None:
    with torch.random.fork_rng():
        trunk, width = patch_trunk("basic-blocks")
        network = R2Gen(trunk, width, 30, SMALL).eval()
    images = torch.rand(3, 1, 64, 64)
    with torch.no_grad():
        logits = network(images, tokens_of(network, 3, 7))
        other = network(images.flip(0), tokens_of(network, 3, 7))
    assert logits.shape == (3, 7, 31)
    assert not torch.allclose(logits[0], other[0], atol=1e-4)


def test_a_later_token_changes_no_earlier_logit(make_network: Callable[..., R2Gen]) -> None:
    network = make_network()
    tokens = tokens_of(network, 2, 9)
    with torch.no_grad():
        before = network(patches(2), tokens)
        for place in range(1, 9):
            changed = tokens.clone()
            changed[:, place] = tokens[:, place] % 11 + 1
            after = network(patches(2), changed)
            assert torch.equal(after[:, :place], before[:, :place])
            assert bool((after[:, place] != before[:, place]).any(1).all())


@pytest.mark.parametrize("longer", [6, 12])
def test_padding_changes_neither_logits_nor_loss(make_network: Callable[..., R2Gen], longer: int) -> None:
    network = make_network()
    targets = torch.tensor([[3, 1, 4, 1, 0], [2, 7, 0, 0, 0]])
    padded = functional.pad(targets, (0, longer - 5))
    with torch.no_grad():
        short, long = network(patches(2), preceding(targets)), network(patches(2), preceding(padded))
    assert torch.allclose(short, long[:, :5], rtol=0, atol=1e-12)
    assert float(token_loss(short, targets)) == pytest.approx(float(token_loss(long, padded)), abs=1e-12)


def test_images_of_a_batch_do_not_see_each_other(make_network: Callable[..., R2Gen]) -> None:
    network = make_network()
    tokens = tokens_of(network, 3, 5)
    with torch.no_grad():
        together = network(patches(3), tokens)
        alone = [network(patches(3)[row : row + 1], tokens[row : row + 1])[0] for row in range(3)]
    assert torch.allclose(together, torch.stack(alone), rtol=0, atol=1e-12)


def test_the_loss_counts_words_and_the_end_behind_them_and_no_padding() -> None:
    values = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    logits = values.clone().requires_grad_()
    targets = torch.tensor([[2, 4, 0, 0], [3, 0, 0, 0]])
    loss = token_loss(logits, targets)
    counted = [(0, 0, 2), (0, 1, 4), (0, 2, 0), (1, 0, 3), (1, 1, 0)]
    by_hand = [
        math.log(sum(math.exp(value) for value in values[row, place].tolist())) - float(values[row, place, word])
        for row, place, word in counted
    ]
    assert float(loss.detach()) == pytest.approx(sum(by_hand) / 5, rel=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(2).bool().tolist() == [[True, True, True, False], [True, True, False, False]]


def test_the_decoder_is_fed_what_stands_before() -> None:
    assert preceding(torch.tensor([[5, 6, 0], [7, 0, 0]])).tolist() == [[0, 5, 6], [0, 7, 0]]


def test_positions_are_sines_and_cosines() -> None:
    like = torch.zeros(4, dtype=torch.float64)
    by_hand = [[math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)] for p in (3, 4)]
    assert torch.allclose(sinusoids(3, 2, like), torch.tensor(by_hand, dtype=torch.float64), rtol=0, atol=1e-12)


def test_dropout_is_for_training_only(make_network: Callable[..., R2Gen]) -> None:
    network = make_network(dropout=0.5)
    tokens = tokens_of(network, 2, 6)
    with torch.no_grad():
        assert torch.equal(network(patches(2), tokens), network(patches(2), tokens))
        network.train()
        assert not torch.allclose(network(patches(2), tokens), network(patches(2), tokens))


def test_a_tiny_network_learns_four_pairs_and_writes_them() -> None:
    targets = torch.tensor([[1, 2, 3, 4, 5, 0, 0], [5, 5, 2, 0, 0, 0, 0], [1, 2, 6, 6, 6, 3, 0], [4, 0, 0, 0, 0, 0, 0]])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = torch.rand(4, 1, 32, 32)
        trunk, width = patch_trunk("basic-blocks")
        network = R2Gen(trunk, width, 6, Sizes(32, 32, heads=2, layers=1, dropout=0.0, visual_dropout=0.0))
        adam = torch.optim.Adam(network.parameters(), lr=3e-3, amsgrad=True)
        losses = []
        for _ in range(80):
            loss = token_loss(network(images, preceding(targets)), targets)
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(float(loss.detach()))
        network(images, preceding(targets))
    assert losses[-1] < 0.05 < 1 < losses[0]
    for beams in (1, 3):
        assert torch.equal(generate(network, images, 7, beams), targets)
    assert network.training
