"""`fedfeat prepare`: a published collection, decoded once, as arrays on disk."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from fedfeat.commands.places import Commands
from fedfeat.errors import FedfeatError


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser("prepare", help="decode a published collection once")
    command.description = (
        "Read MIMIC-CXR, CheXpert or Open-I from its published folders and write its frontal studies to TO/SOURCE: "
        "grey pictures, token ids, tables, checksums; see docs/sources.md. Called again, it goes on where it was "
        "stopped, or sees that all is there. Nothing else is written, and nothing is downloaded."
    )
    command.add_argument("source", metavar="SOURCE", help="mimic_cxr, chexpert or openi")
    command.add_argument("to", type=Path, metavar="TO", help="the folder to write to; the three may share one")
    command.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder of images and tables")
    command.add_argument("--reports", type=Path, metavar="PATH", help="where the reports are (mimic_cxr, openi)")
    command.add_argument("--labels", type=Path, metavar="FILE", help="the 14 labels of openi's reports: a CSV")
    command.add_argument(
        "--hand-labelled",
        action="store_true",
        help="test on the studies of mimic_cxr that radiologists labelled, under these labels",
    )
    command.add_argument("--preset", default="paper", help="whose image size and vocabulary (default: %(default)s)")
    command.add_argument("--text-weights", type=Path, metavar="DIR", help="a folder with BERT's vocab.txt")
    command.add_argument("--from-scratch", action="store_true", help="use the embedded vocabulary")
    command.add_argument(
        "--broken-share",
        type=_share,
        default=0.01,
        metavar="SHARE",
        help="how many of the images may be missing or broken, 0 to 1 (default: %(default)s)",
    )
    command.add_argument("--processes", type=_processes, default=cores(), metavar="N", help="default: every core")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; raises FedfeatError."""
    from fedfeat import presets  # here, so that other commands need no torch
    from fedfeat.data import reports
    from fedfeat.data.disk import making
    from fedfeat.data.disk.collections import COLLECTIONS
    from fedfeat.data.disk.layout import LEFT_OUT, Request
    from fedfeat.models import weights

    if arguments.source not in COLLECTIONS:
        raise FedfeatError(f"{arguments.source}: unknown; the collections are {', '.join(COLLECTIONS)}")
    collection = COLLECTIONS[arguments.source]
    _require_fitting(arguments, collection.has_reports, collection.options)
    preset, pieces = presets.get(arguments.preset), None
    if collection.has_reports:
        vocabulary = weights.vocabulary(preset.start, arguments.text_weights, arguments.from_scratch)
        pieces = reports.tokenizer(vocabulary, preset.report_length)
    request = Request(
        source=arguments.source,
        images=_absolute(arguments.images),
        reports=_absolute(arguments.reports),
        labels=_absolute(arguments.labels),
        hand_labelled=arguments.hand_labelled,
        size=preset.image_size,
        length=preset.report_length if pieces else 0,
        vocabulary=reports.fingerprint(pieces) if pieces else "",
    )
    made = making.make(request, arguments.to, pieces, arguments.broken_share, arguments.processes)
    size = sum(size for size, _ in made.about.files.values())
    what = f"{made.rows:,} frontal images at {request.size} pixels, {size / 1e9:.2f} GB"
    if made.was_there:
        print(f"{made.folder}: already prepared and whole: {what}")
    else:
        rate = (
            f"{made.decoded:,} decoded in {made.seconds:.0f} s ({made.decoded / max(made.seconds, 1e-9):.0f} a second)"
        )
        print(f"{made.folder}: {what}; {rate}")
    if made.about.broken:
        print(f"{made.folder / LEFT_OUT}: {made.about.broken:,} images left out, missing or broken")
    for note in made.about.notes:
        print(f"  {note}")
    return 0


def _require_fitting(arguments: argparse.Namespace, has_reports: bool, options: Sequence[str]) -> None:
    """Raise FedfeatError if an option is missing or of another collection."""
    source = arguments.source
    if has_reports and arguments.reports is None:
        raise FedfeatError(f"prepare {source} needs --reports PATH, where its reports are")
    for option, given, fits in (
        ("--reports", arguments.reports is not None, has_reports),
        ("--text-weights", arguments.text_weights is not None, has_reports),
        ("--labels", arguments.labels is not None, "--labels" in options),
        ("--hand-labelled", arguments.hand_labelled, "--hand-labelled" in options),
    ):
        if given and not fits:
            raise FedfeatError(f"{option} is not for {source}; leave it out")


def _absolute(path: Path | None) -> str:
    return "" if path is None else str(path.resolve())


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1")
    return share


def _processes(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; give 1 or more")
    return int(text)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
