"""The columns of a board's tables, one frozen record each: adding one to `COLUMNS` is all that a new column takes."""

from collections.abc import Callable
from dataclasses import dataclass

from fedfeat.results.board import Row, Table
from fedfeat.results.record import Record
from fedfeat.results.significance import MARKS
from fedfeat.results.text import large

NOTHING = "–"  # noqa: RUF001 (an en dash on purpose: a hyphen looks like a minus sign)
"""Stands for a number that there is not."""


def _always(_: Table) -> bool:
    return True


def _paper_reports(table: Table) -> bool:
    return any(table.paper_value(row) is not None for row in table.rows)


def _on_paper_data(table: Table) -> bool:
    return table.axes.paper_data and _paper_reports(table)


@dataclass(frozen=True)
class Column:
    """A heading, how to make the cell of a row, and in which tables the column stands."""

    heading: str
    cell: Callable[[Table, Row], str]
    meaning: str
    """One clause for the legend."""
    needs_baseline: bool = False
    """Whether the column says something only beside a zero-filling row."""
    wanted: Callable[[Table], bool] = _always
    align: str = "right"

    def stands_in(self, table: Table) -> bool:
        """Return whether a table has this column."""
        return self.wanted(table) and (table.baseline is not None or not self.needs_baseline)


def number(value: float | None, sign: str = "") -> str:
    """Return a number with two decimals, a dash for None; `sign` "+" shows the sign of gains."""
    # Adding 0.0 turns the -0.00 of a rounded loss into 0.00.
    return NOTHING if value is None else format(round(value, 2) + 0.0, f"{sign}.2f")


def label(row: Row) -> str:
    """Return the method's title with its marks and what sets its variant apart."""
    extra = "; ".join([*row.marks, *([row.variant] if row.variant else [])])
    return f"{row.title} ({extra})" if extra else row.title


def mean(table: Table, row: Row) -> str:
    """Return the mean macro AUC in points; why there is none if a seed failed."""
    auc = table.auc(row)
    return "failed" if auc is None and row.failed else number(auc)


def _method(_: Table, row: Row) -> str:
    return label(row)


def _rank(table: Table, row: Row) -> str:
    rank, interval = table.rank(row), table.rank_interval(row)
    if rank is None:
        return NOTHING
    return str(rank) if interval is None else f"{rank} [{interval[0]}, {interval[1]}]"


def _each_seed(table: Table, row: Row) -> str:
    def cell(record: Record | None) -> str:
        if record is not None and record.status == "failed":
            return "failed"
        return number(None if record is None else _points(record.macro_auc))

    return " · ".join(cell(row.records.get(seed)) for seed in table.seeds)


def _gain(table: Table, row: Row) -> str:
    if row is table.baseline:
        return "baseline"
    compared = table.outcome(row)
    if compared is None:
        return number(table.gain(row), "+")
    difference, outcome = compared
    return f"{difference.text} {MARKS[outcome.verdict]}".strip()


def _one_modality(table: Table, row: Row) -> str:
    image = row.mean(table.seeds, lambda record: _points(record.macro_auc_image_only))
    text = row.mean(table.seeds, lambda record: _points(record.macro_auc_text_only))
    return f"{number(image)} / {number(text)}"


def _head(table: Table, row: Row) -> str:
    image = row.mean(table.seeds, lambda record: record.head_norm_image)
    text = row.mean(table.seeds, lambda record: record.head_norm_text)
    return f"{number(image)} / {number(text)}"


def _tested_rounds(table: Table, row: Row) -> str:
    rounds = [None if record is None else record.best_round for record in map(row.passed, table.seeds)]
    return " · ".join(NOTHING if one is None else str(one) for one in rounds)


def _privacy(_: Table, row: Row) -> str:
    record = next(iter(row.records.values()))
    return f"{', '.join(record.sends) or NOTHING} / {', '.join(record.holds) or NOTHING}"


def _points(auc: float | None) -> float | None:
    return None if auc is None else 100 * auc


def _megabytes_up(table: Table, row: Row) -> str:
    return number(
        row.mean(table.seeds, lambda record: sum(record.bytes_up.values()) / 1e6 if record.bytes_up else None)
    )


def _method_parameters(_: Table, row: Row) -> str:
    counts = [record.parameters["method"] for record in row.records.values() if "method" in record.parameters]
    return " · ".join(dict.fromkeys(map(large, counts))) or NOTHING


def _filling(_: Table, row: Row) -> str:
    """Return the operations for a text and an image, of the first record that has them: seeds differ by little."""
    found = []
    for what in ("fill_text", "fill_image"):
        counts = [record.macs.get(what) for record in row.records.values()]
        known = [count for count in counts if count is not None]
        found.append(large(known[0]) if known else NOTHING)
    return NOTHING if set(found) == {NOTHING} else " / ".join(found)


def _seconds(table: Table, row: Row) -> str:
    seconds = row.mean(table.seeds, lambda record: record.seconds)
    return NOTHING if seconds is None else f"{seconds:.1f}"


def _paper(table: Table, row: Row) -> str:
    gain = table.paper_gain(row)
    return number(table.paper_value(row)) + ("" if gain is None else f" ({number(gain, '+')})")


def _difference(table: Table, row: Row) -> str:
    own, paper = table.auc(row), table.paper_value(row)
    return number(None if own is None or paper is None else own - paper, "+")


COLUMNS = (
    Column("rank", _rank, "by mean macro AUC among the methods that are no upper bound; equal values share a rank"),
    Column("method", _method, "marks, and what sets a variant apart, in parentheses", align="left"),
    Column("AUC", mean, "mean over all seeds of the table of the test rows' macro AUC, in points (0 to 100)"),
    Column("each seed", _each_seed, "the macro AUC of every seed, in the order given above the table"),
    Column(
        "gain over zero",
        _gain,
        "mean over the seeds of the difference to zero filling with the same seed, in points",
        needs_baseline=True,
    ),
    Column(
        "image / text only",
        _one_modality,
        "macro AUC of the same models with the feature of the other modality set to zero at test time",
    ),
    Column(
        "head, image / text",
        _head,
        "norms of the halves of the head's weights that read the image and the text feature",
    ),
    Column(
        "tested round",
        _tested_rounds,
        "the round of every seed with the best validation AUC, whose model is the one that is tested",
    ),
    Column(
        "sends / must hold",
        _privacy,
        "what leaves a client, and what it must hold beside its own studies",
        align="left",
    ),
    Column(
        "parameters", _method_parameters, "of the method's tensors that the server dispatches, beside the classifier's"
    ),
    Column(
        "MACs to fill, text / image",
        _filling,
        "multiply-accumulates for giving one row what it lacks, each time: features in every batch, retrieval in every "
        "round, a written report once; of this preset's networks",
    ),
    Column("MB up", _megabytes_up, "what all clients together send in one round, 1 MB = 1,000,000 bytes"),
    Column("seconds", _seconds, "wall time of a case, mean over the seeds"),
    Column(
        "paper, MIMIC-CXR",
        _paper,
        "what the paper reports on its data for this column of its Tables 1 and 2 (and its gain over zero filling)",
        wanted=_paper_reports,
    ),
    Column(
        "difference to the paper",
        _difference,
        "AUC less the paper's value; only for the paper's own data",
        wanted=_on_paper_data,
    ),
)
