"""`fedfeat prepare` on real pictures in the published layouts: it writes what torchvision and BERT would make."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torchvision.transforms.v2.functional import resize
from transformers import BertTokenizer

from fedfeat.cli import main
from fedfeat.data import chexpert, cxr, mimic_cxr, openi, sources
from fedfeat.data.disk import layout
from fedfeat.data.prepare import prepare
from fedfeat.data.reports import EMBEDDED_VOCABULARY, clean, tokenizer
from fedfeat.data.studies import StudyTable
from fedfeat.errors import FedfeatError

SOURCES = ("mimic_cxr", "chexpert", "openi")
Call = Fails = Callable[..., str]  # of the words of a command line: what it prints, and what it complains of


@pytest.fixture(scope="module")
def prepared(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three collections at 224 pixels, with the embedded vocabulary."""
    to = tmp_path_factory.mktemp("prepared")
    for source in SOURCES:
        assert main(["prepare", source, str(to), *published.options(source), "--from-scratch"]) == 0
    return to


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def root_of(published: Any, source: str) -> Path:
    return Path(published.options(source)[1])


@pytest.mark.parametrize("source", SOURCES)
def test_pictures_are_torchvisions(source: str, prepared: Path, published: Any) -> None:
    table = sources.load(source, prepared)
    assert len(table) > 160 and table.stored is not None
    rows = np.arange(0, len(table), 7)
    pictures = table.stored.pictures[rows]
    for picture, key in zip(pictures, table.rows["image"].iloc[rows], strict=True):
        with Image.open(root_of(published, source) / key) as opened:
            theirs = resize(opened.convert("L"), [224, 224])
        np.testing.assert_array_equal(picture, np.asarray(theirs))


@pytest.mark.parametrize("source", ["mimic_cxr", "openi"])
def test_token_ids_are_berts(source: str, prepared: Path, tmp_path: Path) -> None:
    table = sources.load(source, prepared)
    (tmp_path / "vocab.txt").write_text(EMBEDDED_VOCABULARY.read_text())
    theirs = BertTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    found = theirs(
        [clean(report) for report in table.rows["report"]], padding="max_length", truncation=True, max_length=128
    )["input_ids"]
    assert table.stored is not None and table.stored.tokens is not None
    np.testing.assert_array_equal(table.stored.tokens, found)


@pytest.mark.parametrize("source", SOURCES)
def test_a_prepared_table_is_the_table_read_from_the_folders(source: str, prepared: Path, published: Any) -> None:
    direct = _direct(source, published)
    table = sources.load(source, prepared)
    pd.testing.assert_frame_equal(table.rows, direct.rows)
    np.testing.assert_array_equal(table.findings, direct.findings)
    assert (table.labels, table.setups, table.no_setup, table.notes) == (
        direct.labels, direct.setups, direct.no_setup, direct.notes,
    )  # fmt: skip
    key = table.rows["image"].iloc[3]
    assert table.read_image(key).size == (224, 224)
    with pytest.raises(FedfeatError, match="no image"):
        table.read_image("nothing.jpg")


def _direct(source: str, published: Any) -> StudyTable:
    if source == "mimic_cxr":
        return mimic_cxr.table(published.mimic_images, published.mimic_reports)
    if source == "chexpert":
        return chexpert.table(published.chexpert)
    return openi.table(published.openi_images, published.openi_reports)


