"""Frozen sets of hyper-parameters: what is trained, and how."""

from dataclasses import dataclass

from fedfeat.errors import FedfeatError
from fedfeat.models.encoders import EncoderNames
from fedfeat.models.training import Training


@dataclass(frozen=True)
class Preset:
    """Everything about a run that is neither data nor method.

    Attributes:
        name: as options and records show it.
        image_size: pictures are squeezed to this square, in pixels.
        report_length: reports are cut at this many tokens.
        encoders: trunks and feature width.
        start: what the encoders start from, a name of `models.weights.WAYS`.
        head_bias: what the head's biases start from, in logits; None: torch's default, as in the released code.
        training: hyper-parameters.
        threads: intra-op threads of a case on the CPU: results depend on them in the last digits.
    """

    name: str
    image_size: int
    report_length: int
    encoders: EncoderNames
    start: str
    head_bias: float | None
    training: Training
    threads: int


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="phantom",
            image_size=64,
            report_length=96,
            encoders=EncoderNames("basic-blocks", "bert-small", 64),
            start="embedded",
            # Most labels are rare. From 0 the features, of unit norm, first line up to say so, since a bias moves by no
            # more than a rate a step; that undoes what the encoders start with (docs/pretraining.md).
            head_bias=-2.0,
            training=Training(rounds=8, local_epochs=3, batch_size=16, evaluation_batch_size=128, learning_rate=2e-3),
            threads=1,
        ),
        Preset(  # for one's own data without a GPU
            name="light",
            image_size=128,
            report_length=64,
            encoders=EncoderNames("efficientnet-lite0", "minilm-l6", 256),
            start="light",
            head_bias=-2.0,  # as phantom's, and for its reason: no more steps than there
            training=Training(rounds=5, local_epochs=3, batch_size=8, evaluation_batch_size=64, learning_rate=1e-3),
            threads=2,
        ),
        Preset(  # paper, section 3.2; batch sizes and augmentation as in the released code
            name="paper",
            image_size=224,
            report_length=128,
            encoders=EncoderNames("resnet50", "bert-base-uncased", 256),
            start="published",
            head_bias=None,
            training=Training(rounds=30, local_epochs=3, batch_size=48, evaluation_batch_size=96, learning_rate=1e-4),
            threads=2,
        ),
    )
}


def get(name: str) -> Preset:
    """Return the preset of that name; raise FedfeatError, with the known ones, if there is none."""
    if name not in PRESETS:
        raise FedfeatError(f"preset {name!r} is unknown; the known ones are {', '.join(PRESETS)}")
    return PRESETS[name]
