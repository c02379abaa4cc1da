"""What learning rate and batch do: `python -m fedfeat.rates` runs cases at several of each and prints a table.

A preset's rate and batch are chosen by the validation AUC of `complete` and by running time. What they do to the
methods is shown beside it, and decides nothing. No record is kept: a case of a benchmark has its preset's rate.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import pandas as pd
import torch

from fedfeat import imputers
from fedfeat.case import Case
from fedfeat.commands.parser import Parser
from fedfeat.commands.places import DATA_HELP
from fedfeat.errors import FedfeatError
from fedfeat.pipeline import CaseFailed, execute
from fedfeat.plan import CaseSkipped, Resources, plan

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Trial:
    """A case at a learning rate and a batch size (rows)."""

    case: Case
    rate: float
    batch: int
    resources: Resources

    @property
    def row(self) -> tuple[str, int, float]:
        """What it shares with the other seeds."""
        return self.case.method, self.batch, self.rate


@dataclass(frozen=True)
class Finding:
    """What a trial showed.

    Attributes:
        validation: best macro AUC over the rounds, in [0, 1].
        test: macro AUC of that round's model on the test rows.
        best_round: the round's number.
        rate_times_steps: rate times the steps of a mean client over all rounds: how far Adam can move a weight.
        norms: of the head's image and text half.
    """

    validation: float
    test: float
    best_round: int
    rate_times_steps: float
    norms: tuple[float, float]


def attempt(trial: Trial) -> Finding | str:
    """Run a trial; return why if it broke, since the others go on. Raises FedfeatError if it cannot be run."""
    planned = plan(trial.case, trial.resources)
    training = replace(planned.preset.training, learning_rate=trial.rate, batch_size=trial.batch)
    try:
        record = execute(replace(planned, preset=replace(planned.preset, training=training))).record
    except CaseFailed as error:
        return f"{trial.case.case_id} at rate {trial.rate:g}, batch {trial.batch}: {error}"
    batches = fmean(math.ceil(client["rows"] / trial.batch) for client in record.clients)
    steps = batches * training.local_epochs * training.rounds
    return Finding(
        validation=max(record.validation_auc[1:]),
        test=_scored(record.macro_auc),
        best_round=record.best_round or 0,
        rate_times_steps=trial.rate * steps,
        norms=(_scored(record.head_norm_image), _scored(record.head_norm_text)),
    )


def _scored(value: float | None) -> float:
    return float("nan") if value is None else value


def table(trials: Sequence[Trial], findings: Sequence[Finding | str]) -> str:
    """Return a Markdown table, a row a method, batch and rate, means over the seeds; none where a trial broke."""
    broken = {trial.row for trial, found in zip(trials, findings, strict=True) if isinstance(found, str)}
    whole = [
        (trial, found)
        for trial, found in zip(trials, findings, strict=True)
        if not isinstance(found, str) and trial.row not in broken
    ]
    pairs = sorted(whole, key=lambda pair: (*pair[0].row, pair[0].case.seed))
    rows = []
    for (method, batch, rate), group in groupby(pairs, key=lambda pair: pair[0].row):
        found = [finding for _, finding in group]
        rows.append(
            {
                "method": method,
                "batch": batch,
                "rate": f"{rate:.2g}",
                "rate x steps": f"{fmean(one.rate_times_steps for one in found):.2f}",
                "validation AUC": f"{fmean(one.validation for one in found):.3f}",
                "each seed": " · ".join(f"{one.validation:.3f}" for one in found),
                "best round": " · ".join(str(one.best_round) for one in found),
                "test AUC": f"{fmean(one.test for one in found):.3f}",
                "head, image / text": " / ".join(f"{fmean(one.norms[half] for one in found):.2f}" for half in (0, 1)),
            }
        )
    return str(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


def _trials(arguments: argparse.Namespace) -> Iterator[Trial]:
    resources = Resources(
        data=arguments.data,
        uncertain=arguments.uncertain,
        image_weights=arguments.image_weights,
        text_weights=arguments.text_weights,
        from_scratch=arguments.from_scratch,
        imputer=arguments.imputer,
        device=arguments.device,
    )
    rates = _numbers("--rates", arguments.rates, float, "learning rates above 0, such as 1e-3,2e-3")
    sizes = _numbers("--batches", arguments.batches, int, "batch sizes of at least 1, such as 8,16")
    seeds = _numbers("--seeds", arguments.seeds, int, "seeds, such as 0,1,2", least=0)
    if arguments.processes < 1:
        raise FedfeatError(f"--processes {arguments.processes}: use 1 or more")
    outside = [imputers.load(resources.imputer).name] if resources.imputer else []
    for method in dict.fromkeys([*arguments.methods.split(","), *outside]):
        for seed in seeds:
            case = Case(
                method=method,
                setup=arguments.setup,
                partition=arguments.partition,
                seed=seed,
                dataset=arguments.dataset,
                preset=arguments.preset,
            )
            for rate in rates:
                for batch in sizes:
                    yield Trial(case, rate, batch, resources)


def _numbers(option: str, text: str, kind: Callable[[str], Number], wanted: str, least: float = 1e-30) -> list[Number]:
    """Read a comma list of finite numbers, none below `least`."""
    try:
        numbers = list(dict.fromkeys(map(kind, text.split(","))))
    except ValueError as error:
        raise FedfeatError(f"{option} {text}: not a comma list of {wanted} ({error})") from error
    wrong = [number for number in numbers if not least <= number < math.inf]
    if wrong:
        raise FedfeatError(f"{option} {text}: {wrong[0]} is none of the possible {wanted}")
    return numbers


def _parser() -> Parser:
    parser = Parser(prog="python -m fedfeat.rates", description=__doc__)
    parser.add_argument("--methods", default="complete", help="comma list (default: %(default)s)")
    parser.add_argument("--rates", required=True, help="comma list of learning rates")
    parser.add_argument("--batches", required=True, help="comma list of batch sizes")
    parser.add_argument("--seeds", default="0,1,2", help="comma list (default: %(default)s)")
    parser.add_argument("--setup", default="homogeneous", help="default: %(default)s")
    parser.add_argument("--partition", default="8:0:2", help="default: %(default)s")
    parser.add_argument("--preset", default="phantom", help="default: %(default)s")
    parser.add_argument("--dataset", default="phantom", help="default: %(default)s")
    parser.add_argument("--data", type=Path, metavar="PATH", help=DATA_HELP)
    parser.add_argument("--uncertain", metavar="POLICY", help="what uncertain labels count as: masked, zeros or ones")
    parser.add_argument("--imputer", type=Path, metavar="PATH", help="run the method of this file beside --methods")
    parser.add_argument("--image-weights", type=Path, metavar="FILE", help="ResNet-50 weights, for --preset paper")
    parser.add_argument("--text-weights", type=Path, metavar="DIR", help="a BERT folder, for --preset paper")
    parser.add_argument("--from-scratch", action="store_true", help="start encoders without pretrained weights")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    parser.add_argument("--processes", type=int, default=1, help="trials at a time (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trials and print the table; return 2 after one line if something is wrong, 1 if a trial broke."""
    arguments = _parser().parse_args(argv)
    try:
        trials = list(_trials(arguments))
        for case in {trial.case.case_id: trial.case for trial in trials}.values():
            plan(case, trials[0].resources)  # what is wrong is said before anything is trained
        with ProcessPoolExecutor(arguments.processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
            findings = list(pool.map(attempt, trials))
    except (FedfeatError, CaseSkipped) as error:
        print(f"fedfeat: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenProcessPool:
        print("fedfeat: a trial's process was killed (memory?); use fewer --processes", file=sys.stderr)
        return 2
    print(table(trials, findings))
    broken = [found for found in findings if isinstance(found, str)]
    for reason in broken:
        print(f"fedfeat: {reason}", file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
