"""Each finding changes the picture, where it should and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from fedfeat.data.phantom import anatomy, devices, drawing
from fedfeat.data.phantom.anatomy import build
from fedfeat.data.phantom.devices import TUBE_SIDES, device_side
from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.findings import DEVICES, KINDS, LEFT, RIGHT, Finding, sample_patient, sample_studies
from fedfeat.data.phantom.sites import FINDINGS, IMPLANTS, SITES, TEMPORARY_DEVICES

SEED = 21
MIDLINE = {"Cardiomegaly", "Enlarged Cardiomediastinum", DEVICES}


def bare(number, site="openi-like"):
    """Return a study without any finding; the openi-like pictures have the least noise."""
    study = sample_studies(SEED, sample_patient(SEED, site, "picture", number))[0]
    return replace(study, findings={}, devices=())


def change(study, label, finding, tools=()):
    """Return (64, 64) absolute differences that the finding makes."""
    ill = replace(study, findings={label: finding}, devices=tools)
    return np.abs(draw(SEED, ill).astype(float) - draw(SEED, ill.without(label)).astype(float))


@pytest.mark.parametrize("side", [RIGHT, LEFT])
@pytest.mark.parametrize("label", sorted(set(FINDINGS) - MIDLINE - {"Edema"}))
def test_a_one_sided_finding_changes_its_side(label, side):
    for number, kind in enumerate(KINDS.get(label, ("",))):
        changed = change(bare(number), label, Finding(1.0, 0.5, side, "lower", kind, (0.2, 0.0)))
        left_half, right_half = changed[:, :32].sum(), changed[:, 32:].sum()  # the patient's right is on the left
        inside, outside = (left_half, right_half) if side == RIGHT else (right_half, left_half)
        assert inside > 60 and inside > 4 * outside


@pytest.mark.parametrize("label", ["Lung Opacity", "Lung Lesion", "Consolidation", "Pneumonia", "Fracture"])
def test_a_finding_lies_in_its_zone(label):
    heights = []
    for zone in ("upper", "middle", "lower"):
        changed = change(bare(1), label, Finding(1.0, 0.4, RIGHT, zone, KINDS.get(label, ("",))[0], (0.0, 0.0)))
        heights.append((changed.sum(axis=1) * np.arange(64)).sum() / changed.sum())
    assert heights[0] + 4 < heights[1] < heights[2] - 4


@pytest.mark.parametrize("label", ["Edema", "Pleural Effusion", "Atelectasis", "Lung Opacity"])
def test_a_bilateral_finding_changes_both_sides(label):
    changed = change(bare(2), label, Finding(1.0, 0.5, "bilateral", "lower", KINDS.get(label, ("",))[0], (0.0, 0.0)))
    assert min(changed[:, :32].sum(), changed[:, 32:].sum()) > 0.2 * changed.sum() > 20


def test_the_heart_and_the_mediastinum_grow():
    finding = Finding(1.0, 0.5, RIGHT, "lower", "", (0.0, 0.0))
    study = bare(3)
    large = replace(study, findings={"Cardiomegaly": finding})
    normal, big = build(SEED, study), build(SEED, large)
    ratio = [(chest.heart[1] - chest.heart[0]) / (2 * chest.half_width) for chest in (normal, big)]
    assert ratio[0] < 0.52 < ratio[1]
    rows = change(study, "Cardiomegaly", finding).sum(axis=1)
    assert rows[32:].sum() > 3 * rows[:24].sum()
    columns = change(study, "Enlarged Cardiomediastinum", finding).sum(axis=0)
    assert columns[16:48].sum() > 5 * (columns[:16].sum() + columns[48:].sum())


@pytest.mark.parametrize("device", [*IMPLANTS, *TEMPORARY_DEVICES["mimic-like"]])
def test_a_device_is_seen_on_its_side(device):
    finding = Finding(1.0, 0.5, RIGHT, "lower", "", (0.0, 0.0))
    study = replace(bare(4), findings={DEVICES: finding}, devices=(device,))
    changed = change(study, DEVICES, finding, (device,))
    assert changed.max() > 15
    if device in {"chest tube", "pacemaker"}:
        right_first = changed[:, :32].sum() > changed[:, 32:].sum()
        assert device in TUBE_SIDES and right_first == (device_side(SEED, study, device) == RIGHT)


@pytest.mark.parametrize("label", sorted(set(FINDINGS) - {DEVICES}))
def test_a_graver_finding_shows_more(label):
    kind = KINDS.get(label, ("",))[0]
    side = "bilateral" if label == "Edema" else RIGHT
    total = [
        np.mean([change(bare(n), label, Finding(1.0, s, side, "lower", kind, (0.0, 0.0))).sum() for n in range(3)])
        for s in (0.05, 0.9)
    ]
    assert 0 < total[0] * 1.3 < total[1]


@pytest.mark.parametrize("label", FINDINGS)
def test_without_visibility_nothing_shows(label, monkeypatch):
    for module in (anatomy, devices, drawing):
        monkeypatch.setattr(module, "VISIBILITY", 0.0)
    tools = ("chest tube", "pacemaker") if label == DEVICES else ()
    for kind in KINDS.get(label, ("",)):
        assert change(bare(6), label, Finding(1.0, 0.7, LEFT, "lower", kind, (0.0, 0.0)), tools).max() == 0


def test_fluid_is_bright_and_a_pneumothorax_dark():
    study = bare(5)

    def signed(label):
        ill = replace(study, findings={label: Finding(1.0, 0.6, RIGHT, "lower", "", (0.0, 0.0))})
        return draw(SEED, ill).astype(float) - draw(SEED, study).astype(float)

    assert signed("Pleural Effusion").sum() > 300
    assert signed("Pneumothorax").min() < -10


@pytest.mark.parametrize("site", SITES)
def test_pictures_of_a_site_are_exposed_and_differ(site):
    pictures = np.array([draw(SEED, bare(number, site)) for number in range(12)])
    assert 40 < pictures.mean() < 190
    assert (pictures.std(axis=(1, 2)) > 15).all()
    assert len({picture.tobytes() for picture in pictures}) == 12
    dark, dense = pictures[:, 20:44, 12:20].mean(), pictures[:, 34:44, 30:38].mean()  # right lung, heart
    assert dense > dark + 25
