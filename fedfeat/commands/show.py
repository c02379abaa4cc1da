"""`fedfeat show`: a record as a person reads it."""

import argparse
import sys
from pathlib import Path

from fedfeat.commands.places import RUNS, Commands, add_folder
from fedfeat.results import show, store
from fedfeat.results.lookup import lookup
from fedfeat.results.record import Record


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser(
        "show",
        help="print the record of a case",
        description="Print everything that the record of a case says, as text.",
    )
    command.add_argument(
        "case",
        metavar="CASE",
        help="a case id (heterogeneous-8:0:2-fin-seed0), pytest's node id of it, or the path of a record's JSON file",
    )
    add_folder(command, "--records", RUNS, "where to look for it")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; raises FedfeatError."""
    record, folder = lookup(arguments.case, arguments.records)
    print(show.render(record, _test_set(folder, record), sys.stdout.encoding or "ascii"), end="")
    return 0


def _test_set(folder: Path, record: Record) -> store.TestSet | None:
    try:
        there = bool(record.test_set) and store.labels_path(folder, record.test_set).is_file()
    except ValueError:  # a hash that cannot be a file's name
        return None
    return store.read_test_set(folder, record.test_set) if there else None
