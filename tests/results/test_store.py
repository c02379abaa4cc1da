import dataclasses
import hashlib
import itertools
import multiprocessing
import secrets
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results import store
from fedfeat.results.record import Record

MakeRecord = Callable[..., Record]
CASE = "phantom:homogeneous:8:0:2:fin:seed0"
FILE = "phantom.homogeneous.8.0.2.fin.seed0"


def _test_set(patients: str = "p") -> store.TestSet:
    return store.TestSet(
        rows=np.array(["r0", "r1", "r2"]),
        patients=np.array([f"{patients}{n}" for n in (0, 0, 1)]),
        labels=np.array([[0, 1], [1, 1], [0, 0]], dtype=np.uint8),
        known=np.array([[True, True], [True, False], [True, True]]),
        names=("Edema", "Fracture"),
    )


SCORES = np.array([[0.5, -1.0], [0.25, 2.0], [0.0, 8.0]])


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_record_and_its_sidecars_can_be_read_back(tmp_path: Path, make_record: MakeRecord) -> None:
    test_set = _test_set()
    record = make_record(test_set=test_set.digest())
    assert store.write(tmp_path / "runs", record, SCORES, test_set) == tmp_path / "runs" / f"{FILE}.json"
    folder = tmp_path / "runs"
    assert _names(folder) == {f"{FILE}.json", f"{FILE}.scores.npz", f"test-{test_set.digest()}.npz"}
    assert store.read(folder) == [record]
    scores = store.read_scores(folder, CASE)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, store.as_kept(SCORES))
    np.testing.assert_allclose(scores, SCORES, atol=1e-4)
    back = store.read_test_set(folder, test_set.digest())
    assert back.digest() == test_set.digest()
    assert back.names == test_set.names
    assert back.labels[1, 1] == 0, "an unknown label is not told"


def _write_one(folder: Path, record: Record, scores: np.ndarray) -> np.ndarray:
    """Write scores of any shape beside a record; return what is read back."""
    rows, labels = scores.shape
    test_set = store.TestSet(
        rows=np.array([f"r{n}" for n in range(rows)]),
        patients=np.array([f"p{n}" for n in range(rows)]),
        labels=np.zeros((rows, labels), dtype=np.uint8),
        known=np.ones((rows, labels), dtype=np.bool_),
        names=tuple(f"n{n}" for n in range(labels)),
    )
    store.write(folder, record, scores, test_set)
    return store.read_scores(folder, record.case_id)


def test_scores_are_kept_in_16_bits(tmp_path: Path, make_record: MakeRecord) -> None:
    scores = np.random.default_rng(0).normal(size=(1000, 14)).astype(np.float32)
    scores[:, 3] *= 1e6  # each label has levels of its own
    scores[:, 4] = 2.5
    back = _write_one(tmp_path, make_record(test_set="t"), scores)
    assert back.dtype == np.float32
    step = (scores.max(0) - scores.min(0)) / 65_535
    assert (np.abs(back - scores) <= 0.501 * step + 1e-7 * np.abs(scores)).all()
    assert not np.array_equal(back, scores)
    assert (back[:, 4] == 2.5).all()
    np.testing.assert_array_equal(store.as_kept(scores), back)
    order = np.argsort(scores, axis=0)
    assert (np.diff(np.take_along_axis(back, order, 0), axis=0) >= 0).all()
    assert (tmp_path / f"{FILE}.scores.npz").stat().st_size < 1.1 * 2 * scores.size


def test_the_largest_scores_stay_finite_and_in_order(tmp_path: Path, make_record: MakeRecord) -> None:
    scores = np.array([[-3e38], [0.0], [1e37], [3e38]], dtype=np.float32)
    back = _write_one(tmp_path, make_record(test_set="t"), scores)[:, 0]
    assert np.isfinite(back).all()
    assert (np.diff(back) > 0).all()


