"""`fedfeat prepare` killed, stopped, refused by the disk: the folder ends up byte for byte as without."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedfeat.data import sources
from fedfeat.data.disk import layout

Call = Fails = Callable[..., str]  # of the words of a command line: what it prints, and what it complains of
Snapshot = Callable[[Path], dict[str, bytes]]


# Read by every Python that starts with its folder on the path, the processes that decode too: a picture takes its time,
# so that what is killed in the middle is killed there, and not by luck.
SLOW = """
import time
from fedfeat.data import folders
from fedfeat.data.disk import decoding
decoding.CHUNK, decoding._SYNC_EVERY = 8, 0.05
quick = folders.Reader.__call__
def slow(self, key):
    time.sleep(0.05)
    return quick(self, key)
folders.Reader.__call__ = slow
"""


@pytest.fixture
def slowly(tmp_path: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    """Start `fedfeat` where a picture takes a twentieth of a second."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW)

    def start(*words: str, **options: Any) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "fedfeat", *words]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, **quiet | options)

    return start


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_killed_call_goes_on_where_it_was(
    processes: str,
    prepared: Path,
    published: Any,
    tmp_path: Path,
    slowly: Any,
    call: Call,
    fails: Fails,
    snapshot: Snapshot,
) -> None:
    to = tmp_path / "to"
    words = ["prepare", "mimic_cxr", str(to), *published.options("mimic_cxr"), "--from-scratch"]
    log = to / "mimic_cxr.part" / "decoded.log"
    running = slowly(*words, "--processes", processes)
    deadline = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    with log.open("ab") as file:
        file.write(b"[1, 2")  # as a line that a power cut tore
    done = sum(len(json.loads(line)) for line in log.read_bytes().split(b"\n")[:-1])
    assert 0 < done < 240 and not (to / "mimic_cxr").exists()
    assert "begun with hand-labelled no, not yes;" in fails(*words, "--hand-labelled")
    assert f"{240 - done} decoded" in call(*words)
    assert snapshot(to / "mimic_cxr") == snapshot(prepared / "mimic_cxr")
    assert not (to / "mimic_cxr.part").exists()


def test_a_killed_call_leaves_no_process_behind(published: Any, tmp_path: Path, slowly: Any) -> None:
    words = ["prepare", "mimic_cxr", str(tmp_path / "to"), *published.options("mimic_cxr"), "--from-scratch"]
    running = slowly(*words, "--processes", "2")
    deadline = time.monotonic() + 60
    while len(_children(running.pid)) < 3:  # two that decode, and one that multiprocessing keeps
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.01)
    children = _children(running.pid)
    running.kill()
    running.wait()
    while any(map(_runs, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1] != "Z"
    except OSError:
        return False


def test_control_c_ends_in_one_line(published: Any, tmp_path: Path, slowly: Any) -> None:
    words = ["prepare", "mimic_cxr", str(tmp_path / "to"), *published.options("mimic_cxr"), "--from-scratch"]
    options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True, "preexec_fn": _heed_control_c}
    running = slowly(*words, "--processes", "2", **options)
    deadline = time.monotonic() + 60
    while not (tmp_path / "to" / "mimic_cxr.part" / "decoded.log").exists():
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, complaints = running.communicate(timeout=60)
    assert running.returncode == 130 and complaints == "fedfeat: stopped\n"


