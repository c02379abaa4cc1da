"""`fedfeat describe` as a process of its own: on real studies, synthetic ones, and a manifest counted by hand."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fedfeat.cli
from fedfeat.data.reports import clean
from fedfeat.description import pictures
from fedfeat.description.page import BEGINNING

PROJECT = Path(fedfeat.cli.__file__).parents[1]
MANIFEST = """patient_id,image,report,split,label:Edema,label:Fracture
a,a1.png,No edema seen.,train,0,
a,a2.png,,train,1,-1
b,,Edema.,train,1,0
c,c.png,1. Edema. 2. Old fracture,train,1,1
d,d.png,Clear,train,0,0
e,e.png,Edema.,validate,1,0
f,f.png,Clear lungs,validate,0,0
g,g.png,Edema.,test,1,-1
h,h.png,,test,0,1
i,i.png,"No edema, no fracture!",test,0,0
"""
PARTITION = {
    "schema": 1,
    "dataset": "manifest",
    "setup": "homogeneous",
    "partition": "1:1:1",
    "clients": [
        {"kind": "image", "patients": ["a"]},
        {"kind": "text", "patients": ["c"]},
        {"kind": "multimodal", "patients": ["d"]},
    ],
    "public": ["b"],
}
NAMES = sorted(["README.md", *pictures.NAMES.values()])
Describe = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    def run(*arguments: str | Path, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fedfeat", "describe", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            encoding=encoding,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for line in MANIFEST.splitlines()[1:]:
        name = line.split(",")[1]
        if name:
            Image.fromarray(np.full((4, 4), 7, dtype=np.uint8)).save(folder / name)
    (folder / "studies.csv").write_text(MANIFEST)
    return folder / "studies.csv"


def _tables(page: str) -> list[list[list[str]]]:
    """Return the cells of the page's tables, without headings."""
    blocks = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in block[2:]] for block in blocks]


def test_a_manifest_counted_by_hand(describe: Describe, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(PARTITION))
    result = describe("manifest", manifest, "--partition-file", "mine.json", "--uncertain", "ones", "--to", "told")
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "told").iterdir()) == NAMES
    page = (tmp_path / "told" / "README.md").read_text(encoding="utf-8")
    printed, _, last = result.stdout.rstrip("\n").rpartition("\n")
    assert last == "told/README.md: written, with clients.png, labels.png, reports.png"
    shown = [block for block in page.split("\n\n") if not block.startswith("![")]
    assert printed.rstrip("\n") == "\n\n".join(shown).rstrip("\n")
    assert all(f"]({name})" in page for name in pictures.NAMES.values())
    assert "10 rows of 9 patients, 2 labels. An uncertain label counts as present, a blank one as unknown." in page
    rows, raw, counted, reports, clients, positives = _tables(page)
    assert rows == [
        ["train", "manifest", "4", "5", "4", "4", "3"],
        ["validate", "manifest", "2", "2", "2", "2", "2"],
        ["test", "manifest", "3", "3", "3", "2", "2"],
        ["all", "manifest", "9", "10", "9", "8", "7"],
    ]
    assert raw == [
        ["Edema", "3 / 2 / 0 / 0", "1 / 1 / 0 / 0", "1 / 2 / 0 / 0", "5 / 5 / 0 / 0"],
        ["Fracture", "1 / 2 / 1 / 1", "0 / 2 / 0 / 0", "1 / 1 / 1 / 0", "2 / 5 / 2 / 1"],
    ]
    assert counted == [
        ["Edema", "60.0% of 5", "50.0% of 2", "33.3% of 3", "50.0% of 10", "1 of 2", "1 of 2"],
        ["Fracture", "50.0% of 4", "0.0% of 2", "66.7% of 3", "44.4% of 9", "no: no positive", "1 of 2"],
    ]
    assert [row[:9] for row in reports] == [
        ["train", "4", "20.0%", "1", "1", "2", "3", "3", "3"],
        ["validate", "2", "0.0%", "1", "1.2", "1.5", "1.8", "1.9", "2"],
        ["test", "2", "33.3%", "1", "1.8", "2.5", "3.2", "3.8", "4"],
        ["all", "8", "20.0%", "1", "1", "1.5", "3", "3.6", "4"],
    ]
    assert [row[-2:] for row in reports] == [["25.0%", "-"], ["50.0%", "50.0%"], ["50.0%", "50.0%"], ["37.5%", "-"]]
    assert clients == [
        ["0", "image", "1", "2", "2", "2", "0", "0"],
        ["1", "text", "1", "1", "1", "0", "1", "0"],
        ["2", "multimodal", "1", "1", "1", "1", "1", "1"],
        ["public", "-", "1", "1", "0", "0", "0", "0"],
    ]
    assert positives == [["Edema", "1/2", "1/1", "0/1", "0/0"], ["Fracture", "1/1", "1/1", "0/1", "0/0"]]
    assert "- the public set has no row with image and report" in page