def test_scores_of_older_records_are_read_in_full(tmp_path: Path, make_record: MakeRecord) -> None:
    record, scores = make_record(test_set="t"), SCORES.astype(np.float32) + np.float32(1e-6)
    store.write(tmp_path, record, scores, _test_set())
    assert not np.array_equal(store.read_scores(tmp_path, CASE), scores), "16 bits cannot hold them"
    np.savez_compressed(tmp_path / f"{FILE}.scores.npz", scores=scores, key=np.array(record.key))
    back = store.read_scores(tmp_path, CASE)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, scores)
    assert store.find(tmp_path, CASE, "k1") == record


@pytest.mark.parametrize(
    "arrays",
    [
        {"levels": np.zeros((3, 2), np.uint16), "low": np.zeros(2)},
        {"levels": np.zeros((3, 2), np.uint16), "low": np.zeros(5), "step": np.zeros(2)},
        {"levels": np.array([["a", "b"]] * 3), "low": np.zeros(2), "step": np.zeros(2)},
        {"levels": np.zeros((3, 2), np.uint16), "low": np.zeros(2), "step": np.zeros(2), "more": np.zeros(1)},
        {"scores": np.array([["a", "b"]] * 3)},
    ],
)
def test_other_arrays_than_scores_are_named_as_damage(
    tmp_path: Path, make_record: MakeRecord, arrays: dict[str, np.ndarray]
) -> None:
    record = make_record(test_set="t")
    store.write(tmp_path, record, SCORES, _test_set())
    np.savez_compressed(tmp_path / f"{FILE}.scores.npz", key=np.array(record.key), **arrays)
    with pytest.raises(FedfeatError, match="damaged; remove it"):
        store.read_scores(tmp_path, CASE)
    assert store.find(tmp_path, CASE, record.key) is None


def test_scores_that_are_not_finite_are_refused(tmp_path: Path, make_record: MakeRecord) -> None:
    with pytest.raises(ValueError, match="not all finite"):
        store.write(tmp_path, make_record(test_set="t"), SCORES * np.nan, _test_set())
    assert store.read(tmp_path) == []


def test_the_hash_of_scores_depends_on_every_bit_and_the_shape() -> None:
    scores = SCORES.astype(np.float32)
    value = store.scores_hash(scores)
    bits = b"".join(struct.pack("<f", one) for row in SCORES.tolist() for one in row)
    assert value == hashlib.sha256(b"(3, 2)" + bits).hexdigest()[:16]
    for same in (SCORES, np.asfortranarray(scores), scores.astype(">f4"), np.repeat(scores, 2, axis=0)[::2]):
        assert store.scores_hash(same) == value
    others = {value, store.scores_hash(scores.reshape(2, 3)), store.scores_hash(scores.T)}
    for place in np.ndindex(scores.shape):
        changed = scores.copy()
        changed[place] = np.nextafter(changed[place], np.float32(9))
        others.add(store.scores_hash(changed))
    assert len(others) == 3 + scores.size


def test_sidecars_hold_no_pickle(tmp_path: Path, make_record: MakeRecord) -> None:
    test_set = _test_set()
    odd = dataclasses.replace(test_set, rows=np.array(["r0", "r1", "r2"], dtype=object))
    store.write(tmp_path, make_record(test_set="t"), SCORES, odd)
    for path in tmp_path.glob("*.npz"):
        with np.load(path, allow_pickle=False) as content:
            assert all(content[name].dtype != object for name in content.files)


def test_a_test_set_is_written_once(tmp_path: Path, make_record: MakeRecord) -> None:
    record = make_record(test_set="t")
    store.write(tmp_path, record, SCORES, _test_set())
    before = (tmp_path / "test-t.npz").stat().st_ino
    store.write(tmp_path, make_record(seed=1, test_set="t"), SCORES, _test_set())
    assert (tmp_path / "test-t.npz").stat().st_ino == before
    with pytest.raises(FedfeatError, match=r"test-t\.npz"):
        store.write(tmp_path, record, SCORES, _test_set("q"))


