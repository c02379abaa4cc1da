"""What a case may be, and the id that it goes by."""

import re
from typing import Any

import pytest

from fedfeat.case import Case
from fedfeat.errors import FedfeatError


@pytest.mark.parametrize(
    ("case", "case_id"),
    [
        (Case(), "homogeneous-8:0:2-fin-seed0"),
        (Case("fin", "heterogeneous", "8:0:2", 0), "heterogeneous-8:0:2-fin-seed0"),
        (Case("zero", partition="4:4:2", seed=11), "homogeneous-4:4:2-zero-seed11"),
        (Case("zero", dataset="manifest"), "homogeneous-8:0:2-zero-seed0-manifest"),
        (Case("zero", preset="paper"), "homogeneous-8:0:2-zero-seed0-preset.paper"),
        (Case("zero", aggregation="fedavg_all"), "homogeneous-8:0:2-zero-seed0-fedavg_all"),
        (Case("zero", imported_partition="1a2b3c4d"), "homogeneous-8:0:2-zero-seed0-partition.1a2b3c4d"),
        (
            Case("zero", dataset="manifest", preset="paper", aggregation="fedavg_all", params={"b": 0.5, "a": -1}),
            "homogeneous-8:0:2-zero-seed0-manifest-preset.paper-fedavg_all-a.-1-b.0.5",
        ),
    ],
)
def test_an_id_names_what_is_not_default(case: Case, case_id: str) -> None:
    assert case.case_id == case_id


def test_an_id_holds_only_what_file_names_and_selections_bear() -> None:
    case = Case("zero", params={"path": "a b/c=d,[é]"})
    assert re.fullmatch(r"[A-Za-z0-9:._-]+", case.case_id)
    assert case.case_id.startswith("homogeneous-8:0:2-zero-seed0-path.a_b_c_d")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"setup": "mixed"}, "setup 'mixed' is unknown; the known ones are homogeneous, heterogeneous"),
        ({"partition": "8:2"}, "partition '8:2' is not I:T:M"),
        ({"partition": "0:0:0"}, "partition '0:0:0' is not I:T:M"),
        ({"partition": "8:0:2\n"}, r"partition '8:0:2\\n' is not I:T:M"),
        ({"seed": -1}, "seed -1 is negative; use 0 or more"),
        ({"missing": 0.5}, "missing 0.5 cannot be run; so far it is 1.0"),
        ({"test_modalities": "image"}, "test_modalities 'image' cannot be run; so far it is 'both'"),
        ({"engine": "flower"}, "engine 'flower' cannot be run; so far it is 'local'"),
    ],
)
def test_an_impossible_value_is_named_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(FedfeatError, match=message) as caught:
        Case(**values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("partition", ["08:0:2", "\uff18:0:2"])
def test_a_partition_is_written_in_one_way_only(partition: str) -> None:
    with pytest.raises(FedfeatError, match="is not I:T:M"):  # or one run would stand in two records
        Case(partition=partition)
