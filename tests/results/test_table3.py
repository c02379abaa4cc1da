"""Table 3 as a file and as a section of a board, with invented numbers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results import publish, store, table3
from fedfeat.results.leaderboard import render
from fedfeat.results.record import Record
from fedfeat.results.table3 import System, Table3, Upload

PAPER = {"paper_parameters": 60e6, "paper_macs": 90e9}


def system(name: str, parameters: int, macs: int, **others: object) -> System:
    return System(name=name, parameters=parameters, macs=macs, megabytes_paper=parameters / 1e6, **others)  # type: ignore[arg-type]


@pytest.fixture
def table() -> Table3:
    return Table3(
        systems=(
            system("small", 6_000_000, 6_000_000, role="fin", encoder="image", encoder_macs=4_000_000_000),
            system("large", 60_000_000, 90_000_000_000, role="r2gen", encoder="text", encoder_macs=10**10, **PAPER),
            system("two", 12_000_000, 12_000_000, role="both"),
            system("kept", 60_000_000, 8_000_000_000, role="cached", unsupported_ops={"aten::add": 3, "aten::mul": 2}),
        ),
        uploads=(Upload(rounds="small, each of 30", multimodal=585.653, image=96.372),),
        rounds=10,
        epochs=3,
        runs=0,
        key="k",
        device="cpu",
        processor="Some CPU",
        threads=2,
        versions={"python": "3.11"},
        commit="c0ffee" * 4,
        dirty=False,
        date="2001-01-01T00:00:00+00:00",
    )


def timed(table: Table3, *milliseconds: float) -> Table3:
    pairs = zip(table.systems, milliseconds, strict=True)
    systems = tuple(replace(one, milliseconds=took, encoder_milliseconds=1.0) for one, took in pairs)
    return replace(table, systems=systems, runs=3)


def test_it_goes_through_its_file(table: Table3, tmp_path: Path) -> None:
    path = tmp_path / table3.NAME
    assert table3.read(path) is None
    path.write_text(table.to_json())
    assert table3.read(path) == table


def test_the_claims_are_judged_by_the_exact_counts(table: Table3) -> None:
    text = "\n".join(table3.blocks(table))
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in text.splitlines() if "|" in line}  # fmt: skip  # noqa: E501
    assert rows["FIN sends nearly 10x fewer parameters than R2Gen"][1:] == ["60 M / 6 M = 10.0x", "holds"]
    assert rows["FIN takes 1000x fewer operations than R2Gen for a text"] == [
        "94.06 G / 6.318 M = 14,887x",
        "90 G / 6 M = 15,000x",
        "holds",
    ]
    assert rows["parameters, with both of FIN's directions, as it sends them"][1] == "60 M / 12 M = 5.0x"
    assert rows["MACs with the encoders, without the cache"][1] == "100 G / 4.006 G = 25.0x"
    (over_a_run,) = (cells[1] for name, cells in rows.items() if name.startswith("MACs over a run of 10 rounds"))
    assert over_a_run == "8 G / 180 M = 44.4x"
    assert rows["small, each of 30"] == ["585.653", "96.372"]
    assert rows["large"][:4] == ["60,000,000", "60 M", "90,000,000,000", "90 G"]
    assert "kept 5 calls of 2 operators" in text
    assert "milliseconds with the encoders" not in text
    dear = replace(table, systems=(replace(table.systems[0], parameters=7_000_000), *table.systems[1:]))
    assert "8.6x" in "".join(table3.blocks(dear))
    assert "fails" in "".join(table3.blocks(dear))
    assert "fails" not in text


def test_times_are_shown_with_the_encoders_and_as_ratios(table: Table3) -> None:
    text = "\n".join(table3.blocks(timed(table, 1.0, 99.0, 3.0, 9.0)))
    assert "medians of 3 runs" in text
    assert "99.00 / 100.00" in text
    assert "50.0x without the cache, 5.0x with it" in text


@pytest.mark.parametrize(
    "break_it",
    [
        lambda content: content | {"schema": 2},
        lambda content: {key: value for key, value in content.items() if key != "systems"},
        lambda content: content | {"systems": content["systems"][:1]},
        lambda content: content | {"systems": [one | {"parameters": 0} for one in content["systems"]]},
        lambda content: content | {"runs": 5},
        lambda content: content | {"more": 1},
        lambda content: [],
    ],
)
def test_another_file_is_named(table: Table3, tmp_path: Path, break_it: Callable[[dict[str, object]], object]) -> None:
    path = tmp_path / table3.NAME
    path.write_text(json.dumps(break_it(json.loads(table.to_json()))))
    with pytest.raises(FedfeatError, match=r"table3\.json: not as `pytest benchmarks -k table3` writes it") as caught:
        table3.read(path)
    assert "\n" not in str(caught.value)


def test_a_board_shows_it_below_its_tables(table: Table3, make_record: Callable[..., Record]) -> None:
    text = render([make_record()], table3=table)
    assert text.index("### homogeneous 8:0:2") < text.index("## Table 3") < text.index("## How to read")
    assert "## Table 3" not in render([make_record()])
    assert "No records yet" not in render([], table3=table)


def test_it_is_published_with_the_records_or_without(
    table: Table3, make_record: Callable[..., Record], tmp_path: Path
) -> None:
    runs, to = tmp_path / "runs", tmp_path / "board"
    path = table3.path_in(runs)
    path.parent.mkdir(parents=True)
    path.write_text(table.to_json())
    publish.publish(runs, to)
    assert table3.read(to / table3.NAME) == table
    assert "## Table 3" in (to / "README.md").read_text()
    path.unlink()
    store.write(runs, make_record())
    publish.publish(runs, to)  # another time, without it: the published one stays
    assert "## Table 3" in (to / "README.md").read_text()
    path.write_text(replace(table, dirty=True).to_json())
    with pytest.raises(FedfeatError, match="no clean commit made Table 3"):
        publish.publish(runs, to)
