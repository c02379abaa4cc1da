"""Markdown tables of texts that show as they stand."""

from collections.abc import Sequence

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
