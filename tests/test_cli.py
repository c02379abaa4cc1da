"""The command `fedfeat`: as a process of its own in a repository of its own, and its rarer paths in this process."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedfeat.cli
from fedfeat import files
from fedfeat.errors import FedfeatError
from fedfeat.results import publish, store
from fedfeat.results.record import Record

PROJECT = Path(fedfeat.cli.__file__).parents[1]
PICTURE = PROJECT / "docs" / "phantom" / "mimic-like.png"
LABELS = store.TestSet(
    rows=np.array(["r0", "r1"]),
    patients=np.array(["p0", "p1"]),
    labels=np.array([[0], [1]], dtype=np.uint8),
    known=np.ones((2, 1), dtype=np.bool_),
    names=("Edema",),
)


def _enormous(png: bytes) -> bytes:
    """Return the picture with a header that says 20,000 by 20,000 pixels."""
    head = b"IHDR" + struct.pack(">II", 20_000, 20_000) + png[24:29]
    return png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]


def _record(case_id: str = "zero:seed0", **others: Any) -> Record:
    content: dict[str, Any] = {
        "case_id": case_id,
        "key": "k",
        "method": case_id.split(":")[0],
        "title": case_id,
        "setup": "homogeneous",
        "partition": "8:0:2",
        "seed": 0,
        "dataset": "phantom",
        "synthetic": True,
        "preset": "phantom",
        "status": "passed",
        "macro_auc": 0.5,
        "test_set": LABELS.digest(),
        "commit": "c0ffee",
        "dirty": False,
        "date": "2001-01-01T00:00:00Z",
    }
    return Record(**content | others)


def _store(folder: Path, record: Record) -> None:
    store.write(folder, record, np.zeros((2, 1)) if record.status == "passed" else None, LABELS)


def _failed(case_id: str) -> Record:
    return _record(case_id, status="failed", error="out of\nmemory", macro_auc=None)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("runs/\n")
    return tmp_path


def _process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fedfeat", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _to_commit(repository: Path) -> set[str]:
    """Return the paths that git would commit."""
    command = ["git", "status", "--porcelain", "-uall"]
    status = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return {line[3:] for line in status.stdout.splitlines()}


def test_publish_copies_passed_records(repository: Path) -> None:
    _store(repository / "runs", _record())
    _store(repository / "runs", _failed("fin:seed0"))
    result = _process(repository, "publish")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "skipped fin:seed0: failed: out of memory",
        "published zero:seed0",
        "leaderboard/README.md: 1 record published, 1 on the board",
    ]
    names = {"README.md", "records/zero.seed0.json", "records/zero.seed0.scores.npz"}
    names |= {f"records/test-{LABELS.digest()}.npz", "figures/curves-phantom-phantom-homogeneous-8.0.2.png"}
    assert set(_files(repository / "leaderboard")) == names
    assert _to_commit(repository) == {".gitignore", *(f"leaderboard/{name}" for name in names)}


def test_publish_refuses_what_no_clean_tree_made(repository: Path) -> None:
    _store(repository / "runs", _record(macro_auc=0.75))
    _store(repository / "runs", _record("fin:seed0", dirty=True))
    result = _process(repository, "publish")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("fedfeat: runs: nothing published")
    assert "fin:seed0" in line
    assert "zero:seed0" not in line
    assert "commit your changes" in line
    assert not (repository / "leaderboard").exists()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_earlier_published_records_stay(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _store(here / "runs", _record())
    assert fedfeat.cli.main(["publish"]) == 0
    _store(here / "other", _record("uniform:seed0"))
    assert fedfeat.cli.main(["publish", "--records", "other", "--to", "leaderboard"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "leaderboard/README.md: 1 record published, 2 on the board"
    published = store.read(here / "leaderboard" / "records")
    assert published == [_record("uniform:seed0"), _record()]
    board = (here / "leaderboard" / "README.md").read_text(encoding="utf-8")
    assert board == publish.board_of(published)


@pytest.mark.parametrize("state", [{"dirty": True}, {"dirty": None}, {"commit": None}])
def test_one_unclean_record_stops_all(here: Path, capsys: pytest.CaptureFixture[str], state: dict[str, Any]) -> None:
    _store(here / "runs", _record())
    assert fedfeat.cli.main(["publish"]) == 0
    before = _files(here / "leaderboard")
    _store(here / "runs", _record(macro_auc=0.75))
    _store(here / "runs", _record("fin:seed0", **state))
    assert fedfeat.cli.main(["publish"]) == 2
    assert "fin:seed0" in capsys.readouterr().err
    assert _files(here / "leaderboard") == before


@pytest.mark.parametrize("name", ["fin.seed0.scores.npz", "fin.seed0.json", f"test-{LABELS.digest()}.npz"])
def test_a_damaged_file_stops_all(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    _store(here / "runs", _record())
    _store(here / "runs", _record("fin:seed0"))
    (here / "runs" / name).write_bytes(b"{")
    assert fedfeat.cli.main(["publish"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert not (here / "leaderboard").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"macro_auc": 0.5', '"macro_auc": NaN', "not a readable record (NaN is no JSON)"),
        ('"macro_auc": 0.5', '"macro_auc": 1e999', "not a readable record (Out of range float values"),
        ('"title": "fin:seed0"', r'"title": "\ud800"', "not a readable record ('utf-8' codec"),
        (f'"test_set": "{LABELS.digest()}"', '"test_set": "../other"', "test set '../other': only letters"),
        ('"seed": 0', '"seed": "first"', 'field seed cannot hold "first"'),
        ('"title"', '"name"', "missing field title"),
        ('"schema": 1', '"schema": 9', "schema is 9, this version reads schema 1"),
        (
            '"case_id": "fin:seed0"',
            '"case_id": "fin:seed1"',
            "holds the case fin:seed1, which belongs into another file",
        ),
    ],
)
def test_a_record_that_is_none_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    _store(here / "runs", _record())
    _store(here / "runs", _record("fin:seed0"))
    path = here / "runs" / "fin.seed0.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert fedfeat.cli.main(["publish"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fedfeat: runs/fin.seed0.json: ")
    assert says in line
    assert not (here / "leaderboard").exists()


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"of": "something else"}'])
def test_another_json_file_is_named(here: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    _store(here / "runs", _record())
    (here / "runs" / "notes.json").write_text(content)
    assert fedfeat.cli.main(["publish"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fedfeat: runs/notes.json: ")
    assert not (here / "leaderboard").exists()


def test_sidecars_that_do_not_fit_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _store(here / "runs", _record())
    scores, labels = here / "runs" / "zero.seed0.scores.npz", here / "runs" / f"test-{LABELS.digest()}.npz"
    whole = labels.read_bytes()
    np.savez_compressed(scores, scores=np.zeros((9, 1)), key=np.array("k"))
    assert fedfeat.cli.main(["publish"]) == 2
    assert f"runs/{scores.name}: of another shape than its test set" in capsys.readouterr().err
    _store(here / "runs", _record())
    with np.load(labels) as content:
        np.savez_compressed(labels, **{**content, "patients": np.array(["p0"])})
    assert fedfeat.cli.main(["publish"]) == 2
    assert f"runs/{labels.name}: damaged" in capsys.readouterr().err
    assert not (here / "leaderboard").exists()
    _store(here / "runs", _record())  # the next run mends it
    assert labels.read_bytes() == whole
    assert fedfeat.cli.main(["publish"]) == 0


def test_a_newer_record_without_scores_takes_the_old_ones_away(here: Path) -> None:
    _store(here / "runs", _record())
    assert fedfeat.cli.main(["publish"]) == 0
    store.write(here / "runs", _record(key="k2"))
    assert fedfeat.cli.main(["publish"]) == 0
    assert not list((here / "leaderboard").rglob("*.scores.npz"))


def test_a_picture_of_a_column_that_is_gone_goes_and_nothing_else(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _store(here / "runs", _record())
    _store(here / "runs", _record("fin:seed0", setup="heterogeneous"))
    assert fedfeat.cli.main(["publish"]) == 0
    board, figures = here / "leaderboard", here / "leaderboard" / "figures"
    drawn = {path.name: path.read_bytes() for path in figures.iterdir()}
    gone = {name for name in drawn if "heterogeneous" in name}
    assert gone and gone < drawn.keys()
    whole = drawn[min(gone)]
    others = {
        "my-copy.png": whole,  # under a name of one's own
        "curves-phantom-phantom-homogeneous-0.8.2.png": PICTURE.read_bytes(),  # of a column's name, but drawn elsewhere
        "curves-broken.png": whole[:20],
        "curves-enormous.png": _enormous(whole),
        "notes.txt": b"",
    }
    for name, content in others.items():
        (figures / name).write_bytes(content)
    (figures / "curves-folder.png").mkdir()
    capsys.readouterr()
    (board / "records" / "fin.seed0.json").unlink()
    assert fedfeat.cli.main(["publish", "--records", "leaderboard/records"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert {f"removed leaderboard/figures/{name}: no record needs it any more" for name in gone} < set(said)
    assert {path.name for path in figures.iterdir()} == {*drawn, *others, "curves-folder.png"} - gone
    assert {name: (figures / name).read_bytes() for name in others} == others
    assert fedfeat.cli.main(["publish", "--records", "leaderboard/records"]) == 0
    assert "removed" not in capsys.readouterr().out


def test_a_full_disk_leaves_the_leaderboard_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, to = tmp_path / "runs", tmp_path / "leaderboard"
    _store(runs, _record())
    publish.publish(runs, to)
    before = _files(to)
    _store(runs, _record(macro_auc=0.75))
    write_beside = files._write_beside

    def fail_at_the_board(path: Path, content: bytes) -> Path:
        if path.name == "README.md":
            raise OSError("disk full")
        return write_beside(path, content)

    monkeypatch.setattr(files, "_write_beside", fail_at_the_board)
    assert fedfeat.cli.main(["publish", "--records", str(runs), "--to", str(to)]) == 2
    assert _files(to) == before


def test_publish_refuses_other_rows_under_a_published_hash(tmp_path: Path) -> None:
    runs, to = tmp_path / "runs", tmp_path / "leaderboard"
    _store(runs, _record(test_set="t"))
    publish.publish(runs, to)
    other = store.TestSet(LABELS.rows, LABELS.rows, LABELS.labels, LABELS.known, LABELS.names)
    store.write(tmp_path / "other", _record("fin:seed0", test_set="t"), np.zeros((2, 1)), other)
    with pytest.raises(FedfeatError, match=r"test-t\.npz"):
        publish.publish(tmp_path / "other", to)


def test_without_records_the_way_to_some_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fedfeat.cli.main(["publish"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fedfeat: runs: no records there; run `pytest benchmarks` first")


def test_failed_records_alone_publish_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _store(here / "runs", _failed("fin:seed0"))
    assert fedfeat.cli.main(["publish"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "leaderboard/README.md: 0 records published, 0 on the board"
    assert list(_files(here / "leaderboard")) == ["README.md"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "heterogeneous-8:0:2-zero-seed0", "--records", "leaderboard/records"],
        ["compare", "--records", "leaderboard/records"],
    ],
)
def test_commands_that_only_read_need_neither_torch_nor_matplotlib(arguments: list[str]) -> None:
    """They are heavy: every command would start later for them."""
    code = (
        "import sys, fedfeat.cli\n"
        "assert fedfeat.cli.main(sys.argv[1:]) == 0\n"
        "assert not {'torch', 'matplotlib', 'pandas', 'sklearn', 'pytest'} & sys.modules.keys()"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fedfeat.cli.main([])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        "fedfeat: the following arguments are required: COMMAND; `fedfeat --help` shows the options\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["publish", "--form", "png"], "unrecognized arguments: --form png; `fedfeat publish --help`"),
        (["compare", "--floor", "low"], "argument --floor: invalid float value: 'low'; `fedfeat compare --help`"),
        (["shwo"], "argument COMMAND: invalid choice: 'shwo' (choose from"),
    ],
)
def test_a_mistake_in_the_options_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        fedfeat.cli.main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert line.startswith(f"fedfeat: {says}")


@pytest.mark.parametrize("command", ["publish", "canaries"])
def test_a_readme_that_is_no_board_is_never_replaced(
    here: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    _store(here / "runs", _record())
    (here / "README.md").write_text("# My project\n")
    assert fedfeat.cli.main([command, "--records", "runs", "--to", "."]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fedfeat: README.md: not a board that `fedfeat publish` wrote")
    assert (here / "README.md").read_text() == "# My project\n"
    assert not (here / "records").exists() and not (here / "canaries.json").exists()


@pytest.mark.parametrize("option", ["--to=", "--records="])
def test_a_folder_left_empty_is_not_the_present_one(
    here: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        fedfeat.cli.main(["publish", option])
    assert ended.value.code == 2
    assert f"argument {option[:-1]}: it is left empty; name a folder" in capsys.readouterr().err
