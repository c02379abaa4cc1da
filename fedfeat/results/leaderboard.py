"""The board as Markdown that reads well in a terminal and on GitHub. The same records give the very same text."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from fedfeat.files import write_bytes
from fedfeat.results import claims
from fedfeat.results.board import NOT_COMPARED, STALE, Axes, Row, Section, Table, sections
from fedfeat.results.columns import COLUMNS, NOTHING, label, mean
from fedfeat.results.comparisons import Comparisons
from fedfeat.results.record import Record
from fedfeat.results.significance import MARKS, shortage
from fedfeat.results.table3 import Table3
from fedfeat.results.table3 import blocks as table3_blocks
from fedfeat.results.text import commit_text, markdown_table, plain, sources_text, versions_text

BOARD = "leaderboard.md"


def render(
    records: Iterable[Record],
    intro: str = "",
    figure: Callable[[Table], str] | None = None,
    stale: Callable[[Record], bool] = lambda record: False,
    comparisons: Comparisons = NOT_COMPARED,
    table3: Table3 | None = None,
) -> str:
    """Return the board of all records; `intro` is a paragraph below its title.

    `figure` gives the address of a table's training curves; None: the board has no pictures. `stale` says which records
    the canaries no longer vouch for; their rows are marked. `comparisons` give intervals and the paper's claims; those
    of other records are ignored. `table3` stands below the records' tables.
    Raises FedfeatError if two records stand for the same case.
    """
    marked = (replace(one, marks=[*one.marks, STALE]) if stale(one) else one for one in records)
    found = sections(marked, comparisons)
    blocks = ["# Leaderboard", *([intro] if intro else [])]
    if not found and table3 is None:
        blocks.append("No records yet. Run `pytest benchmarks` to make some.")
    for section in found:
        blocks += _section(section, figure, comparisons)
    blocks += table3_blocks(table3) if table3 else []
    if found:
        blocks += _legend([table for section in found for table in section.tables], comparisons.draws)
    return "\n\n".join(blocks) + "\n"


def write_board(
    folder: Path, records: Iterable[Record], comparisons: Comparisons = NOT_COMPARED, table3: Table3 | None = None
) -> Path:
    """Write the board of the records as `leaderboard.md` into a records folder, atomically; return its path."""
    path = folder / BOARD
    write_bytes(path, render(records, comparisons=comparisons, table3=table3).encode())
    return path


def _section(section: Section, figure: Callable[[Table], str] | None, comparisons: Comparisons) -> list[str]:
    blocks = [f"## {plain(_title(section.axes))}", _data_note(section.axes)]
    if len(section.tables) > 1:
        blocks += [f"### Mean macro AUC at a glance, {section.axes.data}", _overview(section)]
    for table in section.tables:
        blocks += _table(table)
        if figure:
            name = plain(f"{table.setup} {table.partition}, {table.axes.data}")
            blocks.append(f"![Validation macro AUC by round, {name}]({figure(table)})")
    return [*blocks, *_claims(section, comparisons), _provenance(section)]


def _title(axes: Axes) -> str:
    """Name the data and the preset, and of the other axes what is not the default."""
    parts = [axes.data, f"preset {axes.preset}"]
    if axes.missing != 1.0:
        parts.append(f"{100 * axes.missing:g} % of a unimodal client's rows lack the modality")
    if axes.test_modalities != "both":
        parts.append(f"test modalities {axes.test_modalities}")
    if axes.aggregation != "fedavg":
        parts.append(f"aggregation {axes.aggregation}")
    if axes.engine != "local":
        parts.append(f"engine {axes.engine}")
    if axes.imported_partition:
        parts.append(f"partition file {axes.imported_partition}")
    return ", ".join(parts)


def _data_note(axes: Axes) -> str:
    if axes.real_reports:
        return (
            f"Half synthetic data ({plain(axes.dataset)}): real reports, images drawn from their terms; "
            "not a result on MIMIC-CXR."
        )
    if axes.synthetic:
        return f"Synthetic data ({plain(axes.dataset)}): not a result on MIMIC-CXR."
    if axes.paper_data:
        return f"Data: {axes.dataset}, tested on MIMIC-CXR."
    return f"Data: {plain(axes.dataset)}: not a result on MIMIC-CXR."


def _overview(section: Section) -> str:
    """Return the matrix of methods and tables. Its rows are compared table by table, from left to right."""
    places = range(len(section.tables))
    cells: dict[tuple[str, str], dict[int, tuple[Table, Row]]] = defaultdict(dict)
    for place, table in enumerate(section.tables):
        for row in table.rows:
            cells[row.name, row.variant][place] = (table, row)

    def order(present: dict[int, tuple[Table, Row]]) -> tuple[bool, list[float], str]:
        means = [present[place][0].auc(present[place][1]) if place in present else None for place in places]
        row = next(iter(present.values()))[1]
        return not row.upper_bound, [1.0 if one is None else -one for one in means], label(row)

    rows = [
        [order(present)[2], *(mean(*present[place]) if place in present else NOTHING for place in places)]
        for present in sorted(cells.values(), key=order)
    ]
    headings = ["method", *(f"{table.setup} {table.partition}" for table in section.tables)]
    return markdown_table(headings, rows, ["left", *("right" for _ in places)])


def _table(table: Table) -> list[str]:
    columns = [column for column in COLUMNS if column.stands_in(table)]
    rows = [[column.cell(table, row) for column in columns] for row in table.rows]
    blocks = [
        f"### {plain(f'{table.setup} {table.partition}, {table.axes.data}')}",
        f"{_seeds(table.seeds)}; {table.test_rows:,} test rows.",
        markdown_table([column.heading for column in columns], rows, [column.align for column in columns]),
    ]
    if table.differences:
        blocks.append(f"Not ranked, because the rows differ in more than the method: {', '.join(table.differences)}.")
    if table.too_small:
        blocks.append(f"Too small to rank: {shortage(len(table.seeds), table.test_rows)}.")
    failed = [record for record in table.records if record.status == "failed"]
    if failed:
        blocks.append(
            "\n".join(f"- Failed: `{one.case_id}`: {plain(one.error or 'no reason given')}" for one in failed)
        )
    return blocks


def _claims(section: Section, comparisons: Comparisons) -> list[str]:
    """Return the paper's claims and what the section says to them; nothing where no pair of them is compared."""
    judged = claims.judge(section, comparisons)
    if not judged:
        return []
    rows = [
        [claim.claim, claim.paper, one.here or NOTHING, f"{one.verdict}{f' ({one.reason})' if one.reason else ''}"]
        for claim, one in judged
    ]
    return [
        f"### The paper's claims on {plain(section.axes.data)}",
        "Differences are in points of macro AUC, the first method less the second. A claim holds if all of its "
        "comparisons are significantly above, and fails if any is significantly below; else it is undecided.",
        markdown_table(["claim", "paper", "here", "verdict"], rows, ["left"] * 4),
    ]


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'Seed' if len(seeds) == 1 else 'Seeds'} {' · '.join(map(str, seeds))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _provenance(section: Section) -> str:
    """Return the list under a section's tables: left-out labels, commits, machines, notes."""
    records = section.records
    lines = [
        *_left_out(section),
        *_parameters(section),
        *_groups("Data from", records, lambda record: sources_text(record.sources)),
        *_groups("Commit", records, lambda record: commit_text(record.commit, record.dirty), dated=True),
        *_groups("Device", records, _device),
        *_groups("Encoders' start", records, lambda record: record.weights),
        *_groups("Versions", records, lambda record: versions_text(record.versions)),
        *(f"Note: {note}" for note in dict.fromkeys(note for record in records for note in record.notes)),
    ]
    return "\n".join(f"- {plain(line)}" for line in lines)


def _left_out(section: Section) -> list[str]:
    """Say which labels the macro averages leave out, and in which tables unless it is the same in all."""
    tables: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for table in section.tables:
        scored = [record.per_label_auc for record in table.records]
        labels = dict.fromkeys(name for one in scored for name, auc in one.items() if auc is None)
        tables[tuple(labels)].append(f"{table.setup} {table.partition}")
    return [
        "Left out of the macro average, because the test rows hold one class only: "
        + ", ".join(labels)
        + (f" (in {'; '.join(names)})" if len(tables) > 1 else "")
        for labels, names in tables.items()
        if labels
    ]


def _parameters(section: Section) -> list[str]:
    """Say every method's parameters: a row of the tables tells only those in which variants on the board differ."""
    lines = [
        f"Parameters of {row.title}: "
        + ", ".join(f"{name} {json.dumps(row.params[name])}" for name in sorted(row.params))
        for table in section.tables
        for row in table.rows
        if row.params
    ]
    return list(dict.fromkeys(lines))


def _groups(what: str, records: Iterable[Record], value: Callable[[Record], str], dated: bool = False) -> list[str]:
    """Say a property once for all records that share it: from when, if asked, and whose, if it has several values."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if value(record):
            groups[value(record)].append(record)
    lines = []
    for text, members in groups.items():
        dates = sorted({record.date[:10] for record in members})
        period = f" ({' to '.join(dict.fromkeys([dates[0], dates[-1]]))})" if dated else ""
        whose = f": {', '.join(dict.fromkeys(record.title for record in members))}" if len(groups) > 1 else ""
        lines.append(f"{what}: {text}{period}{whose}")
    return lines


def _device(record: Record) -> str:
    if not record.device:
        return ""
    return record.device if record.threads is None else f"{record.device}, {_count(record.threads, 'thread')}"


def _legend(tables: Sequence[Table], draws: int) -> list[str]:
    """Explain the columns that some table has, and the intervals from so many draws of patients."""
    columns = [column for column in COLUMNS if any(column.stands_in(table) for table in tables)]
    lines = [f"- {column.heading}: {column.meaning}" for column in columns]
    if any(STALE in row.marks for table in tables for row in table.rows):
        lines.append(f"- {STALE}: made by an older core of the package, whose canary cases now give other scores")
    if any(table.outcome(row) or table.rank_interval(row) for table in tables for row in table.rows):
        lines.append(
            f"- [low, high]: 95 % interval of a gain or rank from {draws:,} draws of the test patients, the same for "
            "all methods; how much another training would differ is not in it, so the seeds are asked as well"
        )
        lines.append(
            f"- {MARKS['above']}, {MARKS['below']}: significantly above, below: the interval, adjusted after Holm for "
            "all methods against zero filling in the table (or for all comparisons of a claim), leaves out 0 (or the "
            "margin), and all seeds agree"
        )
    lines.append(
        f"- {NOTHING}: no such number, or not for all seeds: means never leave out a seed that another row has"
    )
    return ["## How to read the tables", "\n".join(lines)]