def test_what_cases_read_is_what_they_would_have_decoded(prepared: Path, published: Any, tmp_path: Path) -> None:
    pieces = tokenizer(EMBEDDED_VOCABULARY, 128)
    there = prepare(sources.load("mimic_cxr", prepared), 224, pieces, 128, tmp_path)
    made = prepare(_direct("mimic_cxr", published), 224, pieces, 128, tmp_path)
    rows = np.arange(len(made.table))
    assert isinstance(there.tokens, np.memmap)  # those on the disk, not made again
    for name in ("tokens", "targets", "label_mask"):
        np.testing.assert_array_equal(getattr(there, name), getattr(made, name))
    np.testing.assert_array_equal(there.images[rows], made.images[rows])
    shorter = prepare(sources.load("mimic_cxr", prepared), 224, tokenizer(EMBEDDED_VOCABULARY, 16), 16, tmp_path)
    np.testing.assert_array_equal(
        shorter.tokens, prepare(made.table, 224, tokenizer(EMBEDDED_VOCABULARY, 16), 16, tmp_path).tokens
    )
    with pytest.raises(FedfeatError, match="prepared at 224 pixels, and the preset needs 64"):
        prepare(there.table, 64, pieces, 128, tmp_path)


def test_cxr_is_all_three(prepared: Path) -> None:
    table, parts = sources.load("cxr", prepared), [sources.load(source, prepared) for source in SOURCES]
    assert len(table) == sum(map(len, parts)) and table.stored is not None and table.stored.tokens is not None
    first = 0
    for part in parts:
        rows = np.arange(len(part))
        assert part.stored is not None
        np.testing.assert_array_equal(table.stored.pictures[first + rows], part.stored.pictures[rows])
        here = table.rows.iloc[first : first + len(part)]
        assert here["patient"].tolist() == [f"{part.source}-{patient}" for patient in part.rows["patient"]]
        assert here["report"].tolist() == part.rows["report"].tolist()
        tokens = table.stored.tokens[first : first + len(part)]
        np.testing.assert_array_equal(tokens, 0 if part.stored.tokens is None else part.stored.tokens)
        first += len(part)
    backwards = np.arange(len(table))[::-1]
    np.testing.assert_array_equal(table.stored.pictures[backwards], table.stored.pictures[backwards[::-1]][::-1])
    assert set(table.rows.loc[table.rows["site"] == "openi", "split"]) == {"train"}
    assert [(origin.name, origin.version, origin.credentialed) for origin in table.origins] == [
        ("mimic_cxr", "2.1.0", True), ("chexpert", "1.0, small", True), ("openi", "", False),
    ]  # fmt: skip
    assert sum("NOT the paper's sizes" in note for note in table.notes) == 3
    last = table.stored.pictures[np.array([len(table) - 1])][0]
    np.testing.assert_array_equal(np.asarray(table.read_image(table.rows["image"].iloc[-1])), last)


def test_the_papers_sizes_where_there_are_patients_enough() -> None:
    sites = {"mimic_cxr": 10 * 810 + 1012, "chexpert": 8 * 900, "openi": 2 * 1116}
    rows = pd.DataFrame(
        [(f"{site}-{number}", site, "train") for site, count in sites.items() for number in range(count)],
        columns=["patient", "site", "split"],
    )
    setups, notes = cxr._setups(rows)
    assert not notes
    assert {kind: (pool.site, pool.patients) for kind, pool in setups["heterogeneous"].pools.items()} == {
        "image": ("chexpert", 900), "multimodal": ("openi", 1116),
    }  # fmt: skip
    assert {(pool.site, pool.patients) for pool in setups["homogeneous"].pools.values()} == {("mimic_cxr", 810)}
    assert [setups[name].public_patients for name in setups] == [1012, 1012]
    assert setups["heterogeneous"].partitions == ("8:0:2",)
    one_less, complaints = cxr._setups(rows.iloc[1:])
    assert len(complaints) == 1 and one_less["homogeneous"].pools["text"].patients is None
    assert one_less["heterogeneous"].pools["image"].patients == 900


