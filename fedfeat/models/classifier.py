"""The complete model of the paper's section 2.1: two encoders, concatenation, a linear head."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfeat.data.augment import scaled
from fedfeat.data.prepare import MODALITIES, Studies
from fedfeat.models.encoders import EncoderNames, image_encoder, text_encoder


class Classifier(nn.Module):
    """Image and text encoder, and a head over their concatenated features.

    Its keys begin with the modality whose encoder they belong to ("image.", "text."), or with "head.".
    """

    def __init__(self, names: EncoderNames, labels: int) -> None:
        super().__init__()
        self.image = image_encoder(names)
        self.text = text_encoder(names)
        self.head = nn.Linear(len(MODALITIES) * names.features, labels)
        self.width = names.features
        self.names = names

    def encode(self, studies: Studies, images: Tensor | None = None) -> dict[str, Tensor]:
        """Return a feature a modality for a batch.

        Args:
            studies: the batch, on the model's device.
            images: (n, 1, S, S) in [0, 1] to use in place of the batch's own pictures (augmented ones).

        Returns:
            modality -> (n, features); rows in which the modality is absent hold zeros.
        """
        inputs: dict[str, Tensor | None] = {"image": images, "text": studies.tokens}
        if images is None and studies.images is not None:
            inputs["image"] = scaled(studies.images)
        return {name: self._encode(name, inputs[name], studies.present[name]) for name in MODALITIES}

    def _encode(self, name: str, inputs: Tensor | None, present: Tensor) -> Tensor:
        encoder = self.get_submodule(name)
        if inputs is not None and bool(present.all()):
            features: Tensor = encoder(inputs)
            return features
        features = torch.zeros(len(present), self.width, device=self.head.weight.device)
        if inputs is not None and bool(present.any()):
            features = features.index_put((present.nonzero()[:, 0],), encoder(inputs[present]))
        return features

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return (n, labels) logits of the concatenated features."""
        logits: Tensor = self.head(torch.cat([features[name] for name in MODALITIES], dim=1))
        return logits.float()

    def features(self, studies: Studies, batch_size: int) -> dict[str, Tensor]:
        """Return the features of all rows in evaluation mode and without gradient, modality -> (n, features)."""
        training = self.training
        self.eval()
        with torch.no_grad():
            parts = [self.encode(studies.batch(index)) for index in in_order(studies, batch_size) if len(index)]
        self.train(training)
        empty = torch.zeros(0, self.width, device=self.head.weight.device)
        return {name: torch.cat([empty, *(part[name] for part in parts)]) for name in MODALITIES}


def in_order(studies: Studies, batch_size: int) -> tuple[Tensor, ...]:
    """Return the row numbers of the studies, `batch_size` at a time."""
    rows: tuple[Tensor, ...] = torch.arange(len(studies), device=studies.targets.device).split(batch_size)
    return rows


def keys_of(state: Iterable[str], modalities: Iterable[str]) -> list[str]:
    """Return the keys that a holder of these modalities trains: their encoders' and the head's."""
    prefixes = (*(f"{name}." for name in modalities), "head.")
    return [key for key in state if key.startswith(prefixes)]


def masked_loss(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return binary cross-entropy with logits, the mean over known labels; 0 where none is known."""
    if not bool(mask.any()):
        return logits.sum() * 0.0
    return functional.binary_cross_entropy_with_logits(logits[mask], targets[mask])
