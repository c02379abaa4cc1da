"""Runs take minutes: none may be lost but the one in flight, and none may be taken for another."""

import hashlib
import os
import random
import re
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

from fedfeat import files
from fedfeat.results import store

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
# Every argument begins with a folder that holds a copy of the package: the command imports that one. All are forks of
# one process, at the same time, since importing the heavy libraries takes longer than a list.
LISTS = """
import os, sys
import fvcore.nn, numpy, pandas, pytest, sklearn.metrics, tabulate, tokenizers, torch, torchvision, transformers

assert "fedfeat" not in sys.modules
for number, line in enumerate(sys.argv[1:]):
    if not os.fork():
        folder, *options = line.split("|")
        os.dup2(os.open(f"{number}.txt", os.O_WRONLY | os.O_CREAT), 1)
        os.chdir(folder)
        sys.path.insert(0, folder)
        import fedfeat.cli

        assert fedfeat.__file__.startswith(folder)
        status = fedfeat.cli.main(["list", *options])
        sys.stdout.flush()
        os._exit(status)
print([os.waitstatus_to_exitcode(os.wait()[1]) for _ in sys.argv[1:]])
"""
METHOD = '''
from dataclasses import dataclass

from fedfeat.imputers.base import Imputer


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
    """Kill two sessions: one at a random moment of its four cases, one between the scores and their record."""
    draw = random.Random(SEED)
    print(f"FEDFEAT_TEST_SEED={SEED}")  # pytest shows it if a test fails
    place = tmp_path_factory.mktemp("killed")
    (place / "slow_disk.py").write_text(SLOW_DISK)
    paths = os.pathsep.join(filter(None, [str(place), str(CHECKOUT), environment.get("PYTHONPATH")]))
    processes = []
    for number in range(2):
        line = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", *FOUR, *on(studies)]
        line += ["--records", place / str(number), *(["-p", "slow_disk"] if number == 1 else [])]
        process = subprocess.Popen(
            [str(word) for word in line],
            cwd=CHECKOUT,
            env=environment | {"PYTHONPATH": paths},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a process group of its own
        )
        processes.append(process)
    records, part = draw.randint(1, 2), draw.uniform(0, 0.7)  # these many are done, and a part of the next case
    with ThreadPoolExecutor(2) as threads:
        ended = [
            threads.submit(_kill_within_a_case, processes[0], place / "0", records, part),
            threads.submit(_kill_before_a_record, processes[1], place / "1"),
        ]
    found = []
    for number in range(2):
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
    for number, temporary in enumerate(killed[1].temporary):
        shutil.copy(temporary, temporary.with_name(f".old{number}.tmp"))
        os.utime(temporary.with_name(f".old{number}.tmp"), (long_ago, long_ago))
    fin = ("-k", "homogeneous", "--partition", PARTITION, "--methods", "fin", "--seeds", "0")
    first, second, *others = sessions(
        [
            [*FOUR, *on(studies), "--records", place / "undisturbed"],
            [*fin, *on(studies), "--records", place / "fin"],
            *[[*FOUR, *on(studies), "--records", one.folder] for one in killed],
        ],
        how="together",
    )
    assert (first.status, first.count("passed")) == (0, 4), first.output
    assert (second.status, second.count("passed")) == (0, 1), second.output
    return After(place / "undisturbed", place / "fin", others)


@pytest.mark.parametrize("number", range(2), ids=["at random", "before a record"])
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
    one = killed[1]
    assert not one.cases
    assert any(name.endswith(".scores.npz") for name in one.files), "it was killed after the scores"
    assert not [name for name in one.files if name.endswith(".json")]
    (temporary,) = one.temporary
    assert '"macro_auc"' in temporary.read_text(), "a young one stays: it may be another process's"
    assert list(one.folder.glob(".*.tmp")) == [temporary], "one older than a day is removed"


@dataclass(frozen=True)
class Parallel:
    """Two whole sessions at once on one folder, and, beside them, one of two workers on another."""

    sessions: list[Any]
    shared: Path
    workers: Path


@pytest.fixture(scope="module")
def parallel(sessions: Run, studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Parallel:
    pytest.importorskip("xdist")
    place = tmp_path_factory.mktemp("parallel")
    line = [*FOUR, *on(studies), "--records"]
    shared = [*line, place / "shared"]
    ended = sessions([[*line, place / "workers", "-n", "2"], shared, shared], how="together")
    return Parallel(ended, place / "shared", place / "workers")


def _same_sidecars(one: Path, other: Path) -> None:
    names = {path.name for path in one.glob("*.npz")}
    assert names == {path.name for path in other.glob("*.npz")}
    assert [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()] == []


def test_workers_make_the_records_of_one_process(parallel: Parallel, after: After) -> None:
    session = parallel.sessions[0]
    assert (session.status, session.count("passed")) == (0, 4), session.output
    assert "2 workers" in session.output
    assert check_whole(parallel.workers) == CASES
    assert lasting(parallel.workers) == lasting(after.undisturbed)
    _same_sidecars(parallel.workers, after.undisturbed)


def test_two_sessions_at_once_on_one_folder_end_well(parallel: Parallel, after: After) -> None:
    for session in parallel.sessions[1:]:
        assert session.status == 0, session.output
        assert session.count("passed") + session.count("skipped") == 4
        assert " leaderboard " in session.output
    assert check_whole(parallel.shared) == CASES
    assert lasting(parallel.shared) == lasting(after.undisturbed)
    _same_sidecars(parallel.shared, after.undisturbed)
    assert not list(parallel.shared.glob(".*")), "no temporary file is left"


def edited(body: str = "pass", note: str = "Fills with a constant.") -> str:
    """Return a method's file."""
    return METHOD.format(first=body, note=note)


IN_ROUND_2 = "if ctx.phase == 'train' and ctx.round == 2:"
CONSTANT = f"homogeneous-{PARTITION}-constant-seed0-manifest"


@dataclass(frozen=True)
class Methods:
    """Sessions on files of methods, by what they are about."""

    folder: Path
    sessions: dict[str, Any]


@pytest.fixture(scope="module")
def methods(sessions: Run, studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Methods:
    """Run files of methods that share a name, break, or break the folder for records; and make mistakes in it."""
    place = tmp_path_factory.mktemp("methods")
    (place / "file").write_text("")
    mine, other = place / "mine.py", place / "other.py"
    broken, vandal, lost = place / "broken.py", place / "vandal.py", place / "lost"
    vandalism = f"""import pathlib, shutil
        if pathlib.Path({str(lost)!r}).is_dir():
            shutil.rmtree({str(lost)!r})
            pathlib.Path({str(lost)!r}).touch()"""
    edits = {
        mine: edited(),
        other: edited("return {name: -feature for name, feature in features.items()}"),
        broken: edited(f"{IN_ROUND_2} raise ValueError('lost in round 2')"),
        vandal: edited(vandalism),
    }
    constant = ["-k", "homogeneous and constant", "--partition", PARTITION, "--seeds", "0", "-rs", *on(studies)]
    both = ["-k", "homogeneous", *constant[2:]]
    steps: dict[str, list[object] | dict[str, str]] = {
        "files": {str(path): text for path, text in edits.items()},
        "first": [*constant, "--imputer", mine, "--records", place / "named"],
        "edit": {str(mine): edited(note="Fills with a constant!")},
        "edited": [*constant, "--imputer", mine, "--records", place / "named"],
        "other file": [*constant, "--imputer", other, "--records", place / "named"],
        "failing": [*both, "--imputer", broken, "--records", place / "failed"],
        "mending": {str(broken): edited()},
        "mended": [*both, "--imputer", broken, "--records", place / "failed"],
        "vandal": [*constant, "--imputer", vandal, "--records", lost],
        "below a file": [*constant, "--imputer", mine, "--records", place / "file" / "records"],
        "committed": [*constant, "-k", "nonesuch", "--records", CHECKOUT / "leaderboard" / "records"],
    }
    ended = iter(sessions(list(steps.values())))
    return Methods(place, {name: next(ended) for name, step in steps.items() if isinstance(step, list)})


def test_versions_of_a_method_never_share_a_record(methods: Methods) -> None:
    for name, replaced in (("first", False), ("edited", True), ("other file", True)):
        session = methods.sessions[name]
        assert (session.status, session.count("passed")) == (0, 1), session.output
        said = f"replaced the record of {CONSTANT}: other the method's file"
        assert (said in session.output) == replaced
    (record,) = store.read(methods.folder / "named")
    assert (
        record.method_source
        == hashlib.blake2b((methods.folder / "other.py").read_bytes() + b"\x1e", digest_size=16).hexdigest()
    ), "the last file's"


def test_a_failed_case_is_recorded_shown_and_run_again(methods: Methods) -> None:
    failing = methods.sessions["failing"]
    assert (failing.status, failing.count("failed"), failing.count("passed")) == (1, 1, 1), failing.output
    board = failing.output.split(" leaderboard ")[1]
    assert "Constant filling" in board
    assert "ValueError: lost in round 2" in board.split("short test summary")[0]
    mended = methods.sessions["mended"]
    assert (mended.status, mended.count("passed"), mended.count("skipped")) == (0, 1, 1), mended.output
    assert "lost in round 2" not in mended.output
    assert "replaced the record" not in mended.output, "a failed record is no loss"
    assert check_whole(methods.folder / "failed") == {CONSTANT, CONSTANT.replace("constant", "zero")}


def test_a_result_that_cannot_be_written_is_at_least_told(methods: Methods) -> None:
    session = methods.sessions["vandal"]
    assert (session.status, session.count("failed")) == (1, 1)
    assert re.search(
        rf"{methods.folder}/lost: the record of {CONSTANT} \(macro AUC \d+\.\d\d\) cannot be", session.output
    )
    assert "Traceback" not in session.output
    assert "INTERNALERROR" not in session.output


def test_a_folder_that_cannot_be_made_ends_the_session_before_it_trains(methods: Methods) -> None:
    session = methods.sessions["below a file"]
    assert session.status == 4
    (line,) = session.errors
    assert f"{methods.folder}/file/records: records cannot be written there (Not a directory)" in line


def test_a_run_neither_uses_nor_replaces_the_committed_records(methods: Methods) -> None:
    session = methods.sessions["committed"]
    assert session.status == 4
    (line,) = session.errors
    assert "the committed records let no run be skipped, and no run replaces them; name another folder" in line


@pytest.fixture(scope="module")
def listed(
    after: After, studies: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """Return what `fedfeat list` says in copies of the checkout: what they are about -> case -> state."""
    place = tmp_path_factory.mktemp("copies")
    every = shutil.copytree(after.undisturbed, place / "every")
    shutil.copytree(after.fin, every, dirs_exist_ok=True)
    damaged = shutil.copytree(every, place / "damaged")
    scores = {case: store.scores_path(damaged, case) for case in CASES}
    zero, zero_too, alone, _ = (scores[case] for case in sorted(CASES, reverse=True))
    shutil.copy(alone, zero)
    zero_too.write_bytes(zero_too.read_bytes()[:-50])
    alone.unlink()
    copies = {}
    for name in ("same", "fin", "aggregation"):
        copies[name] = place / name
        for folder in ("fedfeat", "benchmarks"):
            shutil.copytree(CHECKOUT / folder, copies[name] / folder)
        shutil.copy(CHECKOUT / "pyproject.toml", copies[name])
    for path in (
        copies["fin"] / "fedfeat/imputers/fin.py",
        copies["aggregation"] / "fedfeat/federation/aggregation.py",
    ):
        path.write_bytes(path.read_bytes() + b"#")
    shutil.copytree(every, copies["same"] / "leaderboard" / "records")
    options = ["--dataset", "manifest", "--data", studies, "--partition", PARTITION, "--seeds", "0,1"]
    options += ["--methods", "zero,multimodal_only,fin", "-k", "homogeneous and not (fin and seed1)"]
    lines = {
        "same": [copies["same"], *options, "--records", every],
        "committed": [copies["same"], *options],
        "fin": [copies["fin"], *options, "--records", every],
        "aggregation": [copies["aggregation"], *options, "--records", every],
        "damaged": [copies["same"], *options, "--records", damaged],
    }
    ran = subprocess.run(
        [sys.executable, "-c", LISTS, *("|".join(map(str, line)) for line in lines.values())],
        cwd=place,
        env={name: value for name, value in environment.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == f"{[0] * len(lines)}\n", ran.stdout + ran.stderr
    outputs = [(place / f"{number}.txt").read_text() for number in range(len(lines))]
    found = [re.findall(r"^(\w+) +(homogeneous-\S+)", output, re.MULTILINE) for output in outputs]
    return {name: {case: state for state, case in pairs} for name, pairs in zip(lines, found, strict=True)}


FIN = f"homogeneous-{PARTITION}-fin-seed0-manifest"
ALL = CASES | {FIN}


@pytest.mark.parametrize(
    ("about", "others"),
    [
        ("same", {}),
        ("fin", {FIN: "changed"}),
        ("aggregation", dict.fromkeys(ALL, "changed")),
        ("committed", dict.fromkeys(ALL, "missing")),
        ("damaged", dict.fromkeys(sorted(CASES, reverse=True)[:3], "missing")),
    ],
)
def test_exactly_what_changed_runs_again(listed: dict[str, dict[str, str]], about: str, others: dict[str, str]) -> None:
    assert listed[about] == dict.fromkeys(ALL, "done") | others
