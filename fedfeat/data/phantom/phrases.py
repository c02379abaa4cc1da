"""The words of the reports, all our own: templates of statements by label.

In a template "[a|b|]" chooses one of its alternatives; {side}, {place}, {size}, {degree} are filled from the drawn
finding. A statement about a present or uncertain finding never contains a negation of it.
"""

from collections.abc import Mapping

# Positive findings. {degree}: mild, moderate, severe; {size}: small, moderate, large; {place}: side and zone.
PRESENT: Mapping[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        "the mediastinum is [{degree}ly widened|wider than expected|{degree}ly enlarged]",
        "{degree} widening of the [superior |upper |]mediastinum [is seen|is noted|]",
        "the cardiomediastinal silhouette is {degree}ly enlarged",
        "prominent mediastinal contour[|, {degree}ly wide|, possibly vascular in origin]",
    ),
    "Cardiomegaly": (
        "{degree} cardiomegaly[| is present| is again noted]",
        "the heart is {degree}ly enlarged",
        "the cardiac silhouette is [{degree}ly enlarged|prominent|{degree}ly increased in size]",
        "heart size is [{degree}ly increased|above normal|at the upper limit and beyond]",
        "enlargement of the cardiac silhouette, {degree}",
    ),
    "Lung Opacity": (
        "[hazy|ill-defined|patchy] opacity [in|projecting over] the {place}",
        "{degree} [airspace|interstitial|parenchymal] opacity in the {place}",
        "[increased|vague] density [over|in] the {place}",
        "opacification of the {place}[|, {degree}|, of uncertain nature]",
        "[hazy|ground glass] opacities involve the {place}",
    ),
    "Lung Lesion": (
        "[a |]{size} [round|rounded|well-defined] {kind} in the {place}",
        "{kind} measuring about {measure} [cm|centimeters] in the {place}",
        "{size} nodular [density|focus|shadow] projects over the {place}",
        "[solitary|discrete] pulmonary {kind} in the {place}",
    ),
    "Edema": (
        "{degree} [pulmonary|interstitial] edema",
        "{degree} [pulmonary vascular congestion|vascular engorgement] with [indistinct vessels|perihilar haze]",
        "[bilateral perihilar|diffuse interstitial] haze in keeping with {degree} fluid overload",
        "findings of {degree} [congestive failure|volume overload|edema]",
        "cephalization of the vessels and [septal|kerley] lines, {degree} edema",
    ),
    "Consolidation": (
        "[dense |focal |]consolidation in the {place}",
        "[lobar|confluent] consolidation of the {place}[|, {degree}| with air bronchograms]",
        "the {place} is [{degree}ly|partly] consolidated",
        "[confluent|dense] airspace disease in the {place}",
    ),
    "Pneumonia": (
        "[patchy|multifocal] infiltrate in the {place} [consistent with|compatible with|typical of] pneumonia",
        "{place} pneumonia[|, {degree}]",
        "[findings represent|appearance of] [bronchopneumonia|pneumonia] in the {place}",
        "infectious process in the {place}",
        "patchy {place} infiltrate, [infection favored|treat as infection]",
    ),
    "Atelectasis": (
        "[linear|plate-like|discoid|bandlike|subsegmental] atelectasis [at|in] the {place}",
        "{degree} [atelectasis|atelectatic change] at the {place}",
        "[linear|streaky] bands [at|in] the {place} [from|due to] [incomplete expansion|volume loss]",
        "{degree} volume loss at the {place}[| with a raised hemidiaphragm]",
        "{place} subsegmental collapse",
    ),
    "Pneumothorax": (
        "[a |]{size} {side} [|apical ]pneumothorax[| is present| is seen]",
        "{size} {side} pneumothorax with a visible pleural line",
        "[air in the|lucency along the] {side} [apical pleural space|pleural cavity], {size}",
        "partial collapse of the {side} lung with {size} pneumothorax",
    ),
    "Pleural Effusion": (
        "[a |]{size} {side} pleural effusion[| is present| is seen]",
        "{size} {side} [pleural fluid|effusion]",
        "blunting of the {side} costophrenic [angle|sulcus] [from|by] [a |]{size} effusion",
        "[layering |free ]fluid in the {side} pleural space, {size}",
        "{size} {side} hydrothorax",
    ),
    "Pleural Other": (
        "[chronic |]{side} pleural {kind}[| is noted]",
        "{degree} pleural {kind} on the {side}[| side]",
        "{side} [pleural scarring|pleural {kind}][|, long standing]",
        "fibrothorax changes on the {side}, {degree}",
    ),
    "Fracture": (
        "[{kind}|] {side} rib fracture[|s]",
        "[{kind} |]fracture of [a|one] {side} rib",
        "{kind} [deformity|deformities] of the {side} [ribs|rib cage] from fracture",
        "cortical [step-off|break] of a {side} [lateral |]rib",
    ),
}

