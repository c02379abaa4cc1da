"""The command `fedfeat`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fedfeat.errors import FedfeatError
from fedfeat.results.publish import publish


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return 0, or 2 after one line on the standard error that says what was wrong with it."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (FedfeatError, OSError) as error:
        print(f"fedfeat: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedfeat", description="Benchmarks for multimodal federated learning with missing modalities."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "publish",
        help="copy passed records into the leaderboard",
        description="Copy the passed records of a clean tree, with their sidecars, to the records folder of the "
        "leaderboard, and rewrite its README.md from all records there.",
    )
    command.add_argument(
        "--records", type=Path, default=Path("runs"), metavar="FOLDER", help="records to publish (default: %(default)s)"
    )
    command.add_argument(
        "--to", type=Path, default=Path("leaderboard"), metavar="FOLDER", help="the leaderboard (default: %(default)s)"
    )
    command.set_defaults(run=_publish)
    return parser


def _publish(arguments: argparse.Namespace) -> None:
    published = publish(arguments.records, arguments.to)
    for record in published.failed:
        print(f"skipped {record.case_id}: failed: {' '.join((record.error or 'no reason given').split())}")
    for record in published.copied:
        print(f"published {record.case_id}")
    count = len(published.copied)
    records = "record" if count == 1 else "records"
    print(f"{published.board}: {count} {records} published, {published.on_board} on the board")
