"""The data set of real reports with drawn images, as a user names it; the reports of these tests are made up."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedfeat.results import store

TERMS = ("normal", "Pleural Effusion/left/small", "Cardiomegaly/mild;Pulmonary Edema", "Opacity/lung/base/right")
CASE = "homogeneous and 8:0:2 and zero and seed0"
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 120 reports as the Kaggle copy has them."""
    path = tmp_path_factory.mktemp("openi") / "indiana_reports.csv"
    rows = [(number, TERMS[number % 4], f"Seen {TERMS[number % 4].lower()}.", "") for number in range(1, 121)]
    pd.DataFrame(rows, columns=["uid", "MeSH", "findings", "impression"]).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("whole", [False, True])
def test_a_case_runs_and_is_called_half_synthetic(
    sessions: Callable[..., list[Any]], reports: Path, tmp_path: Path, whole: bool
) -> None:
    line = ["-k", CASE, "--dataset", "openi_text", "--data", reports.parent, "--records", tmp_path / "records"]
    (session,) = sessions([line if whole else [*line, "--smoke"]])
    assert (session.status, session.count("passed")) == (0, 1), session.output
    if not whole:
        assert not (tmp_path / "records").exists()
        return
    assert "## openi_text (half synthetic), preset phantom" in session.output
    assert "Half synthetic data (openi_text): real reports, images drawn from their terms" in session.output
    (record,) = store.read(tmp_path / "records")
    assert (record.dataset, record.synthetic, record.real_reports) == ("openi_text", True, True)
    assert record.configuration["uncertain"] == "zeros"
    assert "Seen" not in record.to_json(), "no report stands in a record"


def test_the_heterogeneous_setup_is_skipped_with_its_reason(sessions: Callable[..., list[Any]], reports: Path) -> None:
    (session,) = sessions([["-rs", "-k", "heterogeneous and zero", "--dataset", "openi_text", "--data", reports]])
    assert "openi_text is one source, and the heterogeneous setup needs three" in session.output
    assert session.count("passed") == 0


def test_without_its_reports_it_ends_in_one_line(sessions: Callable[..., list[Any]]) -> None:
    (session,) = sessions([["-k", CASE, "--dataset", "openi_text"]])
    assert session.status != 0
    assert any("--dataset openi_text needs --data PATH, the reports of Open-I" in line for line in session.errors)


def test_its_partition_can_be_written(reports: Path, environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "partition.json"
    line = ["--to", path, "--partition", "4:4:2", "--dataset", "openi_text", "--data", reports]
    ran = subprocess.run(
        [sys.executable, "-m", "fedfeat", "partition", *map(str, line)],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    content = json.loads(path.read_text())
    assert (content["dataset"], len(content["clients"])) == ("openi_text", 10)
