"""The pictures of a description: clients, labels, reports."""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

from fedfeat.description.numbers import ALL, Description, Labels
from fedfeat.results.text import data_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"clients": "clients.png", "labels": "labels.png", "reports": "reports.png"}
DPI = 100  # pixels an inch
COLOURS = {"image": "C0", "text": "C1", "multimodal": "C2", "": "0.6"}
LETTERS = {"image": " I", "text": " T", "multimodal": " M", "": ""}  # as in I:T:M
_NUMBERED = 24  # columns of the heat map from which on the shares are no longer written into it
_NAMED = 40  # clients, or labels, from which on not every one is named
_LONG = 36  # letters of a label's name


def draw(told: Description) -> dict[str, bytes]:
    """Return the PNGs by `NAMES`' keys; those without anything to show are left out."""
    drawn = {"labels": _labels(told)}
    if told.clients:
        drawn["clients"] = _clients(told)
    if told.edges:
        drawn["reports"] = _reports(told)
    return drawn


def _clients(told: Description) -> bytes:
    """Draw the rows that each client trains on, coloured by its kind, and the public set's."""
    holders = [holder for holder in told.holders if holder.name != "nobody"]
    figure = _figure(min(max(7.0, 2.5 + 0.3 * len(holders)), 16.0), 4.0)
    plot = figure.subplots()
    for kind, colour in COLOURS.items():
        own = [(place, holder.used) for place, holder in enumerate(holders) if holder.kind == kind]
        if own:
            places, used = zip(*own, strict=True)
            plot.bar(places, used, width=0.8, color=colour, label=kind or "public")
    if len(holders) <= _NUMBERED:
        for place, holder in enumerate(holders):
            plot.annotate(
                f"{holder.used:,}",
                (place, holder.used),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    _ticks(plot, [holder.name for holder in holders])
    plot.margins(y=0.1)
    plot.set_xlabel("client")
    plot.set_ylabel("rows to train on (public: with both)")
    plot.set_title(f"{_title(told.partition)}\n{_data(told)}", fontsize=10)
    figure.legend(*plot.get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    return _png(figure, NAMES["clients"])


def _labels(told: Description) -> bytes:
    """Draw the share of positive rows of each label, by split and by client."""
    splits = {name: part for name, part in told.by_split.items() if name != ALL}
    holders = [holder for holder in told.holders if holder.name != "nobody"]
    columns: list[tuple[str, Labels]] = [
        *splits.items(),
        *((holder.name + LETTERS[holder.kind], holder.labels) for holder in holders),
    ]
    values = [[part.prevalence(label) for _, part in columns] for label in range(len(told.labels))]
    shares = np.array([[np.nan if value is None else 100 * value for value in row] for row in values])
    figure = _figure(min(4.0 + 0.6 * len(columns), 16.0), min(2.2 + 0.3 * len(told.labels), 30.0))
    plot = figure.subplots()
    plot.set_facecolor("0.9")  # where no label is known
    top = np.nanmax(shares) if np.isfinite(shares).any() else 0.0
    image = plot.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=top or 1.0)
    if len(columns) <= _NUMBERED:
        for row, column in np.argwhere(np.isfinite(shares)):
            share = shares[row, column]
            plot.text(
                column,
                row,
                f"{share:.0f}" if share >= 9.95 or share == 0 else f"{share:.1f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share > 0.6 * top else "black",
            )
    _ticks(plot, [name for name, _ in columns], always=len(splits))
    names = [name if len(name) <= _LONG else f"{name[: _LONG - 1]}…" for name in told.labels]
    step = len(names) // (2 * _NAMED) + 1
    plot.set_yticks(range(0, len(names), step), [_plain(name) for name in names[::step]], fontsize=8)
    plot.axvline(len(splits) - 0.5, color="black", linewidth=1)
    plot.set_xlabel("split" if not holders else "split | client (I: image, T: text, M: multimodal)")
    title = f"Positive rows among those whose label is known, % (grey: none known)\n{_data(told)}"
    plot.set_title(f"{title}; {_title(told.partition)}" if holders else title, fontsize=10)
    figure.colorbar(image, ax=plot, fraction=0.05, pad=0.02)
    return _png(figure, NAMES["labels"])


def _reports(told: Description) -> bytes:
    """Draw how many words the reports of each split have, and where the presets cut them at the latest."""
    figure = _figure(9.0, 4.0)
    plot = figure.subplots()
    edges = np.array(told.edges)
    for part in told.reports:
        if part.split != ALL and part.reports:
            shares = 100 * np.array(part.histogram)
            plot.stairs(shares, edges, label=f"{part.split} ({part.reports:,})", linewidth=1.5)
    for number, (preset, limit) in enumerate(sorted(told.limits.items(), key=lambda entry: entry[1])):
        if limit - 2 < edges[-1]:
            style = ("--", ":", "-.")[number % 3]
            plot.axvline(limit - 2, color="0.4", linestyle=style, linewidth=1, label=f"{preset} cuts at {limit} tokens")
    plot.set_xlim(0, edges[-1])
    plot.set_ylim(bottom=0)
    plot.set_xlabel("words, of which each is one token or more (last bin: all longer reports)")
    plot.set_ylabel("% of the split's reports")
    plot.set_title(f"Length of reports\n{_data(told)}", fontsize=10)
    plot.grid(alpha=0.3)
    figure.legend(*plot.get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    return _png(figure, NAMES["reports"])


def _data(told: Description) -> str:
    return data_text(told.source, told.synthetic, told.real_reports)


def _title(text: str) -> str:
    """Return what a partition is called, of which a file's name may be part, so that it fits above a picture."""
    return _plain(text if len(text) <= 2 * _LONG else f"{text[: 2 * _LONG - 1]}…")


def _plain(name: str) -> str:
    return name.replace("$", r"\$")  # between two of them matplotlib would read a formula


def _ticks(plot: "Axes", names: list[str], always: int = 0) -> None:
    """Name the columns; where they are many, the first that always are, each so many-th of the others, and the last."""
    step = len(names) // _NAMED + 1
    places = sorted({*range(always), *range(always, len(names) - step, step), len(names) - 1})
    plot.set_xticks(
        places, [names[place] for place in places], fontsize=8, rotation=90 if len(names) > _NUMBERED else 0
    )


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure  # here, so that what draws nothing waits for no matplotlib

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _png(figure: "Figure", name: str) -> bytes:
    """Return a figure as a PNG that holds its own file name, and the same bytes for the same numbers."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # letters that the font lacks are drawn as boxes
        figure.savefig(file, format="png", metadata={"Software": None, "Title": name})
    return file.getvalue()
