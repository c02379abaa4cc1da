"""What every record on phantom rests on: it must not change unnoticed, since a change voids them all."""

from collections import Counter

import pytest

from fedfeat import presets
from fedfeat.data import sources
from fedfeat.data.partition import Counts, draw
from fedfeat.data.phantom import fingerprint
from fedfeat.data.studies import StudyTable

PINNED = "b30ed6d5fb762b8ea4ea5ae17a87bd92"


@pytest.fixture(scope="module")
def table() -> StudyTable:
    return sources.load("phantom")


def test_the_generator_draws_and_writes_the_very_studies_of_the_published_records(table: StudyTable) -> None:
    assert fingerprint(table) == PINNED, (
        "the embedded studies changed, by the generator or by a library that it draws with: no published record holds "
        "any more. If that is meant, raise GENERATOR_VERSION, make the pretrained weights again, run the calibration, "
        "pin the new hash and publish the whole board anew"
    )


@pytest.mark.parametrize(("setup", "patients"), [("homogeneous", {60}), ("heterogeneous", {67, 83})])
def test_the_sizes_are_frozen(table: StudyTable, setup: str, patients: set[int]) -> None:
    counts = Counts.parse("8:0:2")
    partition = draw(table, table.setups[setup], counts, 0)
    assert len(partition.clients) == 10
    assert {len(client.patients) for client in partition.clients} == patients
    assert len(partition.public) == 75
    assert Counter(table.rows["split"]) == {"train": 1995, "validate": 404, "test": 1000}
    preset = presets.get("phantom")
    training = preset.training
    assert (training.rounds, training.local_epochs) == (8, 3)
    assert (training.batch_size, training.learning_rate, preset.head_bias) == (16, 2e-3, -2.0)
