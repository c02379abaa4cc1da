"""The command lines' parser: a mistake in the options ends in one line, as every other mistake does."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse's, without the usage before an error: that is several lines where there are many options."""

    def error(self, message: str) -> NoReturn:
        """End with 2 after one line on the standard error."""
        self.exit(2, f"fedfeat: {' '.join(message.split())}; `{self.prog} --help` shows the options\n")
