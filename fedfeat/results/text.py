"""How boards write things: Markdown tables, texts that show as they stand, large numbers and their ratios, what ran."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], aligns: Sequence[str]) -> str:
    """Return a table that reads well as text too; `aligns` are "left" or "right", one a column."""
    cells = [[plain(cell).replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(cells, headers=list(headings), tablefmt="pipe", colalign=list(aligns), disable_numparse=True)


def plain(text: str) -> str:
    """Return text from a record as one line that Markdown shows as it stands."""
    line = " ".join(text.split())
    for special in ("\\", "<", "*", "`"):
        line = line.replace(special, f"\\{special}")
    return line


def quotient(dear: float, cheap: float) -> str:
    """Return two counts and how many times the first is the second."""
    return f"{large(dear)} / {large(cheap)} = {ratio(dear / cheap)}"


def large(value: float) -> str:
    """Return a count with four digits and its unit, such as "59.74 M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"


def ratio(value: float) -> str:
    """Return a ratio, such as "9.5x"."""
    return f"{value:,.0f}x" if value >= 100 else f"{value:.1f}x"


def data_text(dataset: str, synthetic: bool, real_reports: bool) -> str:
    """Return a data set's name and how much of it is synthetic, as a record's fields of these names tell it."""
    if not synthetic:
        return dataset
    return f"{dataset} ({'half ' if real_reports else ''}synthetic)"


def sources_text(sources: Iterable[Mapping[str, Any]]) -> str:
    """Return the collections that data come from, as a record's field tells it, in one line; empty for other data."""
    named = []
    for source in sources:
        name, version, labels, checksum = (
            str(source.get(key, "")) for key in ("name", "version", "labels", "checksum")
        )
        told = ", ".join(filter(None, (f"labels: {labels}" if labels else "", checksum[:8])))
        named.append(" ".join(filter(None, (name, version, f"({told})" if told else ""))))
    return "; ".join(named)


def commit_text(commit: str | None, dirty: bool | None) -> str:
    """Return what ran, as a record's fields of these names tell it."""
    if commit is None:
        return "none, outside a git repository"
    state = {True: " with uncommitted changes", False: "", None: ", working tree unknown"}[dirty]
    return commit[:12] + state


def versions_text(versions: Mapping[str, str]) -> str:
    """Return the versions of libraries in one line, by name."""
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