def test_scores_need_a_test_set_of_their_shape(tmp_path: Path, make_record: MakeRecord) -> None:
    with pytest.raises(FedfeatError, match=r"test-t\.npz"):
        store.write(tmp_path, make_record(test_set="t"), SCORES)
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        store.write(tmp_path, make_record(test_set="t"), SCORES[:2], _test_set())
    assert store.read(tmp_path) == []


def test_a_run_without_scores_removes_old_ones(tmp_path: Path, make_record: MakeRecord) -> None:
    store.write(tmp_path, make_record(test_set="t"), SCORES, _test_set())
    store.write(tmp_path, make_record(auc=None, status="failed", error="no"))
    assert _names(tmp_path) == {f"{FILE}.json", "test-t.npz"}
    with pytest.raises(FedfeatError, match=r"scores\.npz"):
        store.read_scores(tmp_path, CASE)


def test_scores_of_another_run_are_refused(tmp_path: Path, make_record: MakeRecord) -> None:
    store.write(tmp_path, make_record(test_set="t"), SCORES, _test_set())
    newer = make_record(test_set="t", key="k2")
    (tmp_path / f"{FILE}.json").write_text(newer.to_json())
    with pytest.raises(FedfeatError, match="another run"):
        store.read_scores(tmp_path, CASE)


