"""`fedfeat partition`: who holds which patients, as a file."""

import argparse
from pathlib import Path

from fedfeat.commands.places import DATA_HELP, Commands
from fedfeat.errors import FedfeatError
from fedfeat.files import write_bytes


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser("partition", help="write a drawn partition to a file")
    command.description = "Write who holds which patients, as a seed draws it; see docs/partition-files.md."
    command.add_argument("--to", type=Path, required=True, metavar="FILE", help="the file to write (JSON)")
    command.add_argument("--setup", default="homogeneous", help="homogeneous (default) or heterogeneous")
    command.add_argument("--partition", default="8:0:2", metavar="I:T:M", help="default: %(default)s")
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.add_argument("--dataset", default="phantom", help="phantom (default), manifest, openi_text, cxr, ...")
    command.add_argument("--data", type=Path, metavar="PATH", help=DATA_HELP)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; raises FedfeatError."""
    from fedfeat.case import Case  # here, so that other commands need no torch
    from fedfeat.data import partition_file, sources

    chosen = ("setup", "partition", "seed", "dataset")
    case = Case(**{name: getattr(arguments, name) for name in chosen})
    table = sources.load(case.dataset, arguments.data)
    file = partition_file.drawn(arguments.to, table, case.dataset, case.setup, case.partition, case.seed)
    content = file.to_json().encode()
    if file.path.exists() and file.path.read_bytes() != content:
        raise FedfeatError(f"{file.path}: exists and holds something else; remove it or name another file by --to")
    write_bytes(file.path, content)
    clients, public = file.partition.clients, file.partition.public
    print(
        f"{file.path}: {case.setup} {case.partition} of {case.dataset}, seed {case.seed}: {len(clients)} clients with "
        f"{sum(len(client.patients) for client in clients)} patients, {len(public)} public ones; "
        f"hash {file.partition.digest}"
    )
    return 0
