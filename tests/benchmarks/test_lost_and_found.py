"""Runs take minutes: none may be lost but the one in flight, and none may be taken for another."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from fedfeat.results import files, store

CHECKOUT = Path(__file__).parents[2]
Run = Callable[..., Any]
PARTITION = "1:0:1"
FOUR = ("-k", "homogeneous", "--partition", PARTITION, "--methods", "zero,multimodal_only", "--seeds", "0,1", "-rs")
CASES = {f"homogeneous-{PARTITION}-{method}-seed{seed}-manifest" for method in FOUR[5].split(",") for seed in (0, 1)}
VARIES = {"date", "seconds", "samples_per_second", "peak_memory_mb"}  # the round's seconds as well: see `lasting`
SEED = int(os.environ.get("FEDFEAT_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# A disk that takes its time: what is killed between two files is killed there, and not by luck.
SLOW_DISK = """
import os, time

fsync = os.fsync


def slow(descriptor):
    fsync(descriptor)
    time.sleep(0.4)


os.fsync = slow
"""
# Every argument is a folder with a copy of the package: the command imports that one. Heavy libraries are shared.
LISTS = """
import os, sys
import fvcore.nn, numpy, pandas, pytest, sklearn.metrics, tabulate, tokenizers, torch, torchvision, transformers

