"""Where commands look unless told otherwise, from the folder that they are called in."""

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
RUNS = Path("runs")
LEADERBOARD = Path("leaderboard")
RECORDS = LEADERBOARD / "records"
DATA_HELP = "a CSV for manifest, the reports of Open-I for openi_text, else a prepared folder"


def add_folder(
    command: argparse.ArgumentParser, option: str, default: Path, meaning: str, dest: str | None = None
) -> None:
    """Add an option that names a folder; `dest`: its name among the arguments if the option's own is a keyword."""
    command.add_argument(
        option, dest=dest, type=_folder, default=default, metavar="FOLDER", help=f"{meaning} (default: %(default)s)"
    )


def _folder(text: str) -> Path:
    if not text:  # an unset variable of a shell would become the folder one stands in
        raise argparse.ArgumentTypeError("it is left empty; name a folder")
    return Path(text)
