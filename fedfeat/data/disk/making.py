"""From a published folder to a prepared one: tables, pictures, token ids, and the word that all is there."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tokenizers import Tokenizer
from tqdm import tqdm

from fedfeat.data import chexpert, mimic_cxr, openi
from fedfeat.data.disk import layout
from fedfeat.data.disk.decoding import LOG, Broken, TooManyBroken, decode
from fedfeat.data.disk.layout import About, Request
from fedfeat.data.folders import Reader, counted
from fedfeat.data.reports import tokenize
from fedfeat.data.studies import Origin, StudyTable
from fedfeat.errors import FedfeatError
from fedfeat.files import write_bytes

BROKEN_SHARE = 0.01  # of the pictures, that may be missing or broken
_REPORTS_AT_ONCE = 4096
# What an unfinished folder also holds: the tables of everything, and what it was begun with, written after them.
_ALL_ROWS, _ALL_FINDINGS, _BEGUN = "all-rows.csv", "all-findings.npy", "begun.json"


@dataclass(frozen=True)
class Made:
    """What a call of `make` did.

    Attributes:
        folder: the prepared folder.
        about: what it says of itself.
        rows: of its table.
        broken: pictures left out, missing or broken.
        decoded: pictures that this call decoded.
        seconds: that it took for them.
        was_there: all was there before.
    """

    folder: Path
    about: About
    rows: int
    broken: int
    decoded: int = 0
    seconds: float = 0.0
    was_there: bool = False


def make(request: Request, to: Path, pieces: Tokenizer | None, broken_share: float, processes: int) -> Made:
    """Prepare a collection in the folder `to`/source, or see that it is there; go on where a killed call stopped.

    Args:
        request: what to make.
        to: the folder that holds the folders of prepared collections.
        pieces: the tokenizer that the request's vocabulary is of; None without reports.
        broken_share: how many of the pictures may be missing or broken, 0 to 1.
        processes: how many processes decode.

    Raises:
        FedfeatError: the source is not as it was published, another folder of the name is there, too many pictures are
            broken, or the disk refuses.
    """
    folder = to / request.source
    try:
        to.mkdir(parents=True, exist_ok=True)
        with _alone(to, request.source):
            return (
                _there(folder, request) if folder.exists() else _made(request, folder, pieces, broken_share, processes)
            )
    except OSError as error:
        raise FedfeatError(
            f"{error.filename or to}: cannot be written ({error.strerror or error}); mend that, or make room, and give "
            "the same command again: it goes on where it was"
        ) from error


@contextmanager
def _alone(to: Path, source: str) -> Iterator[None]:
    lock = FileLock(to / f".{source}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise FedfeatError(f"{to}: another `fedfeat prepare {source}` is at work there; wait for it") from error
    try:
        yield
    finally:
        lock.release()


def _there(folder: Path, request: Request) -> Made:
    """Return what is there if it is what was asked for; raise FedfeatError otherwise."""
    about = layout.about_of(layout.folder_of(folder.parent, request.source))
    different = about.request.differs(request)
    if different:
        raise FedfeatError(f"{folder}: was prepared with {different}; name another folder, or remove this one")
    layout.require_whole(folder, about, pictures=True)
    for name in (_ALL_ROWS, _ALL_FINDINGS, _BEGUN, LOG):
        (folder / name).unlink(missing_ok=True)  # of a call that was killed just before it would have done so
    rows, broken = (len(_read_rows(folder / name)) for name in (layout.ROWS, layout.LEFT_OUT))
    return Made(folder, about, rows, broken, was_there=True)


def _made(request: Request, folder: Path, pieces: Tokenizer | None, broken_share: float, processes: int) -> Made:
    part = folder.with_name(folder.name + layout.UNFINISHED)
    root, origin, notes = _begun(part, request)
    rows = _read_rows(part / _ALL_ROWS)
    keys = rows["image"].tolist()
    with tqdm(total=len(keys), desc=f"{request.source}: images", unit="image", disable=None, smoothing=0.02) as bar:
        start, before = time.perf_counter(), 0

        def progress(more: int, already: bool = False) -> None:
            nonlocal before
            bar.update(more)
            before += more if already else 0

        try:
            pictures = part / layout.IMAGES
            allowed = int(broken_share * len(keys))
            broken = decode(pictures, keys, Reader(root), request.size, allowed, processes, progress)
        except TooManyBroken as error:
            _write_left_out(part, keys, error.broken)
            raise FedfeatError(
                f"{part / layout.LEFT_OUT}: at least {len(error.broken)} of {counted(len(keys), 'image')} are missing "
                f"or broken, more than {broken_share:.1%} (the first: {next(iter(error.broken.values()))}); mend that "
                "and give the same command again, or allow more with --broken-share"
            ) from error
        seconds = time.perf_counter() - start
    _write_left_out(part, keys, broken)
    kept = np.setdiff1d(np.arange(len(keys)), list(broken))
    if not len(kept):
        raise FedfeatError(f"{part}: no image could be read; see {layout.LEFT_OUT} there")
    rows = rows.iloc[kept].assign(**{layout.PLACE: kept})
    rows.to_csv(part / layout.ROWS, index=False)
    np.save(part / layout.FINDINGS, np.load(part / _ALL_FINDINGS, allow_pickle=False)[kept])
    if pieces is not None:
        _write_tokens(part / layout.TOKENS, rows["report"].tolist(), pieces, request.length)
    if broken:
        notes = (*notes, f"{counted(len(broken), 'frontal image')} left out: missing or broken ({layout.LEFT_OUT})")
    about = _about(part, request, origin, notes)
    write_bytes(part / layout.ABOUT, about.to_json().encode())
    part.replace(folder)
    for name in (_ALL_ROWS, _ALL_FINDINGS, _BEGUN, LOG):
        (folder / name).unlink()
    return Made(folder, about, len(kept), len(broken), len(keys) - before, seconds)


def _begun(part: Path, request: Request) -> tuple[Path, Origin, tuple[str, ...]]:
    """Return the root of the pictures, the origin and the notes, once the tables of an unfinished folder are there."""
    path = part / _BEGUN
    if not path.exists():
        table = _table(request)
        part.mkdir(exist_ok=True)
        table.rows.to_csv(part / _ALL_ROWS, index=False)
        np.save(part / _ALL_FINDINGS, table.findings)
        assert isinstance(table.read_image, Reader)
        (origin,) = table.origins
        written = {
            "format": layout.FORMAT,
            "request": asdict(request),
            "root": str(table.read_image.root.resolve()),
            "origin": asdict(origin),
            "notes": table.notes,
        }
        write_bytes(path, json.dumps(written, indent=1).encode())
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        if read["format"] != layout.FORMAT:
            raise FedfeatError(f"{part}: begun by another version of fedfeat; remove the folder and begin again")
        different = Request(**read["request"]).differs(request)
        if different:
            raise FedfeatError(f"{part}: begun with {different}; give the command that began it, or remove the folder")
        return Path(read["root"]), Origin(**read["origin"]), tuple(read["notes"])
    except (ValueError, KeyError, TypeError) as error:
        raise FedfeatError(f"{path}: damaged; remove the folder {part} and begin again") from error


def _table(request: Request) -> StudyTable:
    images, reports = Path(request.images), Path(request.reports) if request.reports else None
    if request.source == chexpert.SOURCE:
        return chexpert.table(images)
    if request.source == mimic_cxr.SOURCE:
        return mimic_cxr.table(images, reports, hand_labelled=request.hand_labelled)
    assert reports is not None
    return openi.table(images, reports, Path(request.labels) if request.labels else None)


def _read_rows(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _write_left_out(part: Path, keys: list[str], broken: Broken) -> None:
    frame = pd.DataFrame({"image": [keys[place] for place in broken], "reason": list(broken.values())})
    write_bytes(part / layout.LEFT_OUT, frame.to_csv(index=False).encode())


def _write_tokens(path: Path, reports: list[str], pieces: Tokenizer, length: int) -> None:
    """Write (n, length) int32 token ids, zeros where there is no report."""
    tokens = np.lib.format.open_memmap(path, "w+", np.int32, (len(reports), length))
    for first in range(0, len(reports), _REPORTS_AT_ONCE):
        some = slice(first, first + _REPORTS_AT_ONCE)
        tokens[some] = tokenize(reports[some], pieces, length)
        tokens[some][[not report for report in reports[some]]] = 0
    tokens.flush()


def _about(part: Path, request: Request, origin: Origin, notes: tuple[str, ...]) -> About:
    names = [name for name in (layout.ROWS, layout.FINDINGS, layout.IMAGES, layout.TOKENS) if (part / name).exists()]
    files = {name: ((part / name).stat().st_size, layout.checksum(part / name)) for name in names}
    whole = hashlib.blake2b(repr(sorted(files.items())).encode(), digest_size=16).hexdigest()
    made_with = {name: version(name) for name in ("pillow", "numpy", "tokenizers")}
    return About(request, replace(origin, checksum=whole), notes, files, made_with)
