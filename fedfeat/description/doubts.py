"""What is doubtful about a data set or its partition, in plain words, one line each."""

from collections.abc import Iterator, Sequence

from fedfeat.description.numbers import ALL, Description, Holder
from fedfeat.results.bounds import least_labels
from fedfeat.results.significance import MIN_TEST_ROWS

MUCH = 0.1  # share of the reports from which on it is worth a word that they repeat, or are cut
FEW = 10  # rows of a label's rarer class below which its AUC hangs on single rows
_SHORT_BY = {"image": "an image", "text": "a report", "multimodal": "an image or a report"}


def doubts(told: Description) -> tuple[str, ...]:
    """Return them, the gravest first; empty if there is nothing to say."""
    return (*_of_scores(told), *_of_clients(told), *_of_labels(told), *_of_reports(told))


def _of_scores(told: Description) -> Iterator[str]:
    """Say what stops a case, or makes its scores worth little."""
    if not told.of("train").rows:
        yield "train has no row: nothing can be trained"
    for split, scored in told.scored.items():
        if not scored.rows:
            yield f"{split}: no row has both image and report, so that no case can be run"
            continue
        unscored = scored.unscored
        left, least = len(told.labels) - len(unscored), least_labels(told.source, len(told.labels))
        if not left or (split == "test" and left < least):
            yield (
                f"{split}: {left} of {len(told.labels)} labels have both classes among the {scored.rows:,} rows with "
                f"image and report, and a case needs at least {max(least, 1) if split == 'test' else 1}"
            )
        if unscored:
            names = _list([f"{told.labels[label]} ({why})" for label, why in unscored.items()])
            yield f"{split}: {len(unscored)} of {len(told.labels)} labels cannot be scored: {names}"
        few = {label: scored.fewest(label) for label in range(len(told.labels)) if label not in unscored}
        few = {label: count for label, count in few.items() if count < FEW}
        if few:
            names = _list([f"{told.labels[label]} ({count})" for label, count in few.items()])
            yield f"{split}: fewer than {FEW} rows of the rarer class, so that the AUC hangs on single rows: {names}"
    test = told.scored["test"].rows
    if 0 < test < MIN_TEST_ROWS:
        yield f"test: {test:,} rows with image and report; below {MIN_TEST_ROWS} the board tests no significance"


def _of_clients(told: Description) -> Iterator[str]:
    for client in told.clients:
        if not client.used:
            rows = f"{client.rows:,} row{'' if client.rows == 1 else 's'}"
            yield f"{_name(client)} has nothing to train on: {rows}, none with {_SHORT_BY[client.kind]}"
    without = [client for client in told.clients if client.kind == "multimodal" and client.used and not client.both]
    if without:
        yield f"no row has both image and report at {_list([_name(client) for client in without])}"
    public = [holder for holder in told.holders if holder.name == "public"]
    if public and not public[0].used:
        yield "the public set has no row with image and report: methods that use public studies are skipped"


def _of_labels(told: Description) -> Iterator[str]:
    """Say which labels the clients cannot learn."""
    trained = [client.labels.ones for client in told.clients] or [told.by_split["train"].ones]
    where = "on any client" if told.clients else "in train"
    never = [name for label, name in enumerate(told.labels) if not any(ones[label] for ones in trained)]
    if never:
        yield f"no positive {where}: {_list(never)}"
    every = told.by_split[ALL]
    rows = told.of(ALL).rows
    blank = [name for label, name in enumerate(told.labels) if every.blank[label] == rows]
    if blank:
        yield f"blank in every row: {_list(blank)}"


def _of_reports(told: Description) -> Iterator[str]:
    for part in told.reports:
        if part.split != ALL and part.shared >= MUCH:
            yield f"{part.split}: {part.shared:.0%} of the reports stand word for word with another patient as well"
        if part.trained >= MUCH:
            yield f"{part.split}: {part.trained:.0%} of the reports stand word for word in train"
    for preset, limit in told.limits.items():
        share = told.reports[-1].beyond[preset] if told.reports else 0.0
        if share >= MUCH:
            least = "" if preset in told.exact else "at least "
            yield f"preset {preset} cuts {least}{share:.0%} of the reports, at {limit} tokens"


def _name(client: Holder) -> str:
    return f"client {client.name} ({client.kind})"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
