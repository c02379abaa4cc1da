"""The paper's Table 3, what it costs to make up for a missing report: one JSON, and its text on a board."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fedfeat.errors import FedfeatError
from fedfeat.files import read_text
from fedfeat.results.claims import COMMUNICATION, OPERATIONS
from fedfeat.results.columns import NOTHING
from fedfeat.results.text import commit_text, large, markdown_table, plain, quotient, versions_text

NAME = "table3.json"
SCHEMA = 1

Encoder = Literal["image", "text", "both", ""]


@dataclass(frozen=True, kw_only=True)
class System:
    """One row: a network that makes up for what is missing, at the paper's sizes.

    Attributes:
        name: of the system and the way in which it is counted.
        role: "fin" and "r2gen" for the rows whose ratio the paper claims, "both" for FIN's two directions, "cached"
            for R2Gen as it is run; else "".
        note: what a reader must know of the row.
        parameters: of the network.
        macs: multiply-accumulates for one image, fvcore's count.
        unsupported_ops: operators that the count leaves out.
        paper_parameters: what the paper reports; None: nothing.
        paper_macs: likewise.
        encoder: which of the classifier's encoders stands before or behind it on the way from an image to a text
            feature (both, for both directions).
        encoder_macs: of that encoder.
        milliseconds: for one image, the median of runs that alternate with the other systems'.
        encoder_milliseconds: the same of its encoder.
        megabytes_paper: what a client uploads in a round as the paper counts it: the complete model and this network,
            float32, 1 MB = 1,000,000 bytes, without BatchNorm statistics.
    """

    name: str
    role: Literal["fin", "both", "r2gen", "cached", ""] = ""
    note: str = ""
    parameters: int
    macs: int
    unsupported_ops: Mapping[str, int] = field(default_factory=dict)
    paper_parameters: float | None = None
    paper_macs: float | None = None
    encoder: Encoder = ""
    encoder_macs: int = 0
    milliseconds: float | None = None
    encoder_milliseconds: float | None = None
    megabytes_paper: float


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What one client really sends in a round, BatchNorm statistics included, in MB (1,000,000 bytes).

    Attributes:
        rounds: whose rounds, and which.
        multimodal: a multimodal client.
        image: an image-only client.
    """

    rounds: str
    multimodal: float
    image: float


@dataclass(frozen=True, kw_only=True)
class Table3:
    """The table and where it comes from; fields as in `Record`.

    Attributes:
        systems: its rows.
        uploads: what clients send.
        rounds: of the preset; epochs: local ones in a round.
        runs: timed runs of each system; 0: nothing was timed.
        processor: the CPU's name.
    """

    schema: int = SCHEMA
    systems: tuple[System, ...]
    uploads: tuple[Upload, ...]
    rounds: int
    epochs: int
    runs: int
    key: str
    device: str
    processor: str
    threads: int
    versions: Mapping[str, str]
    commit: str | None
    dirty: bool | None
    date: str

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def path_in(runs: Path) -> Path:
    """Return where a session keeps the table: in a folder of its own, since what lies in `runs` itself are records."""
    return runs / "table3" / NAME


def read(path: Path) -> Table3 | None:
    """Return what `to_json` wrote; None if there is no such file. Raises FedfeatError, naming it, if it is no table."""
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(read_text(path))
        if content.get("schema") != SCHEMA:
            raise ValueError("another schema")
        systems = tuple(System(**one) for one in content.pop("systems"))
        uploads = tuple(Upload(**one) for one in content.pop("uploads"))
        found = Table3(systems=systems, uploads=uploads, **content)
        blocks(found)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise FedfeatError(
            f"{path}: not as `pytest benchmarks -k table3` writes it ({error}); remove it and run that"
        ) from error
    return found


