"""The paper's Table 3 measured: parameters, multiply-accumulates, time and bytes of FIN and R2Gen at the paper's sizes.

No data and no pretrained weights have a part in it: costs follow from the sizes of networks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from fedfeat import presets, provenance
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
from fedfeat.results.table3 import Encoder, System, Table3

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


def key(device: str) -> str:
    """Return a hash of all that the table depends on but the machine's speed."""
    digests = [provenance.core_digest(), *map(provenance.method_digest, (FIN, ReportGeneration))]
    return provenance.key(
        {"sources": digests, "versions": provenance.versions(), "device": device, "runs": RUNS, "schema": 1}
    )


def measure(device: str = "cpu", runs: int = RUNS) -> Table3:
    """Count and time every system (a minute on two cores, most of it R2Gen's without a cache).

    Args:
        device: "cpu", "cuda" or "cuda:N"; counting is on the CPU.
        runs: timed runs of each system; 0: count only.
    """
    head, dirty = provenance.commit(FIN)
    with fixed(device_of(device), _PRESET.threads), scoped(torch.device("cpu"), 0, "table 3"):
        classifier = Classifier(_PRESET.encoders, LABELS)
        candidates = _candidates(classifier)
        encoders = _encoder_counts(classifier)
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
                    megabytes_paper=_complete(classifier) + counted.parameters * BYTES / _MEGABYTE,
                )
            )
        if runs:
            systems = _timed(systems, candidates, classifier, device_of(device), runs)
    return Table3(
        systems=tuple(systems),
        runs=runs,
        key=key(device),
        device=device,
        threads=_PRESET.threads,
        versions=provenance.versions() | graphics_card(device_of(device)),
        commit=head,
        dirty=dirty,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _candidates(classifier: Classifier) -> list[_Candidate]:
    width = _PRESET.encoders.features
    feature, image = torch.full((1, width), width**-0.5), _image()
    dims = Dims(width, LABELS)
    directions = [FIN().network(dims) for _ in range(2)]
    trunk, patch_width = patch_trunk(_PRESET.encoders.image)
    r2gen = R2Gen(trunk, patch_width, WORDS, PAPER)
    plain = {kind: analytic_bytes(classifier, held) / _MEGABYTE for kind, held in _HELD.items()}
    networks = sum(parameter_count(network) for network in directions) * BYTES / _MEGABYTE
    with_fin = {"multimodal": plain["multimodal"] + networks, "image": plain["image"]}
    # Its own rounds come before the classifier's, in which image-only clients have reports, and so both encoders.
    floats = sum(value.numel() for value in r2gen.state_dict().values() if value.is_floating_point())
    with_r2gen = {"multimodal": floats * BYTES / _MEGABYTE, "image": plain["multimodal"]}
    described = f"{WORDS:,} words, {STEPS} steps, beam {BEAMS}"
    paper_fin, paper_r2gen = (6.324e6, 6.318e6), (59.74e6, 94.059e9)
    return [
        _Candidate(
            _row("FIN, one direction", "image", paper_fin, role="fin", note="the network that is scored (equation 4)"),
            directions[0],
            feature,
        ),
        _Candidate(
            _row(
                "FIN, one direction with a label head (inferred)",
                "image",
                paper_fin,
                note="with a Linear between 256 and 14 both of the paper's figures come out; its text has none",
            ),
            _WithLabelHead(directions[0], width),
            feature,
        ),
        _Candidate(
            _row(
                "FIN, both directions",
                "both",
                note="what multimodal clients send in every round; image-only ones send none of it",
                megabytes=with_fin,
            ),
            _BothDirections(directions),
            feature,
        ),
        _Candidate(
            _row("R2Gen, without a cache", "text", paper_r2gen, role="r2gen", note=f"{described} (inferred)"),
            Writing(r2gen, STEPS, BEAMS, cached=False),
            image,
        ),
        _Candidate(
            _row(
                "R2Gen, with a cache",
                "text",
                role="cached",
                note="as it is run; sent are the network, in rounds of its own before the classifier's, and by image-"
                "only clients, which then read their reports, both encoders",
                megabytes=with_r2gen,
            ),
            Writing(r2gen, STEPS, BEAMS, cached=True),
            image,
        ),
    ]


def _row(name: str, encoder: Encoder, paper: tuple[float, float] | None = None, **known: object) -> System:
    figures = {"paper_parameters": paper[0], "paper_macs": paper[1]} if paper else {}
    return System(name=name, encoder=encoder, parameters=0, macs=0, megabytes_paper=0.0, **figures, **known)  # type: ignore[arg-type]


_HELD = {"multimodal": ("image", "text"), "image": ("image",)}


def _image() -> Tensor:
    return torch.full((1, 1, _PRESET.image_size, _PRESET.image_size), 0.5)


def _tokens() -> Tensor:
    return torch.ones(1, _PRESET.report_length, dtype=torch.int32)


def _complete(classifier: Classifier) -> float:
    return parameter_count(classifier) * BYTES / _MEGABYTE


def _encoder_counts(classifier: Classifier) -> dict[Encoder, int]:
    image, text = count(classifier.image, (_image(),)).macs, count(classifier.text, (_tokens(),)).macs
    assert image is not None and text is not None
    return {"image": image, "text": text, "both": image + text, "": 0}


def _timed(
    systems: list[System], candidates: list[_Candidate], classifier: Classifier, device: torch.device, runs: int
) -> list[System]:
    """Return the rows with times: every system and encoder runs once before any of them runs again."""
    classifier = classifier.to(device).eval()
    calls: dict[str, Callable[[], Tensor]] = {
        "image": _call(classifier.image, _image().to(device)),
        "text": _call(classifier.text, _tokens().to(device)),
    }
    for one in candidates:
        calls[one.row.name] = _call(one.network.to(device).eval(), one.given.to(device))
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


def _call(network: nn.Module, given: Tensor) -> Callable[[], Tensor]:
    def call() -> Tensor:
        result: Tensor = network(given)
        return result

    return call
