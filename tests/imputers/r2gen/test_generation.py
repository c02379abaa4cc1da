"""Beam search: both ways alike, and against a search written out over whole reports."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfeat.imputers.r2gen.generation import _Cached, _highest, _Recomputed, _search, generate
from fedfeat.imputers.r2gen.network import R2Gen, Sizes

NEVER_ENDS = -50.0


def patches(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def lengths(reports: Tensor) -> list[int]:
    return (reports != 0).sum(1).tolist()


def with_end_bias(network: R2Gen, bias: float) -> R2Gen:
    with torch.no_grad():
        network.output.bias[0] += bias
    return network


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("beams", [1, 2, 3, 5])
def test_both_ways_write_the_same(make_network: Callable[..., R2Gen], seed: int, beams: int) -> None:
    images = patches(5, seed)
    for bias in (NEVER_ENDS, 0.0, 1.0):
        network = with_end_bias(make_network(seed, spread=8.0), bias)
        cached, recomputed = (generate(network, images, 12, beams, cached=cached) for cached in (True, False))
        assert torch.equal(cached, recomputed)
        assert cached.shape == (5, 12)
        if bias == NEVER_ENDS:
            assert bool((cached != 0).all())


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_write_the_same_in_single_precision(make_network: Callable[..., R2Gen], seed: int) -> None:
    network = make_network(seed, spread=8.0).float()
    images = patches(5, seed).float()
    assert torch.equal(generate(network, images, 12), generate(network, images, 12, cached=False))


@pytest.mark.parametrize("cached", [True, False])
def test_reports_may_end_early_late_or_not_at_all(make_network: Callable[..., R2Gen], cached: bool) -> None:
    found = set()
    for seed in range(8):
        network = with_end_bias(make_network(seed, spread=8.0), 1.0)
        images = patches(8, seed)
        reports = generate(network, images, 12, cached=cached)
        found |= set(lengths(reports))
        # nothing stands behind an end
        assert torch.equal(reports != 0, torch.arange(12) < (reports != 0).sum(1, keepdim=True))
        # leaving out settled images changes nothing
        assert torch.equal(reports, generate(network, images, 12, cached=cached, stop_early=False))
    assert 12 in found
    assert len(found) > 3


@pytest.mark.parametrize("cached", [True, False])
def test_every_sequence_can_end_at_once(make_network: Callable[..., R2Gen], cached: bool) -> None:
    network = with_end_bias(make_network(), 50.0)
    steps: list[int] = []
    network.output.register_forward_hook(lambda _module, _arguments, _output: steps.append(1))
    assert not generate(network, patches(3), 12, cached=cached).any()
    assert len(steps) == 1


def test_settled_images_are_left_out(make_network: Callable[..., R2Gen]) -> None:
    sizes: list[int] = []
    for seed in range(8):
        network = with_end_bias(make_network(seed, spread=8.0), 1.0)
        network.output.register_forward_hook(lambda _module, arguments, _output: sizes.append(len(arguments[0])))
        generate(network, patches(8, seed), 12)
    assert sizes[0] == 8
    assert sizes[1] == 24
    assert min(sizes[1:]) < 24


class Scripted:
    """Sequences that all go on alike: each step's likelihoods of the end and of the words."""

    def __init__(self, *likelihoods: tuple[float, ...]) -> None:
        self.coming = list(likelihoods)

    def logits(self, tokens: Tensor) -> Tensor:
        return torch.tensor(self.coming.pop(0)).log().expand(len(tokens), -1)

    def follow(self, rows: Tensor, images: Tensor | None) -> None:
        pass


def test_among_equals_the_report_that_ended_first_wins() -> None:
    # "end" is as likely as "1 end", whose second step is certain.
    reports = _search(Scripted((0.5, 0.5), (1.0, 0.0), (1.0, 0.0)), torch.zeros(1, 1), 3, 2, None)
    assert reports.tolist() == [[0, 0, 0]]


def test_a_longer_report_wins_if_it_is_likelier() -> None:
    reports = _search(Scripted((0.4, 0.6), (0.9, 0.1), (1.0, 0.0)), torch.zeros(1, 1), 3, 2, None)
    assert reports.tolist() == [[1, 0, 0]]  # 0.54 against 0.4


