"""Real reports with drawn images: what the terms say is drawn, from nothing else; the fixtures' reports are made up."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedfeat.data import indexed, mesh, openi, openi_text, sources
from fedfeat.data.manifest import split_of
from fedfeat.data.phantom import SEED
from fedfeat.data.phantom.devices import device_side
from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.findings import DEVICES, sample_patient, sample_studies
from fedfeat.data.phantom.grammar import grade
from fedfeat.data.phantom.sites import IMPLANTS, OPENI
from fedfeat.data.studies import CHEXPERT_LABELS, StudyTable
from fedfeat.errors import FedfeatError

# uid: terms, findings
REPORTS = {
    "1": ("normal", "Clear lungs."),
    "2": ("Cardiomegaly/borderline;Opacity/lung/base/left", "Opacity in the left base."),
    "3": ("No Indexing", "Never indexed."),
    "4": ("Pleural Effusion/left/large", "Large left effusion."),
    "5": ("normal", ""),
    "12": ("Hernia, Hiatal", "Hiatal hernia."),
}
KEPT = ["1", "2", "4", "12"]


def write(folder: Path, reports: Mapping[str, tuple[str, str]]) -> Path:
    """Write reports as the Kaggle copy has them."""
    folder.mkdir(exist_ok=True)
    rows = [(uid, terms, findings, "") for uid, (terms, findings) in reports.items()]
    path = folder / openi.REPORTS
    pd.DataFrame(rows, columns=["uid", "MeSH", "findings", "impression"]).to_csv(path, index=False)
    return path


def pictures(read: StudyTable) -> dict[str, bytes]:
    """Return the pixels of each row's picture by patient."""
    return {
        patient: read.read_image(key).tobytes()
        for patient, key in zip(read.rows["patient"], read.rows["image"], strict=True)
    }


def test_a_row_is_a_report_with_text_and_terms(tmp_path: Path) -> None:
    read = sources.load("openi_text", write(tmp_path, REPORTS))
    assert read.rows["patient"].tolist() == KEPT
    assert read.rows["report"].tolist() == [REPORTS[uid][1] for uid in KEPT]
    assert read.rows["split"].tolist() == [split_of(uid) for uid in KEPT]
    assert set(read.rows["site"]) == {"openi_text"} and (read.rows["image"] != "").all()
    assert (read.synthetic, read.real_reports, read.blank) == (True, True, "zeros")
    np.testing.assert_array_equal(read.findings, [mesh.values(REPORTS[uid][0].split(";")) for uid in KEPT])
    assert read.findings[1, CHEXPERT_LABELS.index("Cardiomegaly")] == -1
    assert "1 report left out: no MeSH terms (No Indexing)" in read.notes
    assert "1 report left out: neither findings nor impression" in read.notes
    assert any(note.startswith("half synthetic: the reports are real, the images are drawn") for note in read.notes)


def test_it_has_the_homogeneous_setup_in_equal_shares(tmp_path: Path) -> None:
    read = openi_text.table(write(tmp_path, REPORTS))
    assert list(read.setups) == ["homogeneous"] and list(read.no_setup) == ["heterogeneous"]
    assert {pool.patients for pool in read.setups["homogeneous"].pools.values()} == {None}
    assert read.no_setup["heterogeneous"] == "openi_text is one source, and the heterogeneous setup needs three"


@pytest.mark.parametrize(("uncertain", "counts_as"), [(None, "zeros"), ("ones", "ones"), ("masked", "masked")])
def test_uncertain_labels_count_as_one_says(tmp_path: Path, uncertain: str | None, counts_as: str) -> None:
    assert sources.load("openi_text", write(tmp_path, REPORTS), uncertain).uncertain == counts_as


def test_mistakes_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FedfeatError, match="--dataset openi_text needs --data PATH"):
        sources.load("openi_text")
    with pytest.raises(FedfeatError, match="no report has both text and MeSH terms"):
        openi_text.table(write(tmp_path, {"3": REPORTS["3"], "5": REPORTS["5"]}))
    with pytest.raises(FedfeatError, match="uncertain 'maybe' is unknown"):
        openi_text.table(tmp_path, "maybe")
    with pytest.raises(FedfeatError, match="no image '99'"):
        openi_text.table(write(tmp_path, REPORTS)).read_image("99")


