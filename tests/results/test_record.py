import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedfeat.errors import FedfeatError
from fedfeat.results.record import Record, file_name

MakeRecord = Callable[..., Record]
PATH = Path("runs/case.json")


def _changed(record: Record, **changes: Any) -> str:
    return json.dumps(json.loads(record.to_json()) | changes)


def test_a_full_record_survives_the_round_trip(make_record: MakeRecord) -> None:
    record = make_record(
        marks=["upper bound"],
        params={"layers": 2, "rate": 0.5, "nested": {"on": True}},
        missing=0.5,
        configuration={"rounds": 3},
        per_label_auc={"Edema": 0.5, "Fracture": None},
        validation_auc=[0.5, 0.625],
        best_round=1,
        history=[{"round": 1, "seconds": 0.25, "loss": 0.5}],
        macs={"classifier": 10, "fill_image": None, "fill_text": 2.0},
        bytes_up={"0": 12},
        clients=[{"client": 0, "kind": "image", "patients": 3, "rows": 4}],
        notes=["é"],
    )
    assert Record.from_json(record.to_json(), PATH) == record


def test_a_failed_record_needs_no_scores(make_record: MakeRecord) -> None:
    record = make_record(auc=None, status="failed", error="ValueError: no")
    assert Record.from_json(record.to_json(), PATH) == record


def test_fields_stand_in_the_order_of_their_declaration(make_record: MakeRecord) -> None:
    text = make_record().to_json()
    assert list(json.loads(text)) == [field.name for field in dataclasses.fields(Record)]
    assert text.startswith('{\n  "schema": 1,\n  "case_id"')


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32(0.5)])
def test_what_json_cannot_hold_is_refused_by_the_fields_name(make_record: MakeRecord, value: Any) -> None:
    with pytest.raises(ValueError, match="per_label_auc"):
        make_record(per_label_auc={"Edema": value}).to_json()


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"schema": 2}, "schema is 2"),
        ({"colour": "red"}, "unknown field colour"),
        ({"seed": "zero"}, "field seed"),
        ({"seed": True}, "field seed"),
        ({"status": "fine"}, "field status"),
        ({"validation_auc": [0.5, None]}, "field validation_auc"),
        ({"bytes_up": {"0": 0.5}}, "field bytes_up"),
        ({"macro_auc": math.nan}, "NaN"),
        ({"case_id": "a/b"}, "a/b"),
    ],
)
def test_a_strange_field_is_named(make_record: MakeRecord, changes: dict[str, Any], culprit: str) -> None:
    with pytest.raises(FedfeatError, match=culprit) as caught:
        Record.from_json(_changed(make_record(), **changes), PATH)
    assert str(PATH) in str(caught.value)
    assert "--rerun" in str(caught.value)


@pytest.mark.parametrize("name", ["key", "seed", "status", "date"])
def test_a_missing_field_is_named(make_record: MakeRecord, name: str) -> None:
    content = json.loads(make_record().to_json())
    del content[name]
    with pytest.raises(FedfeatError, match=f"missing field {name}"):
        Record.from_json(json.dumps(content), PATH)


@pytest.mark.parametrize(
    "name", ["engine", "core", "partition_hash", "scores_hash", "imported_partition", "real_reports", "notes"]
)
def test_a_record_that_is_older_than_a_field_has_its_default(make_record: MakeRecord, name: str) -> None:
    content = json.loads(make_record().to_json())
    del content[name]
    assert Record.from_json(json.dumps(content), PATH) == make_record()


def test_a_record_without_a_schema_is_none(make_record: MakeRecord) -> None:
    content = json.loads(make_record().to_json())
    del content["schema"]
    with pytest.raises(FedfeatError, match="schema is none, this version reads schema 1"):
        Record.from_json(json.dumps(content), PATH)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_no_record_at_all(text: str) -> None:
    with pytest.raises(FedfeatError, match=str(PATH)):
        Record.from_json(text, PATH)


def test_file_names_hold_no_colon() -> None:
    assert file_name("phantom:8:0:2:car_mfl-1.5:seed0") == "phantom.8.0.2.car_mfl-1.5.seed0"


@pytest.mark.parametrize("case_id", ["", "a b", "a/b", "a\n", "é", "a=1"])
def test_other_characters_are_refused(case_id: str) -> None:
    with pytest.raises(ValueError, match="case id"):
        file_name(case_id)
