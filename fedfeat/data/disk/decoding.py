"""Pictures to one array file, on all cores; after a kill it goes on where it was."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
from PIL import Image

from fedfeat.data.folders import BrokenPicture
from fedfeat.data.images import square
from fedfeat.errors import FedfeatError

CHUNK = 64  # pictures that a process decodes between two reports
LOG = "decoded.log"  # the places of pictures that are safely on the disk, a JSON list a line
_SYNC_EVERY = 5.0  # seconds between flushes to the disk: what a power cut can cost
_WAITING = 3  # chunks handed out for each process: none idles, and memory does not grow with the studies

ReadImage = Callable[[str], Image.Image]
Broken = Mapping[int, str]  # place -> why it could not be read


_Chunk = list[tuple[int, str]]  # pictures: place in the file, key


@dataclass(frozen=True)
class _File:
    """An .npy file of pictures, written in places."""

    path: Path
    size: int
    offset: int

    @classmethod
    def of(cls, path: Path, count: int, size: int, log: Path) -> "_File":
        """Take up the file that is there, if it is as it must be, or make it in its full length."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
        if not _is_whole(path, (count, size, size)):
            log.unlink(missing_ok=True)  # before the file: what it says is of another one
            path.unlink(missing_ok=True)
            with path.open("xb") as file:
                np.lib.format.write_array_header_2_0(file, header)
                offset, length = file.tell(), count * size * size
                try:
                    _require_room(path, offset + length)
                    if hasattr(os, "posix_fallocate"):  # a file with holes would find the disk full much later
                        os.posix_fallocate(file.fileno(), 0, offset + length)
                    file.truncate(offset + length)
                except BaseException:
                    path.unlink()
                    raise
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_2_0(file)
            return cls(path, size, file.tell())


def _is_whole(path: Path, shape: tuple[int, int, int]) -> bool:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(found.shape == shape and found.dtype == np.uint8)


def _require_room(path: Path, length: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < length:
        raise FedfeatError(
            f"{path.parent}: the pictures need {length / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; make room or "
            "name another folder"
        )


def decode(
    path: Path,
    keys: Sequence[str],
    read_image: ReadImage,
    size: int,
    allowed: int,
    processes: int,
    progress: Callable[[int, bool], None],
) -> Broken:
    """Write the pictures `keys` to the array file `path`, (len(keys), size, size) uint8; return those that cannot be.

    What was decoded before a kill is not decoded again; what could not be read then is tried again.

    Args:
        path: the file; beside it lies a log of what is done.
        keys: the pictures.
        read_image: returns one by its key, or raises BrokenPicture (any other FedfeatError ends the call); another
            process must be able to be handed it.
        size: of the squares, in pixels.
        allowed: how many may be missing or broken.
        processes: how many processes decode.
        progress: is told how many more pictures are done, and whether they were before the call.

    Raises:
        FedfeatError: the disk has no room, or a process died.
        TooManyBroken: more than `allowed`.
        OSError: the disk refuses.
    """
    log = _Log(path.with_name(LOG))
    file = _File.of(path, len(keys), size, log.path)
    done = log.read()
    waiting = [(place, key) for place, key in enumerate(keys) if place not in done]
    progress(len(keys) - len(waiting), True)
    chunks = [waiting[first : first + CHUNK] for first in range(0, len(waiting), CHUNK)]
    broken: dict[int, str] = {}
    with log, _Syncing(path, log) as syncing, closing(_decoded(chunks, file, read_image, processes)) as decoded:
        for chunk, found in decoded:
            broken |= found
            syncing.done([place for place, _ in chunk if place not in found])
            if len(broken) > allowed:
                raise TooManyBroken(broken)
            progress(len(chunk), False)
    return dict(sorted(broken.items()))


class TooManyBroken(Exception):
    """More pictures than allowed are missing or broken; `broken` holds those seen so far."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(f"{len(broken)} pictures are missing or broken")
        self.broken = dict(sorted(broken.items()))


def _decoded(
    chunks: Sequence[_Chunk], file: _File, read_image: ReadImage, processes: int
) -> Generator[tuple[_Chunk, Broken], None, None]:
    if processes == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield chunk, _write(chunk, file, read_image)
        return
    # spawned: a fork would take along whatever threads the caller has
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (file, read_image))
    try:
        ahead: dict[Future[Broken], _Chunk] = {}
        left = iter(chunks)
        while True:
            with _uninterrupted():  # processes are started here, and inherit it: Ctrl-C is the parent's to answer
                for chunk in islice(left, _WAITING * processes - len(ahead)):
                    ahead[pool.submit(_write_given, chunk)] = chunk
            if not ahead:
                return
            for one in wait(ahead, return_when=FIRST_COMPLETED).done:
                yield ahead.pop(one), one.result()
    except BrokenProcessPool as error:
        raise FedfeatError(
            f"{file.path}: a process that decodes was killed (out of memory?); give the same command again, which goes "
            "on where it was, with fewer --processes"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; only a main thread may, and only it is told of one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


_given: tuple[_File, ReadImage] | None = None  # of a process that decodes


def _begin(file: _File, read_image: ReadImage) -> None:
    global _given
    _given = file, read_image
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the parent was killed: it could not say so, and this process would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_given(chunk: _Chunk) -> Broken:
    assert _given is not None
    return _write(chunk, *_given)


def _write(chunk: _Chunk, file: _File, read_image: ReadImage) -> Broken:
    """Decode a chunk into its place in the file; what cannot be read is black there."""
    broken = {}
    length = file.size * file.size
    # not through a memory map: there a full disk ends the process without a word
    with file.path.open("r+b", buffering=0) as stream:
        for place, key in chunk:
            try:
                content = memoryview(square(read_image(key), file.size).tobytes())
            except BrokenPicture as error:
                broken[place] = str(error)
                content = memoryview(bytes(length))  # a file that was taken up may hold another picture here
            stream.seek(file.offset + place * length)
            while content:
                content = content[stream.write(content) :]
    return broken


class _Log:
    """The places whose pictures are safely on the disk; a line that was cut off does not count."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> set[int]:
        """Return them, and drop what a kill left of a line."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return set()
        places, length = set(), 0
        for line in lines[:-1]:
            try:
                places |= {int(place) for place in json.loads(line)}
            except (ValueError, TypeError):  # what follows is not to be trusted either
                break
            length += len(line) + 1
        with self.path.open("r+b") as file:
            file.truncate(length)
        return places

    def __enter__(self) -> "_Log":
        self._file = self.path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, places: Sequence[int]) -> None:
        """Write a line."""
        self._file.write(json.dumps(places).encode() + b"\n")
        os.fsync(self._file.fileno())


class _Syncing:
    """Logs pictures when they are on the disk, every few seconds and at the end."""

    def __init__(self, path: Path, log: _Log) -> None:
        self._path, self._log = path, log
        self._places: list[int] = []
        self._last = time.monotonic()

    def __enter__(self) -> "_Syncing":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()

    def done(self, places: Sequence[int]) -> None:
        """Note that pictures were written."""
        self._places += places
        if time.monotonic() - self._last > _SYNC_EVERY:
            self._flush()

    def _flush(self) -> None:
        if self._places:
            with self._path.open("rb") as file:
                os.fsync(file.fileno())
            self._log.add(self._places)
        self._places, self._last = [], time.monotonic()
