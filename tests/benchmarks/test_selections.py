"""Which cases a selection names."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from fedfeat.results import paper

METHODS = ("car_mfl", "complete", "fin", "multimodal_only", "r2gen", "uniform", "zero")
TABLE1 = ("heterogeneous-8:0:2", "homogeneous-8:0:2", "homogeneous-6:0:4", "homogeneous-4:0:6")
TABLE2 = tuple(f"homogeneous-{clients}" for clients in ("0:8:2", "0:6:4", "0:4:6", "4:4:2", "3:3:4", "2:2:6"))
COLUMNS = TABLE1 + TABLE2


def ids(
    columns: tuple[str, ...] = COLUMNS, methods: tuple[str, ...] = METHODS, seeds: tuple[int, ...] = (0, 1, 2)
) -> set[str]:
    return {f"{column}-{method}-seed{seed}" for column, method, seed in product(columns, methods, seeds)}


OTHER = ("homogeneous-5:0:5", "heterogeneous-5:0:5")
SELECTIONS: list[tuple[list[str], set[str]]] = [
    ([], ids()),
    (["-k", "homogeneous"], ids(COLUMNS[1:])),
    (["-k", "heterogeneous"], ids(COLUMNS[:1])),
    (["-k", "fin"], ids(methods=("fin",))),
    (["-k", "fin and seed0"], ids(methods=("fin",), seeds=(0,))),
    (["-k", "4:0:6 and seed0"], ids(TABLE1[3:], seeds=(0,))),
    (["-k", "table1"], ids(TABLE1)),
    (["-k", "table2 and not homogeneous"], set()),
    (["-k", "0:8:2 or 4:4:2"], ids((TABLE2[0], TABLE2[3]))),
    (["-k", "complete or multimodal_only"], ids(methods=("complete", "multimodal_only"))),
    (["-k", "homogeneous and 8:0:2 and not zero"], ids(COLUMNS[1:2], methods=METHODS[:-1])),
    (["-k", "heterogeneous and 6:0:4"], set()),
    (["--methods", "zero,fin,zero"], ids(methods=("zero", "fin"))),
    (["--methods", "paper"], ids()),
    (["--seeds", "2,7"], ids(seeds=(2, 7))),
    (["--seeds", "1,10", "-k", "seed10"], ids(seeds=(10,))),
    (["--partition", "0:8:2", "--seeds", "0"], ids(("homogeneous-0:8:2", "heterogeneous-0:8:2"), seeds=(0,))),
    (["--partition", "3:3:4", "--seeds", "0", "-k", "homogeneous"], ids(("homogeneous-3:3:4",), seeds=(0,))),
    (["--partition", "5:0:5", "--seeds", "0", "-k", "table2 and fin"], ids(OTHER, ("fin",), (0,))),
    (["--preset", "paper", "--dataset", "manifest"], ids()),
]


@pytest.fixture(scope="module")
def listed(sessions: Callable[..., list[Any]]) -> list[Any]:
    return sessions([["--collect-only", "-q", *selection] for selection, _ in SELECTIONS])


@pytest.mark.parametrize("number", range(len(SELECTIONS)), ids=[" ".join(words) or "all" for words, _ in SELECTIONS])
def test_a_selection_names_exactly_its_cases(listed: list[Any], number: int) -> None:
    session, expected = listed[number], SELECTIONS[number][1]
    assert set(session.cases) == expected
    assert len(session.cases) == len(expected), "a case is listed twice"
    assert session.status == (0 if expected else 5)  # 5: pytest's "no tests collected"


def test_cases_are_listed_column_by_column(listed: list[Any]) -> None:
    assert listed[0].cases[0].startswith("heterogeneous-8:0:2-")
    columns = list(dict.fromkeys(case.rsplit("-", 2)[0] for case in listed[0].cases))
    assert columns == list(COLUMNS)


def test_every_column_of_the_paper_has_exactly_one_module(listed: list[Any]) -> None:
    modules: dict[str, set[str]] = {}
    for module, case in listed[0].places:
        modules.setdefault(case.rsplit("-", 2)[0], set()).add(module)
    assert set(modules) == {"-".join(column) for column in paper.COLUMNS}
    assert all(len(places) == 1 for places in modules.values())
    assert {column for column, places in modules.items() if places == {"test_table1"}} == set(TABLE1)


def test_no_method_or_setup_is_part_of_a_modules_name(listed: list[Any]) -> None:
    words = {*METHODS, "homogeneous", "heterogeneous"}
    assert not [word for module, _ in listed[0].places for word in words if word in module]
