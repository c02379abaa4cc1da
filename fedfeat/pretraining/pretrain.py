"""Make the weights that the phantom preset's encoders start from: `python -m fedfeat.pretraining.pretrain`.

Text: masked language modelling of reports. Images: nuisance targets (`data.phantom.nuisance`). Both on phantom patients
that are in no benchmark study; no label, no finding and no pair of a picture and a report is ever looked at. Only the
trunks are kept, in half precision.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from fedfeat import presets
from fedfeat.commands.parser import Parser
from fedfeat.data.phantom import nuisance
from fedfeat.data.phantom.sites import GENERATOR_VERSION
from fedfeat.data.reports import EMBEDDED_VOCABULARY, tokenize, tokenizer
from fedfeat.models.encoders import image_encoder, text_encoder
from fedfeat.models.weights import EMBEDDED
from fedfeat.pretraining.language import Language, LanguageScores, pretrain_text, score_text
from fedfeat.pretraining.vision import Vision, VisionScores, pretrain_images, score_images, settle_statistics
from fedfeat.randomness import scoped

VERSION = 1  # raise it when what this script makes changes
MOST_BYTES = 2_000_000
ORIGIN = "origin"  # the metadata's only key: a JSON object that says how the weights came about


@dataclass(frozen=True)
class Settings:
    """What is pretrained on what, and for how long.

    Attributes:
        seed: of the patients, the initial weights and all draws.
        held_out: reports and pictures, of other patients, to score on.
    """

    seed: int = 0
    held_out: int = 1_000
    language: Language = field(default_factory=Language)
    vision: Vision = field(default_factory=Vision)


@dataclass(frozen=True)
class Pretrained:
    """The trunks' weights, keyed as `Classifier.state_dict` is, in float32; and how well they do."""

    weights: Mapping[str, Tensor]
    language: LanguageScores
    vision: VisionScores
    losses: Mapping[str, list[float]]


def _say(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


def _kept(modality: str, trunk: torch.nn.Module) -> dict[str, Tensor]:
    """Return the trunk's state under the classifier's keys, less the counters of batches, which nothing needs."""
    return {
        f"{modality}.trunk.{key}": value.detach().contiguous()
        for key, value in trunk.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def pretrain_language(settings: Settings) -> tuple[dict[str, Tensor], LanguageScores, list[float]]:
    """Return the text trunk's weights, its scores and the losses."""
    preset = presets.get("phantom")
    pieces = tokenizer(EMBEDDED_VOCABULARY, preset.report_length)

    def read(stream: str, n: int) -> Tensor:
        reports = nuisance.reports(settings.seed, stream, n)
        return torch.from_numpy(tokenize(reports, pieces, preset.report_length)).long()

    tokens = read(nuisance.STREAM, settings.language.reports)
    _say(f"{len(tokens)} reports written")
    with scoped(torch.device("cpu"), settings.seed, "pretraining", "text trunk"):
        trunk = text_encoder(preset.encoders).trunk
    head, losses = pretrain_text(trunk, tokens, settings.language, settings.seed, lambda line: _say(f"text {line}"))
    scores = score_text(trunk, head, read(nuisance.HELD_OUT, settings.held_out), settings.seed)
    _say(f"held-out reports: {scores}")
    return _kept("text", trunk), scores, losses


def pretrain_vision(settings: Settings) -> tuple[dict[str, Tensor], VisionScores, list[float]]:
    """Return the image trunk's weights, its scores and the losses."""
    corpus = nuisance.scenes(settings.seed, nuisance.STREAM, settings.vision.pictures)
    _say(f"{len(corpus)} pictures drawn")
    with scoped(torch.device("cpu"), settings.seed, "pretraining", "image trunk"):
        encoder = image_encoder(presets.get("phantom").encoders)
    heads, losses = pretrain_images(encoder, corpus, settings.vision, settings.seed, lambda line: _say(f"image {line}"))
    held_out = nuisance.scenes(settings.seed, nuisance.HELD_OUT, settings.held_out)
    scores = score_images(encoder, heads, held_out, settings.vision, settings.seed)
    _say(f"held-out pictures: {scores}")
    settle_statistics(encoder, corpus, settings.vision, settings.seed)
    return _kept("image", encoder.trunk), scores, losses


def pretrain(settings: Settings) -> Pretrained:
    """Pretrain both trunks; equal for equal settings, threads and library versions."""
    text, language, text_losses = pretrain_language(settings)
    image, vision, image_losses = pretrain_vision(settings)
    return Pretrained({**image, **text}, language, vision, {"image": image_losses, "text": text_losses})


def save(pretrained: Pretrained, settings: Settings, path: Path) -> None:
    """Write the weights in half precision, and in the file's metadata how they came about."""
    weights = {key: value.half().contiguous() for key, value in pretrained.weights.items()}
    assert all(bool(value.isfinite().all()) for value in weights.values())
    origin = {
        "script": f"fedfeat.pretraining.pretrain {VERSION}",
        "phantom_generator": GENERATOR_VERSION,
        "settings": asdict(settings),
        "held_out": {"language": asdict(pretrained.language), "vision": asdict(pretrained.vision)},
        "torch": torch.__version__,
    }
    # One entry only: safetensors writes several in random order, and equal weights should be equal files.
    save_file(weights, path, {ORIGIN: json.dumps(origin, sort_keys=True)})
    size = path.stat().st_size
    assert size < MOST_BYTES, f"{path} has {size} bytes"


def main(argv: Sequence[str] | None = None) -> None:
    """Pretrain and write the weights to the file that `argv` names, or over those of the package."""
    parser = Parser(prog="python -m fedfeat.pretraining.pretrain", description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=EMBEDDED, help="the file to write (default: %(default)s)")
    path: Path = parser.parse_args(argv).path
    torch.set_num_threads(1)
    started = time.monotonic()
    settings = Settings()
    pretrained = pretrain(settings)
    save(pretrained, settings, path)
    _say(f"{path}: {path.stat().st_size} bytes, after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
