"""The machine that a case runs on: its device, what numbers depend on there, and the memory that a case takes."""

import ctypes
import gc
import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from fedfeat.errors import FedfeatError


def device_of(name: str) -> torch.device:
    """Return the device of that name; raise FedfeatError if it is not to be had here."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise FedfeatError(f"--device {name}: no such device; use cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise FedfeatError(f"--device {name}: only cpu and cuda are supported")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise FedfeatError(
            f"--device {name}: torch sees {torch.cuda.device_count()} CUDA devices here; use --device cpu"
        )
    return device


@contextmanager
def fixed(device: torch.device, threads: int) -> Iterator[None]:
    """Fix what numbers depend on (threads, kernels) inside the block, and give back what was."""
    former_threads = torch.get_num_threads()
    algorithms = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cuda = device.type == "cuda"
    if cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may sum in another order
        torch.cuda.init()  # what follows does not initialise CUDA by itself
        torch.cuda.reset_peak_memory_stats(device)
    _reset_peak_memory()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(cuda, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(former_threads)
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)


def _reset_peak_memory() -> None:
    """Let the kernel forget the process's former peak, where it can (Linux); otherwise the peak is the process's."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone has it: give back what former cases left in the allocator
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory held since `fixed` began: the device's on CUDA, else the process's, in 10**6 bytes."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = peak // 1024 if platform.system() == "Darwin" else peak
    return round(kilobytes * 1024 / 1e6, 1)


def graphics_card(device: torch.device) -> dict[str, str]:
    """Return the card's name under "gpu", or nothing on the CPU."""
    return {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