# Uncertain findings.
DOUBTFUL: Mapping[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": (
        "the mediastinum [may be|is possibly] slightly widened",
        "borderline mediastinal width, [possibly positional|may reflect projection]",
    ),
    "Cardiomegaly": (
        "[borderline|possible mild] [cardiomegaly|enlargement of the heart]",
        "the heart [may be|is perhaps] [slightly|minimally] enlarged[|, accentuated by projection]",
    ),
    "Lung Opacity": (
        "[possible|questionable|suspected] opacity in the {place}",
        "faint density over the {place} [may be|is perhaps] [overlap|superimposed tissue]",
    ),
    "Lung Lesion": (
        "[possible|questionable] nodule in the {place}",
        "a nodular shadow over the {place} [could be|may represent] a nipple or nodule",
    ),
    "Edema": (
        "[possible|questionable] mild [edema|vascular congestion]",
        "mild interstitial edema [cannot be excluded|is not excluded|may be present]",
    ),
    "Consolidation": (
        "[possible|early] consolidation in the {place}",
        "consolidation in the {place} [cannot be excluded|is difficult to exclude]",
    ),
    "Pneumonia": (
        "pneumonia in the {place} [cannot be excluded|is possible|is difficult to exclude]",
        "[possible|early|suspected] {place} pneumonia",
        "infection at the {place} [should be considered|may be present] in the appropriate clinical setting",
    ),
    "Atelectasis": (
        "[probable|likely|possible] atelectasis at the {place}",
        "{place} change [may reflect|likely represents|could be] atelectasis",
    ),
    "Pneumothorax": (
        "[possible|questionable] tiny {side} pneumothorax",
        "a {side} apical pneumothorax [cannot be excluded|is not excluded]",
    ),
    "Pleural Effusion": (
        "[possible|trace|questionable] {side} pleural effusion[| may be present]",
        "[a |]tiny {side} effusion [cannot be excluded|is difficult to exclude]",
    ),
    "Pleural Other": ("[possible|questionable] {side} pleural {kind}",),
    "Fracture": (
        "[possible|questionable] {side} rib fracture",
        "irregular {side} rib, [fracture cannot be excluded|may be an old fracture]",
    ),
    "Support Devices": ("[possible|questionable] [line|catheter] projecting over the {side} chest",),
}

# Devices: {side} where the device has one.
DEVICE: Mapping[str, tuple[str, ...]] = {
    "endotracheal tube": (
        "[an |the |]endotracheal tube [ends|terminates|tip lies] [above the carina|{measure} cm above the carina]",
        "ET tube [in place|in standard position]",
        "the patient is intubated with the tube tip at the clavicular heads",
    ),
    "enteric tube": (
        "[an |the |][enteric|nasogastric|orogastric|feeding] tube [ends|terminates|courses] [in|into] the stomach",
        "NG tube [below the diaphragm|in the stomach]",
    ),
    "central line": (
        "{side} [central venous|internal jugular|subclavian|PICC] [line|catheter] [ends|terminates|with tip] in "
        "the [SVC|lower SVC]",
        "{side} central [line|catheter] [in place|in standard position]",
    ),
    "chest tube": (
        "{side} chest tube [in place|remains in place|is seen]",
        "[a |]{side} [pleural drain|thoracostomy tube|pigtail catheter] is [noted|present]",
    ),
    "pacemaker": (
        "{side} [pacemaker|pacing device|defibrillator] with [leads|wires] in the [right atrium and right "
        "ventricle|right heart]",
        "{side} chest wall [pacemaker|generator] [is unchanged|is noted]",
    ),
    "sternotomy wires": (
        "median sternotomy wires [are intact|are noted|]",
        "[prior|status post] sternotomy[| with intact wires]",
    ),
}

