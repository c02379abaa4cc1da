"""The bands of the calibration, the mean over seeds, the command line; the figures themselves take minutes."""

import subprocess
import sys

import pytest

from fedfeat.calibration import Calibration, mean


def calibration(image: float, text: float, both: float) -> Calibration:
    return Calibration({("image",): image, ("text",): text, ("image", "text"): both}, (0.1, 0.2), (0.0, -0.1))


def test_the_papers_regime_has_no_violations() -> None:
    assert calibration(0.80, 0.89, 0.92).violations() == []
    assert calibration(0.7701, 0.8601, 0.8901).violations() == []


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ((0.76, 0.89, 0.92), "image: 0.760 is outside 0.8 ± 0.03"),
        ((0.80, 0.93, 0.945), "text: 0.930 is outside 0.89 ± 0.03"),
        ((0.80, 0.87, 0.88), "image and text: 0.880 is outside 0.92 ± 0.03"),
        ((0.83, 0.87, 0.90), "text is 0.040 above image, not 0.05"),
        ((0.80, 0.91, 0.915), "both are 0.005 above text, not 0.01"),
    ],
)
def test_what_lies_outside_is_named(scores: tuple[float, float, float], message: str) -> None:
    assert calibration(*scores).violations() == [message]


def test_the_mean_is_taken_of_every_quantity() -> None:
    result = mean([calibration(0.78, 0.88, 0.90), calibration(0.80, 0.90, 0.92)])
    assert result.auc == pytest.approx({("image",): 0.79, ("text",): 0.89, ("image", "text"): 0.91})
    assert result.shared == pytest.approx((0.1, 0.2))
    assert result.beyond_labels == pytest.approx((0.0, -0.1))


@pytest.mark.parametrize(
    ("option", "status", "out", "err"),
    [
        ("--help", 0, "usage: python -m fedfeat.calibration", ""),
        (
            "--fast",
            2,
            "",
            "fedfeat: unrecognized arguments: --fast; `python -m fedfeat.calibration --help` shows the options\n",
        ),
    ],
)
def test_help_and_mistakes_train_nothing(option: str, status: int, out: str, err: str) -> None:
    command = [sys.executable, "-m", "fedfeat.calibration", option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (status, err)
    assert done.stdout.startswith(out) and bool(done.stdout) is bool(out)
