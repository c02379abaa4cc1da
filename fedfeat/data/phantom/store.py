"""The cache of the drawn studies: built once, read afterwards, rebuilt if anything about it is wrong."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from fedfeat.data.phantom.dataset import Content, as_table, make
from fedfeat.data.phantom.shapes import SIZE
from fedfeat.data.phantom.sites import BENCHMARK, GENERATOR_VERSION, SEED, Sizes
from fedfeat.data.studies import CHEXPERT_LABELS, COLUMNS, StudyTable

_PARTS = ("rows.json", "findings.npy", "images.npy")
_LIST = "checksums.json"  # written last: its presence means that the other files are whole


def cache_key(seed: int, sizes: Sizes) -> str:
    """Return a key that changes with the generator's version or source files, the seed and the sizes."""
    digest = hashlib.blake2b(f"{GENERATOR_VERSION} {seed} {sizes}".encode(), digest_size=8)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\x00" + source.read_bytes())
    return digest.hexdigest()


def _checksum(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _read(folder: Path) -> Content | None:
    """Return the cached content, or None if it is missing, truncated or altered."""
    try:
        if json.loads((folder / _LIST).read_text()) != {part: _checksum(folder / part) for part in _PARTS}:
            return None
        rows = pd.DataFrame(json.loads((folder / "rows.json").read_text()), columns=list(COLUMNS))
        findings = np.load(folder / "findings.npy", allow_pickle=False)
        images = np.load(folder / "images.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    if findings.shape != (len(rows), len(CHEXPERT_LABELS)) or images.shape != (len(rows), SIZE, SIZE):
        return None
    return Content(rows, findings, images)


def _write(folder: Path, content: Content) -> None:
    """Write each file under a temporary name, then move it into place; the list of checksums last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _LIST).unlink(missing_ok=True)

    def place(name: str, temporary: Path) -> None:
        os.replace(temporary, folder / name)  # noqa: PTH105 - the atomic rename, by its own name

    for name in _PARTS:
        temporary = folder / f"{name}.{os.getpid()}.tmp"
        if name == "rows.json":
            temporary.write_text(json.dumps(content.rows[list(COLUMNS)].to_numpy().tolist()))
        else:
            with temporary.open("wb") as stream:
                np.save(stream, content.findings if name == "findings.npy" else content.images)
        place(name, temporary)
    temporary = folder / f"{_LIST}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps({part: _checksum(folder / part) for part in _PARTS}))
    place(_LIST, temporary)


def load(cache: Path, seed: int = SEED, sizes: Sizes = BENCHMARK) -> StudyTable:
    """Return the benchmark's studies, from the folder `cache` if they are there whole, else drawn and kept there.

    A second process waits for the first, then reads what it wrote.
    """
    cache.mkdir(parents=True, exist_ok=True)
    name = f"phantom-{cache_key(seed, sizes)}"
    with FileLock(str(cache / f"{name}.lock")):
        content = _read(cache / name)
        if content is None:
            content = make(seed, sizes)
            _write(cache / name, content)
    return as_table(content)
