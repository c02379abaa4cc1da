"""A case with everything that it needs, loaded and checked before anything is trained."""

import platform
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from fedfeat import imputers, presets, provenance
from fedfeat.case import Case
from fedfeat.data import partition, reports, sources
from fedfeat.data.partition import Counts, Partition
from fedfeat.data.prepare import Prepared, prepare
from fedfeat.data.studies import Setup
from fedfeat.errors import FedfeatError
from fedfeat.federation.aggregation import rule
from fedfeat.imputers.base import Imputer
from fedfeat.machine import device_of
from fedfeat.models import weights
from fedfeat.presets import Preset


@dataclass(frozen=True)
class Resources:
    """What the user's machine brings to a case.

    Attributes:
        data: the user's data, for data sets that have any.
        uncertain: what uncertain labels count as ("masked", "zeros", "ones"); None: as the data set has it.
        image_weights: file of ResNet-50's weights; None: torchvision's own cache.
        text_weights: folder of BERT; None: the Hugging Face cache.
        from_scratch: start a preset that has pretrained encoders without them.
        imputer: file of a method outside the package.
        device: "cpu", "cuda" or "cuda:N".
        cache: where decoded pictures are kept; None: `sources.cache_folder()`.
        smoke: one tiny round, to see that everything runs; its scores mean nothing.
    """

    data: Path | None = None
    uncertain: str | None = None
    image_weights: Path | None = None
    text_weights: Path | None = None
    from_scratch: bool = False
    imputer: Path | None = None
    device: str = "cpu"
    cache: Path | None = None
    smoke: bool = False


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
    weights: str
    key: str
    device: torch.device


def plan(case: Case, resources: Resources = Resources()) -> Plan:
    """Check a case and load what it needs; raises FedfeatError or CaseSkipped ."""
    preset = _smoke(presets.get(case.preset)) if resources.smoke else presets.get(case.preset)
    rule(case.aggregation)
    imputer = method_of(case, resources)
    device = device_of(resources.device)
    origin, vocabulary = _start(preset, resources)
    prepared = _prepared(case.dataset, resources, preset.image_size, preset.report_length, vocabulary)
    counts = Counts.parse(case.partition)
    setup = partition.setup_of(prepared.table, case.setup, counts)
    if isinstance(setup, str):
        raise CaseSkipped(setup)
    reason = imputer.applies(sorted(set(counts.kinds())))
    if reason:
        raise CaseSkipped(f"{imputer.name} does not apply: {reason}")
    key = provenance.key(
        {
            "source": provenance.source_digest(imputers.file_of(type(imputer))),
            "case": asdict(case) | {"params": imputer.params},
            "preset": asdict(preset),
            "data": prepared.digest,
            "weights": origin,
            "smoke": resources.smoke,
            "versions": provenance.versions(),
            "device": device.type,
            "machine": platform.machine(),
        }
    )
    drawn = partition.draw(prepared.table, setup, counts, case.seed)
    return Plan(case, resources, preset, imputer, prepared, setup, drawn, origin, key, device)


def method_of(case: Case, resources: Resources) -> Imputer:
    """Return the case's method with its parameters.

    Raises:
        FedfeatError: there is no such method, or it has no such parameter.
    """
    outside = imputers.load(resources.imputer) if resources.imputer else None
    method = outside if outside and outside.name == case.method else imputers.get(case.method)
    try:
        return method(**case.params)
    except TypeError as error:
        known = ", ".join(method().params) or "none"
        raise FedfeatError(
            f"method {case.method}: parameters {dict(case.params)} do not fit; it has: {known}"
        ) from error


def _start(preset: Preset, resources: Resources) -> tuple[str, Path]:
    """Return where the encoders' weights come from, and the vocabulary that goes with them."""
    named = resources.image_weights or resources.text_weights
    if named and (not preset.pretrained or resources.from_scratch):
        reason = "--from-scratch is given" if preset.pretrained else f"preset {preset.name} starts its encoders itself"
        raise FedfeatError(f"{named}: weights cannot be used, since {reason}; leave one of the options out")
    if not preset.pretrained or resources.from_scratch:
        return weights.SCRATCH, reports.EMBEDDED_VOCABULARY
    image, text = weights.resnet50_file(resources.image_weights), weights.bert_folder(resources.text_weights)
    origin = f"{image.name} {weights.checksum(image)}, {text.name} {weights.checksum(text / 'model.safetensors')}"
    return origin, text / "vocab.txt"


def _prepared(dataset: str, resources: Resources, size: int, length: int, vocabulary: Path) -> Prepared:
    return _prepared_once(
        dataset,
        resources.data,
        resources.uncertain,
        resources.cache or sources.cache_folder(),
        size,
        length,
        vocabulary,
    )


@lru_cache(maxsize=1)  # the cases of a session share one data set
def _prepared_once(
    dataset: str, data: Path | None, uncertain: str | None, cache: Path, size: int, length: int, vocabulary: Path
) -> Prepared:
    table = sources.load(dataset, data, uncertain, cache)
    return prepare(table, size, reports.tokenizer(vocabulary, length), length, cache)


def _smoke(preset: Preset) -> Preset:
    return replace(preset, training=replace(preset.training, rounds=1, local_epochs=1))
