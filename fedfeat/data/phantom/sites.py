"""What the three imitated sites are like: prevalence, co-occurrence, sizes and picture styles, all as named constants.

Every number has its source next to it; "ours" marks an assumption of this project. No text of any data set is here,
only counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fedfeat.data.studies import CHEXPERT_LABELS

SEED = 1701  # of the benchmark's studies
GENERATOR_VERSION = 1
MIMIC, CHEXPERT, OPENI = SITES = ("mimic-like", "chexpert-like", "openi-like")
FINDINGS = CHEXPERT_LABELS[1:]  # all that have a latent variable of their own; "No Finding" follows from them


@dataclass(frozen=True)
class Prevalence:
    """Published counts of one site.

    Attributes:
        studies: the number of studies that the counts are out of.
        positive: label -> studies with the label positive, for each of `FINDINGS`.
        uncertain: label -> studies with the label uncertain, for each of `FINDINGS`.
        no_finding: studies labelled "No Finding", for comparison only: ours follows from the other labels.
    """

    studies: int
    positive: Mapping[str, int]
    uncertain: Mapping[str, int]
    no_finding: int


def _counts(*values: int) -> dict[str, int]:
    return dict(zip(FINDINGS, values, strict=True))


# Order of the numbers below: Enlarged Cardiomediastinum, Cardiomegaly, Lung Opacity, Lung Lesion, Edema, Consolidation,
# Pneumonia, Atelectasis, Pneumothorax, Pleural Effusion, Pleural Other, Fracture, Support Devices.

# MIMIC-CXR-JPG, CheXpert labeler: Johnson et al. 2019 (arXiv:1901.07042), table of label counts.
_MIMIC = Prevalence(
    studies=227_827,
    positive=_counts(
        7_179, 44_845, 51_525, 6_284, 27_018, 10_778, 16_556, 45_808, 10_358, 54_300, 2_011, 4_390, 66_558
    ),
    uncertain=_counts(9_375, 6_043, 3_831, 1_141, 13_174, 4_331, 18_291, 10_327, 1_134, 5_814, 765, 555, 237),
    no_finding=75_455,
)
# CheXpert: Irvin et al. 2019 (arXiv:1901.07031), table 1.
_CHEXPERT = Prevalence(
    studies=187_641,
    positive=_counts(
        9_020, 23_002, 92_669, 6_856, 48_905, 12_730, 4_576, 29_333, 17_313, 75_696, 2_441, 7_270, 105_831
    ),
    uncertain=_counts(10_148, 6_597, 4_341, 1_071, 11_571, 23_976, 15_658, 29_377, 2_663, 9_419, 1_771, 484, 898),
    no_finding=16_627,
)
# Open-I (Demner-Fushman et al. 2016), counted by us from the `MeSH` column of indiana_reports.csv over the 3,759
# reports that are indexed (not "No Indexing"). A heading counts towards a label as follows:
#   Enlarged Cardiomediastinum: Mediastinum with prominent, enlarged or widened; Aortic Aneurysm
#   Cardiomegaly: Cardiomegaly; Cardiac Shadow or Heart with enlarged
#   Lung Opacity: Opacity, Airspace Disease, Infiltrate, Density
#   Lung Lesion: Nodule, Mass, Granuloma, Calcified Granuloma
#   Edema: Pulmonary Edema, Pulmonary Congestion
#   Consolidation: Consolidation
#   Pneumonia: Pneumonia
#   Atelectasis: Pulmonary Atelectasis
#   Pneumothorax: Pneumothorax, Hydropneumothorax
#   Pleural Effusion: Pleural Effusion, Hydropneumothorax
#   Pleural Other: Pleura; Thickening, Cicatrix, Calcinosis, Density, Opacity, Nodule or Deformity with pleura
#   Fracture: Fractures, Bone
#   Support Devices: Catheters, Indwelling; Implanted Medical Device; Medical Device; Tube, Inserted; Surgical
#     Instruments; Stents; Sutures
# MeSH terms know no doubt: the uncertain counts are ours, 15% of the positive ones. `no_finding` applies the CheXpert
# labeler's rule to the same mapping; the 1,379 reports indexed "normal" (36.7%) are fewer, as there a scar, a calcified
# aorta or a crooked spine counts as a finding too.
_OPENI_POSITIVE = _counts(29, 364, 626, 413, 92, 30, 40, 315, 26, 150, 64, 83, 326)
_OPENI = Prevalence(
    studies=3_759,
    positive=_OPENI_POSITIVE,
    uncertain={label: round(0.15 * count) for label, count in _OPENI_POSITIVE.items()},
    no_finding=2_359,
)
PREVALENCE: Mapping[str, Prevalence] = {MIMIC: _MIMIC, CHEXPERT: _CHEXPERT, OPENI: _OPENI}

# Co-occurrence in ChestX-ray14 (Wang et al. 2017, arXiv:1705.02315): images with a finding and with both of a pair.
# Infiltration stands for Lung Opacity, Pleural Thickening for Pleural Other; Nodule (6,331) and Mass (5,782) together,
# 906 having both, for Lung Lesion; the pair with effusion (912 + 1,254) is reduced in the same proportion.
XRAY14_IMAGES = 112_120
XRAY14_POSITIVE: Mapping[str, int] = {
    "Atelectasis": 11_559,
    "Cardiomegaly": 2_776,
    "Pleural Effusion": 13_317,
    "Lung Opacity": 19_894,
    "Lung Lesion": 11_207,
    "Pneumonia": 1_431,
    "Pneumothorax": 5_302,
    "Consolidation": 4_667,
    "Edema": 2_303,
    "Pleural Other": 3_385,
}
XRAY14_PAIRS: Mapping[tuple[str, str], int] = {
    ("Pleural Effusion", "Atelectasis"): 3_275,
    ("Pleural Effusion", "Lung Opacity"): 4_000,
    ("Atelectasis", "Lung Opacity"): 3_264,
    ("Cardiomegaly", "Pleural Effusion"): 1_063,
    ("Consolidation", "Pleural Effusion"): 1_287,
    ("Edema", "Lung Opacity"): 981,
    ("Pneumothorax", "Pleural Effusion"): 996,
    ("Lung Lesion", "Pleural Effusion"): 2_004,
    ("Pneumonia", "Lung Opacity"): 605,
    ("Pneumonia", "Edema"): 340,
    ("Atelectasis", "Consolidation"): 1_223,
    ("Cardiomegaly", "Atelectasis"): 370,
    ("Cardiomegaly", "Edema"): 128,
    ("Pneumothorax", "Atelectasis"): 774,
    ("Pleural Effusion", "Edema"): 593,
    ("Pleural Other", "Pleural Effusion"): 849,
}
# Tetrachoric correlations that no table gives: ours, after what goes together at the bedside (a drained pneumothorax, a
# ventilated patient with edema, a broken rib with air or fluid beside it). A pair in neither table is uncorrelated.
ASSUMED_CORRELATION: Mapping[tuple[str, str], float] = {
    ("Cardiomegaly", "Lung Opacity"): 0.15,
    ("Consolidation", "Lung Opacity"): 0.30,
    ("Consolidation", "Pneumonia"): 0.40,
    ("Consolidation", "Edema"): 0.25,
    ("Pneumonia", "Pleural Effusion"): 0.20,
    ("Pneumonia", "Atelectasis"): 0.15,
    ("Edema", "Atelectasis"): 0.15,
    ("Lung Lesion", "Lung Opacity"): 0.15,
    ("Lung Lesion", "Pleural Other"): 0.10,
    ("Pleural Other", "Lung Opacity"): 0.10,
    ("Enlarged Cardiomediastinum", "Cardiomegaly"): 0.45,
    ("Enlarged Cardiomediastinum", "Pleural Effusion"): 0.25,
    ("Enlarged Cardiomediastinum", "Edema"): 0.25,
    ("Enlarged Cardiomediastinum", "Atelectasis"): 0.20,
    ("Enlarged Cardiomediastinum", "Lung Opacity"): 0.15,
    ("Fracture", "Pneumothorax"): 0.25,
    ("Fracture", "Pleural Effusion"): 0.10,
    ("Fracture", "Pleural Other"): 0.15,
    ("Support Devices", "Enlarged Cardiomediastinum"): 0.20,
    ("Support Devices", "Cardiomegaly"): 0.25,
    ("Support Devices", "Lung Opacity"): 0.25,
    ("Support Devices", "Edema"): 0.35,
    ("Support Devices", "Consolidation"): 0.25,
    ("Support Devices", "Pneumonia"): 0.10,
    ("Support Devices", "Atelectasis"): 0.30,
    ("Support Devices", "Pneumothorax"): 0.40,
    ("Support Devices", "Pleural Effusion"): 0.40,
    ("Support Devices", "Fracture"): 0.10,
}
# Ours: the factor on those correlations at a site. Chosen so that "No Finding" comes near the published share without
# touching a marginal.
COUPLING: Mapping[str, float] = {MIMIC: 1.3, CHEXPERT: 0.45, OPENI: 1.6}

# Ours: the correlation of a finding's latent variable between two studies of one patient.
PERSISTENCE: Mapping[str, float] = {
    "Enlarged Cardiomediastinum": 0.70,
    "Cardiomegaly": 0.95,
    "Lung Opacity": 0.35,
    "Lung Lesion": 0.90,
    "Edema": 0.30,
    "Consolidation": 0.30,
    "Pneumonia": 0.25,
    "Atelectasis": 0.35,
    "Pneumothorax": 0.35,
    "Pleural Effusion": 0.50,
    "Pleural Other": 0.95,
    "Fracture": 0.97,
    "Support Devices": 0.50,
}
CHRONIC = frozenset(label for label, rho in PERSISTENCE.items() if rho >= 0.9)  # keep their place and side

# Ours: share of patients with a device that stays for life, and which one it is.
IMPLANT_SHARE: Mapping[str, float] = {MIMIC: 0.13, CHEXPERT: 0.18, OPENI: 0.03}
IMPLANTS: Mapping[str, float] = {"pacemaker": 0.55, "sternotomy wires": 0.45}
# Ours: share of studies with a temporary device (those positive for it) that have each kind; at least one is drawn.
TEMPORARY_DEVICES: Mapping[str, Mapping[str, float]] = {
    MIMIC: {"endotracheal tube": 0.35, "enteric tube": 0.40, "central line": 0.60, "chest tube": 0.12},
    CHEXPERT: {"endotracheal tube": 0.40, "enteric tube": 0.45, "central line": 0.65, "chest tube": 0.20},
    OPENI: {"endotracheal tube": 0.05, "enteric tube": 0.05, "central line": 0.85, "chest tube": 0.05},
}


@dataclass(frozen=True)
class Style:
    """How a site's pictures are taken; all values are ours, after the look of the data sets' published examples.

    Attributes:
        portable: share of AP pictures of a lying patient: larger heart, shallower breath, higher diaphragm.
        inspiration: mean depth of breath, 0 (expiration) to 1 (full).
        gamma: exponent of the display curve; above 1 darkens the lungs.
        exposure: standard deviation of the logarithm of the exposure between pictures.
        noise: standard deviation of the quantum noise at mid-grey, in units of the full scale.
        border: share of pictures with a collimated black edge.
        external: share of pictures with ECG leads or other objects on the skin.
        marker: share of pictures with a burned-in side marker.
        turned: standard deviation of the patient's rotation, in units of the chest's half-width.
    """

    portable: float
    inspiration: float
    gamma: float
    exposure: float
    noise: float
    border: float
    external: float
    marker: float
    turned: float


STYLES: Mapping[str, Style] = {
    MIMIC: Style(0.65, 0.55, 1.00, 0.16, 0.025, 0.15, 0.40, 0.70, 0.045),
    CHEXPERT: Style(0.80, 0.50, 1.35, 0.10, 0.021, 0.55, 0.55, 0.80, 0.045),
    OPENI: Style(0.05, 0.85, 0.85, 0.07, 0.014, 0.10, 0.05, 0.60, 0.020),
}

# Ours: mean number of studies a patient (MIMIC-CXR has 227,827 of 65,379 patients, CheXpert 187,641 of 65,240; long
# series are cut, as they would make the small evaluation sets lopsided), and the largest number.
MEAN_STUDIES: Mapping[str, float] = {MIMIC: 1.6, CHEXPERT: 1.4, OPENI: 1.0}
MOST_STUDIES = 6


@dataclass(frozen=True)
class Sizes:
    """How many patients and studies to make.

    Attributes:
        train: site -> training patients.
        validation_rows, test_rows: the least number of studies in the mimic-like validation and test sets.
        validation_positives, test_positives: the least number of positive studies of every label in them.
    """

    train: Mapping[str, int]
    validation_rows: int
    validation_positives: int
    test_rows: int
    test_positives: int


# The paper's proportion of patients a client is 810 (multimodal) : 900 (image) : 1116; a fourteenth or so of it here.
HOMOGENEOUS_PATIENTS = 60
IMAGE_PATIENTS = 67
MULTIMODAL_PATIENTS = 83
PUBLIC_PATIENTS = 75
BENCHMARK = Sizes(
    train={
        MIMIC: 10 * HOMOGENEOUS_PATIENTS + PUBLIC_PATIENTS,
        CHEXPERT: 8 * IMAGE_PATIENTS,
        OPENI: 2 * MULTIMODAL_PATIENTS,
    },
    validation_rows=400,
    validation_positives=3,
    test_rows=1_000,
    test_positives=10,
)
