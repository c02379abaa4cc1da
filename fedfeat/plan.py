"""A case with everything that it needs, loaded and checked before anything is trained."""

import json
import platform
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from fedfeat import imputers, presets, provenance
from fedfeat.case import Case
from fedfeat.data import partition, partition_file, reports, sources
from fedfeat.data.partition import KINDS, Counts, Partition
from fedfeat.data.partition_file import PartitionFile
from fedfeat.data.prepare import MODALITIES, Prepared, prepare
from fedfeat.data.studies import Setup, StudyTable
from fedfeat.errors import FedfeatError
from fedfeat.federation.aggregation import rule
from fedfeat.imputers.base import Imputer
from fedfeat.machine import device_of
from fedfeat.models import weights
from fedfeat.models.weights import Start
from fedfeat.presets import Preset
from fedfeat.results.bounds import least_labels


@dataclass(frozen=True)
class Resources:
    """What the user's machine brings to a case.

    Attributes:
        data: the user's data, for data sets that have any.
        uncertain: what uncertain labels count as ("masked", "zeros", "ones"); None: as the data set has it.
        image_weights: file of ResNet-50's weights; None: torchvision's own cache.
        text_weights: folder of BERT; None: the Hugging Face cache.
        from_scratch: start encoders from the seed alone, not from pretrained weights.
        imputer: file of a method outside the package.
        device: "cpu", "cuda" or "cuda:N".
        partition_file: file of the partition to use in place of drawing one.
        cache: where decoded pictures are kept; None: `sources.cache_folder()`.
        smoke: one tiny round, to see that everything runs; its scores mean nothing.
        one_round: one round of the preset's size, for its time and memory; its scores mean nothing.
    """

    data: Path | None = None
    uncertain: str | None = None
    image_weights: Path | None = None
    text_weights: Path | None = None
    from_scratch: bool = False
    imputer: Path | None = None
    device: str = "cpu"
    partition_file: Path | None = None
    cache: Path | None = None
    smoke: bool = False
    one_round: bool = False

    @property
    def shortened(self) -> bool:
        """Whether the scores mean nothing, so that no record of them may be kept."""
        return self.smoke or self.one_round


class CaseSkipped(Exception):
    """There is no such case on this data set, or its method does not apply to its clients; the message says why."""


@dataclass(frozen=True)
class Plan:
    """A case with everything it needs, checked, before anything is trained."""

    case: Case
    resources: Resources
    preset: Preset
    imputer: Imputer
    prepared: Prepared
    setup: Setup
    partition: Partition
    start: Start
    core: str
    method_source: str
    key: str
    device: torch.device


def plan(case: Case, resources: Resources = Resources()) -> Plan:
    """Check a case and load what it needs; raises FedfeatError or CaseSkipped."""
    preset = _shortened(presets.get(case.preset), resources)
    rule(case.aggregation)
    imputer = method_of(case, resources)
    device = device_of(resources.device)
    file = _partition_file(case, resources)
    start = weights.start(preset.start, resources.image_weights, resources.text_weights, resources.from_scratch)
    prepared = _prepared(case.dataset, resources, preset.image_size, preset.report_length, start.vocabulary)
    counts = Counts.parse(case.partition)
    setup = partition.setup_of(prepared.table, case.setup, counts)
    if isinstance(setup, str):
        raise CaseSkipped(setup)
    reason = _why_not(imputer, counts)
    if reason:
        raise CaseSkipped(f"{imputer.name} does not apply: {reason}")
    _check_evaluation(prepared, setup)
    held = _held(case, file, prepared.table, setup)
    reason = _why_not_complete(imputer, counts, setup, prepared)
    if reason:
        raise CaseSkipped(f"{imputer.name} does not apply: {reason}")
    if imputer.public and not len(public_rows(prepared, held)):
        raise CaseSkipped(f"{imputer.name} does not apply: no public study has both image and report")
    case = replace(case, imported_partition=_imported(case, file, held, prepared.table, setup))
    core, method_source = provenance.core_digest(), provenance.method_digest(type(imputer))
    key = provenance.key(
        {
            "core": core,
            "method": method_source,
            "held": held.digest,  # whoever drew it, and wherever it was read
            "case": asdict(case) | {"params": imputer.params},
            "preset": asdict(preset),
            "data": prepared.digest,
            "weights": start.origin,
            "shortened": [resources.smoke, resources.one_round],
            "versions": provenance.versions(),
            "device": device.type,
            "machine": platform.machine(),
        }
    )
    return Plan(case, resources, preset, imputer, prepared, setup, held, start, core, method_source, key, device)


def public_rows(prepared: Prepared, held: Partition) -> np.ndarray:
    """Return the row numbers of the public studies: those of public patients that have both modalities."""
    rows: np.ndarray = prepared.rows_of(held.public)
    both: np.ndarray = rows[prepared.present["image"][rows] & prepared.present["text"][rows]]
    return both


def _partition_file(case: Case, resources: Resources) -> PartitionFile | None:
    """Return the partition file, if one is named; raises FedfeatError, or CaseSkipped if it is another column's."""
    path = resources.partition_file
    if path is None:
        return None
    file = partition_file.read(path)
    file.require_dataset(case.dataset)
    if file.column != (case.setup, case.partition):
        raise CaseSkipped(f"{path} holds a partition of {' '.join(file.column)}, not of {case.setup} {case.partition}")
    return file


