"""The paper's Table 3 measured: parameters, multiply-accumulates, time and bytes of FIN and R2Gen at the paper's sizes.

No data and no pretrained weights have a part in it: costs follow from the sizes of networks.
"""

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from fedfeat import presets, provenance
from fedfeat.data.prepare import MODALITIES
from fedfeat.evaluation.cost import BYTES, analytic_bytes
from fedfeat.imputers.base import Dims
from fedfeat.imputers.fin import FIN, FeatureImputationNetwork
from fedfeat.imputers.r2gen import ReportGeneration
from fedfeat.imputers.r2gen.generation import Writing
from fedfeat.imputers.r2gen.network import PAPER, R2Gen
from fedfeat.imputers.r2gen.trunks import patch_trunk
from fedfeat.machine import device_of, fixed, graphics_card
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import count, parameter_count
from fedfeat.randomness import scoped
from fedfeat.results import paper
from fedfeat.results import table3 as results
from fedfeat.results.table3 import Encoder, System, Table3, Upload

LABELS = 14
WORDS, STEPS, BEAMS = 1015, 40, 3  # with these R2Gen has the paper's 59.74 M and 94.059 G (inferred)
RUNS = 5
_PRESET = presets.get("paper")
_MEGABYTE = 1e6


@dataclass(frozen=True)
class _Candidate:
    """A system before it is measured: its row with what is known, the network, and what it is given."""

    row: System
    network: nn.Module
    given: Tensor


class _BothDirections(nn.Module):
    """FIN's two networks, each on one feature."""

    def __init__(self, networks: list[FeatureImputationNetwork]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, feature: Tensor) -> Tensor:
        return torch.stack([network(feature) for network in self.networks])


class _WithLabelHead(nn.Module):
    """One direction with a label head on what it imputes, which the scored network does not have."""

    def __init__(self, network: FeatureImputationNetwork, width: int) -> None:
        super().__init__()
        self.network, self.head = network, nn.Linear(width, LABELS)

    def forward(self, feature: Tensor) -> Tensor:
        logits: Tensor = self.head(self.network(feature))
        return logits


def key(device: str, runs: int = RUNS) -> str:
    """Return a hash of all that the table depends on: sources, versions, device, and whose times they are."""
    sources = [provenance.core_digest(), *map(provenance.method_digest, (FIN, ReportGeneration))]
    sources += [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (sys.modules[__name__], results)]
    return provenance.key(
        {"sources": sources, "versions": _versions(device), "device": device, "runs": runs, "processor": _processor()}
    )


def _versions(device: str) -> dict[str, str]:
    return provenance.versions() | graphics_card(device_of(device))


