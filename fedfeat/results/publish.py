"""Copying finished records into the repository, and the board that is committed with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedfeat.errors import FedfeatError
from fedfeat.files import read_text, write_together
from fedfeat.results import comparisons, pairing, staleness, store, table3
from fedfeat.results.board import NOT_COMPARED, Table, sections
from fedfeat.results.bootstrap import DRAWS
from fedfeat.results.comparisons import Comparisons
from fedfeat.results.figures import curves, curves_name, is_own
from fedfeat.results.leaderboard import render
from fedfeat.results.record import Record
from fedfeat.results.staleness import Findings
from fedfeat.results.table3 import Table3

INTRO = "Rendered by `fedfeat publish` from the files in `records/`: do not edit."
_NAMED = 5
_FIGURES = "figures"


@dataclass(frozen=True)
class Published:
    """What a call of `publish` did."""

    copied: tuple[Record, ...]
    failed: tuple[Record, ...]
    """Skipped."""
    board: Path
    on_board: int
    """Number of records that the board shows, those published earlier included."""
    removed: tuple[Path, ...]
    """Files of former calls that belong to no record any more."""


def publish(runs: Path, to: Path, draws: int = DRAWS) -> Published:
    """Copy the passed records of a folder, with their sidecars, to `to`/records and rewrite the board `to`/README.md.

    The training curves of every table go to `to`/figures, and the differences of methods, which need the scores, to
    `to`/comparisons.json; `draws` of patients are what they rest on. Pictures of tables that are no longer there are
    removed; no other file in `to`/figures is. Table 3, if it lies in the folder, goes to `to`/table3.json.

    Raises FedfeatError, and changes nothing, if there is no record and no Table 3, if a passed one was made on a tree
    that was not clean, if a record or sidecar on either side cannot be read, or if `to`/README.md is no board.
    """
    found, costs = store.read(runs), table3.read(table3.path_in(runs))
    if not found and costs is None:
        raise FedfeatError(
            f"{runs}: no records there; run `pytest benchmarks` first, or name the folder with --records"
        )
    require_own_board(to)
    passed = tuple(record for record in found if record.status == "passed")
    _require_clean(runs, passed, costs)
    target = to / "records"
    by_id = {record.case_id: record for record in (*store.read(target), *passed)}
    board = to / "README.md"
    sidecars, records, outdated = _contents(runs, target, passed)
    found_differences = _compared(runs, to, passed, by_id.values(), draws)
    text = board_of(by_id.values(), staleness.read(to), found_differences, costs or table3.read(to / table3.NAME))
    pictures = {to / name: picture for name, picture in figures_of(by_id.values()).items()}
    beside = {to / comparisons.NAME: found_differences.to_json().encode()}
    if found_differences == NOT_COMPARED and not (to / comparisons.NAME).exists():
        beside = {}
    if costs is not None:
        beside[to / table3.NAME] = costs.to_json().encode()
    pictures_there = (path for path in sorted((to / _FIGURES).glob("*.png")) if path.is_file())
    obsolete = [path for path in pictures_there if path not in pictures and is_own(path)]
    # Records come after the sidecars they need, and the board after what it shows.
    write_together([*sidecars.items(), *records.items(), *pictures.items(), *beside.items(), (board, text.encode())])
    removed = tuple(path for path in (*outdated, *obsolete) if path.exists())
    for path in removed:
        path.unlink(missing_ok=True)
    failed = tuple(record for record in found if record.status == "failed")
    return Published(passed, failed, board, len(by_id), removed)


def board_of(
    records: Iterable[Record],
    findings: Findings = Findings(),  # noqa: B008
    comparisons: Comparisons = NOT_COMPARED,
    costs: Table3 | None = None,
) -> str:
    """Return the text of the board that is committed with these records, what the canaries found, and comparisons."""
    return render(records, f"{INTRO} {findings.summary}", _figure, findings.is_stale, comparisons, costs)


def figures_of(records: Iterable[Record]) -> dict[str, bytes]:
    """Return the pictures that this board shows, by their paths from its folder."""
    return {_figure(table): curves(table) for section in sections(records) for table in section.tables}


def _compared(runs: Path, to: Path, copied: Sequence[Record], records: Iterable[Record], draws: int) -> Comparisons:
    """Return the comparisons of all records on the board, and the stored ones where scores are no longer there."""
    records = tuple(records)
    own = {record.case_id for record in copied}
    new, published = pairing.scores_in(runs), pairing.scores_in(to / "records")
    found = pairing.compare_all(
        records, lambda record: new(record) if record.case_id in own else published(record), draws
    )
    return found.filled_up(comparisons.read(to).among(records))


def require_own_board(to: Path) -> None:
    """Raise FedfeatError if the folder's README.md is somebody's own: a board would take its place."""
    board = to / "README.md"
    if board.exists() and not read_text(board).startswith(f"# Leaderboard\n\n{INTRO}"):
        raise FedfeatError(
            f"{board}: not a board that `fedfeat publish` wrote, and it would be lost; name another folder with --to"
        )


def _figure(table: Table) -> str:
    return f"{_FIGURES}/{curves_name(table)}"


def _require_clean(runs: Path, records: Sequence[Record], costs: Table3 | None) -> None:
    """Refuse records that no commit can reproduce."""
    refused = [record.case_id for record in records if record.dirty is not False or record.commit is None]
    refused += ["Table 3"] if costs is not None and (costs.dirty is not False or costs.commit is None) else []
    if refused:
        more = f" and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
        raise FedfeatError(
            f"{runs}: nothing published, because no clean commit made {', '.join(refused[:_NAMED])}{more}; "
            "commit your changes and run these cases again with --rerun"
        )


def _contents(
    runs: Path, target: Path, records: Sequence[Record]
) -> tuple[dict[Path, bytes], dict[Path, bytes], list[Path]]:
    """Return what to write, sidecars and records apart, and the target's scores that no new record owns any more."""
    sidecars: dict[Path, bytes] = {}
    texts: dict[Path, bytes] = {}
    outdated: list[Path] = []
    for record in records:
        scores = store.scores_path(runs, record.case_id)
        texts[store.record_path(target, record.case_id)] = record.to_json().encode()
        if record.credentialed:  # what stands in a row of its sidecars may not be passed on
            outdated += [
                target / scores.name,
                *([store.labels_path(target, record.test_set)] if record.test_set else []),
            ]
            continue
        if scores.exists():
            shape = store.read_scores(runs, record.case_id).shape  # raises if they are damaged or another run's
            if shape != store.read_test_set(runs, record.test_set).labels.shape:
                raise FedfeatError(f"{scores}: of another shape than its test set; run the case again with --rerun")
            sidecars[target / scores.name] = scores.read_bytes()
        else:
            outdated.append(target / scores.name)
        if record.test_set and (scores.exists() or store.labels_path(runs, record.test_set).exists()):
            name = store.labels_path(runs, record.test_set).name
            _require_same_rows(runs, target, record.test_set)
            sidecars[target / name] = (runs / name).read_bytes()
    return sidecars, texts, outdated


def _require_same_rows(runs: Path, target: Path, test_set: str) -> None:
    """Refuse a test set under whose hash other rows are published: earlier scores would lose their labels."""
    path = store.labels_path(target, test_set)
    own = store.read_test_set(runs, test_set).digest()
    if path.exists() and store.read_test_set(target, test_set).digest() != own:
        raise FedfeatError(f"{path}: holds other rows than the file of that name in {runs}; remove one and run again")
