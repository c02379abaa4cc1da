"""Where a result comes from: the key that tells whether anything about a case changed, versions, and the commit."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fedfeat import imputers

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
_NOT_CORE = ("results", "cli.py", "__main__.py")  # they cannot change what a run computes


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def source_digest(method_file: Path) -> str:
    """Return a hash of the package's source and one method's, without the other methods'."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(PACKAGE.rglob("*")):
        place = file.relative_to(PACKAGE)
        other_method = file.parent == imputers.FOLDER and file.stem not in ("__init__", "base")
        if file.suffix in (".py", ".txt", ".safetensors") and place.parts[0] not in _NOT_CORE and not other_method:
            digest.update(f"{place.as_posix()}\x1f".encode() + file.read_bytes() + b"\x1e")
    for file in _with_bases(method_file):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _with_bases(method_file: Path) -> list[Path]:
    """Return the method's file and the files of the methods that it derives from."""
    for method in imputers.known().values():
        if imputers.file_of(method) == method_file:
            bases = [base for base in method.__mro__ if base.__module__.startswith(f"{imputers.__name__}.")]
            return sorted({imputers.file_of(base) for base in bases})
    return [method_file]


def key(parts: Mapping[str, Any]) -> str:
    """Return a hash of everything that a result depends on, given as plain values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def commit() -> tuple[str | None, bool | None]:
    """Return the git commit of the checkout that holds the package, and whether its tree is dirty; None outside one."""
    try:
        head = _git("rev-parse", "HEAD")
        tracked = _git("ls-files", "--error-unmatch", "__init__.py")
        return (head, bool(_git("status", "--porcelain"))) if tracked else (None, None)
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
