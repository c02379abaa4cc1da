"""A description as a page of Markdown, whose tables read well in a terminal too."""

from collections.abc import Iterator, Mapping, Sequence

from fedfeat.description.doubts import doubts
from fedfeat.description.numbers import ALL, Description, Holder, Labels, Reports, Rows
from fedfeat.results.text import markdown_table, plain

BEGINNING = "# Description of the data set "
CLIENTS_A_TABLE = 10  # more become unreadable in a terminal
_COUNT_AS = {"zeros": "absent", "ones": "present", "masked": "unknown"}
_NONE = "-"


def render(told: Description, pictures: Mapping[str, str] | None = None) -> str:
    """Return the page.

    Args:
        told: the numbers.
        pictures: "clients", "labels", "reports" -> the address of the picture to show there; None: none.
    """
    pictures = pictures or {}
    found = doubts(told)
    blocks = [
        f"{BEGINNING}{plain(told.source)}",
        _summary(told),
        "\n".join(f"- {plain(note)}" for note in told.notes),
        "## To check",
        "\n".join(f"- {plain(doubt)}" for doubt in found) or "Nothing that this command looks for.",
        "## Rows",
        _rows(told),
        "## Labels, as the source has them",
        "Rows that are positive / negative / uncertain / blank.",
        _raw(told),
        "## Labels, as they count",
        "Positive rows among those whose label is known. A case is scored on the rows that have both image and report"
        f"{' (of the site that the setup evaluates on)' if _one_site(told) else ''}; a label that has one class only "
        "among them is left out of the macro AUC.",
        _counted(told),
        _picture("labels", pictures),
        "## Reports",
        _reports_intro(told),
        _reports(told),
        _picture("reports", pictures),
        "## Clients",
        *(_clients(told, pictures) if told.holders else [f"No clients' table: {plain(told.no_partition)}"]),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _summary(told: Description) -> str:
    every = told.of(ALL)
    kind = "**Synthetic**" if told.synthetic else "Real studies (not marked as synthetic)"
    kind = "**Half synthetic** (real reports, drawn images)" if told.real_reports else kind
    return (
        f"{kind}: {_many(every.rows, 'row')} of {_many(every.patients, 'patient')}, "
        f"{_many(len(told.labels), 'label')}. "
        f"An uncertain label counts as {_COUNT_AS[told.uncertain]}, a blank one as {_COUNT_AS[told.blank]}."
    )


def _one_site(told: Description) -> bool:
    return any(scored.rows != told.of(split).both for split, scored in told.scored.items())


def _rows(told: Description) -> str:
    views = [f"view {view}" if view else "view unknown" for view in told.views]
    headings = ["split", "site", "patients", "rows", "with image", "with report", "with both", *views]
    rows = [_row(row) for row in told.rows]
    table = _table(headings, rows, left=2)
    return table if views else f"{table}\n\nThe source tells no views."


def _row(row: Rows) -> list[str]:
    numbers = (row.patients, row.rows, row.images, row.reports, row.both, *row.views)
    return [row.split, row.site, *(f"{number:,}" for number in numbers)]


def _raw(told: Description) -> str:
    rows = [
        [
            name,
            *(
                " / ".join(
                    f"{counts[label]:,}" for counts in (part.positive, part.negative, part.uncertain, part.blank)
                )
                for part in told.by_split.values()
            ),
        ]
        for label, name in enumerate(told.labels)
    ]
    return _table(["label", *told.by_split], rows)


def _counted(told: Description) -> str:
    rows = []
    for label, name in enumerate(told.labels):
        cells = [_prevalence(part, label) for part in told.by_split.values()]
        for scored in told.scored.values():
            why = scored.unscored.get(label)
            cells.append(f"no: {why}" if why else f"{scored.labels.ones[label]:,} of {scored.labels.known[label]:,}")
        rows.append([name, *cells])
    return _table(["label", *told.by_split, *(f"scored in {split}" for split in told.scored)], rows)


def _prevalence(labels: Labels, label: int) -> str:
    share = labels.prevalence(label)
    return _NONE if share is None else f"{share:.1%} of {labels.known[label]:,}"


def _reports_intro(told: Description) -> str:
    bound = [preset for preset in told.limits if preset not in told.exact]
    least = f" For {' and '.join(bound)} words stand for tokens: at least so many are cut." if bound else ""
    return (
        "Min to max are words after the cleaning that every report undergoes; *cut* is the share that a preset "
        f"shortens, by tokens and the two around each report.{least} *Elsewhere* is the share that stands word for "
        "word with another patient, *in train* that which stands so in the training split."
    )


def _reports(told: Description) -> str:
    cuts = [
        f"cut by {preset} ({limit}{'' if preset in told.exact else ', at least'})"
        for preset, limit in told.limits.items()
    ]
    headings = [
        "split",
        "reports",
        "empty",
        "min",
        "25%",
        "median",
        "75%",
        "95%",
        "max",
        *cuts,
        "elsewhere",
        "in train",
    ]
    return _table(headings, [_report(part) for part in told.reports])


def _report(part: Reports) -> list[str]:
    empty = f"{(part.rows - part.reports) / part.rows:.1%}"
    cells = [part.split, f"{part.reports:,}", empty]
    if part.words is None:
        return [*cells, *[_NONE] * (6 + len(part.beyond) + 2)]
    trained = _NONE if part.split in ("train", ALL) else f"{part.trained:.1%}"
    shares = [f"{share:.1%}" for share in part.beyond.values()]
    return [
        *cells,
        *(f"{number:,.1f}".removesuffix(".0") for number in part.words),
        *shares,
        f"{part.shared:.1%}",
        trained,
    ]


def _clients(told: Description, pictures: Mapping[str, str]) -> Iterator[str]:
    yield (
        f"{plain(told.partition)}. *Used* rows have something of what the client's kind holds; images and reports are "
        "those that it holds. The public set is used where a row has both."
    )
    rows = [
        [
            holder.name,
            holder.kind or _NONE,
            *(
                f"{number:,}"
                for number in (
                    holder.patients,
                    holder.rows,
                    holder.used,
                    holder.images,
                    holder.reports,
                    holder.both,
                )
            ),
        ]
        for holder in told.holders
    ]
    headings = ["client", "kind", "patients", "rows", "used", "with image", "with report", "with both"]
    yield _table(headings, rows, left=2)
    yield _picture("clients", pictures)
    yield "Positive used rows, of those whose label is known:"
    shown = [holder for holder in told.holders if holder.name != "nobody"]
    for first in range(0, len(shown), CLIENTS_A_TABLE + 1):  # ten clients and the public set are one table
        yield _positives(told.labels, shown[first : first + CLIENTS_A_TABLE + 1])


def _positives(labels: Sequence[str], holders: Sequence[Holder]) -> str:
    rows = [
        [name, *(f"{holder.labels.ones[label]:,}/{holder.labels.known[label]:,}" for holder in holders)]
        for label, name in enumerate(labels)
    ]
    return _table(["label", *(f"{holder.name} {holder.kind}".strip() for holder in holders)], rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    return markdown_table(headings, rows, ["left"] * left + ["right"] * (len(headings) - left))


def _picture(name: str, pictures: Mapping[str, str]) -> str:
    return f"![{name}]({pictures[name]})" if name in pictures else ""


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
