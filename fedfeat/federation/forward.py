"""The forward pass with filled features: the one place where a method's `fill` is called."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from fedfeat.data.prepare import Studies
from fedfeat.imputers.base import Context, Imputer
from fedfeat.models.classifier import Classifier, in_order


class BadFill(Exception):
    """A method's `fill` did not return what the contract says."""


def filled(
    imputer: Imputer,
    ctx: Context,
    features: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    targets: Tensor | None,
) -> dict[str, Tensor]:
    """Return the features with absent rows filled by the method; no gradient flows into what it filled.

    `fill` sees detached features, and no targets at evaluation, whatever the caller has.

    Values are not looked at here, which would make a GPU wait at every batch: see `not_finite`.

    Raises:
        BadFill: a modality is not returned as a tensor, or has another shape than its features.
    """
    if all(bool(mask.all()) for mask in present.values()):
        return dict(features)
    # Without autocast: a method need not think about precision; features are float32, as encoders normalise them.
    with torch.no_grad(), torch.autocast(ctx.device.type, enabled=False):
        detached = {name: feature.detach() for name, feature in features.items()}
        offered = imputer.fill(ctx, detached, present, None if ctx.phase == "eval" else targets)
    if not isinstance(offered, Mapping):
        raise BadFill(f"method {imputer.name}: fill returned {type(offered).__name__}, not features by modality")
    result: dict[str, Tensor] = {}
    for name, feature in features.items():
        if bool(present[name].all()):
            result[name] = feature
            continue
        value = offered.get(name)
        if not isinstance(value, Tensor) or value.shape != feature.shape:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else _named(value)
            raise BadFill(f"method {imputer.name}: fill returned {got} for {name}, not shape {tuple(feature.shape)}")
        if value.device != feature.device:
            raise BadFill(f"method {imputer.name}: fill returned {name} on {value.device}, not on {feature.device}")
        result[name] = torch.where(present[name][:, None], feature, value.detach().to(feature.dtype))
    return result


def _named(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__}, no tensor,"


def not_finite(features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> str | None:
    """Return a modality that the method filled with NaN or infinity, given what `filled` returned; None if it did not.

    None also where features of rows that are present are not finite: a method cannot make sense of those.
    """
    finite = {name: feature.detach().isfinite().all(dim=1) for name, feature in features.items()}
    if not all(bool(rows[present[name]].all()) for name, rows in finite.items()):
        return None
    return next((name for name, rows in finite.items() if not bool(rows.all())), None)


def predict(classifier: Classifier, imputer: Imputer, ctx: Context, studies: Studies) -> Tensor:
    """Return (n, labels) logits on the CPU, in evaluation mode; absent rows are filled without targets."""
    return classify(classifier, imputer, ctx, classifier.features(studies, ctx.training.evaluation_batch_size), studies)


def classify(
    classifier: Classifier, imputer: Imputer, ctx: Context, features: Mapping[str, Tensor], studies: Studies
) -> Tensor:
    """Return (n, labels) logits on the CPU from features already computed; absent rows are filled without targets."""
    evaluation = replace(ctx, phase="eval")
    parts = [torch.zeros(0, classifier.head.out_features)]
    with torch.no_grad():
        for index in in_order(studies, ctx.training.evaluation_batch_size):
            present = {name: mask[index] for name, mask in studies.present.items()}
            batch = {name: feature[index] for name, feature in features.items()}
            parts.append(classifier.classify(filled(imputer, evaluation, batch, present, None)).cpu())
    return torch.cat(parts)