def test_records_are_read_in_the_order_of_their_ids(tmp_path: Path, make_record: MakeRecord) -> None:
    for seed in (2, 0, 1):
        store.write(tmp_path, make_record(seed=seed))
    assert [record.seed for record in store.read(tmp_path)] == [0, 1, 2]
    assert store.read(tmp_path / "nowhere") == []


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe"])
def test_a_damaged_record_is_named_by_read_and_nothing_to_find(
    tmp_path: Path, make_record: MakeRecord, damage: bytes
) -> None:
    path = store.write(tmp_path, make_record())
    assert store.find(tmp_path, CASE, "k1") is not None
    path.write_bytes(damage)
    assert store.find(tmp_path, CASE, "k1") is None
    with pytest.raises(FedfeatError, match=path.name):
        store.read(tmp_path)
    store.write(tmp_path, make_record())
    assert len(store.read(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 broken"])
def test_damaged_scores_are_named(tmp_path: Path, make_record: MakeRecord, damage: bytes) -> None:
    store.write(tmp_path, make_record(test_set="t"), SCORES, _test_set())
    (tmp_path / f"{FILE}.scores.npz").write_bytes(damage)
    with pytest.raises(FedfeatError, match=r"scores\.npz"):
        store.read_scores(tmp_path, CASE)


@pytest.mark.parametrize("key", ["k2", None])
def test_a_record_whose_scores_are_not_its_own_is_not_found(
    tmp_path: Path, make_record: MakeRecord, key: str | None
) -> None:
    """A process may be killed between the two renames: then the old record stands beside the new scores."""
    store.write(tmp_path, make_record(test_set="t"), SCORES, _test_set())
    assert store.find(tmp_path, CASE, "k1") == make_record(test_set="t")
    path = tmp_path / f"{FILE}.scores.npz"
    if key:
        store.write(tmp_path / "new", make_record(test_set="t", key=key), SCORES, _test_set())
        (tmp_path / "new" / path.name).replace(path)
    else:
        path.write_bytes(b"")
    assert store.latest(tmp_path, CASE) == make_record(test_set="t")
    assert store.find(tmp_path, CASE, "k1") is None
    store.write(tmp_path, make_record(test_set="t"), SCORES, _test_set())
    assert store.find(tmp_path, CASE, "k1") == make_record(test_set="t")


def _write_for_ever(folder: Path, record: Record) -> None:
    for turn in itertools.count():
        for number in (turn, 0):  # a new case, and the first one's again
            one = dataclasses.replace(record, case_id=f"own:{number}", key=f"k{turn}")
            store.write(folder, one, SCORES + turn, _test_set())


def test_a_kill_while_records_are_written_leaves_whole_ones(tmp_path: Path, make_record: MakeRecord) -> None:
    seed = secrets.randbits(32)
    random = np.random.default_rng(seed)
    print(f"seed {seed}")  # pytest shows it if the test fails
    context = multiprocessing.get_context("fork")
    left_over = 0
    for turn in range(300):
        if turn >= 30 and left_over:  # some kills have to come while a file is written
            break
        folder = tmp_path / str(turn)
        writer = context.Process(target=_write_for_ever, args=(folder, make_record(test_set="t")))
        writer.start()
        while not folder.is_dir():
            assert writer.is_alive(), "it ended by itself"
        time.sleep(random.uniform(0, 0.01))
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        left_over += len(list(folder.glob(".*.tmp")))
        for record in store.read(folder):
            found = store.find(folder, record.case_id, record.key)
            if record.case_id != "own:0":  # only a case that is written again can stand beside newer scores
                assert found == record
            if found:
                kept = store.as_kept(SCORES + int(record.key[1:]))
                assert np.array_equal(store.read_scores(folder, record.case_id), kept)
    assert left_over, "no kill came while a file was written: the test shows nothing"


def test_find_wants_the_very_key_and_a_passed_case(tmp_path: Path, make_record: MakeRecord) -> None:
    assert store.find(tmp_path, CASE, "k1") is None
    store.write(tmp_path, make_record())
    assert store.find(tmp_path, CASE, "k1") == make_record()
    assert store.find(tmp_path, CASE, "k2") is None
    store.write(tmp_path, make_record(auc=None, status="failed", error="no"))
    assert store.find(tmp_path, CASE, "k1") is None


def test_a_record_under_another_name_is_refused(tmp_path: Path, make_record: MakeRecord) -> None:
    path = store.write(tmp_path, make_record())
    path.rename(tmp_path / "copy.json")
    with pytest.raises(FedfeatError, match=r"copy\.json"):
        store.read(tmp_path)


def test_ids_that_share_a_file_name_do_not_replace_each_other(tmp_path: Path, make_record: MakeRecord) -> None:
    store.write(tmp_path, make_record(case_id="fin:1"))
    with pytest.raises(FedfeatError, match="fin:1"):
        store.write(tmp_path, make_record(case_id="fin.1"))


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_files(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    store.write(tmp_path, make_record(test_set="t"), SCORES, _test_set())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        if function == "fsync":
            patch.setattr("os.fsync", fail)
        else:
            patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            store.write(tmp_path, make_record(test_set="t", auc=0.5, key="k2"), SCORES + 1, _test_set())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def _write_many(folder: Path, record: Record, mine: int, start: Any) -> None:
    start.wait()
    for turn in range(25):
        store.write(folder, dataclasses.replace(record, notes=[str(turn)]), SCORES + turn, _test_set())
        own = dataclasses.replace(record, case_id=f"own:{mine}:{turn}")
        store.write(folder, own, SCORES, _test_set())
        store.read(folder)
        store.read_scores(folder, record.case_id)


def test_two_processes_write_the_same_case_and_their_own(tmp_path: Path, make_record: MakeRecord) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(2)
    record = make_record(test_set="t")
    writers = [context.Process(target=_write_many, args=(tmp_path, record, mine, start)) for mine in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(store.read(tmp_path)) == 51
    assert not list(tmp_path.glob(".*")), "no temporary file is left"


def test_a_damaged_test_set_does_not_lose_a_trained_case(tmp_path: Path, make_record: MakeRecord) -> None:
    record, path = make_record(test_set="t"), tmp_path / "test-t.npz"
    store.write(tmp_path, record, SCORES, _test_set())
    whole = path.read_bytes()
    for damage in (whole[:-30], whole[:60] + bytes(20) + whole[80:]):
        path.write_bytes(damage)
        assert store.find(tmp_path, CASE, "k1") is None, "it runs again"
        store.write(tmp_path, record, SCORES, _test_set())
        assert path.read_bytes() == whole
        assert store.find(tmp_path, CASE, "k1") == record
