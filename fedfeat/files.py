"""Files that are either whole or absent, whatever fails and whoever else writes."""

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fedfeat.errors import FedfeatError

ABANDONED_AFTER = 24 * 60 * 60
"""Seconds; no write takes that long, not even over a network."""


def _write_beside(path: Path, content: bytes) -> Path:
    """Write `content` to a hidden temporary file in the folder of `path`, flushed to the disk; return its path."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        # Not `tempfile`: its files are private to the user, and colleagues read shared records folders.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """Make the renames in a folder survive a power cut, on the systems that can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_together(contents: Iterable[tuple[Path, bytes]]) -> None:
    """Replace several files in the given order, after all of their contents have safely reached the disk.

    A full disk or a missing permission thus leaves every old file as it was. Folders are created.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for path, content in contents:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.append((_write_beside(path, content), path))
        for temporary, path in staged:
            temporary.replace(path)
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
    for folder in {path.parent for _, path in staged}:
        _sync_folder(folder)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace one file by `content`, or leave it as it was and raise OSError."""
    write_together([(path, content)])


def make_ready(folder: Path) -> None:
    """Make a folder that can be written to, and remove the temporary files that killed processes left there.

    Younger ones stay, hidden: they may be another process's, on another machine even. Raises OSError if the folder
    cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_beside(folder / "ready", b"").unlink()
    for temporary in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # its owner was faster
            if time.time() - temporary.stat().st_mtime > ABANDONED_AFTER:
                temporary.unlink()


def read_text(path: Path) -> str:
    """Return the UTF-8 text of a file. Raises FedfeatError, naming the file, if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FedfeatError(f"{path}: cannot be read ({error}); run its case again with --rerun") from error
