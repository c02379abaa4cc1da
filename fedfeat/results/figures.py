"""Pictures beside the board's tables. The same records give the very same file with the same matplotlib."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fedfeat.results.board import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 7.0, 4.0, 100  # inches, inches, pixels an inch
_NAME = "Title"
"""The keyword under which a picture holds its own file name, so that one is told from a copy and from others' files."""


def curves_name(table: Table) -> str:
    """Return the file name of a table's training curves: letters, digits, '.', '_' and '-'."""
    axes = table.axes
    parts = [axes.dataset, axes.preset, table.setup, table.partition.replace(":", ".")]
    if axes.missing != 1.0:
        parts.append(f"missing.{axes.missing:g}")
    usual = {axes.test_modalities: "both", axes.aggregation: "fedavg", axes.engine: "local"}
    parts += [value for value, default in usual.items() if value != default]
    parts += [f"partition.{axes.imported_partition}"] if axes.imported_partition else []
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(["curves", *parts])) + ".png"


def curves(table: Table) -> bytes:
    """Return a PNG of validation macro AUC by round: a line a method, the mean over the seeds, in the board's order.

    Around it lie the lowest and the highest seed. A method that lacks a seed has no line, as it has no mean on the
    board. A method has the same colour in every table with the same methods. Round 0 is the untrained model. The data
    are named in the title.
    """
    from matplotlib.figure import Figure  # here, so that what draws nothing waits for no matplotlib

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    plot = figure.subplots()
    names = sorted((row.name, row.variant) for row in table.rows)
    for row in table.rows:
        runs = [record.validation_auc for seed in table.seeds if (record := row.passed(seed))]
        if len(runs) < len(table.seeds):
            continue
        rounds = range(min(map(len, runs)))
        values = [[100 * run[number] for run in runs] for number in rounds]
        colour = f"C{names.index((row.name, row.variant))}"
        title = f"{row.title} ({row.variant})" if row.variant else row.title
        plot.plot(rounds, [sum(each) / len(each) for each in values], color=colour, label=title)
        plot.fill_between(
            rounds, [min(each) for each in values], [max(each) for each in values], color=colour, alpha=0.1
        )
    plot.set_title(f"{table.setup} {table.partition}, {table.axes.data}, preset {table.axes.preset}", fontsize=10)
    plot.set_xlabel("round")
    plot.set_ylabel("validation macro AUC, points")
    plot.grid(alpha=0.3)
    if plot.lines:
        plot.legend(fontsize=8)
    return _png(figure, curves_name(table))


def _png(figure: "Figure", name: str) -> bytes:
    """Return a figure as the PNG that belongs into the file `name`."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None, _NAME: name})
    return file.getvalue()


def is_own(path: Path) -> bool:
    """Return whether a file is a picture that a function of this module made, under the name that belongs to it."""
    from PIL import Image  # here, as matplotlib

    try:
        with Image.open(path) as picture:
            return picture.format == "PNG" and picture.info.get(_NAME) == path.name
    except (OSError, ValueError, Image.DecompressionBombError):  # no picture, a damaged one, or an enormous one
        return False
