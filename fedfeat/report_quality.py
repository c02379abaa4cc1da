"""Do R2Gen's reports follow their images? `python -m fedfeat.report_quality` pretrains it, lets it write, and says so.

Only the rounds before the classifier's are run. The reports that the network writes for held-out studies are compared
with the same reports given to other studies: a report is a function of its image alone, so that is what the network
writes if it is fed shuffled images. The data are phantom's, which are synthetic.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from fedfeat.case import Case
from fedfeat.commands.parser import Parser
from fedfeat.data import phantom, sources
from fedfeat.data.phantom.sites import BENCHMARK, MIMIC
from fedfeat.data.prepare import Studies, prepare
from fedfeat.errors import FedfeatError
from fedfeat.federation import rounds
from fedfeat.federation.client import Member
from fedfeat.imputers.r2gen import ReportGeneration
from fedfeat.imputers.r2gen.quality import bleu4, distinct, usual
from fedfeat.imputers.r2gen.vocabulary import clean
from fedfeat.machine import fixed
from fedfeat.pipeline import clients_of, evaluation_studies, initial_classifier, taking_part
from fedfeat.plan import CaseSkipped, Plan, Resources, plan
from fedfeat.randomness import numpy_generator

DRAWS = 2_000
SHUFFLES = 100  # one shuffle may be lucky: F1 of shuffled images is the mean over these
LEVEL = 0.95
ROUNDING = 1e-9  # means of equal numbers differ by less


class LabelReader:
    """Reads labels from reports: counts of words and of pairs of words, and a logistic regression for each label.

    Pairs are there because of negations. Classes weigh the same, since most labels are rare.
    """

    def __init__(self, reports: Sequence[str], targets: np.ndarray, known: np.ndarray) -> None:
        """Fit to real reports.

        Args:
            reports: n, as they were written.
            targets: (n, L) in {0, 1}.
            known: (n, L) bool; what is not known is left out.
        """
        self._words = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+")
        counts = self._words.fit_transform([clean(report) for report in reports])
        self._models: list[LogisticRegression | float] = []
        for label in range(targets.shape[1]):
            rows = np.flatnonzero(known[:, label])
            values = targets[rows, label]
            if len(set(values.tolist())) < 2:  # nothing to tell apart
                self._models.append(float(values[0]) if len(rows) else 0.0)
                continue
            model = LogisticRegression(class_weight="balanced", solver="liblinear")
            self._models.append(model.fit(counts[rows], values))

    def read(self, reports: Sequence[str]) -> np.ndarray:
        """Return what the reports say, (n, L) bool."""
        counts = self._words.transform([clean(report) for report in reports])
        columns = [
            np.full(len(reports), model > 0.5) if isinstance(model, float) else model.predict(counts) > 0.5
            for model in self._models
        ]
        return np.stack(columns, 1)


@dataclass(frozen=True)
class Tally:
    """What F1 is computed from, by patient: (patients, L) counts of labels said, there, and both; what is known."""

    said: np.ndarray
    there: np.ndarray
    both: np.ndarray

    def macro(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the mean of the labels' F1, one a row of `weights`, (draws, patients); None: all patients once.

        F1 is 0 for a label that nobody has and no report says.
        """
        said, there, both = self._sums(weights)
        return np.asarray((2 * both / np.maximum(said + there, 1)).mean(-1))

    def micro(self) -> float:
        """Return F1 over all labels at once."""
        said, there, both = self._sums(None)
        return float(2 * both.sum() / max(said.sum() + there.sum(), 1))

    def _sums(self, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        taken = np.ones((1, len(self.said))) if weights is None else weights
        said, there, both = taken @ self.said, taken @ self.there, taken @ self.both
        return (said[0], there[0], both[0]) if weights is None else (said, there, both)


def tally(said: np.ndarray, targets: np.ndarray, known: np.ndarray, patients: np.ndarray) -> Tally:
    """Count by patient.

    Args:
        said: (n, L) bool, what the reports say.
        targets: (n, L) in {0, 1}.
        known: (n, L) bool.
        patients: (n,) numbers from 0 on.
    """
    there = targets > 0.5
    counts = []
    for what in (said & known, there & known, said & there & known):
        of_patient = np.zeros((int(patients.max()) + 1, what.shape[1]))
        np.add.at(of_patient, patients, what)
        counts.append(of_patient)
    return Tally(*counts)


def resampled(patients: int, draws: int, seed: int = 0) -> np.ndarray:
    """Return how often each patient is drawn, with replacement, in each of the bootstrap's draws: (draws, patients)."""
    random = numpy_generator(seed, "bootstrap of patients")
    return random.multinomial(patients, np.full(patients, 1 / patients), draws).astype(float)


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval of a bootstrap's values."""
    low, high = np.quantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def constant_normal(reports: Sequence[str], normal: np.ndarray) -> str:
    """Return the usual one of the normal reports; `normal` is (n,) bool."""
    chosen = [report for report, one in zip(reports, normal, strict=True) if one]
    if not chosen:
        raise FedfeatError("no training report is without a finding; use other data")
    return usual(chosen)


@dataclass(frozen=True)
class Quality:
    """What a seed's written reports are worth; all scores in [0, 1].

    Attributes:
        macro: F1 of the written reports, of the same for shuffled images (mean over the shuffles), of the real ones.
        micro: the same, over all labels at once.
        differences: written less shuffled macro F1, in each draw of the bootstrap.
        distinct: different reports, of `reports`.
        commonest: the share of the commonest one.
        bleu: BLEU-4 of the written reports, and of one normal report for every study.
        reports: written.
        token_loss: of the validation reports, in nats, in the round whose network writes.
        seconds: of pretraining, and of writing.
    """

    macro: tuple[float, float, float]
    micro: tuple[float, float, float]
    differences: np.ndarray
    distinct: int
    commonest: float
    bleu: tuple[float, float]
    reports: int
    token_loss: float = float("nan")
    seconds: tuple[float, float] = (float("nan"), float("nan"))


def judged(written: Sequence[str], normal: str, test: Studies, reader: LabelReader) -> Quality:
    """Judge the reports that were written for the test studies, in their order.

    Args:
        written: n reports.
        normal: what `constant_normal` returned.
        test: the n studies, with their real reports.
        reader: fitted to real training reports.
    """
    assert test.reports is not None
    targets, known = test.targets.cpu().numpy(), test.label_mask.cpu().numpy()
    _, patients = np.unique(np.array(test.patients), return_inverse=True)
    said = reader.read(written)
    own, real = (tally(what, targets, known, patients) for what in (said, reader.read(test.reports)))
    random = numpy_generator(0, "shuffled images")
    weights = resampled(int(patients.max()) + 1, DRAWS)
    shuffled = [tally(said[random.permutation(len(said))], targets, known, patients) for _ in range(SHUFFLES)]
    cleaned = Counter(clean(report) for report in written)
    return Quality(
        macro=(float(own.macro()), fmean(float(one.macro()) for one in shuffled), float(real.macro())),
        micro=(own.micro(), fmean(one.micro() for one in shuffled), real.micro()),
        differences=own.macro(weights) - np.mean([one.macro(weights) for one in shuffled], 0),
        distinct=distinct(written),
        commonest=cleaned.most_common(1)[0][1] / len(written),
        bleu=(bleu4(written, test.reports), bleu4([normal] * len(written), test.reports)),
        reports=len(written),
    )


def with_patients(planned: Plan, patients: int) -> Plan:
    """Return the plan with that many training patients of phantom's first site; validation and test stay the same."""
    table = phantom.load(sources.cache_folder() / "phantom", sizes=replace(BENCHMARK, train={MIMIC: patients}))
    preset, former = planned.preset, planned.prepared
    prepared = prepare(table, preset.image_size, former.pieces, preset.report_length, sources.cache_folder())
    return replace(planned, prepared=prepared)


def written_by(planned: Plan, members: Sequence[Member], test: Studies) -> tuple[list[str], float, tuple[float, float]]:
    """Run the method's pretraining alone; return its reports of the test images, its token loss, the seconds of both.

    The loss is that of the validation reports in the best round.
    """
    imputer, training, seed = planned.imputer, planned.preset.training, planned.case.seed
    assert isinstance(imputer, ReportGeneration)
    begun = time.perf_counter()
    with fixed(planned.device, planned.preset.threads):
        classifier = initial_classifier(planned).to(planned.device)
        validation = evaluation_studies(planned, "validate")
        pretraining = rounds.pretrain(classifier, imputer, members, validation, training, seed)
        trained = time.perf_counter()
        ctx = rounds.first_context(classifier, imputer, training, seed)
        with torch.no_grad():
            texts = imputer.written(replace(ctx, shared=pretraining.shared), test)
    loss = pretraining.history[pretraining.best_round - 1]["validation_loss"]
    return texts, loss, (trained - begun, time.perf_counter() - trained)


def quality(partition: str, seed: int, patients: int | None = None, smoke: bool = False) -> Quality:
    """Pretrain R2Gen in a homogeneous column, and judge what it writes for the site's test studies.

    Args:
        partition: of the column.
        seed: its seed.
        patients: pretrain on the pairs of so many patients in one place instead; None: at the column's clients.
        smoke: one epoch in one round, to see that everything runs.

    Raises:
        FedfeatError: the partition is none.
        CaseSkipped: the method does not apply to such clients.
    """
    case = Case(method=ReportGeneration.name, setup="homogeneous", partition=partition, seed=seed)
    planned = plan(case, Resources(smoke=smoke))
    if patients is None:
        members = taking_part(planned, clients_of(planned))
    else:
        planned = with_patients(planned, patients)
        members = [Member(0, "multimodal", evaluation_studies(planned, "train"))]
    test, train = (evaluation_studies(planned, split) for split in ("test", "train"))
    assert train.reports is not None
    targets = train.targets.cpu().numpy()
    reader = LabelReader(train.reports, targets, train.label_mask.cpu().numpy())
    normal = constant_normal(train.reports, targets[:, planned.prepared.labels.index("No Finding")] > 0.5)
    texts, loss, seconds = written_by(planned, members, test)
    return replace(judged(texts, normal, test, reader), token_loss=loss, seconds=seconds)


def over_seeds(parts: Sequence[Quality]) -> tuple[float, tuple[float, float]]:
    """Return the seeds' mean of written less shuffled macro F1, and its interval: all share patients and draws."""
    difference = fmean(part.macro[0] - part.macro[1] for part in parts)
    return difference, interval(np.mean([part.differences for part in parts], 0))


def beaten(parts: Sequence[Quality]) -> bool:
    """Return whether the reports say more than those of shuffled images: the seeds' interval is above 0."""
    return over_seeds(parts)[1][0] > ROUNDING


def table(seeds: Sequence[int], parts: Sequence[Quality]) -> str:
    """Return a Markdown table, a column a seed and one of their mean."""
    columns = {f"seed {seed}": _column([part]) for seed, part in zip(seeds, parts, strict=True)}
    if len(parts) > 1:
        columns["mean"] = _column(parts)
    return str(pd.DataFrame(columns).rename_axis("figure").to_markdown(disable_numparse=True))


def _column(parts: Sequence[Quality]) -> dict[str, str]:
    def mean(values: Sequence[float]) -> str:
        return f"{fmean(values):.3f}"

    whose = ("written", "shuffled images", "real reports")
    difference, (low, high) = over_seeds(parts)
    return {
        **{f"macro F1, {name}": mean([part.macro[place] for part in parts]) for place, name in enumerate(whose)},
        "written less shuffled": f"{difference:+.3f} ({low:+.3f} to {high:+.3f})",
        **{f"micro F1, {name}": mean([part.micro[place] for part in parts]) for place, name in enumerate(whose)},
        "different reports": f"{fmean(part.distinct for part in parts):.0f} of {parts[0].reports}",
        "share of the commonest": mean([part.commonest for part in parts]),
        "BLEU-4, written": mean([part.bleu[0] for part in parts]),
        "BLEU-4, constant normal": mean([part.bleu[1] for part in parts]),
        "validation token loss": mean([part.token_loss for part in parts]),
        "seconds, pretraining / writing": " / ".join(
            f"{fmean(part.seconds[place] for part in parts):.0f}" for place in range(2)
        ),
    }


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise FedfeatError(f"--seeds {text}: use different whole numbers of at least 0, such as 0,1,2")
    return seeds


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m fedfeat.report_quality", description=__doc__)
    parser.add_argument("--partition", default="4:0:6", metavar="I:0:M", help="homogeneous column (default: 4:0:6)")
    parser.add_argument("--seeds", default="0,1,2", help="(default: 0,1,2)")
    parser.add_argument(
        "--patients", type=int, metavar="N", help="pretrain on pairs of N patients in one place, not at the clients"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures and whether shuffled images are beaten; return 1 if not, 2 if nothing could be run."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(1)
    parts = []
    try:
        seeds = _seeds(arguments.seeds)
        if arguments.patients is not None and arguments.patients < 1:
            raise FedfeatError(f"--patients {arguments.patients}: use 1 or more")
        for seed in seeds:
            parts.append(quality(arguments.partition, seed, arguments.patients))
            print(f"seed {seed}: macro F1 {parts[-1].macro[0]:.3f}, shuffled {parts[-1].macro[1]:.3f}", flush=True)
    except (FedfeatError, CaseSkipped) as error:
        print(f"fedfeat: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(table(seeds, parts))
    above = beaten(parts)
    print(
        "The written reports beat those of shuffled images (synthetic data): the interval is above 0."
        if above
        else "The written reports do not beat those of shuffled images (synthetic data): the interval reaches 0."
    )
    return 0 if above else 1


if __name__ == "__main__":
    sys.exit(main())
