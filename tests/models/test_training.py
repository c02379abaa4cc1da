"""Adam whose state goes in and out by name."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from fedfeat.models.training import NamedAdam, Training, batches

STEPS = 6


def model() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))


def loss(net: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    output: Tensor = net(torch.randn(4, 5, generator=generator) * 5)
    return (output - torch.randn(4, 2, generator=generator) * 5).square().sum()


def stretch(net: nn.Module, training: Training, state: Mapping[str, Tensor], steps: range) -> dict[str, Tensor]:
    adam = NamedAdam(dict(net.named_parameters()), training, state)
    for step in steps:
        adam.step(loss(net, step))
    return adam.state_by_name()


@pytest.mark.parametrize(("weight_decay", "clip_norm"), [(0.0, 2.0), (0.01, 0.0)])
def test_two_stretches_are_one_run_of_adam_bit_for_bit(
    training: Training, weight_decay: float, clip_norm: float
) -> None:
    training = replace(training, weight_decay=weight_decay, clip_norm=clip_norm)
    first, second = model(), model()
    state = stretch(first, training, {}, range(STEPS // 2))
    second.load_state_dict(first.state_dict())
    state = stretch(second, training, state, range(STEPS // 2, STEPS))

    plain = model()
    adam = torch.optim.Adam(plain.parameters(), lr=training.learning_rate, weight_decay=weight_decay, fused=True)
    for step in range(STEPS):
        adam.zero_grad()
        loss(plain, step).backward()  # type: ignore[no-untyped-call]
        if clip_norm:
            nn.utils.clip_grad_norm_(plain.parameters(), clip_norm)
        adam.step()
    assert all(torch.equal(second.state_dict()[key], value) for key, value in plain.state_dict().items())
    for name, parameter in plain.named_parameters():
        assert all(torch.equal(state[f"{name}.{key}"], value) for key, value in adam.state[parameter].items())


def test_the_state_has_three_tensors_a_parameter(training: Training) -> None:
    net = model()
    state = stretch(net, training, {}, range(2))
    assert set(state) == {
        f"{name}.{key}" for name, _ in net.named_parameters() for key in ("step", "exp_avg", "exp_avg_sq")
    }
    assert state["0.weight.step"].item() == 2


def test_the_state_that_is_handed_in_stays_as_it_was(training: Training) -> None:
    net = model()
    state = stretch(net, training, {}, range(2))
    before = {key: value.clone() for key, value in state.items()}
    after = stretch(net, training, state, range(2, 4))
    assert all(torch.equal(state[key], value) for key, value in before.items())
    assert not any(torch.equal(after[key], value) for key, value in before.items())


def test_a_parameter_without_a_gradient_stays_and_has_no_state(training: Training) -> None:
    net, idle = model(), nn.Parameter(torch.ones(3))
    adam = NamedAdam({**dict(net.named_parameters()), "idle": idle}, training, {})
    adam.step(loss(net, 0))
    assert idle.tolist() == [1.0, 1.0, 1.0]
    assert not any(key.startswith("idle") for key in adam.state_by_name())


@pytest.mark.parametrize(("clip_norm", "expected"), [(2.0, 2.0), (0.0, 13.0), (100.0, 13.0)])
def test_the_gradient_is_clipped_at_the_norm(training: Training, clip_norm: float, expected: float) -> None:
    weights = {"a": nn.Parameter(torch.tensor([1.0])), "b": nn.Parameter(torch.tensor([2.0, 3.0]))}
    adam = NamedAdam(weights, replace(training, clip_norm=clip_norm), {})
    adam.step(5 * weights["a"].sum() + 12 * weights["b"][0])  # a gradient of norm 13 over all parameters together
    gradient = torch.cat([weight.grad for weight in weights.values() if weight.grad is not None])
    assert gradient.norm().item() == pytest.approx(expected, rel=1e-5)
    assert (gradient[0] / gradient[1]).item() == pytest.approx(5 / 12)


@pytest.mark.parametrize(("count", "sizes"), [(10, [4, 4, 2]), (8, [4, 4]), (3, [3])])
def test_batches_have_every_row_once(count: int, sizes: list[int]) -> None:
    parts = list(batches(count, 4, torch.Generator().manual_seed(0)))
    assert [len(part) for part in parts] == sizes
    assert sorted(torch.cat(parts).tolist()) == list(range(count))


def test_the_order_depends_on_the_generator_only() -> None:
    def order(seed: int) -> list[int]:
        return torch.cat(list(batches(50, 8, torch.Generator().manual_seed(seed)))).tolist()

    first = order(0)
    torch.rand(9)
    assert order(0) == first
    assert order(1) != first
    generator = torch.Generator().manual_seed(0)
    epochs = [torch.cat(list(batches(50, 8, generator))).tolist() for _ in range(2)]
    assert epochs[0] == first != epochs[1]


def test_the_cpu_computes_in_single_precision(training: Training) -> None:
    with replace(training, mixed_precision=True).autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
