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

from fedfeat.data.disk import layout
from fedfeat.data.disk.collections import COLLECTIONS
from fedfeat.data.disk.decoding import LOG, Broken, TooManyBroken, decode
from fedfeat.data.disk.layout import About, Request
from fedfeat.data.folders import Reader, counted
from fedfeat.data.reports import tokenize
from fedfeat.data.studies import StudyTable
from fedfeat.errors import FedfeatError
from fedfeat.files import write_bytes

_REPORTS_AT_ONCE = 4096
_BEGUN = "begun.json"  # of an unfinished folder: what its pictures are of


@dataclass(frozen=True)
class Made:
    """What a call of `make` did.

    Attributes:
        folder: the prepared folder.
        about: what it says of itself.
        rows: of its table.
        decoded: pictures that this call decoded.
        seconds: that it took for them.
        was_there: all was there before.
    """

    folder: Path
    about: About
    rows: int
    decoded: int = 0
    seconds: float = 0.0
    was_there: bool = False


@dataclass(frozen=True)
class _Begun:
    """What `begun.json` says of an unfinished folder.

    Attributes:
        pictures: hash of what its pictures are of. Where they lie is no part of it: a disk may be mounted elsewhere by
            the time a call goes on.
        request: what was asked for.
    """

    pictures: str
    request: Request

    @classmethod
    def of(cls, request: Request, keys: list[str]) -> "_Begun":
        """Return what to write of a request for the pictures `keys`."""
        what = json.dumps([keys, request.size, version("pillow")])
        return cls(hashlib.blake2b(what.encode(), digest_size=16).hexdigest(), request)

    @classmethod
    def read(cls, path: Path) -> "_Begun | None":
        """Return what is there; None if nothing is, or it was torn by a kill: the pictures begin anew.

        Raises:
            FedfeatError: another version began it.
        """
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            if read["format"] != layout.FORMAT:
                raise FedfeatError(
                    f"{path.parent}: begun by another version of fedfeat; remove the folder and begin again"
                )
            return cls(str(read["pictures"]), Request(**read["request"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps({"format": layout.FORMAT} | asdict(self), indent=1)

    def require_same_kind(self, request: Request, part: Path) -> None:
        """Raise FedfeatError if the pictures are of another size or split."""
        moved = replace(self.request, images=request.images, reports=request.reports, labels=request.labels)
        different = moved.differs(request)
        if different:
            raise FedfeatError(f"{part}: begun with {different}; give the command that began it, or remove the folder")


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
    _require_own_place(to, request)
    try:
        to.mkdir(parents=True, exist_ok=True)
        with _alone(to, request.source):
            if folder.exists():
                return _there(folder, request)
            return _made(request, folder, pieces, broken_share, processes)
    except OSError as error:
        raise FedfeatError(
            f"{error.filename or to}: cannot be written ({error.strerror or error}); mend that, or make room, and give "
            "the same command again: it goes on where it was"
        ) from error


def _require_own_place(to: Path, request: Request) -> None:
    """Raise FedfeatError if `to` is a prepared folder itself, lies in the published ones, or would take their place."""
    if (to / layout.ABOUT).exists() or to.name.endswith(layout.UNFINISHED):
        raise FedfeatError(f"{to}: a prepared folder itself; name the folder that holds it")
    for source in filter(None, (request.images, request.reports)):
        if to.resolve().is_relative_to(source):
            raise FedfeatError(f"{to}: lies in {source}, to which nothing is written; name a folder outside it")
    for source in filter(None, (request.images, request.reports, request.labels)):
        if Path(source).is_relative_to(to.resolve() / request.source):
            raise FedfeatError(
                f"{to / request.source}: here would go what is prepared, and here lies {source}; name another folder "
                f"than {to}"
            )


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
        raise FedfeatError(
            f"{folder}: was prepared with {different}; name another folder, or remove this one (a copy that was only "
            "moved need not be prepared again)"
        )
    layout.require_whole(folder, about, pictures=True)
    for name in (_BEGUN, LOG):
        (folder / name).unlink(missing_ok=True)  # of a call that was killed just before it would have done so
    return Made(
        folder, about, len(np.load(folder / layout.FINDINGS, mmap_mode="r", allow_pickle=False)), was_there=True
    )


def _made(request: Request, folder: Path, pieces: Tokenizer | None, broken_share: float, processes: int) -> Made:
    part = folder.with_name(folder.name + layout.UNFINISHED)
    begun = _Begun.read(part / _BEGUN)
    if begun is not None:
        begun.require_same_kind(request, part)
    # read anew by a call that goes on: reports that were still being unpacked are there now
    table = COLLECTIONS[request.source].read(request, broken_share)
    assert isinstance(table.read_image, Reader)
    part.mkdir(mode=0o700, exist_ok=True)  # it will hold patients' reports
    keys = table.rows["image"].tolist()
    begins = _Begun.of(request, keys)
    if begun is None or begun.pictures != begins.pictures:
        (part / LOG).unlink(missing_ok=True)  # what was decoded are other pictures
    write_bytes(part / _BEGUN, begins.to_json().encode())
    with tqdm(total=len(keys), desc=f"{request.source}: images", unit="image", disable=None, smoothing=0.02) as bar:
        start, before = time.perf_counter(), 0

        def progress(more: int, already: bool) -> None:
            nonlocal before
            bar.update(more)
            before += more if already else 0

        try:
            pictures = part / layout.IMAGES
            allowed = int(broken_share * len(keys))
            broken = decode(pictures, keys, table.read_image, request.size, allowed, processes, progress)
        except TooManyBroken as error:
            _write_left_out(part, keys, error.broken)
            raise FedfeatError(
                f"{part / layout.LEFT_OUT}: at least {len(error.broken)} of {counted(len(keys), 'image')} are missing "
                f"or broken, more than {broken_share:.1%} (the first: {next(iter(error.broken.values()))}); mend that "
                "and give the same command again, or allow more with --broken-share"
            ) from error
        seconds = time.perf_counter() - start
    kept = np.setdiff1d(np.arange(len(keys)), list(broken))
    if not len(kept):
        raise FedfeatError(f"{part}: no image could be read; see {layout.LEFT_OUT} there")
    about = _write_rest(part, request, table, kept, broken, pieces)
    part.replace(folder)
    for name in (_BEGUN, LOG):
        (folder / name).unlink(missing_ok=True)
    return Made(folder, about, len(kept), len(keys) - before, seconds)


def _write_rest(
    part: Path, request: Request, table: StudyTable, kept: np.ndarray, broken: Broken, pieces: Tokenizer | None
) -> About:
    """Write all but the pictures, and at last what there is."""
    _write_left_out(part, table.rows["image"].tolist(), broken)
    rows = table.rows.iloc[kept].assign(**{layout.PLACE: kept})
    write_bytes(part / layout.ROWS, rows.to_csv(index=False).encode())
    np.save(part / layout.FINDINGS, table.findings[kept])
    if pieces is not None:
        _write_tokens(part / layout.TOKENS, rows["report"].tolist(), pieces, request.length)
    (origin,), notes = table.origins, table.notes
    if broken:
        notes = (*notes, f"{counted(len(broken), 'frontal image')} left out: missing or broken ({layout.LEFT_OUT})")
    names = (layout.ROWS, layout.FINDINGS, layout.IMAGES, *((layout.TOKENS,) if pieces is not None else ()))
    files = {name: ((part / name).stat().st_size, layout.checksum(part / name)) for name in names}
    whole = hashlib.blake2b(repr(sorted(files.items())).encode(), digest_size=16).hexdigest()
    about = About(request, replace(origin, checksum=whole), notes, len(broken), files, _libraries())
    write_bytes(part / layout.ABOUT, about.to_json().encode())
    return about


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in ("pillow", "numpy", "tokenizers")}


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