assert "fedfeat" not in sys.modules
for folder, *options in (line.split("|") for line in sys.argv[1:]):
    child = os.fork()
    if not child:
        os.chdir(folder)
        sys.path.insert(0, folder)
        import fedfeat.cli

        assert fedfeat.__file__.startswith(folder)
        status = fedfeat.cli.main(["list", *options])
        print("ENDED", status, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
METHOD = '''
from dataclasses import dataclass



@dataclass(frozen=True)
class Constant(Imputer):
    """{note}"""

    name = "constant"
    title = "Constant filling"

    def fill(self, ctx, features, present, targets):
        {first}
        return {{name: feature + 0.1 for name, feature in features.items()}}
'''


@pytest.fixture(scope="module")
def studies(make_manifest: Callable[..., Path]) -> Path:
    """The smallest manifest that both clients learn from."""
    return make_manifest(train=12, test=8)


def on(studies: Path, *arguments: object) -> list[object]:
    return ["--dataset", "manifest", "--data", studies, *arguments]


def content(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds: temporary files, and the board of the last session, left out."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.name != "leaderboard.md"}


def lasting(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the records without what differs from run to run."""
    found = {record.case_id: asdict(record) for record in store.read(folder)}
    for record in found.values():
        for name in VARIES:
            del record[name]
        for entry in record["history"]:
            del entry["seconds"]
    return found


def check_whole(folder: Path) -> set[str]:
    """Assert that every record of a folder is whole, with its sidecars; return the cases."""
    records = store.read(folder)
    for record in records:
        assert record.status == "passed"
        shape = store.read_test_set(folder, record.test_set).labels.shape
        assert store.read_scores(folder, record.case_id).shape == shape == (record.test_rows, 3)
    return {record.case_id for record in records}


@dataclass(frozen=True)
class Killed:
    """What a killed session left."""

    folder: Path
    files: dict[str, bytes]
    temporary: list[Path]
    cases: set[str]


def _kill_within_a_case(process: subprocess.Popen[bytes], folder: Path, records: int, part: float) -> None:
    _kill_when(lambda: len(list(folder.glob("*.json"))) >= records, process, lambda: part * _first_seconds(folder))


def _kill_before_a_record(process: subprocess.Popen[bytes], folder: Path) -> None:
    _kill_when(lambda: any(folder.glob(".*.json.*.tmp")), process)


def _first_seconds(folder: Path) -> float:
    return store.read(folder)[0].seconds or 0.0


def _kill_when(
    reached: Callable[[], bool], process: subprocess.Popen[bytes], pause: Callable[[], float] = lambda: 0.0
) -> None:
    """Kill the session's whole process group once something is reached, and after a pause."""
    try:
        while not reached():
            assert process.poll() is None, "the session ended before it could be killed"
            time.sleep(0.002)
        time.sleep(pause())
        assert process.poll() is None, "the session ended before it was killed"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def killed(studies: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[Killed]:
    """Kill three sessions: two at a random moment of their four cases, one between the scores and their record."""
    draw = random.Random(SEED)
    print(f"FEDFEAT_TEST_SEED={SEED}")  # pytest shows it if a test fails
    place = tmp_path_factory.mktemp("killed")
    (place / "slow_disk.py").write_text(SLOW_DISK)
    paths = os.pathsep.join(filter(None, [str(place), str(CHECKOUT), environment.get("PYTHONPATH")]))
    processes = []
    for number in range(3):
        line = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", *FOUR, *on(studies)]
        line += ["--records", place / str(number), *(["-p", "slow_disk"] if number == 2 else [])]
        process = subprocess.Popen(
            [str(word) for word in line],
            cwd=CHECKOUT,
            env=environment | {"PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a process group of its own
        )
        processes.append(process)
    plans = [(draw.randint(1, 2), draw.uniform(0, 0.7)) for _ in range(2)]  # records, and a part of the next case
    with ThreadPoolExecutor(3) as threads:
        ended = [
            threads.submit(_kill_within_a_case, processes[number], place / str(number), *plans[number])
            for number in range(2)
        ]
        ended.append(threads.submit(_kill_before_a_record, processes[2], place / "2"))
    found = []
    for number in range(3):
        ended[number].result()
        folder = place / str(number)
        found.append(Killed(folder, content(folder), sorted(folder.glob(".*.tmp")), check_whole(folder)))
    return found


@dataclass(frozen=True)
class After:
    """What sessions made after the kills: an undisturbed one, FIN's, and those on the killed sessions' folders."""

    undisturbed: Path
    fin: Path
    next: list[Any]


@pytest.fixture(scope="module")
def after(killed: list[Killed], sessions: Run, studies: Path, tmp_path_factory: pytest.TempPathFactory) -> After:
    place = tmp_path_factory.mktemp("after")
    long_ago = time.time() - files.ABANDONED_AFTER - 60
    for number, temporary in enumerate(killed[2].temporary):
        shutil.copy(temporary, temporary.with_name(f".old{number}.tmp"))
        os.utime(temporary.with_name(f".old{number}.tmp"), (long_ago, long_ago))
    fin = ("-k", "homogeneous", "--partition", PARTITION, "--methods", "fin", "--seeds", "0")
    first, second, *others = sessions(
        [
            [*FOUR, *on(studies), "--records", place / "undisturbed"],
            [*fin, *on(studies), "--records", place / "fin"],
            *[[*FOUR, *on(studies), "--records", one.folder] for one in killed],
        ]
    )
    assert (first.status, first.count("passed")) == (0, 4), first.output
    assert (second.status, second.count("passed")) == (0, 1), second.output
    return After(place / "undisturbed", place / "fin", others)


@pytest.mark.parametrize("number", range(3), ids=["at random", "at random again", "before a record"])
def test_a_killed_session_loses_only_the_case_in_flight(killed: list[Killed], after: After, number: int) -> None:
    one, session = killed[number], after.next[number]
    assert one.cases < CASES
    assert session.status == 0, session.output
    assert session.count("skipped") == len(one.cases)
    assert session.count("passed") == len(CASES) - len(one.cases)
    now = content(one.folder)
    owned = {name: held for name, held in one.files.items() if name.startswith("test-") or _case_of(name) in one.cases}
    assert {name: now[name] for name in owned} == owned, "what was done is the very same files"
    assert check_whole(one.folder) == CASES
    assert lasting(one.folder) == lasting(after.undisturbed), "a kill changes no result"
    assert session.output.count("nothing changed: the record in") == bool(one.cases)


def _case_of(name: str) -> str:
    case = name.removesuffix(".json").removesuffix(".scores.npz")
    return case.replace(PARTITION.replace(":", "."), PARTITION)


def test_a_process_killed_before_a_record_leaves_scores_and_a_hidden_file(killed: list[Killed], after: After) -> None:
    one = killed[2]
    assert not one.cases
    assert any(name.endswith(".scores.npz") for name in one.files), "it was killed after the scores"
    assert not [name for name in one.files if name.endswith(".json")]
    (temporary,) = one.temporary
    assert '"macro_auc"' in temporary.read_text(), "a young one stays: it may be another process's"
    assert list(one.folder.glob(".*.tmp")) == [temporary], "one older than a day is removed"


def test_workers_make_the_records_of_one_process(command: Run, studies: Path, after: After, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    session = command("-n", 2, *FOUR, *on(studies), "--records", tmp_path)
    assert (session.status, session.count("passed")) == (0, 4), session.output
    assert check_whole(tmp_path) == CASES
    assert lasting(tmp_path) == lasting(after.undisturbed)
    _same_sidecars(tmp_path, after.undisturbed)


def _same_sidecars(one: Path, other: Path) -> None:
    names = {path.name for path in one.glob("*.npz")}
    assert names == {path.name for path in other.glob("*.npz")}
    assert [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()] == []


def test_two_sessions_at_once_on_one_folder_end_well(
    sessions: Run, studies: Path, after: After, tmp_path: Path
) -> None:
    line = [*FOUR, *on(studies), "--records", tmp_path]
    for session in sessions([line, line], how="together"):
        assert session.status == 0, session.output
        assert session.count("passed") + session.count("skipped") == 4
        assert " leaderboard " in session.output
    assert check_whole(tmp_path) == CASES
    assert lasting(tmp_path) == lasting(after.undisturbed)
    _same_sidecars(tmp_path, after.undisturbed)
    assert not list(tmp_path.glob(".*")), "no temporary file is left"
