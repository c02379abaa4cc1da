"""The rate sweep, run for real on a small manifest."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fedfeat.case import Case
from fedfeat.plan import Resources
from fedfeat.rates import Finding, Trial, main, table


def trial(rate: float, seed: int) -> Trial:
    return Trial(Case(method="zero", seed=seed), rate, 8, Resources())


def test_the_table_takes_means_over_the_seeds_and_sorts_by_rate() -> None:
    trials = [trial(3e-3, 1), trial(1e-3, 0), trial(3e-3, 0)]
    findings = [
        Finding(0.8, 0.7, 8, 0.9, (1.0, 0.5)),
        Finding(0.5, 0.4, 3, 0.3, (0.2, 0.1)),
        Finding(0.6, 0.6, 7, 0.7, (2.0, 0.5)),
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(trials, findings).splitlines()[2:]]
    assert rows == [
        ["zero", "8", "0.001", "0.30", "0.500", "0.500", "3", "0.400", "0.20 / 0.10"],
        ["zero", "8", "0.003", "0.80", "0.700", "0.600 · 0.800", "7 · 8", "0.650", "1.50 / 0.50"],
    ]


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fedfeat.rates", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, generator, rows = tmp_path_factory.mktemp("sweep"), np.random.default_rng(0), []
    for number in range(24):
        Image.fromarray(generator.integers(0, 256, (40, 40), dtype=np.uint8)).save(folder / f"{number}.png")
        split = "train" if number < 12 else "validate" if number < 18 else "test"
        rows.append((f"p{number}", f"{number}.png", "clear lungs", split, number % 2))
    pd.DataFrame(rows, columns=["patient_id", "image", "report", "split", "label:sick"]).to_csv(
        folder / "s.csv", index=False
    )
    return folder


def test_trials_run_in_processes_the_steps_are_counted_and_a_broken_one_costs_no_other(manifest: Path) -> None:
    data = ["--dataset", "manifest", "--data", "s.csv", "--partition", "2:0:1", "--seeds", "0"]
    done = sweep(
        manifest, "--methods", "zero,complete", "--rates", "1e-3,1e38", "--batches", "2", *data, "--processes", "2"
    )
    assert done.returncode == 1, done.stderr
    assert [line.split(", batch 2: ")[0] for line in done.stderr.splitlines()] == [
        f"fedfeat: homogeneous-2:0:1-{method}-seed0-manifest at rate 1e+38" for method in ("zero", "complete")
    ]
    assert done.stderr.count("try a lower learning rate") == 2
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["complete", "zero"]
    # 12 patients, 2 of them public: 10 rows at three clients are two batches of two, three epochs, eight rounds
    assert {row[3] for row in rows} == {"0.05"}


NEGATIVE = """
from fedfeat import Imputer


class Negative(Imputer):
    name = "negative"
    title = "Negative of the other modality"

    def fill(self, ctx, features, present, targets):
        return {"image": -features["text"], "text": -features["image"]}
"""


def test_a_method_of_ones_own_from_another_start_and_with_other_labels(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each option shows in the numbers: an own file is swept, and both the start and what -1 counts as matter."""
    monkeypatch.chdir(manifest)
    Path("negative.py").write_text(NEGATIVE)
    studies = pd.read_csv("s.csv")
    studies.loc[:3, "label:sick"] = -1
    studies.to_csv("doubtful.csv", index=False)
    data = ["--dataset", "manifest", "--data", "doubtful.csv", "--partition", "2:0:1", "--seeds", "0"]
    found = []
    for options in ([], ["--from-scratch"], ["--uncertain", "ones"]):
        methods = ["--methods", "zero", "--imputer", "negative.py"]
        assert main(["--rates", "1e-3", "--batches", "4", *methods, *data, *options]) == 0
        found.append(capsys.readouterr().out)
        assert [line.split("|")[1].strip() for line in found[-1].splitlines()[2:]] == ["negative", "zero"]
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "tpu"), "--device tpu: no such device"),
        (("--device", "cuda:99"), "--device cuda:99: torch sees"),
        (("--uncertain", "perhaps"), "--uncertain perhaps"),
        (("--imputer", "nowhere.py"), "nowhere.py: there is no such file"),
        (("--from-scratch", "--image-weights", "r50.pth"), "r50.pth: weights cannot be used"),
        (("--preset", "paper", "--image-weights", "r50.pth", "--text-weights", "bert"), "r50.pth"),
        (("--methods", "nonsense"), "fedfeat: method 'nonsense' is unknown"),
        (("--methods", "zero,nonsense"), "fedfeat: method 'nonsense' is unknown"),
        (("--rates", "1e-3,fast"), "--rates 1e-3,fast: not a comma list of learning rates above 0"),
        (("--rates", "1e-3,nan"), "--rates 1e-3,nan: nan is none of the possible learning rates above 0"),
        (("--rates=-1e-3",), "--rates -1e-3: -0.001 is none of the possible learning rates above 0"),
        (("--batches", "0"), "--batches 0: 0 is none of the possible batch sizes of at least 1"),
        (("--batches", "8.5"), "--batches 8.5: not a comma list of batch sizes"),
        (("--seeds", ""), "--seeds : not a comma list of seeds"),
        (("--processes", "0"), "--processes 0: use 1 or more"),
        (("--dataset", "manifest", "--data", "nowhere.csv"), "nowhere.csv: the manifest cannot be read"),
        (("--partition", "0:8:2", "--setup", "heterogeneous"), "is defined for 8:0:2 only"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--rates", "1e-3", "--batches", "8", "--seeds", "0", *arguments]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert message in line


@pytest.mark.parametrize("mistake", [("--methods", "nonsense"), ("--speed", "1")])
def test_a_mistake_ends_the_process_in_one_line(tmp_path: Path, mistake: tuple[str, str]) -> None:
    done = sweep(tmp_path, "--rates", "1e-3", "--batches", "8", *mistake)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
