"""What every method of the package must do, whatever it fills with: learn, merge, fill, and leave the rest alone."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedfeat import imputers
from fedfeat.data.prepare import Prepared
from fedfeat.federation import client
from fedfeat.federation.client import ClientState, Member
from fedfeat.federation.forward import filled
from fedfeat.imputers.base import Context, Imputer, Reply
from fedfeat.models.classifier import Classifier
from fedfeat.randomness import torch_generator

PATIENTS = {"train": 8, "validate": 4, "test": 4}
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
EXAMPLES = ("swap", "ridge")  # the methods that CONTRIBUTING.md shows
METHODS = [*sorted(imputers.known()), *EXAMPLES]


def method(name: str, folder: Path) -> Imputer:
    """Return a method of the package, or one as CONTRIBUTING.md shows it."""
    if name not in EXAMPLES:
        return imputers.get(name)()
    blocks = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(), flags=re.DOTALL)
    (block,) = (block for block in blocks if f'name = "{name}"' in block)
    (folder / f"{name}.py").write_text(block)
    return imputers.load(folder / f"{name}.py")()


@pytest.mark.parametrize("name", METHODS)
def test_learn_merge_and_fill_go_together(
    name: str,
    make_prepared: Callable[..., Prepared],
    make_classifier: Callable[..., Classifier],
    make_context: Callable[..., Context],
    tmp_path: Path,
) -> None:
    imputer, classifier = method(name, tmp_path), make_classifier()
    ctx = make_context(classifier)
    shared, own = imputer.init(ctx.dims, torch_generator(0))
    prepared = make_prepared(PATIENTS)
    start = {key: value.clone() for key, value in classifier.state_dict().items()}
    members = []
    for number, kind in enumerate(("multimodal", "image", "multimodal")):
        holds = ("image",) if kind == "image" else ("image", "text")
        held = prepared.hold(np.arange(4 * number, 4 * number + 4), holds)
        members.append(Member(number, kind, held, prepared.hold(np.arange(12, 16)) if imputer.public else None))
    states = {member.number: ClientState(own=own) for member in members}
    before_training = min(2, imputer.pretrain_rounds(ctx.training))
    for number in range(1, before_training + 2):
        pretraining = number <= before_training
        learn = client.pretrain if pretraining else client.train
        ctx = replace(
            make_context(classifier, shared, "pretrain" if pretraining else "train"),
            round=number if pretraining else 1,
            tokenized=prepared.tokenized,
        )
        replies: list[Reply] = []
        for member in members:
            before = {key: value.clone() for key, value in shared.items()}
            state = states[member.number]
            reply, state = learn(classifier, start, member, state, imputer, ctx, seed=0)
            assert all(torch.equal(shared[key], before[key]) for key in shared), "a client changed what all are sent"
            assert all(value.device.type == "cpu" and not value.requires_grad for value in state.own.values())
            states[member.number] = state
            replies.append(reply)
        merged = imputer.merge(shared, replies, number)
        if not pretraining:
            shapes = [{key: value.shape for key, value in one.items()} for one in (merged, shared)]
            assert shapes[0] == shapes[1]
        shared = merged

    features = {modality: torch.nn.functional.normalize(torch.randn(6, 16), dim=1) for modality in ("image", "text")}
    for missing in ("image", "text"):
        present = {
            modality: torch.arange(6) % 2 == 0 if modality == missing else torch.ones(6).bool() for modality in features
        }
        zeroed = {modality: feature * present[modality][:, None] for modality, feature in features.items()}
        given = {modality: feature.clone() for modality, feature in zeroed.items()}
        for phase in ("train", "eval"):
            context = make_context(classifier, merged, phase)
            targets = torch.full((6, 3), float("nan"))
            result = filled(imputer, context, zeroed, present, targets)
            assert all(bool(torch.isfinite(feature).all()) for feature in result.values())
            assert all(torch.equal(zeroed[modality], given[modality]) for modality in features), "features were changed"


@pytest.mark.parametrize("name", METHODS)
def test_fill_works_under_mixed_precision(
    name: str, make_classifier: Callable[..., Classifier], make_context: Callable[..., Context], tmp_path: Path
) -> None:
    imputer, classifier = method(name, tmp_path), make_classifier()
    ctx = make_context(classifier)
    shared, _ = imputer.init(ctx.dims, torch_generator(0))
    features = {"image": torch.randn(4, 16), "text": torch.zeros(4, 16)}
    present = {"image": torch.ones(4).bool(), "text": torch.zeros(4).bool()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = filled(imputer, replace(ctx, shared=shared), features, present, None)
    assert result["text"].dtype == torch.float32