# What a report says is absent: noun phrases for a list after "no", by label.
DENIED: Mapping[str, tuple[str, ...]] = {
    "Pleural Effusion": ("pleural effusion", "effusion", "pleural fluid"),
    "Pneumothorax": ("pneumothorax",),
    "Consolidation": ("consolidation", "focal consolidation"),
    "Edema": ("pulmonary edema", "edema", "vascular congestion"),
    "Pneumonia": ("pneumonia", "lobar pneumonia", "infectious infiltrate"),
    "Lung Opacity": ("focal opacity", "airspace opacity"),
    "Lung Lesion": ("suspicious nodule", "pulmonary nodule", "lung mass"),
    "Atelectasis": ("atelectasis",),
    "Fracture": ("acute fracture", "displaced rib fracture"),
    "Pleural Other": ("pleural thickening",),
}
# With one of these in the picture, a report does not say that there is no opacity.
DENSE = frozenset({"Consolidation", "Pneumonia", "Edema", "Pleural Effusion"})
# Normal statements: (templates, labels that they deny, labels that must be absent as well).
LUNG_LABELS = frozenset({"Lung Opacity", "Consolidation", "Pneumonia", "Edema", "Atelectasis", "Lung Lesion"})
NORMAL: tuple[tuple[tuple[str, ...], frozenset[str], frozenset[str]], ...] = (
    (
        (
            "the [heart size|cardiac size] is [normal|within normal limits]",
            "the heart is [normal in size|not enlarged]",
            "heart size normal",
        ),
        frozenset({"Cardiomegaly"}),
        frozenset(),
    ),
    (
        (
            "the [mediastinal|mediastinal and hilar] contours are [normal|unremarkable|within normal limits]",
            "the mediastinum is [normal|unremarkable|not widened]",
        ),
        frozenset({"Enlarged Cardiomediastinum"}),
        frozenset(),
    ),
    (
        (
            "the cardiomediastinal silhouette is [normal|unremarkable|stable|within normal limits]",
            "cardiac and mediastinal contours are [normal|unremarkable]",
        ),
        frozenset({"Cardiomegaly", "Enlarged Cardiomediastinum"}),
        frozenset(),
    ),
    (
        (
            "the lungs are [clear|well expanded and clear|free of focal disease]",
            "both lungs are [clear|well aerated]",
            "clear lungs",
        ),
        frozenset({"Lung Opacity"}),
        LUNG_LABELS,
    ),
    (
        ("[the |]pulmonary vasculature is [normal|unremarkable|within normal limits]", "normal pulmonary vascularity"),
        frozenset({"Edema"}),
        frozenset(),
    ),
    (
        (
            "[the |][osseous structures|bones|visualized bones|bony thorax] [are|appear] [intact|unremarkable]",
            "no acute [osseous|bony] abnormality",
        ),
        frozenset({"Fracture"}),
        frozenset(),
    ),
)
ALL_CLEAR = (
    "no acute [cardiopulmonary|intrathoracic|cardiothoracic] [process|abnormality|disease|findings]",
    "[no evidence of acute disease|no acute change]",
)
NORMAL_CHEST = (
    "normal [chest|chest radiograph|examination]",
    "[unremarkable|negative] chest [radiograph|x-ray]",
    *ALL_CLEAR,
)

# Findings of an earlier study that are gone: a mention that is a denial.
RESOLVED: Mapping[str, str] = {
    "Pleural Effusion": "effusion",
    "Edema": "edema",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation",
    "Atelectasis": "atelectasis",
    "Lung Opacity": "opacity",
}
CLEARED = (
    "[previously seen|previously described|earlier] {name} has [cleared|resolved|disappeared]",
    "[complete |interval ]resolution of [the |previous |]{name}",
)
# Labels whose mention rules out "no acute process".
ACUTE = frozenset({"Lung Opacity", "Edema", "Consolidation", "Pneumonia", "Pneumothorax", "Pleural Effusion"})
