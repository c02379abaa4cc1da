"""Where a result comes from: the key that tells whether anything about a case changed, versions, and the commit."""

import ast
import hashlib
import json
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec, resolve_name
from pathlib import Path
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
_STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
_NOT_CORE = (
    "results",
    "description",
    "pretraining",
    "calibration.py",
    "rates.py",
    "table3.py",
    "report_quality.py",
    "canaries.py",
    "cli.py",
    "commands",
    "__main__.py",
)  # they cannot change what a run computes


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that scores and costs depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def core_digest() -> str:
    """Return a hash of the package's source that every run depends on: without any method's file."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(PACKAGE.rglob("*")):
        place = file.relative_to(PACKAGE)
        source = file.suffix in (".py", ".txt", ".safetensors") and place.parts[0] not in _NOT_CORE
        if source and not (file.is_relative_to(imputers.FOLDER) and _of_a_method(file)):
            digest.update(f"{place.as_posix()}\x1f".encode() + file.read_bytes() + b"\x1e")
    return digest.hexdigest()


def method_digest(method: type[Imputer]) -> str:
    """Return a hash of the method's source and of what it is built on, without the core and installed libraries."""
    digest = hashlib.blake2b(digest_size=16)
    for file in method_files(method):
        if _of_a_method(file):
            digest.update(file.read_bytes() + b"\x1e")
    return digest.hexdigest()


def _of_a_method(file: Path) -> bool:
    """Return whether a method's file, or one that it imports, is its own and not the contract's."""
    return file not in (imputers.FOLDER / "__init__.py", imputers.FOLDER / "base.py")


def method_files(method: type[Imputer]) -> list[Path]:
    """Return the method's file, and the other methods' and the user's own files that it imports, directly or not."""
    found: list[Path] = []
    waiting = [base.__module__ for base in method.__mro__ if issubclass(base, Imputer)]
    files = {name: Path(str(sys.modules[name].__file__)) for name in waiting}
    while waiting:
        name = waiting.pop()
        file = files.get(name) or _own_file(name)
        if file is not None and file not in found:
            found.append(file)
            waiting += _imported(file, name)
    return sorted(found)


def _imported(file: Path, name: str) -> set[str]:
    """Return the names that may be modules among those that a file imports anywhere; `name` is its module's."""
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    names: set[str] = set()
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # a file that only a function imports, and will fail to
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            source = resolve_name(source, package) if node.level and package else source
            names.update((source, *(f"{source}.{alias.name}" for alias in node.names)))
    return {name.rsplit(".", times)[0] for name in names for times in range(name.count(".") + 1)}


def _own_file(name: str) -> Path | None:
    """Return the source of a module that is a method of the package or the user's own, None of any other name."""
    if name in sys.modules:
        origin = getattr(sys.modules[name], "__file__", None)
    elif "." in name:  # finding it would import what is around it
        return None
    else:
        spec = find_spec(name) if name else None
        origin = spec.origin if spec and spec.has_location else None
    file = Path(origin or "")
    if file.suffix != ".py" or not file.is_file():
        return None
    if file.is_relative_to(PACKAGE):
        return file if name.startswith(f"{imputers.__name__}.") else None
    installed = {"site-packages", "dist-packages"} & set(file.parts) or file.is_relative_to(_STANDARD_LIBRARY)
    return None if installed else file


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
