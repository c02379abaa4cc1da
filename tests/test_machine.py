"""The device that is asked for, what is fixed while a case runs, and the memory that it took."""

import sys

import numpy as np
import pytest
import torch

from fedfeat.errors import FedfeatError
from fedfeat.machine import device_of, fixed, peak_memory_mb

CPU = torch.device("cpu")
MEGABYTES = 300


def test_the_cpu_is_always_there() -> None:
    assert device_of("cpu") == CPU


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tpu", "--device tpu: no such device; use cpu, cuda or cuda:N"),
        ("", "--device : no such device"),
        ("cuda:x", "--device cuda:x: no such device"),
        ("meta", "--device meta: only cpu and cuda are supported"),
        ("cuda:99", r"--device cuda:99: torch sees \d+ CUDA devices here; use --device cpu"),
    ],
)
def test_a_device_that_cannot_be_had_is_named_in_one_line(name: str, message: str) -> None:
    with pytest.raises(FedfeatError, match=message) as caught:
        device_of(name)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_refused() -> None:
    with pytest.raises(FedfeatError, match="--device cuda: torch sees 0 CUDA devices here; use --device cpu"):
        device_of("cuda")


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("flags", [(False, False), (True, True), (True, False)])
def test_threads_and_flags_come_back_as_they_were(flags: tuple[bool, bool], broken: bool) -> None:
    former, (deterministic, warn_only) = torch.get_num_threads(), flags
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    try:
        try:
            with fixed(CPU, former + 1):
                assert torch.get_num_threads() == former + 1
                if broken:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        assert torch.get_num_threads() == former
        assert torch.are_deterministic_algorithms_enabled() == deterministic
        assert torch.is_deterministic_algorithms_warn_only_enabled() == (deterministic and warn_only)
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(former)


def test_the_peak_holds_what_was_freed_before_the_end() -> None:
    with fixed(CPU, 1):
        before = peak_memory_mb(CPU)
        held = np.ones(MEGABYTES * 10**6, dtype=np.uint8)
        del held
        assert peak_memory_mb(CPU) >= before + 0.9 * MEGABYTES


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process forget its peak")
def test_the_peak_of_a_former_case_is_forgotten() -> None:
    with fixed(CPU, 1):
        held = np.ones(MEGABYTES * 10**6, dtype=np.uint8)
        del held
        former = peak_memory_mb(CPU)
    with fixed(CPU, 1):
        assert peak_memory_mb(CPU) <= former - 0.9 * MEGABYTES