def test_a_second_call_sees_that_all_is_there(prepared: Path, published: Any, call: Call, fails: Fails) -> None:
    before = snapshot(prepared / "chexpert")
    done = call("prepare", "chexpert", prepared, *published.options("chexpert"), "--from-scratch")
    assert "already prepared and whole" in done
    assert snapshot(prepared / "chexpert") == before
    other = fails("prepare", "chexpert", prepared, "--images", published.root, "--from-scratch")
    assert f"was prepared with images {published.chexpert}, not {published.root}; name another" in other
    bigger = fails("prepare", "chexpert", prepared, *published.options("chexpert"), "--preset", "light")
    assert "was prepared with size 224, not 128; name another folder, or remove this one" in bigger
    assert snapshot(prepared / "chexpert") == before


@pytest.mark.parametrize("name", [layout.ROWS, layout.FINDINGS, layout.IMAGES, layout.TOKENS])
def test_a_changed_file_is_found(name: str, prepared: Path, published: Any, tmp_path: Path, fails: Fails) -> None:
    folder = _copied(prepared / "openi", tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    assert "has changed since" in fails("prepare", "openi", tmp_path, *published.options("openi"), "--from-scratch")
    if name != layout.IMAGES:  # a case looks at the pictures' size alone
        with pytest.raises(FedfeatError, match="has changed since"):
            sources.load("openi", tmp_path)
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(FedfeatError, match="has changed since"):
        sources.load("openi", tmp_path)
    (folder / name).unlink()
    with pytest.raises(FedfeatError, match="cannot be read"):
        sources.load("openi", tmp_path)


def test_another_version_or_half_a_folder_is_refused(
    prepared: Path, published: Any, tmp_path: Path, fails: Fails
) -> None:
    folder = _copied(prepared / "openi", tmp_path)
    about = json.loads((folder / layout.ABOUT).read_text())
    again = ["prepare", "openi", tmp_path, *published.options("openi"), "--from-scratch"]
    for text, words in (
        (json.dumps(about | {"format": 99}), r"prepared by another version of fedfeat \(format 99"),
        ("{", "damaged"),
        (json.dumps(about | {"files": 3}), "damaged"),
        (json.dumps(about | {"notes": 3}), "damaged"),
    ):
        (folder / layout.ABOUT).write_text(text)
        with pytest.raises(FedfeatError, match=words):
            sources.load("openi", tmp_path)
        assert "remove the folder" in fails(*again)
    (folder / layout.ABOUT).unlink()
    with pytest.raises(FedfeatError, match="not whole; remove it"):
        sources.load("openi", tmp_path)
    folder.rename(tmp_path / "openi.part")
    with pytest.raises(FedfeatError, match="only half prepared; give the same"):
        sources.load("openi", tmp_path)
    with pytest.raises(FedfeatError, match="no prepared chexpert here; call `fedfeat prepare chexpert"):
        sources.load("chexpert", tmp_path)
    with pytest.raises(FedfeatError, match="needs --data PATH"):
        sources.load("chexpert")
    with pytest.raises(FedfeatError, match="holds openi, not mimic_cxr"):
        sources.load("mimic_cxr", prepared / "openi")
    with pytest.raises(FedfeatError, match="only half prepared"):
        sources.load("openi", tmp_path / "openi")
    with pytest.raises(FedfeatError, match=f"name the folder that holds all three, {prepared}"):
        sources.load("cxr", prepared / "openi")
    assert len(sources.load("openi", prepared / "openi")) == 209


def _copied(folder: Path, to: Path) -> Path:
    copy = to / folder.name
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


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
    processes: str, prepared: Path, published: Any, tmp_path: Path, slowly: Any, call: Call, fails: Fails
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
    running = slowly(*words, "--processes", "2", stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "to" / "mimic_cxr.part" / "decoded.log").exists():
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, complaints = running.communicate(timeout=60)
    assert running.returncode == 130 and complaints == "fedfeat: stopped\n"


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


def test_missing_and_broken_pictures_are_reported(published: Any, tmp_path: Path, call: Call, fails: Fails) -> None:
    copy = published.copy(tmp_path / "copy")
    whole = _direct("chexpert", copy).rows["image"]
    pictures = [copy.chexpert / key for key in whole[[5, 70, 71, 169]]]
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:100])
    pictures[2].write_bytes(b"no picture")
    _bomb(pictures[3])
    to, words = tmp_path / "to", ["--broken-share", "0.03", "--from-scratch", "--processes", "1"]
    refused = fails("prepare", "chexpert", to, *copy.options("chexpert"), "--from-scratch")
    assert "of 170 images are missing or broken, more than 1.0%" in refused and "no such image" in refused
    left_out = pd.read_csv(to / "chexpert.part" / layout.LEFT_OUT)
    assert len(left_out) >= 2 and left_out["image"].isin(whole).all()
    done = call("prepare", "chexpert", to, *copy.options("chexpert"), *words)
    assert "166 frontal images" in done and "4 images left out, missing or broken" in done
    left_out = pd.read_csv(to / "chexpert" / layout.LEFT_OUT)
    assert left_out["image"].tolist() == whole[[5, 70, 71, 169]].tolist()
    said = ("no such image", "Truncated", "cannot identify", "bomb")
    for reason, words in zip(left_out["reason"], said, strict=True):
        assert words in reason
    table, direct = sources.load("chexpert", to), _direct("chexpert", published)
    kept = np.setdiff1d(np.arange(170), [5, 70, 71, 169])
    assert table.rows["image"].tolist() == whole[kept].tolist() and table.stored is not None
    np.testing.assert_array_equal(table.findings, direct.findings[kept])
    for row in (4, 5, 68, 165):  # rows and pictures still belong together
        with Image.open(published.chexpert / table.rows["image"].iloc[row]) as opened:
            theirs = np.asarray(resize(opened.convert("L"), [224, 224]))
        np.testing.assert_array_equal(table.stored.pictures[np.array([row])][0], theirs)
    assert any("4 frontal images left out: missing or broken" in note for note in table.notes)


