"""Where commands look unless told otherwise, from the folder that they are called in."""

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
RUNS = Path("runs")
LEADERBOARD = Path("leaderboard")
RECORDS = LEADERBOARD / "records"
