"""Which cases a selection names."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

METHODS = ("complete", "fin", "multimodal_only", "uniform", "zero")
COLUMNS = ("heterogeneous-8:0:2", "homogeneous-8:0:2", "homogeneous-6:0:4", "homogeneous-4:0:6")


def ids(
    columns: tuple[str, ...] = COLUMNS, methods: tuple[str, ...] = METHODS, seeds: tuple[int, ...] = (0, 1, 2)
) -> set[str]:
    return {f"{column}-{method}-seed{seed}" for column, method, seed in product(columns, methods, seeds)}


SELECTIONS: list[tuple[list[str], set[str]]] = [
    ([], ids()),
    (["-k", "homogeneous"], ids(COLUMNS[1:])),
    (["-k", "heterogeneous"], ids(COLUMNS[:1])),
    (["-k", "fin"], ids(methods=("fin",))),
    (["-k", "fin and seed0"], ids(methods=("fin",), seeds=(0,))),
    (["-k", "4:0:6 and seed0"], ids(COLUMNS[3:], seeds=(0,))),
    (["-k", "complete or multimodal_only"], ids(methods=("complete", "multimodal_only"))),
    (["-k", "homogeneous and 8:0:2 and not zero"], ids(COLUMNS[1:2], methods=METHODS[:4])),
    (["-k", "heterogeneous and 6:0:4"], set()),
    (["--methods", "zero,fin,zero"], ids(methods=("zero", "fin"))),
    (["--methods", "paper"], ids()),
    (["--seeds", "2,7"], ids(seeds=(2, 7))),
    (["--seeds", "1,10", "-k", "seed10"], ids(seeds=(10,))),
    (["--partition", "0:8:2", "--seeds", "0"], ids(("homogeneous-0:8:2", "heterogeneous-0:8:2"), seeds=(0,))),
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
