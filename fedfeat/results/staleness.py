"""What the canaries found, and which records are stale by it: the file `canaries.json` beside a board.

A canary is a case with a committed record that is run again in the present tree (`fedfeat canaries`). The core is the
package's source without any method's file. If a canary gives other scores than its record, though nothing but the core
can have changed them, then no record of the same kind of device, data set and preset that an older core made can be
trusted to hold: their cores are kept as stale until the canaries reproduce such a core's records again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from fedfeat.errors import FedfeatError
from fedfeat.files import read_text
from fedfeat.results.record import Record

NAME = "canaries.json"
SCHEMA = 1
Outcome = Literal["reproduced", "differs", "unclear", "not run"]


@dataclass(frozen=True, kw_only=True)
class Canary:
    """How one canary fared.

    Attributes:
        case_id: the case's id.
        dataset: its data set.
        preset: its preset.
        device: the kind of device that its record was made on, and that it ran on here.
        record_core: the core that made its record; empty: older than the field.
        outcome: "reproduced": every score is the very same; "differs": because of the core; "unclear": other scores,
            but something else may be the cause; "not run": it could not be compared.
        reason: what a reader should know about the outcome.
        score_difference: the largest of a score, in logits, as far as sidecars show it; None: no scores to compare.
        auc_difference: of the macro AUC, 0 to 1.
        versions: those that it ran with.
        commit: what it ran on; None outside a git repository.
        dirty: whether that tree had uncommitted changes.
        date: ISO 8601, UTC.
    """

    case_id: str
    dataset: str
    preset: str
    device: str
    record_core: str = ""
    outcome: Outcome
    reason: str = ""
    score_difference: float | None = None
    auc_difference: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    date: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """The data set, preset and kind of device: what it tells about."""
        return self.dataset, self.preset, self.device


@dataclass(frozen=True, order=True)
class StaleCore:
    """A core whose records of a kind no longer hold."""

    dataset: str
    preset: str
    device: str
    core: str


@dataclass(frozen=True)
class Findings:
    """What stands in the file: the core that the canaries last ran on, how they fared, and what is stale."""

    core: str = ""
    canaries: tuple[Canary, ...] = ()
    stale: tuple[StaleCore, ...] = ()

    def is_stale(self, record: Record) -> bool:
        """Return whether canaries no longer reproduce what the record's core made; never for the present core."""
        return record.core != self.core and StaleCore(*kind_of(record), record.core) in self.stale

    @property
    def summary(self) -> str:
        """What a reader of the board should know: whether the present code was ever asked, when, and its answers."""
        if not self.canaries:
            return "No canary case has been run: whether the present code still gives these results is not known."
        counts = Counter(canary.outcome for canary in self.canaries)
        said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome) if counts[outcome])
        dates = sorted(canary.date[:10] for canary in self.canaries if canary.date)
        return f"Canary cases, last run{f' on {dates[-1]}' if dates else ''} with core {self.core[:12]}: {said}."

    def after(self, core: str, canaries: Sequence[Canary], records: Iterable[Record], complete: bool) -> "Findings":
        """Return the findings once these canaries have run on a core.

        Args:
            core: of the present tree.
            canaries: those that ran.
            records: the committed ones: which cores are stale if a canary differs.
            complete: whether all canaries ran; only then can a stale core be cleared.
        """
        again = {canary.case_id for canary in canaries}
        kept = [canary for canary in self.canaries if self.core == core and canary.case_id not in again]
        present = tuple(sorted((*kept, *canaries), key=lambda canary: canary.case_id))
        broken = {canary.kind for canary in present if canary.outcome == "differs"}
        stale = set(self.stale)
        if complete:
            stale -= {
                StaleCore(*canary.kind, canary.record_core)
                for canary in present
                if canary.outcome == "reproduced" and canary.kind not in broken
            }
        stale |= {StaleCore(*kind_of(record), record.core) for record in records if kind_of(record) in broken}
        return Findings(core, present, tuple(sorted(one for one in stale if one.core != core)))

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps({"schema": SCHEMA} | asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def kind_of(record: Record) -> tuple[str, str, str]:
    """Return the data set, preset and kind of device of a record."""
    return record.dataset, record.preset, device_type(record.device)


def device_type(device: str) -> str:
    """Return "cuda" for "cuda:1"."""
    return device.split(":")[0]


def read(folder: Path) -> Findings:
    """Return the findings beside a board; none if there is no such file. Raises FedfeatError if it cannot be read."""
    path = folder / NAME
    if not path.exists():
        return Findings()
    try:
        content: dict[str, Any] = json.loads(read_text(path))
        if content.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        canaries = tuple(Canary(**canary) for canary in content.pop("canaries"))
        return Findings(canaries=canaries, stale=tuple(StaleCore(**one) for one in content.pop("stale")), **content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FedfeatError(f"{path}: not as `fedfeat canaries` writes it ({error}); remove it and run that") from error
