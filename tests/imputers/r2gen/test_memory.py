"""The relational memory and the norm that it conditions, against arithmetic written out in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from fedfeat.imputers.r2gen.layers import Norm
from fedfeat.imputers.r2gen.memory import ConditionedNorm, RelationalMemory

WIDTH, HEADS, SLOTS = 4, 2, 2


def affine(layer: nn.Module, values: np.ndarray) -> np.ndarray:
    """What a linear layer does, in NumPy."""
    assert isinstance(layer, nn.Linear)
    return values @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def expected_memory(module: RelationalMemory, memory: np.ndarray, token: np.ndarray) -> np.ndarray:
    """One step of the paper's equations, slot by slot and head by head."""
    rows = np.concatenate([memory, token[None]])
    queries = affine(module.attention.query, memory)
    keys, values = np.split(affine(module.attention.key_value, rows), 2, axis=1)
    read = np.zeros((SLOTS, WIDTH))
    each = WIDTH // HEADS
    for head in range(HEADS):
        part = slice(head * each, (head + 1) * each)
        for slot in range(SLOTS):
            weights = np.exp(queries[slot, part] @ keys[:, part].T / np.sqrt(each))
            read[slot, part] = weights / weights.sum() @ values[:, part]
    draft = memory + affine(module.attention.output, read)
    draft = draft + relu(affine(module.mlp[2], relu(affine(module.mlp[0], draft))))
    gates = affine(module.token_gates, token) + affine(module.memory_gates, np.tanh(memory))
    enter, keep = gates[:, :WIDTH], gates[:, WIDTH:]
    return sigmoid(enter) * np.tanh(draft) + sigmoid(keep) * memory


@pytest.fixture
def memory() -> RelationalMemory:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = RelationalMemory(WIDTH, HEADS, SLOTS, dropout=0.0).double()
        for parameter in module.parameters():
            nn.init.normal_(parameter)
    return module.eval()


def test_the_memory_starts_as_the_identitys_first_rows(memory: RelationalMemory) -> None:
    assert memory.start(3).tolist() == [[[1, 0, 0, 0], [0, 1, 0, 0]]] * 3


def test_the_memory_follows_the_equations(memory: RelationalMemory) -> None:
    tokens = np.random.default_rng(1).normal(size=(2, 3, WIDTH))
    with torch.no_grad():
        after = memory(torch.from_numpy(tokens), memory.start(2)).numpy()
    for row in range(2):
        by_hand = np.eye(SLOTS, WIDTH)
        for place in range(3):
            by_hand = expected_memory(memory, by_hand, tokens[row, place])
            assert np.allclose(after[row, place], by_hand, rtol=0, atol=1e-12)


def test_the_memory_can_be_carried_on(memory: RelationalMemory) -> None:
    tokens = torch.randn(2, 5, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = memory(tokens, memory.start(2))
        first = memory(tokens[:, :2], memory.start(2))
        second = memory(tokens[:, 2:], first[:, -1])
    assert torch.allclose(torch.cat((first, second), 1), whole, rtol=0, atol=1e-12)


def test_norms_divide_by_the_unbiased_deviation_and_a_millionth() -> None:
    norm = Norm(4).double()
    with torch.no_grad():
        norm.gain.copy_(torch.tensor([1.0, 2.0, 1.0, 1.0]))
        norm.bias.copy_(torch.tensor([0.0, 0.0, 5.0, 0.0]))
        # mean 3, squares 4 + 4 + 0 + 0 over 4 - 1
        normed = norm(torch.tensor([[1.0, 5.0, 3.0, 3.0]], dtype=torch.float64))
    deviation = np.sqrt(8 / 3) + 1e-6
    assert np.allclose(normed.numpy(), [[-2 / deviation, 2 * 2 / deviation, 5, 0]], rtol=0, atol=1e-12)


def test_a_constant_row_has_a_finite_gradient() -> None:
    states = torch.ones(1, 4, requires_grad=True)
    norm = Norm(4)
    norm(states).sum().backward()
    assert states.grad is not None
    assert bool(states.grad.isfinite().all())


def test_the_conditioned_norm_follows_the_equations() -> None:
    random = np.random.default_rng(2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        norm = ConditionedNorm(WIDTH, SLOTS).double()
    with torch.no_grad():
        norm.gain.copy_(torch.from_numpy(random.normal(size=WIDTH)))
        norm.bias.copy_(torch.from_numpy(random.normal(size=WIDTH)))
    states, memory = random.normal(size=(2, 3, WIDTH)), random.normal(size=(2, 3, SLOTS * WIDTH))
    with torch.no_grad():
        normed = norm(torch.from_numpy(states), torch.from_numpy(memory)).numpy()

    def shift(layers: nn.Module, flat: np.ndarray) -> np.ndarray:
        assert isinstance(layers, nn.Sequential)
        return affine(layers[2], relu(affine(layers[0], flat)))

    gain = norm.gain.detach().numpy() + shift(norm.gain_shift, memory)
    bias = norm.bias.detach().numpy() + shift(norm.bias_shift, memory)
    centred = states - states.mean(2, keepdims=True)
    by_hand = gain * centred / (states.std(2, ddof=1, keepdims=True) + 1e-6) + bias
    assert np.allclose(normed, by_hand, rtol=0, atol=1e-12)


def test_the_conditioned_norms_networks_start_from_xavier_and_a_tenth() -> None:
    norm = ConditionedNorm(64, 3)
    for network in (norm.gain_shift, norm.bias_shift):
        for layer, inputs in ((network[0], 192), (network[2], 64)):
            assert torch.equal(layer.bias, torch.full((64,), 0.1))
            bound = np.sqrt(6 / (inputs + 64))
            assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