def plain_search(network: R2Gen, image: Tensor, length: int, beams: int) -> list[int]:
    """The search over lists of words, each scored anew as a whole report."""

    def next_words(report: list[int]) -> list[float]:
        with torch.no_grad():
            logits = network(image[None], torch.tensor([[0, *report]]))[0, -1]
        return functional.log_softmax(logits, 0).tolist()

    open_reports: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for step in range(length):
        grown = [
            (score + gain, [*report, word])
            for score, report in open_reports
            for word, gain in enumerate(next_words(report))
        ]
        best = sorted(grown, key=lambda one: -one[0])[:beams]
        last = step == length - 1
        ended += [(score, report) for score, report in best if report[-1] == 0 or last]
        open_reports = [(score, report) for score, report in best if report[-1] != 0]
        if not open_reports:
            break
    return [word for word in max(ended, key=lambda one: one[0])[1] if word != 0]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_the_search_is_that_over_whole_reports(make_network: Callable[..., R2Gen], beams: int, bias: float) -> None:
    for seed in range(4):
        network = with_end_bias(make_network(seed, spread=8.0), bias)
        images = patches(3, seed)
        reports = generate(network, images, 8, beams)
        for image, report in zip(images, reports.tolist(), strict=True):
            words = plain_search(network, image, 8, beams)
            assert report == words + [0] * (8 - len(words))


def test_a_batch_writes_what_each_image_alone_does(make_network: Callable[..., R2Gen]) -> None:
    different = 0
    for seed in range(4):
        network = with_end_bias(make_network(seed, spread=8.0), seed / 2)
        images = patches(6, seed)
        alone = [generate(network, image[None], 10)[0] for image in images]
        assert torch.equal(generate(network, images, 10), torch.stack(alone))
        different += len({tuple(report.tolist()) for report in alone}) - 1
    assert different > 0


def test_three_beams_find_likelier_reports_than_one(make_network: Callable[..., R2Gen]) -> None:
    def likelihood(network: R2Gen, reports: Tensor) -> Tensor:
        with torch.no_grad():
            gains = functional.log_softmax(network(patches(8), functional.pad(reports[:, :-1], (1, 0))), -1)
        counted = (reports == 0).cumsum(1) - (reports == 0).long() == 0
        return (gains.gather(2, reports[..., None])[..., 0] * counted).sum(1)

    gain = 0.0
    for seed in range(4):
        network = with_end_bias(make_network(seed, spread=8.0), NEVER_ENDS)
        greedy, searched = (likelihood(network, generate(network, patches(8), 10, beams)) for beams in (1, 3))
        gain += float((searched - greedy).mean())
    assert gain > 0


def test_among_equals_the_first_are_taken() -> None:
    values = torch.tensor([[1.0, 3.0, 3.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
    highest, places = _highest(values, 3)
    assert places.tolist() == [[1, 2, 4], [0, 1, 2]]
    assert highest.tolist() == [[3, 3, 3], [5, 5, 5]]


@pytest.mark.parametrize("cached", [True, False])
def test_a_network_that_knows_nothing_writes_the_same_every_time(
    make_network: Callable[..., R2Gen], cached: bool
) -> None:
    network = make_network()
    nn.init.zeros_(network.output.weight)
    nn.init.zeros_(network.output.bias)
    # All words are equally likely: the first to end, at once and in the first place, is the best.
    assert not generate(network, patches(2), 5, cached=cached).any()


@pytest.mark.parametrize("words", [1, 2])
def test_there_may_be_fewer_words_than_beams(make_network: Callable[..., R2Gen], words: int) -> None:
    network = make_network(0, words=words, spread=8.0)
    network.output.bias.data[0] -= 1.0
    reports = generate(network, patches(3), 6, beams=5)
    assert torch.equal(reports, generate(network, patches(3), 6, beams=5, cached=False))
    assert int(reports.max()) <= words


@pytest.mark.parametrize("way", [_Cached, _Recomputed])
@pytest.mark.parametrize("bias", [0.0, 1.0, 50.0])
def test_rare_looks_at_what_is_settled_change_nothing(
    make_network: Callable[..., R2Gen], way: type[_Cached] | type[_Recomputed], bias: float
) -> None:
    network = with_end_bias(make_network(3, spread=8.0), bias)
    images = patches(6)
    with torch.no_grad():
        reports = [_search(way(network, images), images, 12, 3, every) for every in (1, 3, 8, 50, None)]
    for other in reports[1:]:
        assert torch.equal(reports[0], other)


@pytest.mark.parametrize("cached", [True, False])
def test_no_step_waits_for_the_device_or_leaves_it(cached: bool) -> None:
    """On the meta device a look at a value, or a tensor of another device, is an error."""
    with torch.device("meta"):
        network = R2Gen(nn.Identity(), 6, 9, Sizes(16, 16, heads=2, layers=1))
    reports = generate(network, torch.zeros(2, 4, 6, device="meta"), 5, cached=cached, stop_early=False)
    assert reports.is_meta
    assert reports.shape == (2, 5)
    assert network.training