def blocks(table: Table3) -> list[str]:
    """Return the table as a board's section: paragraphs and Markdown tables."""
    timed = f"; times are medians of {table.runs} runs of each system that alternate with the others'"
    return [
        "## Table 3: making up for a missing report, at the paper's sizes",
        "Networks of preset paper (ResNet-50 at 224 pixels, BERT-base, 256 features), for one image; no data are "
        "involved. Multiply-accumulates (MACs) are counted by fvcore, which calls them FLOPs. Encoder is what else "
        "stands on the way from an image to a text feature; the paper leaves it out. "
        f"Device {table.device}, {table.threads} threads, {plain(table.processor)}{timed if table.runs else ''}.",
        markdown_table(_HEADINGS, [_row(system) for system in table.systems], ["left", *["right"] * 8]),
        "\n".join(f"- {plain(f'{one.name}: {one.note}')}" for one in table.systems if one.note),
        markdown_table(["", "paper", "here", "verdict"], _verdicts(table), ["left"] * 4),
        "What a client uploads in a round, in MB (1,000,000 bytes), as it is sent:",
        markdown_table(
            ["rounds", "multimodal client", "image-only client"],
            [[one.rounds, f"{one.multimodal:,.3f}", f"{one.image:,.3f}"] for one in table.uploads],
            ["left", "right", "right"],
        ),
        "\n".join(f"- {plain(line)}" for line in _provenance(table)),
    ]


_HEADINGS = (
    "system",
    "parameters",
    "parameters, paper",
    "MACs",
    "MACs, paper",
    "encoder",
    "MACs with encoder",
    "ms / with encoder",
    "MB up, as the paper counts",
)


def _row(system: System) -> list[str]:
    return [
        system.name,
        f"{system.parameters:,}",
        NOTHING if system.paper_parameters is None else large(system.paper_parameters),
        f"{system.macs:,}",
        NOTHING if system.paper_macs is None else large(system.paper_macs),
        system.encoder or NOTHING,
        f"{system.macs + system.encoder_macs:,}",
        _milliseconds(system),
        f"{system.megabytes_paper:,.3f}",
    ]


def _milliseconds(system: System) -> str:
    if system.milliseconds is None:
        return NOTHING
    return f"{system.milliseconds:,.2f} / {_whole_time(system):,.2f}"


def _whole_time(system: System) -> float:
    return (system.milliseconds or 0.0) + (system.encoder_milliseconds or 0.0)


def _verdicts(table: Table3) -> list[list[str]]:
    by_role = {system.role: system for system in table.systems if system.role}
    fin, both, r2gen, cached = (by_role[role] for role in ("fin", "both", "r2gen", "cached"))
    whole = {one.role: one.macs + one.encoder_macs for one in (fin, r2gen, cached)}
    times = table.rounds * table.epochs
    rows = [
        [claim.claim, claim.paper, quotient(*pair), "holds" if claim.holds(*pair) else "fails"]
        for claim, pair in (
            (COMMUNICATION, (r2gen.parameters, fin.parameters)),
            (OPERATIONS, (r2gen.macs, fin.macs)),
        )
    ]
    further = {
        "parameters, with both of FIN's directions, as it sends them": quotient(r2gen.parameters, both.parameters),
        "MACs, with R2Gen's cache, as it is run": quotient(cached.macs, fin.macs),
        "MACs with the encoders, without the cache": quotient(whole["r2gen"], whole["fin"]),
        "MACs with the encoders, with the cache": quotient(whole["cached"], whole["fin"]),
        f"MACs over a run of {table.rounds} rounds of {table.epochs} epochs (FIN fills {times} times, R2Gen writes "
        "once, with the cache)": quotient(cached.macs, times * fin.macs),
    }
    if table.runs:
        slow, fast, least = (_whole_time(one) for one in (r2gen, cached, fin))
        further["milliseconds with the encoders"] = (
            f"{slow / least:.1f}x without the cache, {fast / least:.1f}x with it"
        )
    return rows + [[what, "", ratio, ""] for what, ratio in further.items()]


def _provenance(table: Table3) -> list[str]:
    left_out = [
        f"{one.name} {sum(one.unsupported_ops.values()):,} calls of {len(one.unsupported_ops)} operators"
        for one in table.systems
        if one.unsupported_ops
    ]
    return [
        *([f"fvcore counts these as nothing: {'; '.join(left_out)} (named in {NAME})"] if left_out else []),
        f"Commit: {commit_text(table.commit, table.dirty)} ({table.date[:10]})",
        f"Versions: {versions_text(table.versions)}",
    ]
