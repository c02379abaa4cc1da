"""`fedfeat canaries`: whether the committed board still holds."""

import argparse

from fedfeat.commands.places import LEADERBOARD, RECORDS, Commands, add_folder
from fedfeat.files import write_together
from fedfeat.results import comparisons, staleness, store, table3
from fedfeat.results.publish import board_of, require_own_board


def add(commands: Commands) -> None:
    """Add the command's options."""
    command = commands.add_parser("canaries", help="tell whether the committed board still holds")
    command.description = (
        "Run six named cases in the present tree, hold their scores against the committed records, bit for bit, write "
        "what was found to canaries.json beside the board, and mark the rows that no longer hold. Minutes on one core."
    )
    add_folder(command, "--records", RECORDS, "the committed records")
    add_folder(command, "--to", LEADERBOARD, "the leaderboard")
    command.add_argument("--only", metavar="TEXT,...", help="only canaries that have one of the texts in their ids")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; raises FedfeatError."""
    from fedfeat import canaries  # here, so that other commands need no torch

    require_own_board(arguments.to)
    cases = canaries.chosen(canaries.CANARIES, arguments.only)
    findings = canaries.watch(
        cases,
        arguments.records,
        staleness.read(arguments.to),
        complete=len(cases) == len(canaries.CANARIES),
        show=lambda canary: print(canaries.line(canary), flush=True),
    )
    published = store.read(arguments.to / "records")
    text = board_of(published, findings, comparisons.read(arguments.to), table3.read(arguments.to / table3.NAME))
    board = [(arguments.to / "README.md", text.encode())] if published else []
    write_together([(arguments.to / staleness.NAME, findings.to_json().encode()), *board])
    stale = sum(map(findings.is_stale, published))
    print(f"{arguments.to / staleness.NAME}: core {findings.core}, {stale} of {len(published)} records are stale")
    return int(any(canary.outcome == "differs" for canary in findings.canaries))
