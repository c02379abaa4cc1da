"""Partitions that go through a file, and files that are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedfeat.data import partition_file, sources
from fedfeat.data.partition import Client, Partition
from fedfeat.data.partition_file import PartitionFile
from fedfeat.data.studies import Pool, Setup, StudyTable
from fedfeat.errors import FedfeatError

PATIENTS = {"train": 40, "validate": 7, "test": 5}
Content = dict[str, Any]


@pytest.fixture
def exported(make_table: Callable[..., StudyTable], tmp_path: Path) -> PartitionFile:
    return partition_file.drawn(tmp_path / "p.json", make_table(PATIENTS), "random", "homogeneous", "1:1:1", 0)


def write(file: PartitionFile, change: Callable[[Content], Any] = lambda content: None) -> Path:
    content = json.loads(file.to_json())
    change(content)
    file.path.write_text(json.dumps(content), encoding="utf-8")
    return file.path


def test_a_file_gives_back_what_was_drawn(exported: PartitionFile) -> None:
    exported.path.write_text(exported.to_json(), encoding="utf-8")
    assert partition_file.read(exported.path) == exported


@pytest.mark.parametrize("setup", ["homogeneous", "heterogeneous"])
def test_phantoms_own_draws_fit_phantom(tmp_path: Path, setup: str) -> None:
    table = sources.load("phantom")
    file = partition_file.drawn(tmp_path / "p.json", table, "phantom", setup, "8:0:2", 2)
    file.path.write_text(file.to_json())
    again = partition_file.read(file.path)
    partition_file.check(again, table, table.setups[setup])
    assert again.partition == file.partition


def test_an_own_partition_needs_neither_hash_nor_seed_nor_public(
    exported: PartitionFile, make_table: Callable[..., StudyTable]
) -> None:
    def own(content: Content) -> None:
        for name in ("hash", "seed", "public"):
            del content[name]
        content["clients"][0]["patients"].reverse()
        content["clients"][1]["patients"].pop()

    table = make_table(PATIENTS)
    file = partition_file.read(write(exported, own))
    partition_file.check(file, table, table.setups["homogeneous"])
    assert (file.seed, file.partition.public) == (None, ())
    assert file.partition.clients[0] == exported.partition.clients[0], "the order of patients does not matter"
    assert file.partition.digest != exported.partition.digest


def test_a_byte_order_mark_is_no_mistake(exported: PartitionFile) -> None:
    exported.path.write_text(exported.to_json(), encoding="utf-8-sig")
    assert partition_file.read(exported.path) == exported


CLIENTS = (Client(0, "image", ("a", "b")), Client(1, "text", ("c",)))


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (Partition((Client(0, "image", ("b", "a")), CLIENTS[1]), ("d",)), True),
        (Partition((replace(CLIENTS[0], kind="multimodal"), CLIENTS[1]), ("d",)), False),
        (Partition(CLIENTS, ()), False),
        (Partition((Client(0, "image", ("a",)), Client(1, "text", ("b", "c"))), ("d",)), False),
        (Partition((CLIENTS[0], Client(1, "text", ("c", "d"))), ()), False),
        (Partition((replace(CLIENTS[1], number=0), replace(CLIENTS[0], number=1)), ("d",)), False),
    ],
)
def test_a_digest_tells_who_holds_what(other: Partition, equal: bool) -> None:
    assert (other.digest == Partition(CLIENTS, ("d",)).digest) is equal


def _move(content: Content) -> None:
    clients = content["clients"]
    clients[0]["patients"].append(clients[1]["patients"].pop())


def _empty(content: Content) -> None:
    content["clients"][1]["patients"] = []


def _first(content: Content) -> str:
    return str(content["clients"][0]["patients"][0])


REFUSED: dict[str, tuple[Callable[[Content], Any], list[str]]] = {
    "schema": (lambda c: c.update(schema=2), ["schema is 2, and this version reads 1", "fedfeat partition"]),
    "no schema": (lambda c: c.pop("schema"), ["schema is missing"]),
    "lacking": (lambda c: c.pop("clients"), ["lacks clients", "docs/partition-files.md"]),
    "unknown": (lambda c: c.update(colour=1), ["has the unknown colour", "docs/partition-files.md"]),
    "no text": (lambda c: c.update(dataset=3), ["dataset is 3", "in quotes"]),
    "seed": (lambda c: c.update(seed="0"), ['seed is "0"', "leave it out"]),
    "malformed": (lambda c: c.update(partition="1:1"), ["partition '1:1' is not I:T:M"]),
    "counts": (lambda c: c.update(partition="0:2:1"), ["partition is 0:2:1, but its clients are 1:1:1", "correct one"]),
    "no clients": (lambda c: c.update(clients=[]), ["clients is no list of clients"]),
    "no client": (lambda c: c["clients"][1].pop("kind"), ["client 1 is not as it must be", "kind and patients"]),
    "kind": (
        lambda c: c["clients"][2].update(kind="audio"),
        ["client 2 is of kind 'audio'", "image, text, multimodal"],
    ),
    "empty": (_empty, ["client 1 has no patients", "give it some"]),
    "no list": (lambda c: c["clients"][0].update(patients="p"), ["client 0: patients are no list"]),
    "number": (lambda c: c["public"].append(17), ["public: patient 17 is no text", "in quotes"]),
    "edited": (
        _move,
        ["its hash is", "was changed", "replace the hash by that one or leave it out", "fedfeat partition"],
    ),
    "twice": (
        lambda c: c["public"].append(_first(c)),
        ["is held twice (client 0 and public)", "leave it in one place"],
    ),
    "twice in one": (lambda c: c["clients"][0]["patients"].append(_first(c)), ["twice (client 0 and client 0)"]),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_named_in_one_line(exported: PartitionFile, mistake: str) -> None:
    change, texts = REFUSED[mistake]
    with pytest.raises(FedfeatError) as caught:
        partition_file.read(write(exported, change))
    message = str(caught.value)
    for text in (str(exported.path), *texts):
        assert text in message
    assert "\n" not in message


def test_the_hash_that_a_refusal_names_is_accepted(exported: PartitionFile) -> None:
    with pytest.raises(FedfeatError) as caught:
        partition_file.read(write(exported, _move))
    named = str(caught.value).split("what it holds has ")[1].split(":")[0]

    def corrected(content: Content) -> None:
        _move(content)
        content["hash"] = named

    assert partition_file.read(write(exported, corrected)).partition.digest == named


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"3"])
def test_what_is_no_partition_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(FedfeatError, match=rf"{path}: .*fedfeat partition"):
        partition_file.read(path)


def test_no_file_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(FedfeatError, match=r"nowhere\.json: the partition cannot be read \(No such file"):
        partition_file.read(tmp_path / "nowhere.json")


def of(*clients: tuple[str, list[str]], public: tuple[str, ...] = ()) -> PartitionFile:
    held = tuple(Client(number, kind, tuple(patients)) for number, (kind, patients) in enumerate(clients))
    return PartitionFile(Path("own.json"), "random", "homogeneous", "1:0:1", None, Partition(held, public))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            of(("image", [f"x{n}" for n in range(7)]), ("multimodal", ["train-000"])),
            r"the data set random has no patient 'x0', 'x1', 'x2', 'x3', 'x4' and 2 more; remove them",
        ),
        (of(("image", ["test-000"])), r"patient 'test-000' is in the split 'test' of random; only 'train' may be held"),
        (of(("image", ["train-000"]), public=("validate-001",)), r"'validate-001' is in the split 'validate'"),
        (of(("text", ["train-000"])), r"client 0 is of kind 'text', which the homogeneous setup lacks; it has image"),
        (of(("image", ["train-000"]), ("multimodal", ["train-001"])), r"client 1: .* of there, and 'train-001' is not"),
        (of(("image", ["train-000"]), public=("train-002",)), r"public: .* patients of there, and 'train-002' is not"),
    ],
)
def test_a_partition_that_does_not_fit_the_data_is_named(
    make_table: Callable[..., StudyTable], file: PartitionFile, message: str
) -> None:
    setup = Setup({"image": Pool("here", None), "multimodal": Pool("there", None)}, "there")
    with pytest.raises(FedfeatError, match=message) as caught:
        partition_file.check(file, make_table(PATIENTS), setup)
    assert str(caught.value).startswith("own.json: ")
