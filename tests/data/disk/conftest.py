"""Calls of the command line: what it prints, and the one line that it ends in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fedfeat.cli import main


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