def test_pictures_are_phantoms_and_the_same_each_time(tmp_path: Path) -> None:
    path = write(tmp_path, REPORTS)
    first, second = openi_text.table(path), openi_text.table(path)
    assert pictures(first) == pictures(second) and first.content == second.content
    assert first.read_image("1").size == (64, 64) and first.read_image("1").mode == "L"
    assert len(set(pictures(first).values())) == len(KEPT), "two normal chests are of two patients"


def test_no_picture_depends_on_other_reports(tmp_path: Path) -> None:
    few = openi_text.table(write(tmp_path / "few", REPORTS))
    before = {"0": ("Edema", "Edema."), **REPORTS, "7": ("Mass/lung/right", "Mass."), "400": ("normal", "Clear.")}
    many = openi_text.table(write(tmp_path / "many", before))
    assert {uid: picture for uid, picture in pictures(many).items() if uid in KEPT} == pictures(few)
    assert few.content != many.content


def test_the_picture_comes_from_the_terms_alone(tmp_path: Path) -> None:
    plain = openi_text.table(write(tmp_path / "plain", REPORTS))
    said = openi_text.table(write(tmp_path / "said", REPORTS | {"1": (REPORTS["1"][0], "Huge left effusion.")}))
    assert pictures(said) == pictures(plain) and said.content != plain.content
    indexed_so = openi_text.table(write(tmp_path / "indexed", REPORTS | {"1": ("Pulmonary Edema", REPORTS["1"][1])}))
    changed = {uid for uid, picture in pictures(indexed_so).items() if picture != pictures(plain)[uid]}
    assert changed == {"1"} and indexed_so.content != plain.content


def test_another_generator_is_another_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, REPORTS)
    before = openi_text.table(path).content
    monkeypatch.setattr(openi_text, "cache_key", lambda seed, sizes: "another")
    assert before and openi_text.table(path).content != before


def change(number: int, terms: str) -> np.ndarray:
    """Return (64, 64) absolute differences that the terms make to the chest of the report that is normal."""
    ill, well = (draw(SEED, indexed.study(SEED, number, one.split(";"))).astype(float) for one in (terms, "normal"))
    return np.abs(ill - well)


