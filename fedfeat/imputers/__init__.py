"""Ways to fill a missing modality, a file or package each, found by being here; `base` is the contract."""

import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from fedfeat.errors import FedfeatError
from fedfeat.imputers.base import Imputer

FOLDER = Path(__file__).parent


@cache
def known() -> Mapping[str, type[Imputer]]:
    """Return the methods of this package by name.

    Raises:
        FedfeatError: a method's file cannot be imported, or its class does not fulfil the contract; it is named.
    """
    methods: dict[str, type[Imputer]] = {}
    for module in pkgutil.iter_modules([str(FOLDER)]):
        if module.name != "base":
            path = FOLDER / (f"{module.name}/__init__.py" if module.ispkg else f"{module.name}.py")
            found = _method_in(path, f"{__name__}.{module.name}")
            _check_name(found.name, methods, path)
            methods[found.name] = found
    return methods


def load(path: Path) -> type[Imputer]:
    """Return the method that a file outside the package defines.

    Raises:
        FedfeatError: as `known`; or its name, or a part of it, is taken.
    """
    path = path.resolve()
    if not path.is_file():
        raise FedfeatError(f"--imputer {path}: there is no such file; name the Python file of your method")
    if path.is_relative_to(FOLDER):
        raise FedfeatError(f"--imputer {path}: it is part of the package already; name it by --methods")
    found = _method_in(path, None)
    _check_name(found.name, known(), path)
    return found


def get(name: str) -> type[Imputer]:
    """Return a method of this package; raise FedfeatError, with the known ones, if there is none of that name."""
    if name not in known():
        raise FedfeatError(f"method {name!r} is unknown; the known ones are {', '.join(known())}")
    return known()[name]


def file_of(method: type[Imputer]) -> Path:
    """Return the file that defines a method."""
    return Path(str(sys.modules[method.__module__].__file__))


def _method_in(path: Path, module_name: str | None) -> type[Imputer]:
    try:
        module = importlib.import_module(module_name) if module_name else _import_file(path)
    except (Exception, SystemExit) as error:  # a script that calls sys.exit() would end the session in silence
        raise FedfeatError(
            f"{path}: the method cannot be imported ({type(error).__name__}: {error}); mend the file"
        ) from error
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Imputer) and value.__module__ == module.__name__
    ]
    # A class without a name is a base for others.
    methods = [value for value in classes if isinstance(getattr(value, "name", None), str)] or classes
    if len(methods) != 1:
        raise FedfeatError(
            f"{path}: {len(methods)} classes derive from fedfeat.Imputer; a method's file has exactly one"
        )
    method = methods[0]
    if method.fill is Imputer.fill and method.pair is Imputer.pair:
        raise FedfeatError(
            f"{path}: {method.__name__} does not define fill (nor pair); see CONTRIBUTING.md for the contract"
        )
    if "name" in method.__annotations__:
        raise FedfeatError(f"{path}: {method.__name__}.name is a parameter; write name = ... without an annotation")
    if method.__annotations__ and "__dataclass_params__" not in vars(method):
        raise FedfeatError(f"{path}: {method.__name__} lacks @dataclass(frozen=True), so its parameters would be lost")
    for attribute in ("name", "title"):
        if not isinstance(getattr(method, attribute, None), str):
            raise FedfeatError(f"{path}: {method.__name__} has no {attribute}; give it one as a class attribute")
    return method


def _import_file(path: Path) -> ModuleType:
    name = f"fedfeat_imputer_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _check_name(name: str, others: Mapping[str, type[Imputer]], path: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise FedfeatError(f"{path}: the name {name!r} holds more than letters, digits and '_'; choose another")
    for other in others:
        if name.lower() in other.lower() or other.lower() in name.lower():
            raise FedfeatError(
                f"{path}: the name {name!r} and the method {other!r} contain one another; choose another"
            )
