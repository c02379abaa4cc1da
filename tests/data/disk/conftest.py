"""Prepared collections, and calls of the command line: what it prints, and the one line that it ends in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedfeat.cli import main


@pytest.fixture(scope="session")
def prepared(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three collections at 224 pixels, with the embedded vocabulary."""
    to = tmp_path_factory.mktemp("prepared")
    for source in ("mimic_cxr", "chexpert", "openi"):
        assert main(["prepare", source, str(to), *published.options(source), "--from-scratch"]) == 0
    return to


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """Return what lies in a folder, to the last byte."""

    def read(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    return read


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `fedfeat` with these arguments, which must end well; return what it prints."""

    def run(*arguments: str | Path) -> str:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return printed.out

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `fedfeat`, which must end in one line on the standard error; return that."""

    def run(*arguments: str | Path) -> str:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:  # of a mistake in the options
            status = int(str(ended.code))
        lines = capsys.readouterr().err.splitlines()
        assert status == 2 and len(lines) == 1 and lines[0].startswith("fedfeat: "), lines
        return lines[0]

    return run
