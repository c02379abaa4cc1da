"""The command `fedfeat`."""

import sys
from collections.abc import Sequence

from fedfeat.commands import canaries, compare, describe, list_cases, partition, prepare, publish, show
from fedfeat.commands.parser import Parser
from fedfeat.errors import FedfeatError

COMMANDS = (show, list_cases, publish, compare, canaries, partition, prepare, describe)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its status, or 2 after one line on the standard error that says what was wrong."""
    arguments, others = _parser().parse_known_args(argv)
    if arguments.run is list_cases.run:
        arguments.options = others  # they are pytest's
    elif others:
        arguments.parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        status: int = arguments.run(arguments)
    except (FedfeatError, OSError) as error:
        print(f"fedfeat: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fedfeat: stopped", file=sys.stderr)
        return 130  # as shells say it
    return status


def _parser() -> Parser:
    parser = Parser(prog="fedfeat", description="Benchmarks for multimodal federated learning with missing modalities.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    for one in commands.choices.values():
        one.set_defaults(parser=one)  # to name it in what is wrong with its options
    return parser
