"""What Table 3 is made of; the whole of it is counted, and held against the paper, by benchmarks/test_table3.py."""

from pathlib import Path

import pytest
import torch

from fedfeat import presets, table3
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import parameter_count
from fedfeat.results import table3 as results


@pytest.fixture(scope="module")
def paper() -> Classifier:
    with torch.device("meta"):
        return Classifier(presets.get("paper").encoders, table3.LABELS)


def test_clients_send_what_the_sizes_of_networks_say(paper: Classifier) -> None:
    zero, fin, own, later = table3.uploads(paper)
    rounded = [(round(one.multimodal, 3), round(one.image, 3)) for one in (zero, fin, own, later)]
    assert rounded == [(535.088, 96.372), (585.653, 96.372), (239.184, 0.0), (535.088, 535.088)]
    complete = parameter_count(paper) * 4 / 1e6
    statistics = zero.multimodal - complete  # BatchNorm's, which the paper's count leaves out
    assert (round(complete, 3), round(statistics, 3)) == (534.875, 0.212)
    assert round(fin.multimodal - statistics, 3) == 585.441
    assert round(own.multimodal + complete - statistics, 3) == 773.847


def test_the_papers_encoders_have_their_macs() -> None:
    with torch.random.fork_rng():
        macs = table3.encoder_macs(Classifier(presets.get("paper").encoders, table3.LABELS))
    assert round((macs["image"] + 6_314_496) / 1e9, 3) == 4.116  # an image to a text feature by FIN
    assert round((macs["text"] + 94_058_645_504) / 1e9, 2) == 104.94
    assert macs["both"] == macs["image"] + macs["text"]


@pytest.mark.parametrize("file", [table3.__file__, results.__file__])
def test_the_key_follows_the_sources(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = table3.key("cpu")
    assert table3.key("cpu") == before != table3.key("cpu", runs=1)
    whole = Path(file).read_text(encoding="utf-8")
    read_text = Path.read_text

    def edited(path: Path, *arguments: str, **named: str) -> str:
        return whole + " " if path == Path(file) else read_text(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", edited)
    assert table3.key("cpu") != before
