"""`fedfeat list`: which cases of a selection are done."""

import argparse
from pathlib import Path

from fedfeat.commands.places import Commands
from fedfeat.errors import FedfeatError


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser(
        "list",
        help="print which cases are done",
        usage="%(prog)s [-h] [OPTIONS OF pytest benchmarks]",
        description="Print the state of every case that `pytest benchmarks` would run with the same options, such as "
        "-k, --methods, --seeds, --partition, --dataset, --data, --preset, --imputer and --records: done (the record "
        "stands), changed (it passed, but the code, the data or an option has changed since), failed, missing or "
        "skipped. Nothing is run. `pytest benchmarks --help` explains the options.",
        allow_abbrev=False,
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Let the benchmark session itself list its cases: there is one selection to keep, and it is pytest's."""
    if not Path("benchmarks", "conftest.py").is_file():
        raise FedfeatError(
            f"{Path.cwd()}: there is no folder `benchmarks` here, which names the cases; go to a checkout of fedfeat"
        )
    import pytest  # here, since the other commands need none of it

    status = pytest.main(["benchmarks", "--list", "-qq", "--disable-warnings", *arguments.options])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        return 0
    return 2 if status == pytest.ExitCode.USAGE_ERROR else int(status)