def _processor() -> str:
    """Return the CPU's name; the machine's architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def measure(device: str = "cpu", runs: int = RUNS) -> Table3:
    """Count and time every system (a minute and a half on two cores, most of it R2Gen's without a cache).

    Args:
        device: "cpu", "cuda" or "cuda:N"; counting is on the CPU.
        runs: timed runs of each system; 0: count only.
    """
    head, dirty = provenance.commit(FIN)
    with fixed(device_of(device), _PRESET.threads), scoped(torch.device("cpu"), 0, "table 3"):
        classifier = Classifier(_PRESET.encoders, LABELS)
        candidates = _candidates(classifier)
        encoders, complete = encoder_macs(classifier), parameter_count(classifier)
        systems = []
        for one in candidates:
            counted = count(one.network, (one.given,))
            assert counted.macs is not None and counted.parameters is not None
            systems.append(
                replace(
                    one.row,
                    parameters=counted.parameters,
                    macs=counted.macs,
                    unsupported_ops=dict(counted.unsupported),
                    encoder_macs=encoders[one.row.encoder],
                    megabytes_paper=(complete + counted.parameters) * BYTES / _MEGABYTE,
                )
            )
        if runs:
            systems = _timed(systems, candidates, classifier, device_of(device), runs)
    return Table3(
        systems=tuple(systems),
        uploads=uploads(classifier),
        rounds=_PRESET.training.rounds,
        epochs=_PRESET.training.local_epochs,
        runs=runs,
        key=key(device, runs),
        device=device,
        processor=_processor(),
        threads=_PRESET.threads,
        versions=_versions(device),
        commit=head,
        dirty=dirty,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def uploads(classifier: Classifier) -> tuple[Upload, ...]:
    """Return what clients send in a round, of the paper's classifier (its weights do not matter)."""
    multimodal, image = (analytic_bytes(classifier, held) / _MEGABYTE for held in (MODALITIES, ("image",)))
    with torch.device("meta"):
        fin, r2gen = FIN().network(Dims(classifier.width, LABELS)), _r2gen()
    networks = 2 * parameter_count(fin) * BYTES / _MEGABYTE
    floats = sum(value.numel() for value in r2gen.state_dict().values() if value.is_floating_point())
    rounds = _PRESET.training.rounds
    return (
        Upload(rounds=f"zero filling, each of {rounds}", multimodal=multimodal, image=image),
        Upload(rounds=f"FIN, each of {rounds}", multimodal=multimodal + networks, image=image),
        Upload(rounds=f"R2Gen, each of {rounds} of its own, before", multimodal=floats * BYTES / _MEGABYTE, image=0.0),
        # With their written reports image-only clients train, and send, both encoders.
        Upload(rounds=f"R2Gen, each of {rounds} of the classifier's", multimodal=multimodal, image=multimodal),
    )


def _r2gen() -> R2Gen:
    trunk, patch_width = patch_trunk(_PRESET.encoders.image)
    return R2Gen(trunk, patch_width, WORDS, PAPER)


def _candidates(classifier: Classifier) -> list[_Candidate]:
    width = classifier.width
    feature, image = torch.full((1, width), width**-0.5), _image()
    directions = [FIN().network(Dims(width, LABELS)) for _ in range(2)]
    r2gen = _r2gen()
    described = f"{WORDS:,} words, {STEPS} steps, beam {BEAMS} (inferred)"
    fin_figures, r2gen_figures = (
        {"paper_parameters": paper.PARAMETERS[method], "paper_macs": paper.MACS[method]} for method in ("fin", "r2gen")
    )
    return [
        _Candidate(
            _row("FIN, one direction", "image", role="fin", note="the network that is scored", **fin_figures),
            directions[0],
            feature,
        ),
        _Candidate(
            _row(
                "FIN, one direction with a label head (inferred)",
                "image",
                note="with a Linear between 256 and 14 both of the paper's figures come out; its equation 4 needs none",
                **fin_figures,
            ),
            _WithLabelHead(directions[0], width),
            feature,
        ),
        _Candidate(
            _row("FIN, both directions", "both", role="both", note="what multimodal clients train and send"),
            _BothDirections(directions),
            feature,
        ),
        _Candidate(
            _row("R2Gen, without a cache", "text", role="r2gen", note=described, **r2gen_figures),
            Writing(r2gen, STEPS, BEAMS, cached=False),
            image,
        ),
        _Candidate(
            _row("R2Gen, with a cache", "text", role="cached", note=f"as it is run; {described}"),
            Writing(r2gen, STEPS, BEAMS, cached=True),
            image,
        ),
    ]


def _row(name: str, encoder: Encoder, **known: Any) -> System:
    """Return a row of which only the counts are not known yet."""
    return System(name=name, encoder=encoder, parameters=0, macs=0, megabytes_paper=0.0, **known)


def _image() -> Tensor:
    return torch.full((1, 1, _PRESET.image_size, _PRESET.image_size), 0.5)


def _tokens() -> Tensor:
    return torch.ones(1, _PRESET.report_length, dtype=torch.int32)


def encoder_macs(classifier: Classifier) -> dict[Encoder, int]:
    """Return the multiply-accumulates of the paper's encoders, by what `System.encoder` names."""
    image, text = count(classifier.image, (_image(),)).macs, count(classifier.text, (_tokens(),)).macs
    assert image is not None and text is not None
    return {"image": image, "text": text, "both": image + text, "": 0}


def _timed(
    systems: list[System], candidates: list[_Candidate], classifier: Classifier, device: torch.device, runs: int
) -> list[System]:
    """Return the rows with times: every system and encoder runs once before any of them runs again."""
    classifier = classifier.to(device).eval()
    calls: dict[str, Callable[[], Tensor]] = {
        "image": partial(classifier.image, _image().to(device)),
        "text": partial(classifier.text, _tokens().to(device)),
    }
    for one in candidates:
        calls[one.row.name] = partial(one.network.to(device).eval(), one.given.to(device))
    took: dict[str, list[float]] = {name: [] for name in calls}
    with torch.no_grad():
        for call in calls.values():
            call()  # the first time, memory is allocated and kernels are chosen
        for _ in range(runs):
            for name, call in calls.items():
                timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
                took[name].append(timer.timeit(1).median * 1e3)
    typical = {name: median(times) for name, times in took.items()}
    encoders = {"image": typical["image"], "text": typical["text"], "both": typical["image"] + typical["text"], "": 0.0}
    return [replace(one, milliseconds=typical[one.name], encoder_milliseconds=encoders[one.encoder]) for one in systems]