def _held(case: Case, file: PartitionFile | None, table: StudyTable, setup: Setup) -> Partition:
    """Return who holds which patients: as the file says, or drawn."""
    if file is None:
        return partition.draw(table, setup, Counts.parse(case.partition), case.seed)
    partition_file.check(file, table, setup)
    return file.partition


def _imported(case: Case, file: PartitionFile | None, held: Partition, table: StudyTable, setup: Setup) -> str:
    """Return what `Case.imported_partition` has to be; raise FedfeatError if the case names another."""
    imported = "" if file is None or held.digest == _drawn(case, table, setup) else held.digest[:8]
    if case.imported_partition not in ("", imported):
        raise FedfeatError(
            f"{case.case_id}: its partition is not the one given; name its file (Resources.partition_file), "
            "or leave imported_partition out"
        )
    return imported


def _drawn(case: Case, table: StudyTable, setup: Setup) -> str | None:
    """Return the hash of what the seed draws; None if it can draw nothing (a file may hold smaller clients)."""
    try:
        return partition.draw(table, setup, Counts.parse(case.partition), case.seed).digest
    except FedfeatError:
        return None


def _check_evaluation(prepared: Prepared, setup: Setup) -> None:
    """Raise FedfeatError if no round could be chosen, or nothing scored, with the source's splits."""
    source = prepared.table.source
    for split in ("validate", "test"):
        rows = prepared.split(split, setup.evaluation_site)
        if not len(rows):
            raise FedfeatError(f"{source}: no row of the split {split!r} has both image and report; add some")
        targets, known = prepared.targets[rows], prepared.label_mask[rows]
        positive, negative = (known & (targets == 1)).any(0), (known & (targets == 0)).any(0)
        scored = int((positive & negative).sum())
        if not scored:
            raise FedfeatError(f"{source}: the {len(rows)} rows of {split!r} hold no label with both classes; add rows")
        least = least_labels(source, len(prepared.labels))
        if split == "test" and scored < least:  # the sanity bound would refuse the result, after all the training
            raise FedfeatError(
                f"{source}: the {len(rows)} rows of {split!r} hold both classes of {scored} label only, "
                f"and of {len(prepared.labels)} labels at least {least} must be scored; add rows"
            )


def method_of(case: Case, resources: Resources) -> Imputer:
    """Return the case's method with its parameters.

    Raises:
        FedfeatError: there is no such method, it has no such parameter, or a record cannot hold its parameters.
    """
    outside = imputers.load(resources.imputer) if resources.imputer else None
    method = outside if outside and outside.name == case.method else imputers.get(case.method)
    try:
        imputer = method(**case.params)
        json.dumps(imputer.params, allow_nan=False)
    except Exception as error:  # what a user's class may do when it is made
        known = ", ".join(entry.name for entry in fields(method)) or "none"
        raise FedfeatError(
            f"method {case.method}: parameters {dict(case.params)} do not fit; it has: {known}; "
            f"each needs a default that JSON can hold ({type(error).__name__}: {error})"
        ) from error
    return imputer


def _why_not(imputer: Imputer, counts: Counts) -> str | None:
    """Return why the method cannot be run with such clients, or None; raises FedfeatError if it does not say."""
    try:
        return imputer.applies(sorted(set(counts.kinds())))
    except Exception as error:
        raise FedfeatError(
            f"method {imputer.name}: applies fails ({type(error).__name__}: {error}); it must return a reason or None"
        ) from error


def _why_not_complete(imputer: Imputer, counts: Counts, setup: Setup, prepared: Prepared) -> str | None:
    """Return why a method that needs both modalities of every client has none to take, or None."""
    for kind in sorted(set(counts.kinds())) if imputer.nothing_missing else ():
        rows, site = prepared.table.rows, setup.pools[kind].site
        there = (rows["split"] == "train").to_numpy() & ((rows["site"] == site).to_numpy() | (site is None))
        for name in MODALITIES:
            if name not in KINDS[kind] and there.any() and not prepared.present[name][there].any():
                what = {"image": "image", "text": "report"}[name]
                return f"{kind} clients lack every {what}, since {site or prepared.table.source} has none"
    return None


def _prepared(dataset: str, resources: Resources, size: int, length: int, vocabulary: Path) -> Prepared:
    cache = resources.cache or sources.cache_folder()
    changed = _stamp(resources.data) if resources.data else None
    return _prepared_once(dataset, resources.data, changed, resources.uncertain, cache, size, length, vocabulary)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # reading it will say what is wrong
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=1)  # the cases of a session share one data set
def _prepared_once(
    dataset: str,
    data: Path | None,
    changed: tuple[int, int] | None,
    uncertain: str | None,
    cache: Path,
    size: int,
    length: int,
    vocabulary: Path,
) -> Prepared:
    table = sources.load(dataset, data, uncertain, cache)
    return prepare(table, size, reports.tokenizer(vocabulary, length), length, cache)


def _shortened(preset: Preset, resources: Resources) -> Preset:
    if not resources.shortened:
        return preset
    epochs = 1 if resources.smoke else preset.training.local_epochs
    return replace(preset, training=replace(preset.training, rounds=1, local_epochs=epochs))
