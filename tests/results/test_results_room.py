"""`results` only keeps and shows: it runs nothing."""

import ast
from pathlib import Path

import pytest

from fedfeat.results import store

MODULES = sorted(Path(store.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_results_imports_nothing_else_of_the_package(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    own = {name for name in names if name.split(".")[0] == "fedfeat"}
    assert all(name in ("fedfeat.errors", "fedfeat.files") or name.startswith("fedfeat.results") for name in own)
    assert not any(name.split(".")[0] == "torch" for name in names)