def _heed_control_c() -> None:
    """What a shell starts in the background, these tests too, ignores it, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_two_calls_at_once_are_refused(published: Any, tmp_path: Path, slowly: Any, fails: Fails) -> None:
    to = tmp_path / "to"
    words = ["prepare", "mimic_cxr", str(to), *published.options("mimic_cxr"), "--from-scratch"]
    running = slowly(*words, "--processes", "1")
    try:
        deadline = time.monotonic() + 60
        while not (to / "mimic_cxr.part" / "images.npy").exists():
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.01)
        assert "another `fedfeat prepare mimic_cxr` is at work" in fails(*words)
    finally:
        running.kill()
        running.wait()


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))  # a write beyond it is refused
from fedfeat.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("limit", [1_000, 20_000, 1_000_000])  # within the tables, and within the pictures
def test_a_disk_that_refuses_loses_nothing(
    limit: int, prepared: Path, published: Any, tmp_path: Path, call: Call, snapshot: Snapshot
) -> None:
    words = ["prepare", "mimic_cxr", str(tmp_path), *published.options("mimic_cxr"), "--from-scratch"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(limit), *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "cannot be written (File too large)" in done.stderr
    assert not (tmp_path / "mimic_cxr").exists()
    call(*words)
    assert snapshot(tmp_path / "mimic_cxr") == snapshot(prepared / "mimic_cxr")


@pytest.fixture
def half(prepared: Path, published: Any, tmp_path: Path, fails: Fails) -> Path:
    """A folder whose preparation stopped at the last picture; its source lay elsewhere, as disks do."""
    elsewhere, to = published.copy(tmp_path / "elsewhere"), tmp_path / "to"
    last = elsewhere.openi_images / sources.load("openi", prepared).rows["image"].iloc[-1]
    last.write_bytes(b"")
    words = ["prepare", "openi", to, *elsewhere.options("openi"), "--from-scratch", "--broken-share", "0"]
    assert "at least 1 of 209 images" in fails(*words, "--processes", "1")
    return to


def test_what_another_version_began_is_refused(half: Path, published: Any, fails: Fails) -> None:
    path = half / "openi.part" / "begun.json"
    begun = json.loads(path.read_text())
    path.write_text(json.dumps({"format": 99, "pictures": begun["pictures"], "request": {"unheard": "of"}}))
    words = ["prepare", "openi", half, *published.options("openi"), "--from-scratch"]
    assert "begun by another version of fedfeat; remove the folder" in fails(*words)
    assert (half / "openi.part" / "decoded.log").stat().st_size


def test_a_moved_source_is_gone_on_with(
    half: Path, prepared: Path, published: Any, call: Call, snapshot: Snapshot
) -> None:
    assert "; 1 decoded in" in call("prepare", "openi", half, *published.options("openi"), "--from-scratch")
    assert snapshot(half / "openi") == snapshot(prepared / "openi")
    assert (half / "openi").stat().st_mode & 0o077 == 0  # patients' reports are in it


@pytest.mark.parametrize("damage", ["gone", "empty", "halved", "zeros"])
@pytest.mark.parametrize("name", ["images.npy", "decoded.log", "begun.json", layout.LEFT_OUT])
def test_a_damaged_unfinished_folder_ends_up_whole(
    name: str, damage: str, half: Path, prepared: Path, published: Any, call: Call, snapshot: Snapshot
) -> None:
    path = half / "openi.part" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "halved": content[: len(content) // 2], "zeros": bytes(len(content))}[damage])
    call("prepare", "openi", half, *published.options("openi"), "--from-scratch")
    assert snapshot(half / "openi") == snapshot(prepared / "openi")


@pytest.mark.parametrize("name", [layout.ABOUT, layout.ROWS, layout.TOKENS])
def test_a_kill_while_the_last_files_are_written_loses_nothing(
    name: str, half: Path, prepared: Path, published: Any, call: Call, snapshot: Snapshot
) -> None:
    (half / "openi.part" / name).write_bytes(b"torn")
    call("prepare", "openi", half, *published.options("openi"), "--from-scratch")
    assert snapshot(half / "openi") == snapshot(prepared / "openi")


def test_what_came_since_is_read(half: Path, published: Any, tmp_path: Path, call: Call) -> None:
    """The source grew while the preparation stood still: its pictures begin anew, and no row gets another's."""
    grown = published.copy(tmp_path / "grown")
    old, new = grown.openi_images / "CXR2_IM-0002-1001.png", grown.openi_images / "CXR1_1_IM-0001-1001.png"
    new.write_bytes(old.read_bytes())
    (grown.openi_reports / "1.xml").write_text((grown.openi_reports / "2.xml").read_text().replace("CXR2", "CXR1"))
    with (grown.openi_images.parent / "indiana_projections.csv").open("a") as file:
        file.write("1,1_IM-0001-1001.dcm.png,Frontal\n")
    assert "210 decoded" in call("prepare", "openi", half, *grown.options("openi"), "--from-scratch")
    table = sources.load("openi", half)
    assert table.stored is not None
    first, second = table.stored.pictures[np.array([0, 1])]
    assert table.rows["patient"].tolist()[:2] == ["1", "2"]
    np.testing.assert_array_equal(first, second)


def test_a_disk_that_cannot_be_read_breaks_no_picture(
    prepared: Path, published: Any, tmp_path: Path, call: Call, fails: Fails
) -> None:
    copy = published.copy(tmp_path / "copy")
    path = copy.chexpert / sources.load("chexpert", prepared).rows["image"][3]
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("/proc/self/mem")  # reading it is an input/output error
    words = ["prepare", "chexpert", tmp_path / "to", *copy.options("chexpert"), "--broken-share", "1"]
    assert "cannot be read (Input/output error)" in fails(*words)
    path.unlink()
    path.write_bytes(content)
    assert "170 frontal images" in call(*words)
