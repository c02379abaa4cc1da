"""Pretraining of the phantom preset's trunks, in miniature, and the weights that are shipped."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fedfeat import presets
from fedfeat.data.phantom.sites import GENERATOR_VERSION
from fedfeat.data.reports import PAD_ID, SPECIAL_TOKENS
from fedfeat.models.classifier import Classifier
from fedfeat.models.weights import EMBEDDED
from fedfeat.pretraining import pretrain
from fedfeat.pretraining.language import MASK_ID, Language, batches_by_length, mask
from fedfeat.pretraining.vision import Vision
from fedfeat.randomness import torch_generator

MINIATURE = pretrain.Settings(
    seed=5,
    held_out=64,
    language=Language(reports=128, epochs=6, batch_size=16),
    vision=Vision(pictures=64, epochs=8, batch_size=16),
)


@pytest.fixture(scope="module")
def miniature() -> pretrain.Pretrained:
    return pretrain.pretrain(MINIATURE)


def _trunks() -> dict[str, torch.Tensor]:
    state = Classifier(presets.get("phantom").encoders, 14).state_dict()
    return {
        key: value
        for key, value in state.items()
        if key.startswith(("image.trunk.", "text.trunk.")) and not key.endswith("num_batches_tracked")
    }


def test_the_shipped_weights_are_the_trunks_of_the_phantom_preset() -> None:
    weights, wanted = load_file(EMBEDDED), _trunks()
    assert set(weights) == set(wanted)
    for key, value in weights.items():
        assert value.dtype == torch.float16
        assert value.shape == wanted[key].shape
        assert bool(value.isfinite().all())
    assert all(bool((value > 0).all()) for key, value in weights.items() if key.endswith("running_var"))
    assert EMBEDDED.stat().st_size < pretrain.MOST_BYTES


def test_the_shipped_weights_say_how_they_came_about() -> None:
    with safe_open(EMBEDDED, "pt") as file:
        origin = json.loads(file.metadata()[pretrain.ORIGIN])
    assert origin["script"] == f"fedfeat.pretraining.pretrain {pretrain.VERSION}"
    assert origin["phantom_generator"] == GENERATOR_VERSION
    assert origin["settings"] == asdict(pretrain.Settings())
    assert origin["held_out"]["language"]["accuracy"] > 0.5
    assert origin["held_out"]["vision"]["cells_auc"] > 0.7


def test_a_short_pretraining_lowers_both_losses(miniature: pretrain.Pretrained) -> None:
    for losses in miniature.losses.values():
        assert np.mean(losses[-6:]) < 0.95 * np.mean(losses[:6])


def test_pretraining_repeats_itself(miniature: pretrain.Pretrained) -> None:
    again = pretrain.pretrain(MINIATURE)
    assert again.losses == miniature.losses
    assert again.weights.keys() == miniature.weights.keys()
    for key, value in again.weights.items():
        assert torch.equal(value, miniature.weights[key])


def test_what_is_saved_is_what_was_trained(miniature: pretrain.Pretrained, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    pretrain.save(miniature, MINIATURE, path)
    saved = load_file(path)
    assert set(saved) == set(_trunks())
    assert all(torch.equal(saved[key], value.half()) for key, value in miniature.weights.items())
    pretrain.save(miniature, MINIATURE, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_weights_that_are_not_finite_are_not_saved(miniature: pretrain.Pretrained, tmp_path: Path) -> None:
    broken = {**miniature.weights, "image.trunk.0.weight": torch.full((16, 1, 5, 5), torch.nan)}
    with pytest.raises(AssertionError):
        pretrain.save(replace(miniature, weights=broken), MINIATURE, tmp_path / "weights.safetensors")


def test_masking_is_berts() -> None:
    tokens = torch.randint(len(SPECIAL_TOKENS), 1500, (400, 60), generator=torch_generator(0, "tokens"))
    tokens[:, 0], tokens[:, 50], tokens[:, 51:] = 2, 3, PAD_ID
    hidden, chosen = mask(tokens, 1500, torch_generator(0, "mask"), 0.15)
    assert not chosen[:, 0].any()
    assert not chosen[:, 50:].any()
    assert chosen[:, 1:50].float().mean() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(hidden[~chosen], tokens[~chosen])
    assert (hidden[chosen] == MASK_ID).float().mean() == pytest.approx(0.8, abs=0.03)
    assert (hidden[chosen] == tokens[chosen]).float().mean() == pytest.approx(0.1, abs=0.02)


def test_batches_hold_each_report_at_most_once() -> None:
    tokens = torch.ones(103, 20, dtype=torch.long)
    batches = batches_by_length(tokens, 10, torch_generator(0, "batches"))
    rows = torch.cat(batches)
    assert len(batches) == 10
    assert len(rows.unique()) == len(rows) == 100


def test_help_pretrains_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fedfeat.pretraining.pretrain", "--help"]
    before = EMBEDDED.stat().st_mtime_ns
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m fedfeat.pretraining.pretrain")
    assert EMBEDDED.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [], "a file called --help"
