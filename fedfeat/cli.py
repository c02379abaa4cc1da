"""The command `fedfeat`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fedfeat.errors import FedfeatError
from fedfeat.results import compare, show, store
from fedfeat.results.compare import FLOOR, TOLERANCE
from fedfeat.results.lookup import lookup
from fedfeat.results.publish import publish
from fedfeat.results.record import Record

RUNS = Path("runs")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its status, or 2 after one line on the standard error that says what was wrong."""
    parser = _parser()
    arguments, others = parser.parse_known_args(argv)
    if arguments.run is _list:
        arguments.options = others
    elif others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
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
        "show",
        help="print the record of a case",
        description="Print everything that the record of a case says, as text.",
    )
    command.add_argument(
        "case",
        metavar="CASE",
        help="a case id (heterogeneous-8:0:2-fin-seed0), pytest's node id of it, or the path of a record's JSON file",
    )
    command.add_argument(
        "--records", type=Path, default=RUNS, metavar="FOLDER", help="where to look for it (default: %(default)s)"
    )
    command.set_defaults(run=_show)
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
    command.set_defaults(run=_list)
    command = commands.add_parser(
        "publish",
        help="copy passed records into the leaderboard",
        description="Copy the passed records of a clean tree, with their sidecars, to the records folder of the "
        "leaderboard, and rewrite its README.md from all records there.",
    )
    command.add_argument(
        "--records", type=Path, default=RUNS, metavar="FOLDER", help="records to publish (default: %(default)s)"
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
        "--records", type=Path, default=RUNS, metavar="FOLDER", help="new records (default: %(default)s)"
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


def _show(arguments: argparse.Namespace) -> int:
    record, folder = lookup(arguments.case, arguments.records)
    print(show.render(record, _test_set(folder, record), sys.stdout.encoding or "ascii"), end="")
    return 0


def _test_set(folder: Path, record: Record) -> store.TestSet | None:
    try:
        there = bool(record.test_set) and store.labels_path(folder, record.test_set).is_file()
    except ValueError:  # a hash that cannot be a file's name
        return None
    return store.read_test_set(folder, record.test_set) if there else None


def _list(arguments: argparse.Namespace) -> int:
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
