"""Random numbers as a function of a seed and names, so that no result depends on what ran before.

Nothing here seeds a global generator for good: `scoped` borrows torch's (dropout and module initialisation know no
other) and gives it back as it was.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2**63) that depends on `seed` and on every name, and on nothing else."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return NumPy's default generator, seeded by `derive`."""
    return np.random.default_rng(derive(seed, *names))


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator, seeded by `derive`: draws on the CPU are the same whatever device computes."""
    return torch.Generator().manual_seed(derive(seed, *names))


@contextmanager
def scoped(device: torch.device, seed: int, *names: str | int) -> Iterator[None]:
    """Seed torch's global generators inside the block; restore their former state after it."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, *names))
        yield
