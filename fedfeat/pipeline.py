"""A case from its name to its result: the whole road, top to bottom."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fedfeat import provenance
from fedfeat.case import Case
from fedfeat.data.partition import KINDS
from fedfeat.data.prepare import MODALITIES, Studies
from fedfeat.errors import FedfeatError
from fedfeat.evaluation import cost
from fedfeat.evaluation.auc import macro_auc
from fedfeat.federation import rounds
from fedfeat.federation.client import SERVER, Member
from fedfeat.federation.forward import classify, filled
from fedfeat.federation.rounds import Outcome, Pretraining, Progress
from fedfeat.imputers.base import Context, Imputer, description
from fedfeat.machine import fixed, graphics_card, peak_memory_mb
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import parameter_count
from fedfeat.plan import Plan, Resources, plan, public_rows
from fedfeat.randomness import scoped
from fedfeat.results.record import Record
from fedfeat.results.store import TestSet, scores_hash

T = TypeVar("T")
INITIALISATION = "initialisation"
_KIND_LACKING = {"text": "image", "image": "text"}  # what is missing: which kind of client lacks it


@dataclass(frozen=True)
class Result:
    """What a case leaves: its record, and per test row what the record's scores were computed from.

    Attributes:
        record: see `results.record`.
        scores: (rows, L) float32 logits of the best round's model.
        test_set: ids and labels of the test rows, which all cases on them share.
        expected_up: client number -> bytes that it should send in a round: the classifier's counted from the
            architecture, and what the method uploads.
        expected_down: the same for what it gets.
    """

    record: Record
    scores: np.ndarray
    test_set: TestSet
    expected_up: Mapping[str, int]
    expected_down: Mapping[str, int]


class CaseFailed(Exception):
    """A case broke while it ran; `record` says how far it came."""

    def __init__(self, record: Record) -> None:
        super().__init__(record.error)
        self.record = record


def run(case: Case, resources: Resources = Resources(), progress: Progress | None = None) -> Result:  # noqa: B008
    """Run a case from data to record.

    Raises:
        FedfeatError: the case or the resources are not as they must be; nothing was trained.
        CaseSkipped: there is no such case on this data set.
        CaseFailed: it broke while it ran.
    """
    return execute(plan(case, resources), progress)


def execute(plan: Plan, progress: Progress | None = None) -> Result:
    """Train and score a planned case; raises CaseFailed."""
    record = _blank_record(plan)
    start = time.perf_counter()
    try:
        with fixed(plan.device, plan.preset.threads):
            result = _execute(plan, record, progress)
    except FedfeatError:
        raise
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:500].encode(errors="replace").decode()
        seconds = round(time.perf_counter() - start, 3)
        raise CaseFailed(replace(record, status="failed", error=line, seconds=seconds)) from error
    return replace(result, record=replace(result.record, seconds=round(time.perf_counter() - start, 3)))


def _execute(plan: Plan, record: Record, progress: Progress | None) -> Result:
    case, training = plan.case, plan.preset.training
    classifier = initial_classifier(plan).to(plan.device)
    clients = list(clients_of(plan))
    members = taking_part(plan, clients)
    if not members:
        raise FedfeatError(f"{case.case_id}: no client has a row to train on; use fewer clients or more studies")
    if plan.imputer.public:
        public = _public_studies(plan)
        server = Member(len(clients), SERVER, public)
        members = [replace(member, public=public) for member in (*members, server)]
    record = replace(record, clients=_holdings(plan, clients), notes=[*record.notes, *_empty_clients(clients)])
    untrained = rounds.first_context(classifier, plan.imputer, training, case.seed)
    for missing in _to_fill(plan):  # what a method cannot do shows here, not after the last round
        _try_to_fill(plan.imputer, untrained, missing)
    validation, test = (evaluation_studies(plan, split) for split in ("validate", "test"))
    outcome = rounds.federate(
        classifier,
        plan.imputer,
        members,
        validation,
        training,
        case.aggregation,
        case.seed,
        progress,
        plan.prepared.tokenized,
    )
    ctx = rounds.evaluation_context(classifier, outcome, training, case.seed)
    features = classifier.features(test, training.evaluation_batch_size)
    ablated = {
        name: {other: feature if other == name else torch.zeros_like(feature) for other, feature in features.items()}
        for name in MODALITIES
    }
    logits = classify(classifier, plan.imputer, ctx, features, test).numpy()
    targets, mask = test.targets.cpu().numpy(), test.label_mask.cpu().numpy()
    scores = macro_auc(logits, targets, mask)
    alone = {
        name: macro_auc(classify(classifier, plan.imputer, ctx, kept, test).numpy(), targets, mask).macro
        for name, kept in ablated.items()
    }
    test_set = _test_set(plan, test)
    notes = list(record.notes)
    record = replace(
        record,
        status="passed",
        macro_auc=scores.macro,
        macro_auc_image_only=alone["image"],
        macro_auc_text_only=alone["text"],
        per_label_auc=dict(scores.named(plan.prepared.labels)),
        labels_scored=sum(value is not None for value in scores.per_label),
        validation_auc=list(outcome.validation_auc),
        best_round=outcome.best_round,
        history=[dict(entry) for entry in outcome.history],
        pretraining=_pretraining(plan, outcome.pretraining),
        **_description(plan, ctx, validation, notes),
        samples_per_second=round(outcome.rows_trained / sum(entry["seconds"] for entry in outcome.history), 1),
        peak_memory_mb=peak_memory_mb(plan.device),
        test_rows=len(test),
        test_patients=len(set(test.patients)),
        test_set=test_set.digest(),
        scores_hash=scores_hash(logits),
        **_head_norms(classifier),
        **_traffic(plan, outcome),
        **_costs(plan, classifier, ctx, outcome, members, notes),
    )
    record = replace(record, notes=notes)
    architecture = {number: cost.analytic_bytes(classifier, held) for number, held in outcome.modalities.items()}
    return Result(
        record,
        logits.astype(np.float32),
        test_set,
        expected_up={str(number): architecture[number] + sent.method_up for number, sent in outcome.traffic.items()},
        expected_down={
            str(number): architecture[number] + sent.method_down for number, sent in outcome.traffic.items()
        },
    )


def taking_part(plan: Plan, clients: Iterable[Member]) -> list[Member]:
    """Return the clients that have a row and that the method lets take part."""
    return [client for client in clients if plan.imputer.takes_part(client.kind) and len(client.studies)]


def clients_of(plan: Plan) -> Iterator[Member]:
    """Yield every client with what it holds, on the device."""
    for client in plan.partition.clients:
        modalities = MODALITIES if plan.imputer.nothing_missing else KINDS[client.kind]
        rows = plan.prepared.rows_of(client.patients)
        if plan.resources.smoke:
            rows = rows[:4]
        yield Member(client.number, client.kind, plan.prepared.hold(rows, modalities).to(plan.device))


def _public_studies(plan: Plan) -> Studies:
    rows = public_rows(plan.prepared, plan.partition)
    return plan.prepared.hold(rows[:4] if plan.resources.smoke else rows).to(plan.device)


def _holdings(plan: Plan, clients: list[Member]) -> list[dict[str, Any]]:
    return [
        {
            "client": member.number,
            "kind": member.kind,
            "patients": len(plan.partition.clients[member.number].patients),
            "rows": len(member.studies),
            **{name: int(member.studies.present[name].sum()) for name in MODALITIES},
        }
        for member in clients
    ]


def _empty_clients(clients: list[Member]) -> list[str]:
    empty = [member for member in clients if not len(member.studies)]
    return [
        f"client {member.number} ({member.kind}) has no row that it could use, and took no part" for member in empty
    ]


def evaluation_studies(plan: Plan, split: str, modalities: Sequence[str] = MODALITIES) -> Studies:
    """Return the rows that a split is scored on, with these modalities of them, on the device."""
    rows = plan.prepared.split(split, plan.setup.evaluation_site)
    return plan.prepared.hold(rows[:48] if plan.resources.smoke else rows, modalities).to(plan.device)


def initial_classifier(plan: Plan) -> Classifier:
    """Return the classifier that round 1 starts from: the same for every method of a seed."""
    with scoped(torch.device("cpu"), plan.case.seed, INITIALISATION):
        classifier = Classifier(plan.preset.encoders, len(plan.prepared.labels))
    plan.start.load(classifier)
    if plan.preset.head_bias is not None:
        with torch.no_grad():
            classifier.head.bias.fill_(plan.preset.head_bias)
    return classifier


def _test_set(plan: Plan, test: Studies) -> TestSet:
    table = plan.prepared.table
    return TestSet(
        rows=np.array([f"{row}:{table.rows['image'].iloc[row]}" for row in test.rows.tolist()], dtype=str),
        patients=np.array(test.patients, dtype=str),
        labels=test.targets.cpu().numpy().astype(np.uint8),
        known=test.label_mask.cpu().numpy(),
        names=table.labels,
    )


def _head_norms(classifier: Classifier) -> dict[str, Any]:
    halves: tuple[Tensor, ...] = classifier.head.weight.detach().split(classifier.width, dim=1)
    return {f"head_norm_{name}": float(half.norm()) for name, half in zip(MODALITIES, halves, strict=True)}


def _traffic(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    traffic = outcome.traffic
    numbers = [client.number for client in plan.partition.clients]
    return {
        "bytes_up": {str(n): traffic[n].model_up + traffic[n].method_up if n in traffic else 0 for n in numbers},
        "bytes_down": {str(n): traffic[n].model_down + traffic[n].method_down if n in traffic else 0 for n in numbers},
    }


def _pretraining(plan: Plan, pretraining: Pretraining) -> dict[str, Any]:
    if not pretraining.history:
        return {}
    traffic = pretraining.traffic
    numbers = [client.number for client in plan.partition.clients]
    return {
        "history": [dict(entry) for entry in pretraining.history],
        "best_round": pretraining.best_round,
        "bytes_up": {str(n): traffic[n].method_up if n in traffic else 0 for n in numbers},
        "bytes_down": {str(n): traffic[n].method_down if n in traffic else 0 for n in numbers},
    }


def _told(plan: Plan, hook: str, ask: Callable[[], T], notes: list[str]) -> T | None:
    """Return what a hook tells of the method; None, and a note, if it breaks: no scores are lost for that."""
    try:
        return ask()
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300].encode(errors="replace").decode()
        if plan.prepared.table.origins:  # notes are published, and the words of an error may be somebody's report
            last = traceback.extract_tb(error.__traceback__)[-1]
            line = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
        notes.append(f"method {plan.imputer.name}: {hook} fails ({line}); the record lacks what it tells")
        return None


def _description(plan: Plan, ctx: Context, validation: Studies, notes: list[str]) -> dict[str, Any]:
    def ask() -> tuple[dict[str, float], list[dict[str, str]]]:
        with scoped(ctx.device, plan.case.seed, "describe"), torch.no_grad():
            return description(plan.imputer.describe(replace(ctx, phase="eval"), validation))

    numbers, samples = _told(plan, "describe", ask, notes) or ({}, [])
    table = plan.prepared.table
    publishable = table.synthetic and not table.real_reports
    return {"method_numbers": numbers, "samples": samples if publishable else []}


def _costs(
    plan: Plan, classifier: Classifier, ctx: Context, outcome: Outcome, members: Sequence[Member], notes: list[str]
) -> dict[str, Any]:
    counted = {"classifier": cost.classifier_cost(classifier, plan.preset.image_size, plan.preset.report_length)}
    for missing in _to_fill(plan):
        _try_to_fill(plan.imputer, ctx, missing)
        lacking = [member for member in members if member.kind == _KIND_LACKING[missing]]
        if lacking:
            there = replace(ctx, phase="eval", public=lacking[0].public)
            ask = partial(cost.filling_cost, plan.imputer, there, lacking[0].studies, missing)
            filling = _told(plan, "cost", ask, notes)
            counted |= {} if filling is None else {f"fill_{missing}": filling}
    of_fillings = {name: one.parameters for name, one in counted.items() if name != "classifier"}
    return {
        "parameters": {
            "classifier": parameter_count(classifier),
            "method": sum(tensor.numel() for tensor in outcome.shared.values()),
            **{name: number for name, number in of_fillings.items() if number is not None},
        },
        "macs": {
            name: counted[name].macs if name in counted else None for name in ("classifier", "fill_image", "fill_text")
        },
        "unsupported_ops": {name: dict(one.unsupported) for name, one in counted.items()},
    }


def _to_fill(plan: Plan) -> list[str]:
    """Return the modalities that clients lack and the method fills."""
    if plan.imputer.nothing_missing:
        return []
    kinds = {client.kind for client in plan.partition.clients if plan.imputer.takes_part(client.kind)}
    return [missing for missing, kind in _KIND_LACKING.items() if kind in kinds]


def _try_to_fill(imputer: Imputer, ctx: Context, missing: str) -> None:
    """Fill one row as a test row that lacks a modality would be: no test row does, and the method must be able to."""
    features = {name: torch.zeros(1, ctx.dims.features, device=ctx.device) for name in MODALITIES}
    present = {name: torch.tensor([name != missing], device=ctx.device) for name in MODALITIES}
    filled(imputer, replace(ctx, phase="eval"), features, present, None)


def _blank_record(plan: Plan) -> Record:
    case, table = plan.case, plan.prepared.table
    head, dirty = provenance.commit(type(plan.imputer))
    return Record(
        case_id=case.case_id,
        key=plan.key,
        method=plan.imputer.name,
        title=plan.imputer.title,
        marks=list(plan.imputer.marks),
        sends=list(plan.imputer.sends),
        holds=["public studies"] if plan.imputer.public else [],
        params=plan.imputer.params,
        setup=case.setup,
        partition=case.partition,
        seed=case.seed,
        dataset=case.dataset,
        synthetic=table.synthetic,
        real_reports=table.real_reports,
        preset=case.preset,
        missing=case.missing,
        test_modalities=case.test_modalities,
        aggregation=case.aggregation,
        engine=case.engine,
        configuration=asdict(plan.preset) | {"uncertain": table.uncertain, "blank": table.blank},
        status="failed",
        device=plan.resources.device,
        threads=plan.preset.threads,
        versions=provenance.versions() | graphics_card(plan.device),
        weights=plan.start.origin,
        data=plan.prepared.digest,
        sources=[asdict(origin) for origin in table.origins],
        partition_hash=plan.partition.digest,
        imported_partition=case.imported_partition,
        core=plan.core,
        method_source=plan.method_source,
        commit=head,
        dirty=dirty,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=list(table.notes),
    )
