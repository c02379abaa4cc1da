"""What the pages say about the code is so: fields, files, examples."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fedfeat.data import partition_file
from fedfeat.presets import Preset
from fedfeat.results.record import Record

CHECKOUT = Path(__file__).parents[1]
RUN = (CHECKOUT / "docs" / "how-a-run-works.md").read_text(encoding="utf-8")
RECORD = (CHECKOUT / "docs" / "record.md").read_text(encoding="utf-8")
PARTITION = (CHECKOUT / "docs" / "partition-files.md").read_text(encoding="utf-8")


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_the_page_of_the_record_has_its_fields_and_no_others() -> None:
    documented = re.findall(r"^\| `([^`]+)` \| \S", RECORD, re.MULTILINE)
    assert documented == [field.name for field in dataclasses.fields(Record)]
    assert len(re.findall(r"^\| (?!field|---)", RECORD, re.MULTILINE)) == len(documented), "no row names no field"


def test_the_page_of_the_record_tells_all_of_a_configuration() -> None:
    (row,) = re.findall(r"^\| `configuration` \| (.*)$", RECORD, re.MULTILINE)
    parts = [field.name for field in dataclasses.fields(Preset)] + ["uncertain", "blank"]
    assert [name for name in parts if f"`{name}`" not in row] == []


def test_the_page_of_partition_files_has_their_names_and_no_others() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PARTITION, re.MULTILINE)
    named = {name: "(optional)" in row for row in rows for name in re.findall(r"`(\w+)`", row)}
    optional = dict.fromkeys(partition_file.OPTIONAL, True)
    assert named == dict.fromkeys(partition_file.REQUIRED, False) | optional


def test_the_example_is_part_of_a_record() -> None:
    (example,) = (json.loads(block) for block in _blocks(RECORD, "json"))
    blank = Record(
        case_id="a",
        key="k",
        method="a",
        title="A",
        setup="homogeneous",
        partition="8:0:2",
        seed=0,
        dataset="phantom",
        synthetic=True,
        preset="phantom",
        status="passed",
        date="2001-01-01T00:00:00Z",
    )
    whole = json.loads(blank.to_json()) | example
    record = Record.from_json(json.dumps(whole), Path("docs/record.md"))
    assert record.case_id == example["case_id"]
    names = [field.name for field in dataclasses.fields(Record)]
    assert list(example) == sorted(example, key=names.index), "its fields stand in a record's order"
    for name in (*example["history"][0], *example["clients"][0], *example["macs"], *example["parameters"]):
        assert f"`{name}`" in RECORD, "a part of a field that the tables do not tell"


def test_the_code_of_the_record_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    (code,) = _blocks(RECORD, "python")
    names: dict[str, object] = {}
    exec(code, names)
    scores, test = names["scores"], names["test"]
    assert isinstance(scores, np.ndarray)
    assert scores.shape == test.labels.shape  # type: ignore[attr-defined]


def test_the_arrays_of_the_sidecars_are_those_of_the_files() -> None:
    sidecars = RECORD.split("## Sidecars")[1]
    folder = CHECKOUT / "leaderboard" / "records"
    for path in (next(folder.glob("*.scores.npz")), next(folder.glob("test-*.npz"))):
        with np.load(path, allow_pickle=False) as content:
            assert all(f"`{name}`" in sidecars for name in content.files)


@pytest.mark.parametrize("page", [RUN, RECORD], ids=["run", "record"])
def test_files_that_a_page_names_are_there(page: str) -> None:
    (drawing,) = _blocks(RUN, "mermaid")
    named = set(re.findall(r"\b((?:fedfeat|benchmarks)/[a-z0-9_/]+(?:\.py)?)", page))
    named |= {f"fedfeat/{name}" for name in re.findall(r"\b([a-z0-9_]+(?:/[a-z0-9_]+)*\.py)", drawing)}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (CHECKOUT / name).exists()] == []


def test_every_module_of_the_rounds_is_on_the_page_of_a_run() -> None:
    modules = {path.name for path in (CHECKOUT / "fedfeat" / "federation").glob("[a-z]*.py")}
    assert {name for name in modules if name not in RUN} == set()
