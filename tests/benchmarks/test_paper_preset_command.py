"""SLOW (one to two minutes, 6 GB): the paper's preset with ResNet-50 and BERT-base, from scratch, one tiny round."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_the_papers_preset_runs_from_scratch(
    command: Callable[..., Any], make_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    manifest = make_manifest(train=6, validate=4, test=4)
    session = command(
        *("-k", "homogeneous and 1:0:1 and fin", "--partition", "1:0:1", "--seeds", "0"),
        *("--dataset", "manifest", "--data", manifest, "--preset", "paper", "--from-scratch", "--smoke"),
        *("--records", tmp_path / "records"),
    )
    assert (session.status, session.count("passed")) == (0, 1), session.output
    assert not (tmp_path / "records").exists()
