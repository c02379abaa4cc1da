"""The command `fedfeat`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fedfeat.errors import FedfeatError
from fedfeat.results import compare, store
from fedfeat.results.compare import FLOOR, TOLERANCE
from fedfeat.results.publish import publish


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its status, or 2 after one line on the standard error that says what was wrong."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except (FedfeatError, OSError) as error:
        print(f"fedfeat: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return status


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
    command = commands.add_parser(
        "compare",
        help="hold new records against stored ones",
        description="Compare the macro AUC of every record with the stored record of the same case. Status 1 if a case "
        "failed or lost more than the floor; a difference beyond the tolerance warns.",
    )
    command.add_argument(
        "--records", type=Path, default=Path("runs"), metavar="FOLDER", help="new records (default: %(default)s)"
    )
    command.add_argument(
        "--with",
        dest="stored",
        type=Path,
        default=Path("leaderboard/records"),
        metavar="FOLDER",
        help="stored records (default: %(default)s)",
    )
    command.add_argument(
        "--floor", type=float, default=FLOOR, metavar="POINTS", help="loss that fails (default: %(default)s)"
    )
    command.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="POINTS",
        help="difference that warns (default: %(default)s)",
    )
    command.set_defaults(run=_compare)
    return parser


def _compare(arguments: argparse.Namespace) -> int:
    for folder in (arguments.records, arguments.stored):
        if not folder.is_dir():
            raise FedfeatError(f"{folder}: there is no such folder; name the one that the records are in")
    found = compare.compare(
        store.read(arguments.records), store.read(arguments.stored), arguments.floor, arguments.tolerance
    )
    print(compare.render(found))
    return int(any(one.verdict == "fails" for one in found))


def _publish(arguments: argparse.Namespace) -> int:
    published = publish(arguments.records, arguments.to)
    for record in published.failed:
        print(f"skipped {record.case_id}: failed: {' '.join((record.error or 'no reason given').split())}")
    for record in published.copied:
        print(f"published {record.case_id}")
    count = len(published.copied)
    records = "record" if count == 1 else "records"
    print(f"{published.board}: {count} {records} published, {published.on_board} on the board")
    return 0