@pytest.mark.parametrize("heading", ["Pleural Effusion", "Pneumothorax", "Consolidation/lung/base", "Pneumonia"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_finding_is_drawn_on_the_side_that_the_term_names(heading: str, side: str) -> None:
    for number in range(5):
        changed = change(number, f"{heading}/{side}/large")
        right_half, left_half = changed[:, :32].sum(), changed[:, 32:].sum()  # the patient's right is on the left
        inside, outside = (left_half, right_half) if side == "left" else (right_half, left_half)
        assert inside > 60 and inside > 4 * outside


def test_a_large_finding_is_drawn_larger_than_a_small_one() -> None:
    totals = [
        np.mean([change(number, f"Pleural Effusion/left/{size}").sum() for number in range(8)])
        for size in ("small", "moderate", "large")
    ]
    assert 0 < totals[0] * 1.3 < totals[1] * 1.15 < totals[2]


def test_a_high_finding_is_drawn_above_a_low_one() -> None:
    heights = []
    for part in ("apex", "hilum", "base"):
        changed = np.mean([change(number, f"Opacity/lung/{part}/right") for number in range(6)], axis=0)
        heights.append((changed.sum(axis=1) * np.arange(64)).sum() / changed.sum())
    assert heights[0] + 4 < heights[1] < heights[2] - 4


@pytest.mark.parametrize(
    ("terms", "label", "side", "zone", "kind", "graded"),
    [
        ("Opacity/lung/base/left/mild", "Lung Opacity", "left", "lower", "", "mild"),
        ("Opacity/lung/upper lobe/bilateral/severe", "Lung Opacity", "bilateral", "upper", "", "severe"),
        ("Opacity/lung/middle lobe", "Lung Opacity", "right", "middle", "", ""),
        ("Opacity/lung/lingula", "Lung Opacity", "left", "middle", "", ""),
        ("Calcified Granuloma/lung/middle lobe/left", "Lung Lesion", "left", "middle", "nodule", ""),
        ("Opacity/lung/apex/right;Infiltrate/lung/base/left/moderate", "Lung Opacity", "bilateral", "upper", "", ""),
        ("Infiltrate/lung/left/mild;Opacity/lung/right/severe", "Lung Opacity", "bilateral", "", "", "severe"),
        ("Mass/lung/hilum/right/large", "Lung Lesion", "right", "middle", "mass", "severe"),
        ("Consolidation/lung/base/bilateral", "Consolidation", "", "lower", "", ""),
        ("Pulmonary Congestion/mild", "Edema", "bilateral", "", "", "mild"),
        ("Pleural Effusion/borderline", "Pleural Effusion", "", "lower", "", "mild"),
        ("Thickening/pleura/apex/bilateral", "Pleural Other", "", "upper", "thickening", ""),
        ("Calcinosis/pleura", "Pleural Other", "", "", "plaque", ""),
        ("Fractures, Bone/ribs/left/healed", "Fracture", "left", "", "healed", ""),
        ("Pulmonary Atelectasis/base/left/streaky", "Atelectasis", "left", "lower", "linear", ""),
        ("Hydropneumothorax/left/large", "Pneumothorax", "left", "upper", "", "severe"),
        ("Hydropneumothorax/left/large", "Pleural Effusion", "left", "lower", "", "severe"),
        ("Cardiomegaly/borderline;Cardiac Shadow/enlarged/moderate", "Cardiomegaly", "", "", "", "moderate"),
    ],
)
def test_what_the_terms_say_is_drawn(terms: str, label: str, side: str, zone: str, kind: str, graded: str) -> None:
    for number in range(12):
        finding = indexed.study(SEED, number, terms.split(";")).findings[label]
        assert finding.value == 1
        # "" where the terms are silent or the generator cannot draw it
        for wanted, found in ((side, finding.side), (zone, finding.zone), (kind, finding.kind)):
            assert found == wanted or not wanted
        assert grade(finding.severity) == graded or not graded
        assert finding.side != "bilateral" or label in {"Lung Opacity", "Atelectasis", "Pleural Effusion", "Edema"}


def test_other_labels_terms_say_nothing_of_a_label() -> None:
    alone, beside = (
        [indexed.study(SEED, number, terms) for number in range(40)]
        for terms in (["Nodule/lung"], ["Nodule/lung", "Opacity/lung/base/left/severe", "Scoliosis/left/mild"])
    )
    assert [one.findings["Lung Lesion"] for one in alone] == [one.findings["Lung Lesion"] for one in beside]
    assert {one.findings["Lung Lesion"].side for one in alone} == {"left", "right"}


def test_an_uncertain_finding_is_faint() -> None:
    found = [indexed.study(SEED, number, ["Cardiomegaly/borderline"]).findings["Cardiomegaly"] for number in range(50)]
    assert all(one.value == -1 and 0 <= one.severity < 0.15 for one in found)


def test_where_the_terms_are_silent_it_is_as_at_the_openi_like_site() -> None:
    ours = [indexed.study(SEED, number, ["Infiltrate"]) for number in range(1500)]
    theirs = [sample_studies(SEED, sample_patient(SEED, OPENI, "theirs", number))[0] for number in range(9000)]
    theirs = [one for one in theirs if one.findings.get("Lung Opacity") and one.findings["Lung Opacity"].value == 1]
    assert len(theirs) > 1200
    severities = [np.sort([one.findings["Lung Opacity"].severity for one in many]) for many in (ours, theirs)]
    grid = np.linspace(0.15, 1.0, 200)
    below = [np.searchsorted(one, grid) / len(one) for one in severities]
    assert np.abs(below[0] - below[1]).max() < 0.07  # the 0.1% point of the Kolmogorov-Smirnov statistic is 0.075
    for attribute in ("side", "zone"):
        shares = [Counter(getattr(one.findings["Lung Opacity"], attribute) for one in many) for many in (ours, theirs)]
        assert all(abs(shares[0][name] / len(ours) - shares[1][name] / len(theirs)) < 0.06 for name in shares[1])
    ages = [np.mean([one.patient.age for one in many]) for many in (ours, theirs)]
    assert abs(ages[0] - ages[1]) < 2
    assert 0.03 < np.mean([one.portable for one in ours]) < 0.07


@pytest.mark.parametrize(
    ("terms", "devices"),
    [
        ("Catheters, Indwelling/right", {"central line"}),
        ("Tube, Inserted/trachea, carina", {"endotracheal tube"}),
        ("Tube, Inserted/abdomen", {"enteric tube"}),
        ("Tube, Inserted/left", {"chest tube"}),
        ("Tube, Inserted/thorax", {"chest tube"}),
        ("Tube, Inserted/large", {"endotracheal tube", "enteric tube", "chest tube"}),
        ("Implanted Medical Device/left", {"pacemaker"}),
        ("Implanted Medical Device/thorax/left", {"pacemaker"}),
        ("Implanted Medical Device/humerus/left", set(IMPLANTS)),
        ("Implanted Medical Device", set(IMPLANTS)),
        ("Stents/aorta", {*IMPLANTS, "central line", "endotracheal tube", "enteric tube", "chest tube"}),
    ],
)
def test_devices_are_those_that_the_term_names_or_may_mean(terms: str, devices: set[str]) -> None:
    drawn = [indexed.study(SEED, number, [terms]) for number in range(150)]
    assert {device for one in drawn for device in one.devices} == devices
    assert all(one.devices and one.findings[DEVICES].value == 1 for one in drawn)
    assert all(one.patient.implant in (*one.devices, "") for one in drawn)


def test_without_a_term_no_device_is_drawn() -> None:
    assert not any(
        one.devices or one.patient.implant for one in (indexed.study(SEED, n, ["normal"]) for n in range(200))
    )


@pytest.mark.parametrize(
    ("terms", "device"), [("Catheters, Indwelling", "central line"), ("Implanted Medical Device", "pacemaker")]
)
def test_a_device_lies_on_the_side_that_is_named(terms: str, device: str) -> None:
    for side in ("right", "left"):
        for number in range(10):
            study = indexed.study(SEED, number, [f"{terms}/{side}"])
            assert device_side(SEED, study, device) == side
            changed = change(number, f"{terms}/{side}")
            assert (changed[:, :32].sum() > changed[:, 32:].sum()) == (side == "right") or device == "central line"
    by_chance = {device_side(SEED, indexed.study(SEED, number, [terms]), device) for number in range(40)}
    both = [f"{terms}/right", f"{terms}/left"]
    assert by_chance == {device_side(SEED, indexed.study(SEED, number, both), device) for number in range(40)}
    assert by_chance == {"right", "left"}


def test_a_report_without_terms_has_no_study() -> None:
    for terms in ([], ["No Indexing"]):
        with pytest.raises(ValueError, match="report 7 has no terms"):
            indexed.study(SEED, 7, terms)


@pytest.fixture
def real(shared_data: Path) -> StudyTable:
    """The studies of the real archive."""
    return openi_text.table(shared_data / "openi" / "NLMCXR_reports.tgz")


def test_the_real_archive(real: StudyTable) -> None:
    assert (len(real), real.rows["patient"].nunique()) == (3832, 3832)
    assert Counter(real.rows["split"]) == {"train": 2809, "validate": 329, "test": 694}
    assert "95 reports left out: no MeSH terms (No Indexing)" in real.notes
    assert "28 reports left out: neither findings nor impression" in real.notes
    positive = dict(zip(CHEXPERT_LABELS, (real.findings == 1).sum(0).tolist(), strict=True))
    assert positive == {
        "No Finding": 1363,
        "Enlarged Cardiomediastinum": 27,
        "Cardiomegaly": 346,
        "Lung Opacity": 638,
        "Lung Lesion": 338,
        "Edema": 100,
        "Consolidation": 30,
        "Pneumonia": 42,
        "Atelectasis": 332,
        "Pneumothorax": 27,
        "Pleural Effusion": 163,
        "Pleural Other": 62,
        "Fracture": 84,
        "Support Devices": 291,
    }
    assert (real.findings == -1).sum() == 51 and not np.isnan(real.findings).any()


def test_the_real_studies_have_their_labels_and_can_be_drawn(real: StudyTable, shared_data: Path) -> None:
    terms = {report.uid: report.terms for report in openi.read_reports(shared_data / "openi", [])}
    studies = [indexed.study(SEED, int(uid), terms[uid]) for uid in real.rows["patient"]]
    for study, values in zip(studies, real.findings, strict=True):
        labelled = {label for label, value in zip(CHEXPERT_LABELS, values, strict=True) if value}
        assert set(study.findings) == labelled - {"No Finding"}
        assert bool(study.devices) == ("Support Devices" in labelled)
    drawn = [real.read_image(key).tobytes() for key in real.rows["image"][::60]]
    assert len(set(drawn)) == len(drawn) > 60


def test_both_real_copies_give_the_same_studies(real: StudyTable, shared_data: Path) -> None:
    copy = openi_text.table(shared_data / "openi" / "indiana_reports.csv")
    there = real.rows["patient"].isin(copy.rows["patient"])
    assert len(copy) == there.sum() == 3734
    assert real.rows[there].reset_index(drop=True).equals(copy.rows)
    np.testing.assert_array_equal(real.findings[there.to_numpy()], copy.findings)
    for key in copy.rows["image"][::250]:
        assert real.read_image(key).tobytes() == copy.read_image(key).tobytes()
