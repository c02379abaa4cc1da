"""`fedfeat publish`: passed records into the leaderboard."""

import argparse

from fedfeat.commands.places import LEADERBOARD, RUNS, Commands, add_folder
from fedfeat.results.publish import publish


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser(
        "publish",
        help="copy passed records into the leaderboard",
        description="Copy the passed records of a clean tree, with their sidecars, to the records folder of the "
        "leaderboard, and rewrite its README.md from all records there.",
    )
    add_folder(command, "--records", RUNS, "records to publish")
    add_folder(command, "--to", LEADERBOARD, "the leaderboard")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; raises FedfeatError."""
    published = publish(arguments.records, arguments.to)
    for record in published.failed:
        print(f"skipped {record.case_id}: failed: {' '.join((record.error or 'no reason given').split())}")
    for record in published.copied:
        print(f"published {record.case_id}")
    for path in published.removed:
        print(f"removed {path}: no record needs it any more")
    count = len(published.copied)
    records = "record" if count == 1 else "records"
    print(f"{published.board}: {count} {records} published, {published.on_board} on the board")
    return 0
