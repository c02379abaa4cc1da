"""Pictures and tables of the documentation: `python -m fedfeat.data.phantom.gallery docs`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fedfeat.data.phantom.copula import tetrachoric
from fedfeat.data.phantom.drawing import draw
from fedfeat.data.phantom.findings import Study, label_values, sample_patient, sample_studies
from fedfeat.data.phantom.grammar import write
from fedfeat.data.phantom.shapes import SIZE
from fedfeat.data.phantom.sites import (
    FINDINGS,
    PREVALENCE,
    SEED,
    SITES,
    XRAY14_IMAGES,
    XRAY14_PAIRS,
    XRAY14_POSITIVE,
)
from fedfeat.data.studies import CHEXPERT_LABELS, UNCERTAIN

_ZOOM, _GAP, _SHADE = 3, 4, 6
_LARGE_SAMPLE = 20_000  # patients a site for the table of prevalence; nothing is drawn for it
_SEARCHED = 4_000  # patients looked through for a sample of a rare finding


def _studies(site: str, patients: int, split: str) -> list[Study]:
    return [
        study for number in range(patients) for study in sample_studies(SEED, sample_patient(SEED, site, split, number))
    ]


def _has(label: str, least: float) -> Callable[[Study], bool]:
    def test(study: Study) -> bool:
        finding = study.findings.get(label)
        return finding is not None and finding.value > 0 and finding.severity >= least

    return test


def choose(site: str) -> list[tuple[str, Study]]:
    """Return (label, study) with every label once, "No Finding" first; as few other findings as the search offers."""
    pool = _studies(site, _SEARCHED, "gallery")
    chosen = [("No Finding", next(study for study in pool if not study.findings))]
    for label in FINDINGS:
        found = [s for s in pool if _has(label, 0.4)(s)] or [s for s in pool if _has(label, 0.0)(s)]
        chosen.append((label, min(found, key=lambda study: len(study.findings))))
    return chosen


def sheet(studies: Sequence[Study], columns: int) -> Image.Image:
    """Return the studies' pictures, enlarged, row by row."""
    step = SIZE * _ZOOM + _GAP
    rows = -(-len(studies) // columns)
    picture = Image.new("L", (columns * step - _GAP, rows * step - _GAP), 255)
    for place, study in enumerate(studies):
        small = Image.fromarray(draw(SEED, study))
        large = small.resize((SIZE * _ZOOM, SIZE * _ZOOM), Image.Resampling.BICUBIC)
        picture.paste(large, (place % columns * step, place // columns * step))
    return picture.point(lambda grey: min(255, round(grey / _SHADE) * _SHADE))  # fewer greys: a smaller file


def _describe(study: Study) -> str:
    words = []
    for label, finding in study.findings.items():
        doubt = "?" if finding.value == UNCERTAIN else ""
        where = "" if label in ("Support Devices", "Cardiomegaly", "Enlarged Cardiomediastinum") else f" {finding.side}"
        words.append(f"{label}{doubt}{where}")
    return "; ".join(words) or "none"


def _samples(site: str, folder: Path) -> list[str]:
    chosen = choose(site)
    sheet([study for _, study in chosen], 5).save(folder / f"{site}.png", optimize=True)
    lines = [
        f"## {site}",
        "",
        f"![Fourteen synthetic chest pictures, one for each label](phantom/{site}.png)",
        "",
        "Row by row, five to a row. A `?` marks an uncertain finding.",
        "",
        "| # | shown for | findings | report |",
        "|--:|---|---|---|",
    ]
    for number, (label, study) in enumerate(chosen, 1):
        lines.append(f"| {number} | {label} | {_describe(study)} | {write(SEED, study).text} |")
    return [*lines, ""]


def prevalence_table(patients: int) -> list[str]:
    """Return the lines of the table of achieved and published shares, in percent, from findings alone."""
    head = "".join(f" {site} positive | published | uncertain | published |" for site in SITES)
    lines = [f"| label |{head}", "|---|" + "--:|--:|--:|--:|" * len(SITES)]
    values = {
        site: np.array([label_values(study, frozenset()) for study in _studies(site, patients, "prevalence")])
        for site in SITES
    }
    for i, label in enumerate(CHEXPERT_LABELS):
        cells = ""
        for site in SITES:
            published = PREVALENCE[site]
            positive = published.positive.get(label, published.no_finding)
            column = values[site][:, i]
            cells += f" {100 * np.mean(column == 1.0):.1f} | {100 * positive / published.studies:.1f} |"
            doubt = 100 * published.uncertain.get(label, 0) / published.studies
            cells += f" {100 * np.mean(column == UNCERTAIN):.1f} | {doubt:.1f} |"
        lines.append(f"| {label} |{cells}")
    return lines


def _correlations() -> list[str]:
    lines = ["| pair | images with both | tetrachoric correlation |", "|---|--:|--:|"]
    for (one, two), both in XRAY14_PAIRS.items():
        shares = (XRAY14_POSITIVE[one] / XRAY14_IMAGES, XRAY14_POSITIVE[two] / XRAY14_IMAGES)
        lines.append(f"| {one}, {two} | {both:,} | {tetrachoric(*shares, both / XRAY14_IMAGES):.2f} |")
    return lines


_INTRODUCTION = """# The synthetic studies: `phantom`

<!-- Written by `python -m fedfeat.data.phantom.gallery docs`; do not edit by hand. -->

**None of these pictures or reports is real.** They are drawn and written by a program from a seed. They exist so that
every method of this suite can be run, compared and tested at once, without credentials and without a patient's data:
the labels, their prevalence, their co-occurrence and the split over sites follow published numbers, and a picture and
its report tell of the same findings. They are **not** good for: saying how well a method reads real radiographs,
training or choosing anything for use on patients, studying rare appearances, fine textures or real reporting language,
or comparing with scores on MIMIC-CXR, CheXpert or Open-I. Pictures have 64 x 64 pixels; a nodule is a soft disc, a
fracture a few grey dots, and the reports come from a few hundred templates and about 700 words.

How a study comes about: a patient has a body and lasting findings; each study draws correlated latent variables, one a
label, which are positive above one threshold and uncertain between a lower one and that; severity is the excess over
the threshold. The picture is drawn from side, zone, size and severity (`anatomy`, `drawing`, `devices`, `acquisition`),
the report is written from the same (`phrases`, `grammar`), leaving out some findings, denying some absent ones. A label
is positive or uncertain as drawn, 0 where the report denies it, blank where it says nothing. "No Finding" is positive
if nothing but support devices is positive or uncertain.
"""
_SOURCES = """## Sources

- mimic-like: label counts of MIMIC-CXR-JPG (Johnson et al. 2019, arXiv:1901.07042), CheXpert labeler.
- chexpert-like: label counts of CheXpert (Irvin et al. 2019, arXiv:1901.07031), table 1.
- openi-like: our counts of MeSH headings in the Indiana University collection (Demner-Fushman et al. 2016), 3,759
  indexed reports; the mapping stands in `sites.py`. MeSH knows no uncertain findings: their share is our assumption,
  and so is everything about support devices beyond the counts.
- Co-occurrence: ChestX-ray14 (Wang et al. 2017, arXiv:1705.02315), pair counts turned into tetrachoric correlations
  (below), completed by assumptions of ours and scaled by one factor a site (`COUPLING` in `sites.py`), which brings "No
  Finding" near the published share. It stays apart at the openi-like site, where the published headings exclude each
  other less than any positive correlation allows.

The counts were transcribed and not yet checked against the papers; only those of Open-I were computed from the data.
"""


def main(docs: Path) -> None:
    """Write `docs`/phantom.md and its pictures."""
    folder = docs / "phantom"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [_INTRODUCTION]
    for site in SITES:
        lines += _samples(site, folder)
    lines += [_SOURCES, *_correlations(), ""]
    lines += [f"## Prevalence, percent of studies ({_LARGE_SAMPLE:,} patients a site)", ""]
    lines += [*prevalence_table(_LARGE_SAMPLE), ""]
    (docs / "phantom.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
