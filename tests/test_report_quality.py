"""Writers whose worth is known: each study's real report, one report for all, and reports of other studies."""

import subprocess
import sys
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from fedfeat.data.prepare import Studies
from fedfeat.errors import FedfeatError
from fedfeat.report_quality import (
    LabelReader,
    Quality,
    beaten,
    constant_normal,
    interval,
    judged,
    over_seeds,
    quality,
    resampled,
    table,
    tally,
)

SENTENCES = (("No edema.", "Severe edema."), ("No effusion.", "Small effusion."), ("Clear lungs.", "A mass."))
NORMAL = "No edema. No effusion. Clear lungs."


def studies(count: int, seed: int) -> Studies:
    """Studies of three labels, two a patient; each label has a sentence, in any order."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, (count, 3))
    reports = [" ".join(SENTENCES[label][row[label]] for label in random.permutation(3)) for row in targets]
    none = torch.zeros(count, dtype=torch.bool)
    return Studies(
        images=None,
        tokens=None,
        targets=torch.from_numpy(targets).float(),
        label_mask=torch.ones(count, 3, dtype=torch.bool),
        present={"image": none, "text": ~none},
        patients=tuple(f"p{row // 2}" for row in range(count)),
        rows=torch.arange(count),
        reports=tuple(reports),
    )


@pytest.fixture(scope="module")
def held_out() -> Studies:
    return studies(60, 1)


@pytest.fixture(scope="module")
def reader() -> LabelReader:
    train = studies(80, 0)
    assert train.reports is not None
    return LabelReader(train.reports, train.targets.numpy(), train.label_mask.numpy())


def reports_of(of: Studies) -> list[str]:
    assert of.reports is not None
    return list(of.reports)


def test_a_writer_of_the_real_reports_beats_its_permutations(held_out: Studies, reader: LabelReader) -> None:
    found = judged(reports_of(held_out), NORMAL, held_out, reader)
    assert found.macro[0] == found.macro[2] == found.micro[0] == 1
    assert found.macro[1] == pytest.approx(0.5, abs=0.1), "labels are thrown like coins"
    assert interval(found.differences)[0] > 0.2
    assert beaten([found])
    assert found.bleu[0] == pytest.approx(1) and found.bleu[1] < 0.9
    assert found.distinct > 20 and found.commonest < 0.2


def test_a_constant_writer_beats_nothing(held_out: Studies, reader: LabelReader) -> None:
    found = judged([NORMAL.replace("No edema", "Severe edema")] * len(held_out), NORMAL, held_out, reader)
    assert found.macro[0] == pytest.approx(found.macro[1])
    assert found.micro[0] == pytest.approx(found.micro[1])
    assert interval(found.differences) == pytest.approx((0, 0))
    assert not beaten([found])
    assert not beaten([replace(found, differences=np.full(9, 1e-16))]), "rounding"
    assert (found.distinct, found.commonest) == (1, 1)
    assert found.macro[2] == 1


def test_reports_of_other_studies_beat_nothing(held_out: Studies, reader: LabelReader) -> None:
    order = np.random.default_rng(3).permutation(len(held_out))
    reports = reports_of(held_out)
    found = judged([reports[row] for row in order], NORMAL, held_out, reader)
    low, high = interval(found.differences)
    assert low < 0 < high
    assert not beaten([found])


def test_unknown_labels_and_labels_of_one_class_are_read() -> None:
    reports = ["Edema.", "Clear.", "Edema.", "Clear."]
    targets = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 1, 1]])
    known = np.array([[True, True, False], [True, True, False], [False, True, False], [False, True, False]])
    read = LabelReader(reports, targets, known).read(["Edema.", "Clear."])
    assert read.tolist() == [[True, True, False], [False, True, False]]


def test_f1_is_scikit_learns() -> None:
    random = np.random.default_rng(4)
    said, targets = random.integers(0, 2, (50, 4)) > 0, random.integers(0, 2, (50, 4))
    patients = np.repeat(np.arange(25), 2)
    found = tally(said, targets, np.ones_like(said), patients)
    assert float(found.macro()) == pytest.approx(f1_score(targets, said, average="macro"))
    assert found.micro() == pytest.approx(f1_score(targets, said, average="micro"))
    drawn = resampled(25, 3)
    assert (drawn.sum(1) == 25).all() and drawn.max() > 1
    for weights, macro in zip(drawn, found.macro(drawn), strict=True):
        rows = np.repeat(np.arange(50), weights[patients].astype(int))
        assert macro == pytest.approx(f1_score(targets[rows], said[rows], average="macro", zero_division=0))


def test_what_is_not_known_does_not_count() -> None:
    said, targets = np.array([[True], [True], [False]]), np.array([[1], [0], [1]])
    known = np.array([[True], [False], [True]])
    assert float(tally(said, targets, known, np.arange(3)).macro()) == pytest.approx(2 / 3)


def test_the_draws_are_the_same_for_all() -> None:
    assert np.array_equal(resampled(10, 5), resampled(10, 5))


@pytest.mark.parametrize(
    ("reports", "constant"),
    [
        (["No edema. Clear.", "Clear.", "no edema . clear .", "Sick."], "no edema . clear ."),
        (["Clear. No edema.", "No mass. Clear.", "No mass. Clear. Fine.", "Sick. Sick."], "clear . no mass ."),
    ],
)
def test_the_constant_report_is_the_most_frequent_or_made_of_the_most_frequent(
    reports: list[str], constant: str
) -> None:
    assert constant_normal(reports, np.array([True, True, True, False])) == constant


def test_without_a_normal_report_there_is_no_constant_one() -> None:
    with pytest.raises(FedfeatError, match="without a finding"):
        constant_normal(["Sick."], np.array([False]))


def seed_of(macro: float, differences: list[float]) -> Quality:
    return Quality((macro, 0.2, 0.7), (0.4, 0.3, 0.8), np.array(differences), 5, 0.5, (0.1, 0.12), 10, 1.5, (60.0, 4.0))


def test_seeds_are_averaged_draw_by_draw() -> None:
    parts = [seed_of(0.3, [0.2, -0.1]), seed_of(0.4, [0.1, 0.2])]
    difference, (low, high) = over_seeds(parts)
    assert difference == pytest.approx(fmean((0.1, 0.2)))
    assert (low, high) == pytest.approx((0.0525, 0.1475)), "of 0.15 and 0.05"
    assert beaten(parts) and not beaten(parts[:1])
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in table([0, 2], parts).splitlines()}
    assert [cell.strip() for cell in rows["figure"]] == ["seed 0", "seed 2", "mean"]
    assert [cell.strip() for cell in rows["macro F1, written"]] == ["0.300", "0.400", "0.350"]
    assert [cell.strip() for cell in rows["different reports"]] == ["5 of 10"] * 3


@pytest.mark.parametrize(
    ("options", "status", "out", "err"),
    [
        (["--help"], 0, "usage: python -m fedfeat.report_quality", ""),
        (["--seeds", "0,x"], 2, "", "fedfeat: --seeds 0,x: use different whole numbers of at least 0, such as 0,1,2\n"),
        (["--seeds", "1,1"], 2, "", "fedfeat: --seeds 1,1: use different whole numbers of at least 0, such as 0,1,2\n"),
        (
            ["--fast"],
            2,
            "",
            "fedfeat: unrecognized arguments: --fast; `python -m fedfeat.report_quality --help` shows the options\n",
        ),
    ],
)
def test_help_and_mistakes_train_nothing(options: list[str], status: int, out: str, err: str) -> None:
    command = [sys.executable, "-m", "fedfeat.report_quality", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (status, err)
    assert done.stdout.startswith(out) and bool(done.stdout) is bool(out)


@pytest.mark.parametrize("patients", [None, 40])
def test_a_network_is_pretrained_and_what_it_writes_is_judged(patients: int | None) -> None:
    found = quality("8:0:2", 0, patients, smoke=True)
    assert found.reports == 48
    assert 1 <= found.distinct <= 48
    assert found.token_loss > 0
    assert found.macro[2] > max(found.macro[:2]), "real reports say most"
