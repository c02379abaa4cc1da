"""Every sanity bound can fail, and says what is wrong."""

from dataclasses import replace
from typing import Any

import pytest

from fedfeat.results.bounds import violations
from fedfeat.results.record import Record

SENT = {"0": 1000, "1": 400}
GOT = {"0": 1200, "1": 600}
HEALTHY = Record(
    case_id="phantom:homogeneous:8.0.2:zero:seed0",
    key="k",
    method="zero",
    title="Zero filling",
    setup="homogeneous",
    partition="1:0:1",
    seed=0,
    dataset="phantom",
    synthetic=True,
    preset="phantom",
    status="passed",
    macro_auc=0.8,
    labels_scored=14,
    validation_auc=[0.5, 0.7, 0.6],
    bytes_up=SENT,
    bytes_down=GOT,
    date="2001-01-01T00:00:00Z",
)
MANIFEST = replace(HEALTHY, dataset="manifest", synthetic=False, per_label_auc={"Edema": 0.8, "Fracture": 0.7})


@pytest.mark.parametrize("record", [HEALTHY, MANIFEST])
def test_a_healthy_record_violates_nothing(record: Record) -> None:
    assert violations(record, SENT, GOT) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"macro_auc": None}, "the macro AUC is not a number"),
        ({"macro_auc": float("nan")}, "the macro AUC is not a number"),
        ({"macro_auc": 0.5499}, "the macro AUC of 0.550 is outside 0.55 to 0.99"),
        ({"macro_auc": 0.995}, "the macro AUC of 0.995 is outside 0.55 to 0.99"),
        ({"labels_scored": 11}, "11 labels could be scored, fewer than 12"),
        ({"validation_auc": [0.7, 0.6, 0.7]}, "the best validation AUC is not above the untrained model's"),
        ({"validation_auc": [0.7]}, "the best validation AUC is not above the untrained model's"),
        ({"bytes_up": {"0": 1000, "1": 404}}, "client 1 sent 404 bytes a round, not 400"),
        ({"bytes_up": {"0": 0, "1": 400}}, "client 0 sent 0 bytes a round, not 1000"),
        ({"bytes_up": {**SENT, "2": 8}}, "client 2 sent 8 bytes a round, not 0"),
        ({"bytes_up": {"0": 1000}}, "client 1 sent 0 bytes a round, not 400"),
        ({"bytes_down": {**GOT, "1": 0}}, "client 1 got 0 bytes a round, not 600"),
    ],
)
def test_each_bound_can_fail(change: dict[str, Any], says: str) -> None:
    assert violations(replace(HEALTHY, **change), SENT, GOT) == [says]


@pytest.mark.parametrize("change", [{"macro_auc": 0.55}, {"macro_auc": 0.99}, {"labels_scored": 12}])
def test_bounds_include_their_ends(change: dict[str, Any]) -> None:
    assert violations(replace(HEALTHY, **change), SENT, GOT) == []


def test_every_violation_is_told() -> None:
    broken = replace(HEALTHY, macro_auc=None, labels_scored=0, bytes_up={"0": 1, "1": 2})
    assert len(violations(broken, SENT, GOT)) == 4


ONE_LABEL = {"per_label_auc": {"Edema": 0.8}, "labels_scored": 1}


@pytest.mark.parametrize("change", [{"macro_auc": 0.2}, {"macro_auc": 1.0}, {"validation_auc": [0.7, 0.6]}, ONE_LABEL])
def test_a_manifest_may_be_hard_or_easy(change: dict[str, Any]) -> None:
    assert violations(replace(MANIFEST, **change), SENT, GOT) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels_scored": 1}, "1 labels could be scored, fewer than 2"),
        ({"macro_auc": None}, "the macro AUC is not a number"),
        ({"bytes_up": {"0": 999, "1": 400}}, "client 0 sent 999 bytes a round, not 1000"),
    ],
)
def test_a_manifests_bounds_can_fail(change: dict[str, Any], says: str) -> None:
    assert violations(replace(MANIFEST, **change), SENT, GOT) == [says]
