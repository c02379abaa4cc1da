"""The record that a person names: the very one, or a line that says where it was looked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results import store
from fedfeat.results.lookup import lookup
from fedfeat.results.record import Record

MakeRecord = Callable[..., Record]
NODE = "benchmarks/test_table1.py::test_table1[{}]"
IDS = [f"homogeneous-8:0:2-{method}-seed{seed}" for method in ("fin", "zero") for seed in (0, 1)]


@pytest.fixture
def folder(tmp_path: Path, make_record: MakeRecord) -> Path:
    for case_id in IDS:
        store.write(tmp_path, make_record(case_id=case_id, seed=int(case_id[-1])))
    return tmp_path


@pytest.mark.parametrize("case_id", IDS)
def test_every_way_to_name_a_case_finds_it(folder: Path, case_id: str) -> None:
    file = store.record_path(folder, case_id)
    for name in (case_id, NODE.format(case_id), f"test_table1[{case_id}]", str(file), file.stem):
        record, there = lookup(name, folder if not name.endswith(".json") else folder / "elsewhere")
        assert (record.case_id, there) == (case_id, folder)


def test_a_node_id_finds_the_case_on_the_data_and_preset_of_its_session(folder: Path, make_record: MakeRecord) -> None:
    own = "homogeneous-4:0:6-fin-seed0"
    record = make_record(case_id=f"{own}-manifest-preset.paper-layers.2", dataset="manifest", preset="paper")
    store.write(folder, record)
    assert lookup(NODE.format(f"{own}-layers.2"), folder)[0] == record
    with pytest.raises(FedfeatError, match=f"no record of '{own}-layers.2'; closest there: .*{record.case_id}"):
        lookup(f"{own}-layers.2", folder)


def test_a_node_id_of_two_cases_is_refused(folder: Path, make_record: MakeRecord) -> None:
    store.write(folder, make_record(case_id=f"{IDS[0]}-manifest", dataset="manifest"))
    with pytest.raises(FedfeatError, match=f"2 cases there: {IDS[0]}, {IDS[0]}-manifest; name one of them"):
        lookup(NODE.format(IDS[0]), folder)
    assert lookup(IDS[0], folder)[0].case_id == IDS[0], "an id is not ambiguous"


@pytest.mark.parametrize("name", ["homogeneous-8:0:2-fin-seed7", NODE.format("homogeneous-8:0:2-fin-seed7")])
def test_what_is_not_there_is_answered_by_the_place_and_the_closest(folder: Path, name: str) -> None:
    with pytest.raises(FedfeatError) as caught:
        lookup(name, folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}: no record of {name!r}; closest there: ")
    assert set(message.split("there: ")[1].split(", ")[:2]) == set(IDS[:2])


@pytest.mark.parametrize("name", ["", "a b", "../runs/x", "é", "[]", "..", "x/y"])
def test_no_id_at_all(folder: Path, name: str) -> None:
    with pytest.raises(FedfeatError, match="no record of"):
        lookup(name, folder)


def test_empty_and_missing_places_are_named(tmp_path: Path) -> None:
    for name, place, expected in (
        ("fin", tmp_path, "no record at all is there; run `pytest benchmarks` first"),
        ("fin", tmp_path / "nowhere", f"there is no folder {tmp_path / 'nowhere'}"),
        (str(tmp_path / "fin.json"), Path("runs"), f"{tmp_path / 'fin.json'}: no such file"),
    ):
        with pytest.raises(FedfeatError) as caught:
            lookup(name, place)
        assert expected in str(caught.value)


def test_a_damaged_record_is_named_and_another_one_is_no_matter(folder: Path) -> None:
    path = store.record_path(folder, IDS[0])
    path.write_text("{")
    for name in (IDS[0], NODE.format(IDS[0]), str(path)):
        with pytest.raises(FedfeatError, match=f"{path}: not a readable record"):
            lookup(name, folder)
    assert lookup(IDS[1], folder)[0].case_id == IDS[1]
    with pytest.raises(FedfeatError, match="closest there"):
        lookup("nothing", folder)


def test_a_record_under_another_cases_name_is_not_it(folder: Path) -> None:
    store.record_path(folder, IDS[0]).rename(folder / "copy.json")
    with pytest.raises(FedfeatError, match="no record of 'copy'"):
        lookup("copy", folder)
    assert lookup(str(folder / "copy.json"), folder)[0].case_id == IDS[0], "a path is meant as it is"
