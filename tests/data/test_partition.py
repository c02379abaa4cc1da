"""Who holds whose studies."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedfeat.data import sources
from fedfeat.data.partition import Client, Counts, Partition, check_disjoint, draw, setup_of
from fedfeat.data.studies import Pool, Setup, StudyTable
from fedfeat.errors import FedfeatError

PATIENTS = {"train": 90, "validate": 5, "test": 5}


def drawn(table: StudyTable, counts: str, seed: int = 0) -> Partition:
    parsed = Counts.parse(counts)
    setup = setup_of(table, "homogeneous", parsed)
    assert isinstance(setup, Setup)
    return draw(table, setup, parsed, seed)


@pytest.mark.parametrize("text", ["8:2", "a:b:c", "8:0:2:1", "", "0:0:0", "-1:0:2", "8 :0:2"])
def test_malformed_counts_are_named(text: str) -> None:
    with pytest.raises(FedfeatError, match="is not I:T:M") as caught:
        Counts.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("counts", "multimodal", "image", "text"),
    [
        ("8:0:2", {3, 5}, {6, 0, 7, 1, 4, 9, 8, 2}, set()),
        ("6:0:4", {3, 5, 6, 0}, {7, 1, 4, 9, 8, 2}, set()),
        ("4:4:2", {3, 5}, {6, 0, 7, 1}, {4, 9, 8, 2}),
        ("0:8:2", {3, 5}, set(), {6, 0, 7, 1, 4, 9, 8, 2}),
    ],
)
def test_roles_follow_the_released_order(counts: str, multimodal: set[int], image: set[int], text: set[int]) -> None:
    kinds = Counts.parse(counts).kinds()
    found = {
        kind: {number for number, its in enumerate(kinds) if its == kind} for kind in ("multimodal", "image", "text")
    }
    assert found == {"multimodal": multimodal, "image": image, "text": text}


@pytest.mark.parametrize("counts", ["3:0:2", "12:3:1"])
def test_other_totals_have_every_client_once(counts: str) -> None:
    parsed = Counts.parse(counts)
    kinds = parsed.kinds()
    assert len(kinds) == parsed.total
    assert [kinds.count(kind) for kind in ("image", "text", "multimodal")] == [
        parsed.image,
        parsed.text,
        parsed.multimodal,
    ]


def test_clients_keep_their_patients_in_every_partition(make_table: Callable[..., StudyTable]) -> None:
    table = make_table(PATIENTS)
    first, second, other_seed = drawn(table, "8:0:2"), drawn(table, "4:4:2"), drawn(table, "8:0:2", seed=1)
    assert [client.patients for client in first.clients] == [client.patients for client in second.clients]
    assert first.public == second.public
    assert first.public != other_seed.public


def test_patients_are_disjoint_and_shares_even(make_table: Callable[..., StudyTable]) -> None:
    table = make_table(PATIENTS)
    partition = drawn(table, "8:0:2")
    held = [patient for client in partition.clients for patient in client.patients] + list(partition.public)
    assert len(held) == len(set(held)) == 90
    assert all(patient.startswith("train") for patient in held)
    assert {len(client.patients) for client in partition.clients} == {8}
    assert len(partition.public) == 10  # 1.25 times 8 patients


def test_fixed_pools_give_each_client_its_number(make_table: Callable[..., StudyTable]) -> None:
    table = make_table(PATIENTS)
    pool = Pool("here", 6)
    setup = Setup({"image": pool, "text": pool, "multimodal": pool}, "here", public_patients=7)
    partition = draw(table, setup, Counts.parse("8:0:2"), 0)
    assert {len(client.patients) for client in partition.clients} == {6}
    assert len(partition.public) == 7
    with pytest.raises(FedfeatError, match=r"partition 20:0:2: 22 clients of 6 patients need 132"):
        draw(table, setup, Counts.parse("20:0:2"), 0)


def test_phantoms_setups_share_the_public_set_of_a_seed() -> None:
    table = sources.load("phantom")
    public = [
        draw(table, table.setups[name], Counts.parse("8:0:2"), 1).public for name in ("homogeneous", "heterogeneous")
    ]
    assert public[0] == public[1]
    assert len(public[0]) == 75


def test_more_clients_than_patients_is_an_error(make_table: Callable[..., StudyTable]) -> None:
    with pytest.raises(FedfeatError, match=r"partition 8:0:2: 10 clients .* random has 6"):
        drawn(make_table({"train": 6, "test": 2}), "8:0:2")


def test_a_setup_that_the_source_lacks_gives_its_reason(make_table: Callable[..., StudyTable]) -> None:
    table = make_table(PATIENTS)
    assert setup_of(table, "heterogeneous", Counts.parse("8:0:2")) == "one site only"
    limited = replace(table.setups["homogeneous"], partitions=("8:0:2",))
    reason = setup_of(replace(table, setups={"homogeneous": limited}), "homogeneous", Counts.parse("4:4:2"))
    assert isinstance(reason, str)
    assert "8:0:2 only" in reason


@pytest.mark.parametrize("public", [("train-000",), ("test-000",)])
def test_a_leak_stops_the_run(make_table: Callable[..., StudyTable], public: tuple[str, ...]) -> None:
    clients = (Client(0, "image", ("train-000", "train-001")),)
    with pytest.raises(AssertionError, match=f"patient '{public[0]}' is held in more than one place"):
        check_disjoint(make_table(PATIENTS), Partition(clients, public))
