"""Random numbers depend on a seed and names, and on nothing that ran before."""

import numpy as np
import pytest
import torch

from fedfeat.randomness import derive, numpy_generator, scoped, torch_generator

CPU = torch.device("cpu")
ARGUMENTS = [
    (0,),
    (1,),
    (0, "a"),
    (0, "b"),
    (0, "a", "b"),
    (0, "b", "a"),
    (0, "ab"),
    (0, "a", 1),
    (0, "a", 2),
    (0, "a", 1, "b"),
    (0, 0),
]


def test_every_part_and_its_place_count() -> None:
    seeds = [derive(*arguments) for arguments in ARGUMENTS]
    assert len(set(seeds)) == len(ARGUMENTS)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_is_the_same_in_any_order_of_calls_and_in_every_version() -> None:
    forward = [derive(*arguments) for arguments in ARGUMENTS]
    assert [derive(*arguments) for arguments in ARGUMENTS[::-1]] == forward[::-1]
    # If this value changes, every partition and every result does: then say so in the changelog.
    assert derive(0, "partition", "all") == 227770365788027716


def test_generators_draw_by_their_names_only() -> None:
    first = torch.rand(4, generator=torch_generator(3, "x")), numpy_generator(3, "x").random(4)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    again = torch.rand(4, generator=torch_generator(3, "x")), numpy_generator(3, "x").random(4)
    assert torch.equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not torch.equal(first[0], torch.rand(4, generator=torch_generator(3, "y")))
    assert not np.array_equal(first[1], numpy_generator(4, "x").random(4))


def test_a_scope_is_reproducible_and_leaves_no_trace() -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    with scoped(CPU, 5, "scope"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with scoped(CPU, 5, "scope"):
        assert torch.equal(torch.rand(3), inside)
    with scoped(CPU, 5, "other"):
        assert not torch.equal(torch.rand(3), inside)


def test_a_scope_gives_the_state_back_after_an_error() -> None:
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), scoped(CPU, 5, "scope"):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), state)