def test_real_studies(describe: Describe, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "covid_cxr" / "manifest.csv"
    result = describe("manifest", path)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(found.name for found in (tmp_path / "description").iterdir()) == NAMES
    frame = pd.read_csv(path)
    rows, raw, _, reports, clients, positives = _tables(result.stdout)
    assert rows[-1][2:] == [f"{frame['patient_id'].nunique()}", *[f"{len(frame)}"] * 4]
    for name, *_, every in raw:
        values = frame[f"label:{name}"]
        assert every == " / ".join(map(str, [(values == 1).sum(), (values == 0).sum(), 0, values.isna().sum()]))
    assert len(clients) == 11 and sum(int(client[3]) for client in clients) == int(rows[0][3])
    assert len(positives) == len(raw) == 11
    assert int(reports[-1][8]) == max(len(clean(report).split()) for report in frame["report"])
    assert "Real studies" in result.stdout
    for name in pictures.NAMES.values():
        with Image.open(tmp_path / "description" / name) as picture:
            assert picture.info["Title"] == name
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20, "something is drawn"


def test_synthetic_studies_are_called_so(describe: Describe, tmp_path: Path) -> None:
    result = describe("phantom", "--setup", "heterogeneous", "--seed", "1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "**Synthetic**: 3,399 rows" in result.stdout
    assert "heterogeneous 8:0:2, seed 1." in result.stdout
    rows, *_, clients, _ = _tables(result.stdout)
    assert {row[1] for row in rows} == {"mimic-like", "chexpert-like", "openi-like", "all"}
    assert [client[1] for client in clients].count("image") == 8
    assert {client[2] for client in clients if client[1] == "image"} == {"67"}
    first = {path.name: path.read_bytes() for path in (tmp_path / "description").iterdir()}
    assert describe("phantom", "--setup", "heterogeneous", "--seed", "1").returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "description").iterdir()} == first


def test_why_there_are_no_clients_is_said_and_the_rest_stands(
    describe: Describe, manifest: Path, tmp_path: Path
) -> None:
    drawn = describe("manifest", manifest, "--partition", "1:0:1")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert (tmp_path / "description" / "clients.png").exists()
    few = describe("manifest", manifest, "--partition", "8:0:2")
    assert (few.returncode, few.stderr) == (0, "")
    assert "No clients' table: partition 8:0:2: 10 clients and the public set need 12 training patients" in few.stdout
    assert not (tmp_path / "description" / "clients.png").exists(), "it belonged to another description"
    other = describe("manifest", manifest, "--setup", "heterogeneous")
    assert other.returncode == 0
    assert "No clients' table: a manifest is one source" in other.stdout
    assert _tables(other.stdout)[0] == _tables(drawn.stdout)[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mnist"], "data set 'mnist' is unknown; the known ones are"),
        (["phantom", "studies.csv"], "studies.csv: the data set phantom is embedded and takes no PATH"),
        (
            ["manifest"],
            "the data set manifest needs PATH, the CSV of your images and reports: `fedfeat describe manifest PATH`",
        ),
        (["manifest", "absent.csv"], "absent.csv: the manifest cannot be read"),
        (["manifest", "data/studies.csv", "--uncertain", "maybe"], "--uncertain maybe: unknown"),
        (["manifest", "data/studies.csv", "--setup", "mixed"], "setup 'mixed' is unknown"),
        (["manifest", "data/studies.csv", "--partition", "8:2"], "partition '8:2' is not I:T:M"),
        (["manifest", "data/studies.csv", "--seed=-1"], "seed -1 is negative"),
        (["manifest", "data/studies.csv", "--partition-file", "no.json"], "no.json: the partition cannot be read"),
        (["phantom", "--partition-file", "mine.json"], "mine.json: a partition of the data set manifest, not of"),
        (
            ["manifest", "data/studies.csv", "--partition-file", "mine.json", "--partition", "8:0:2"],
            "--partition 8:0:2: mine.json has partition 1:1:1; leave one of the options out",
        ),
        (
            ["manifest", "data/studies.csv", "--partition-file", "mine.json", "--seed", "3"],
            "--seed 3: mine.json has no seed",
        ),
        (["manifest", "data/studies.csv", "--to", "mine.json/there"], "mine.json/there: nothing can be written there"),
        (
            ["manifest", "data/studies.csv", "--partition-file", "other.json"],
            "other.json: the data set manifest has no patient 'z'",
        ),
        (["manifest", "data/studies.csv", "--to", "own"], "own/README.md: not a file that `fedfeat describe` wrote"),
        (["manifest", "data/studies.csv", "--to", "pictures"], "pictures/labels.png: not a file that"),
    ],
)
def test_a_mistake_ends_in_one_line_and_writes_nothing(
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text(json.dumps(PARTITION))
    (tmp_path / "other.json").write_text(json.dumps(PARTITION | {"public": ["z"]}))
    for name in ("own/README.md", "pictures/labels.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert fedfeat.cli.main(["describe", *arguments]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and line.startswith("fedfeat: ") and says in line
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "own" / "README.md").read_text() == "mine"


def test_a_mistake_ends_the_process_in_one_line(describe: Describe, tmp_path: Path) -> None:
    result = describe("phantom", "studies.csv")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("fedfeat: studies.csv: the data set phantom is embedded and takes no PATH")
    assert not any(tmp_path.iterdir())


def test_any_names_can_be_told(describe: Describe, manifest: Path, tmp_path: Path) -> None:
    text = manifest.read_text().replace("label:Edema", "label:\N{CJK UNIFIED IDEOGRAPH-80BA} $x^{$ *|<b>" + "y" * 50)
    manifest.write_text(text, encoding="utf-8")
    result = describe("manifest", manifest, "--partition", "1:0:1", encoding="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert r"\u80ba $x^{$ \*\|\<b>y" in result.stdout
    page = (tmp_path / "description" / "README.md").read_text(encoding="utf-8")
    assert page.startswith(BEGINNING) and "\N{CJK UNIFIED IDEOGRAPH-80BA}" in page