def _bomb(path: Path) -> None:
    """Write a PNG of a few kilobytes that says to be 40,000 pixels wide and high."""

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(100_000))) + part(b"IEND", b"")
    )


def test_a_mended_picture_is_decoded_the_next_time(published: Any, tmp_path: Path, call: Call, fails: Fails) -> None:
    copy = published.copy(tmp_path / "copy")
    path = copy.openi_images / _direct("openi", copy).rows["image"][17]
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    words = ["prepare", "openi", tmp_path / "to", *copy.options("openi"), "--from-scratch", "--broken-share", "0"]
    assert path.name in fails(*words)
    path.write_bytes(whole)
    call(*words)
    with Image.open(path) as opened:
        theirs = np.asarray(resize(opened.convert("L"), [224, 224]))
    table = sources.load("openi", tmp_path / "to")
    assert table.stored is not None
    np.testing.assert_array_equal(table.stored.pictures[np.array([17])][0], theirs)


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))  # a write beyond it is refused
from fedfeat.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("limit", [1_000, 20_000, 1_000_000])  # within the tables, and within the pictures
def test_a_disk_that_refuses_loses_nothing(
    limit: int, prepared: Path, published: Any, tmp_path: Path, call: Call
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


def test_a_moved_source_is_gone_on_with(half: Path, prepared: Path, published: Any, call: Call) -> None:
    assert "; 1 decoded in" in call("prepare", "openi", half, *published.options("openi"), "--from-scratch")
    assert snapshot(half / "openi") == snapshot(prepared / "openi")
    assert (half / "openi").stat().st_mode & 0o077 == 0  # patients' reports are in it


@pytest.mark.parametrize("damage", ["gone", "empty", "halved", "zeros"])
@pytest.mark.parametrize("name", ["images.npy", "decoded.log", "begun.json", layout.LEFT_OUT])
def test_a_damaged_unfinished_folder_ends_up_whole(
    name: str, damage: str, half: Path, prepared: Path, published: Any, call: Call
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
    name: str, half: Path, prepared: Path, published: Any, call: Call
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


def test_a_disk_that_cannot_be_read_breaks_no_picture(published: Any, tmp_path: Path, call: Call, fails: Fails) -> None:
    copy = published.copy(tmp_path / "copy")
    path = copy.chexpert / _direct("chexpert", copy).rows["image"][3]
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("/proc/self/mem")  # reading it is an input/output error
    words = ["prepare", "chexpert", tmp_path / "to", *copy.options("chexpert"), "--broken-share", "1"]
    assert "cannot be read (Input/output error)" in fails(*words)
    path.unlink()
    path.write_bytes(content)
    assert "170 frontal images" in call(*words)


def test_missing_reports_and_images_are_counted_against_the_share(
    published: Any, tmp_path: Path, call: Call, fails: Fails
) -> None:
    copy, to = published.copy(tmp_path / "copy"), tmp_path / "to"
    for path in sorted(copy.mimic_reports.rglob("*.txt"))[:5]:
        path.unlink()
    words = ["prepare", "mimic_cxr", to, *copy.options("mimic_cxr"), "--from-scratch"]
    assert "5 of 240 studies' reports are missing, more than 1.0%" in fails(*words)
    assert "5 studies without a report file" in call(*words, "--broken-share", "0.03")
    for path in sorted(copy.openi_images.iterdir())[:30]:
        path.unlink()
    words = ["prepare", "openi", to, *copy.options("openi"), "--from-scratch"]
    assert "frontal images of indiana_projections.csv are missing, more than 1.0%" in fails(*words)
    assert "frontal images left out: the file is not there" in call(*words, "--broken-share", "0.2")


def test_folders_that_are_no_place_to_write_to_are_refused(prepared: Path, published: Any, fails: Fails) -> None:
    options = [*published.options("chexpert"), "--from-scratch"]
    assert "a prepared folder itself" in fails("prepare", "chexpert", prepared / "openi", *options)
    assert "to which nothing is written" in fails("prepare", "chexpert", published.chexpert / "out", *options)
    assert not (published.chexpert / "out").exists()


def test_mistakes_end_in_one_line(published: Any, tmp_path: Path, fails: Fails) -> None:
    images, to = ["--images", published.mimic_images], tmp_path / "to"
    assert "needs --reports DIR" in fails("prepare", "mimic_cxr", to, *images)
    assert "no mimic-cxr-2.0.0-metadata.csv.gz" in fails(
        "prepare", "mimic_cxr", to, "--images", published.chexpert, "--reports", published.root, "--from-scratch"
    )
    assert "no train.csv" in fails("prepare", "chexpert", to, *images, "--from-scratch")
    assert "--reports is not for chexpert" in fails("prepare", "chexpert", to, *images, "--reports", published.root)
    assert "--labels is not for chexpert" in fails(
        "prepare", "chexpert", to, *images, "--labels", published.root / "x.csv"
    )
    assert "--hand-labelled is not for chexpert" in fails("prepare", "chexpert", to, *images, "--hand-labelled")
    assert "padchest: unknown; the collections are mimic_cxr, chexpert, openi" in fails(
        "prepare", "padchest", to, *images
    )
    assert "is no share" in fails("prepare", "chexpert", to, *images, "--broken-share", "2")
    assert "preset 'big' is unknown" in fails("prepare", "chexpert", to, *images, "--preset", "big")
    both = [*images, "--reports", published.mimic_reports]
    assert "no vocabulary can be read" not in fails("prepare", "mimic_cxr", to, *both, "--text-weights", tmp_path)
    assert "cannot be used, since --from-scratch" in fails(
        "prepare", "mimic_cxr", to, *both, "--from-scratch", "--text-weights", tmp_path
    )
    assert not to.exists() or not [path for path in to.iterdir() if not path.name.endswith(".lock")]
    file = tmp_path / "file"
    file.write_text("")
    assert "cannot be written" in fails("prepare", "chexpert", file, "--images", published.chexpert, "--from-scratch")
