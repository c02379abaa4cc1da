"""Where a result comes from: the key that tells whether anything about a case changed, versions, and the commit."""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from fedfeat import imputers
from fedfeat.imputers.base import Imputer

PACKAGE = Path(__file__).parent
LIBRARIES = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "numpy",
    "pandas",
    "pillow",
    "scikit-learn",
    "fvcore",
)
_NOT_CORE = (
    "results",
    "pretraining",
    "calibration.py",
    "rates.py",
    "canaries.py",
    "cli.py",
    "commands",
    "__main__.py",
)  # they cannot change what a run computes


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def core_digest() -> str:
    """Return a hash of the package's source that every run depends on: without any method's file."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(PACKAGE.rglob("*")):
        place = file.relative_to(PACKAGE)
        source = file.suffix in (".py", ".txt", ".safetensors") and place.parts[0] not in _NOT_CORE
        if source and not (file.parent == imputers.FOLDER and _of_a_method(file)):
            digest.update(f"{place.as_posix()}\x1f".encode() + file.read_bytes() + b"\x1e")
    return digest.hexdigest()


def method_digest(method: type[Imputer]) -> str:
    """Return a hash of the method's source and of the methods' that it is built on, without any of the core."""
    digest = hashlib.blake2b(digest_size=16)
    for file in method_files(method):
        if file.parent != imputers.FOLDER or _of_a_method(file):
            digest.update(file.read_bytes() + b"\x1e")
    return digest.hexdigest()


def _of_a_method(file: Path) -> bool:
    """Return whether a file among the methods' is one's own, and not the contract."""
    return file.stem not in ("__init__", "base")


def method_files(method: type[Imputer]) -> list[Path]:
    """Return the method's file and the other methods' files that it takes anything from, directly or not."""
    found: list[Path] = []
    waiting = [base.__module__ for base in method.__mro__ if issubclass(base, Imputer)]
    while waiting:
        module = sys.modules[waiting.pop()]
        file = Path(str(module.__file__))
        if file in found:
            continue
        found.append(file)
        for value in vars(module).values():
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and name.startswith(f"{imputers.__name__}.") and name in sys.modules:
                waiting.append(name)
    return sorted(found)


def key(parts: Mapping[str, Any]) -> str:
    """Return a hash of everything that a result depends on, given as plain values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def commit(method: type[Imputer]) -> tuple[str | None, bool | None]:
    """Return the git commit of the checkout that holds the package, and whether it tells what ran; None outside one.

    It does not (dirty) if the tree has changes, or if the method's file is none of its files.
    """
    try:
        head = _git("rev-parse", "HEAD")
        _git("ls-files", "--error-unmatch", "__init__.py")  # the package may lie, untracked, in another's checkout
    except (OSError, subprocess.CalledProcessError):
        return None, None
    try:
        for file in method_files(method):
            _git("ls-files", "--error-unmatch", str(file))
        return head, bool(_git("status", "--porcelain"))
    except subprocess.CalledProcessError:
        return head, True


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
