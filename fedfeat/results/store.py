"""A folder of records: `<case>.json`, beside it `<case>.scores.npz`, and `test-<hash>.npz` once a test set.

Any number of processes may write at the same time. A file is replaced as a whole, and a record comes after its
sidecars, so whoever finds a record finds its scores. Names that begin with '.' are files in the making.

Scores are kept in 16 bits: 65,536 even levels between the lowest and the highest score of each label, half the space of
float32. A macro AUC computed from them differs from the record's, which comes from float32, by at most 0.002 points on
the 150 records first published (that of one label by 0.02). Whether scores are the same, bit for bit, is told by
`Record.scores_hash`.
"""

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedfeat.errors import FedfeatError
from fedfeat.files import make_ready, read_text, write_bytes
from fedfeat.results.record import Record, check_test_set, file_name


@dataclass(frozen=True, eq=False)
class TestSet:
    """The rows that scores belong to, in their order."""

    __test__ = False  # or pytest takes it for a class of tests

    rows: npt.NDArray[np.str_]
    """Row ids, shape (rows,)."""
    patients: npt.NDArray[np.str_]
    """Patient ids, shape (rows,)."""
    labels: npt.NDArray[np.uint8]
    """0 or 1, shape (rows, labels); 0 where `known` is False."""
    known: npt.NDArray[np.bool_]
    """The label mask, shape (rows, labels)."""
    names: tuple[str, ...]
    """The labels' names, in the order of the columns."""

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.names))
        if self.labels.shape != shape or self.known.shape != shape or self.patients.shape != shape[:1]:
            raise ValueError(
                f"test set: {shape[0]} row ids and {shape[1]} label names, but patients {self.patients.shape}, "
                f"labels {self.labels.shape} and mask {self.known.shape}"
            )

    def digest(self) -> str:
        """Return 16 hexadecimal digits that depend on every id, label and name: a fit `Record.test_set`."""
        text = repr((self.rows.tolist(), self.patients.tolist(), self.names))
        bits = np.where(self.known, self.labels, 2).astype(np.uint8).tobytes()
        return hashlib.sha256(text.encode() + bits).hexdigest()[:16]


def scores_hash(scores: npt.NDArray[np.floating[Any]]) -> str:
    """Return 16 hexadecimal digits that depend on the shape and on every bit of the scores as float32."""
    content = np.ascontiguousarray(scores, dtype="<f4")  # so that every machine hashes the same bytes
    return hashlib.sha256(repr(content.shape).encode() + content.tobytes()).hexdigest()[:16]


_KEPT = ("levels", "low", "step")


