"""`fedfeat describe`: what a person checks of a data set before any training."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedfeat.commands.places import Commands, add_folder
from fedfeat.errors import FedfeatError
from fedfeat.files import read_text, write_together

if TYPE_CHECKING:
    from fedfeat.case import Case
    from fedfeat.data.partition_file import PartitionFile
    from fedfeat.data.studies import StudyTable
    from fedfeat.description.numbers import Held

DESCRIPTION = Path("description")
DRAWN: dict[str, Any] = {
    "setup": "homogeneous",
    "partition": "8:0:2",
    "seed": 0,
}  # unless options or a file say otherwise


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser("describe", help="tell of a data set before any training: counts, labels, clients")
    command.description = (
        "Print, and write as a page with pictures, what is to be checked of a data set before any training: rows, "
        "patients, views, labels, lengths of reports, by split and by client of a partition, and what is doubtful."
    )
    command.add_argument("source", metavar="SOURCE", help="the data set, as --dataset of the benchmarks names it")
    command.add_argument("path", metavar="PATH", nargs="?", type=Path, help="the data, for data sets that have any")
    command.add_argument("--setup", help=f"{DRAWN['setup']} (default) or heterogeneous")
    command.add_argument("--partition", metavar="I:T:M", help=f"default: {DRAWN['partition']}")
    command.add_argument("--seed", type=int, help=f"of the partition (default: {DRAWN['seed']})")
    command.add_argument(
        "--partition-file", type=Path, metavar="FILE", help="the partition in this file, in place of a drawn one"
    )
    command.add_argument("--uncertain", help="what uncertain labels count as: masked, zeros or ones")
    add_folder(command, "--to", DESCRIPTION, "where page and pictures go")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; raises FedfeatError."""
    from fedfeat.data import sources  # here, so that other commands need no torch
    from fedfeat.description import page, pictures
    from fedfeat.description.numbers import describe
    from fedfeat.presets import PRESETS

    name, path, folder = arguments.source, arguments.path, arguments.to
    sources.check_name(name)
    data = sources.SOURCES[name].data
    if path is not None and not data:
        raise FedfeatError(f"{path}: the data set {name} is embedded and takes no PATH; leave it out")
    if path is None and data:
        raise FedfeatError(f"the data set {name} needs PATH, {data}: `fedfeat describe {name} PATH`")
    readme, files = folder / "README.md", {key: folder / file for key, file in pictures.NAMES.items()}
    _require_writable(folder)
    _require_own(readme, list(files.values()), page.BEGINNING)
    case, file = _asked(arguments)  # mistakes in the options end before the data are read
    table = sources.load(name, path, arguments.uncertain)
    limits = {preset.name: preset.report_length for preset in PRESETS.values()}
    own_tokens = tuple(preset.name for preset in PRESETS.values() if preset.start == "embedded")
    told = describe(table, _held(table, case, file), limits, own_tokens)
    drawn = pictures.draw(told)
    text = page.render(told, {key: files[key].name for key in drawn})
    write_together([*((files[key], content) for key, content in drawn.items()), (readme, text.encode())])
    for key in files.keys() - drawn.keys():
        files[key].unlink(missing_ok=True)  # of an earlier description: it would not belong to this page
    encoding = sys.stdout.encoding or "ascii"
    print(page.render(told).encode(encoding, "backslashreplace").decode(encoding))
    print(f"{readme}: written, with {', '.join(sorted(files[key].name for key in drawn))}")
    return 0


def _require_writable(folder: Path) -> None:
    """Raise FedfeatError if nothing can be written there: large data would have been read in vain."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "not a folder" if not there.is_dir() else "a folder that may not be written to"
        raise FedfeatError(f"{folder}: nothing can be written there, since {there} is {reason}; name another with --to")


def _require_own(readme: Path, pictures: list[Path], beginning: str) -> None:
    """Raise FedfeatError if a file is in the way that no description wrote."""
    own = readme.exists() and read_text(readme).startswith(beginning)
    for path in (readme, *pictures):
        if path.exists() and not own:
            raise FedfeatError(
                f"{path}: not a file that `fedfeat describe` wrote, and it would be lost; name another folder with --to"
            )


def _asked(arguments: argparse.Namespace) -> "tuple[Case, PartitionFile | None]":
    """Return the setup, partition and seed that are asked for, and the file that holds the partition."""
    from fedfeat.case import Case
    from fedfeat.data import partition_file

    given: dict[str, Any] = {name: value for name in DRAWN if (value := getattr(arguments, name)) is not None}
    if arguments.partition_file is None:
        return Case(dataset=arguments.source, **DRAWN | given), None
    file = partition_file.read(arguments.partition_file)
    file.require_dataset(arguments.source)
    own = {"setup": file.setup, "partition": file.counts, "seed": file.seed}
    for name, value in given.items():
        if value != own[name]:
            told = "no seed" if own[name] is None else f"{name} {own[name]}"
            raise FedfeatError(f"--{name} {value}: {file.path} has {told}; leave one of the options out")
    return Case(dataset=file.dataset, setup=file.setup, partition=file.counts), file


def _held(table: "StudyTable", case: "Case", file: "PartitionFile | None") -> "Held | str":
    """Return the partition, or why there is none; raises FedfeatError if a file's does not fit the data."""
    from fedfeat.data import partition, partition_file
    from fedfeat.description.numbers import Held

    counts = partition.Counts.parse(case.partition)
    setup = partition.setup_of(table, case.setup, counts)
    if isinstance(setup, str):
        return setup
    title = f"{case.setup} {counts}"
    if file is not None:
        partition_file.check(file, table, setup)
        return Held(f"{title}, {file.path.name}", setup, file.partition)
    try:
        return Held(f"{title}, seed {case.seed}", setup, partition.draw(table, setup, counts, case.seed))
    except FedfeatError as error:  # fewer patients than clients, which is worth knowing, and no mistake in the data
        return str(error)
