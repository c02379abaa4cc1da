"""`fedfeat compare`: new records beside stored ones."""

import argparse

from fedfeat.commands.places import RECORDS, RUNS, Commands, add_folder
from fedfeat.errors import FedfeatError
from fedfeat.results import compare, store


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser(
        "compare",
        help="hold new records against stored ones",
        description="Compare the macro AUC of every record with the stored record of the same case, and count the "
        "stored cases that were not run, by column. Status 1 if a case failed or lost more than the floor; a "
        "difference beyond the tolerance warns.",
    )
    add_folder(command, "--records", RUNS, "new records")
    add_folder(command, "--with", RECORDS, "stored records", dest="stored")
    command.add_argument(
        "--floor", type=float, default=compare.FLOOR, metavar="POINTS", help="loss that fails (default: %(default)s)"
    )
    command.add_argument(
        "--tolerance",
        type=float,
        default=compare.TOLERANCE,
        metavar="POINTS",
        help="difference that warns (default: %(default)s)",
    )
    command.add_argument("--all", action="store_true", help="status 1 as well if a stored case was not run")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; raises FedfeatError."""
    for folder in (arguments.records, arguments.stored):
        if not folder.is_dir():
            raise FedfeatError(f"{folder}: there is no such folder; name the one that the records are in")
    records, stored = store.read(arguments.records), store.read(arguments.stored)
    found = compare.compare(records, stored, arguments.floor, arguments.tolerance)
    columns = compare.columns(records, stored)
    print(f"{compare.render(found)}\n\n{compare.render_not_run(columns)}")
    incomplete = arguments.all and any(column.not_run for column in columns)
    return int(incomplete or any(one.verdict == "fails" for one in found))