def as_kept(scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return scores as they come back from a sidecar."""
    return _of_levels(**_levels(scores))


def _levels(scores: npt.NDArray[np.floating[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return scores (rows, labels) as levels, and each label's lowest score and the step between levels.

    Raises ValueError if a score is not finite.
    """
    wide = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(wide).all():
        raise ValueError("scores are not all finite")
    low = wide.min(0)
    step = (wide.max(0) - low) / np.iinfo(np.uint16).max
    levels = np.rint((wide - low) / np.where(step > 0, step, 1.0)).astype(np.uint16)
    return {"levels": levels, "low": low, "step": step}


def _of_levels(
    levels: npt.NDArray[np.uint16], low: npt.NDArray[np.float64], step: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    scores: npt.NDArray[np.float32] = (low + levels * step).astype(np.float32)
    return scores


def record_path(folder: Path, case_id: str) -> Path:
    """Return where the record of a case lies."""
    return folder / f"{file_name(case_id)}.json"


def scores_path(folder: Path, case_id: str) -> Path:
    """Return where the scores of a case lie, if it has any."""
    return folder / f"{file_name(case_id)}.scores.npz"


def labels_path(folder: Path, test_set: str) -> Path:
    """Return where a test set lies. Raises ValueError if its hash holds other than letters, digits, '_' and '-'."""
    check_test_set(test_set)
    return folder / f"test-{test_set}.npz"


def prepare(folder: Path, case_id: str) -> None:
    """Make sure, before a case is trained, that its record can be written; the folder is created.

    Raises FedfeatError if the folder cannot be written to, or if another case already has the file name.
    """
    try:
        make_ready(folder)
    except OSError as error:
        raise FedfeatError(
            f"{folder}: records cannot be written there ({error.strerror}); name another folder by --records"
        ) from error
    _check_owner(record_path(folder, case_id), case_id)


def write(
    folder: Path, record: Record, scores: npt.NDArray[np.floating[Any]] | None = None, test_set: TestSet | None = None
) -> Path:
    """Write a record and its sidecars; return the record's path. The folder is created.

    `scores` are the model's outputs for the test rows, (rows, labels), kept in 16 bits. `test_set` is written if no
    file bears the hash `record.test_set` yet. Without scores, those of an earlier run of the case are removed.
    Raises ValueError if scores come without a test set, in another shape or not finite, FedfeatError if another case
    already has the file name, OSError if the disk refuses; the old files then stand as they were.
    """
    path = record_path(folder, record.case_id)
    content = record.to_json().encode()
    _check_owner(path, record.case_id)
    if test_set is not None:
        _write_test_set(folder, record.test_set, test_set)
    if scores is None:
        write_bytes(path, content)
        scores_path(folder, record.case_id).unlink(missing_ok=True)
        return path
    shape = read_test_set(folder, record.test_set).labels.shape
    if scores.shape != shape:
        raise ValueError(f"record {record.case_id}: scores of shape {scores.shape} for a test set of {shape}")
    # The key ties the scores to their record: a process killed between the two writes leaves a mismatch that shows.
    packed = _pack(**_levels(scores), key=np.array(record.key))
    write_bytes(scores_path(folder, record.case_id), packed)
    write_bytes(path, content)
    return path


def read(folder: Path) -> list[Record]:
    """Return all records of a folder, sorted by case id; none if there is no such folder.

    Raises FedfeatError, naming the file, for a record that cannot be read or lies under another case's name.
    """
    return sorted((_read_record(path) for path in folder.glob("*.json")), key=lambda record: record.case_id)


def latest(folder: Path, case_id: str) -> Record | None:
    """Return the record of a case, whatever its key and status; None if there is none that can be read."""
    try:
        record = _read_record(record_path(folder, case_id))
    except FedfeatError:
        return None
    return record if record.case_id == case_id else None


def find(folder: Path, case_id: str, key: str) -> Record | None:
    """Return the passed record of a case with this very key, if it and its sidecars are whole.

    Otherwise the case runs again: a file is damaged, or a process was killed between the scores and their record.
    """
    record = latest(folder, case_id)
    if record is None or (record.key, record.status) != (key, "passed"):
        return None
    return record if _has_sidecars(folder, record) else None


def read_scores(folder: Path, case_id: str) -> npt.NDArray[np.float32]:
    """Return the scores of a case, (rows, labels), as 16 bits keep them; in full for records that are older than that.

    Raises FedfeatError if they are absent, damaged or another run's.
    """
    path = scores_path(folder, case_id)
    record = _read_record(record_path(folder, case_id))
    content = _unpack(path)
    if set(content) not in ({"key", *_KEPT}, {"key", "scores"}):
        raise _damaged(path)
    if str(content.pop("key")) != record.key:
        raise FedfeatError(f"{path}: scores of another run than the record beside it; run the case again with --rerun")
    try:
        return _of_levels(**content) if "levels" in content else content["scores"].astype(np.float32)
    except (TypeError, ValueError) as error:  # arrays of other kinds or shapes
        raise _damaged(path) from error


def read_test_set(folder: Path, test_set: str) -> TestSet:
    """Return the test set of a hash. Raises FedfeatError, naming the file, if it is absent or damaged."""
    path = labels_path(folder, test_set)
    content = _unpack(path, "rows", "patients", "labels", "known", "names")
    try:
        return TestSet(
            rows=content["rows"],
            patients=content["patients"],
            labels=content["labels"],
            known=content["known"],
            names=tuple(content["names"].tolist()),
        )
    except ValueError as error:
        raise _damaged(path) from error


def _read_record(path: Path) -> Record:
    record = Record.from_json(read_text(path), path)
    if record_path(path.parent, record.case_id) != path:
        raise FedfeatError(f"{path}: holds the case {record.case_id}, which belongs into another file; remove it")
    return record


def _has_sidecars(folder: Path, record: Record) -> bool:
    if not record.test_set:
        return True  # it never had scores
    try:
        scores = read_scores(folder, record.case_id)
        return scores.shape == read_test_set(folder, record.test_set).labels.shape
    except FedfeatError:
        return False


def _check_owner(path: Path, case_id: str) -> None:
    """Refuse to replace another case's record: ids that differ only in ':' and '.' share a file name."""
    try:
        owner = _read_record(path).case_id
    except FedfeatError:
        return
    if owner != case_id:
        raise FedfeatError(f"{path}: belongs to the case {owner}, not to {case_id}; rename a method or parameter")


def _write_test_set(folder: Path, name: str, test_set: TestSet) -> None:
    path = labels_path(folder, name)
    try:
        there = read_test_set(folder, name).digest()
    except FedfeatError:
        there = None  # absent, or damaged: no trained case is lost for that
    if there not in (None, test_set.digest()):
        raise FedfeatError(f"{path}: holds other rows than the test set of that hash; remove it and run again")
    if there:
        return
    content = _pack(
        rows=np.asarray(test_set.rows, dtype=np.str_),
        patients=np.asarray(test_set.patients, dtype=np.str_),
        labels=np.where(test_set.known, test_set.labels, 0).astype(np.uint8),
        known=test_set.known.astype(np.bool_),
        names=np.array(test_set.names, dtype=np.str_),
    )
    write_bytes(path, content)


def _pack(**arrays: npt.NDArray[Any]) -> bytes:
    """Return the arrays as one compressed npz file, with constant timestamps, so equal arrays give equal bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _unpack(path: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file: those of these names, or all."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except FileNotFoundError as error:
        raise FedfeatError(f"{path}: there is no such file; run the case again with --rerun") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path) from error  # NumPy's own message advises to load the file unsafely


def _damaged(path: Path) -> FedfeatError:
    return FedfeatError(f"{path}: damaged; remove it and run the case again with --rerun")
