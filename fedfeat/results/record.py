"""One JSON object a case: what was run, with what, on what, and what came out."""

import json
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from fedfeat.errors import FedfeatError

SCHEMA = 1
"""The version of the format below. A field that is added with a default leaves it as it is: old records stay valid."""

Status = Literal["passed", "failed"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one case. What has a default may be left out when the case failed before it was known.

    AUC values lie in [0, 1]; None stands where a number could not be computed (JSON has no NaN).
    """

    schema: int = SCHEMA
    case_id: str
    key: str
    """Hash of all that a result depends on, from the source to the machine: an equal key promises an equal result."""

    method: str
    title: str
    """The method's name for humans."""
    marks: list[str] = field(default_factory=list)
    """What a reader must know before comparing, e.g. "upper bound" or "uses public data"."""
    sends: list[str] = field(default_factory=lambda: ["weights"])
    """What leaves a client; records that are older than the field are of methods that send weights only."""
    holds: list[str] = field(default_factory=list)
    """What a client must hold beside its own studies, e.g. "public studies"."""
    params: Mapping[str, Any] = field(default_factory=dict)
    setup: str
    """"homogeneous" or "heterogeneous"."""
    partition: str
    """Numbers of image-only, text-only and multimodal clients, e.g. "8:0:2"."""
    seed: int
    dataset: str
    synthetic: bool
    real_reports: bool = False
    """Of synthetic data: whether the reports are real nonetheless, and only the images are not."""
    preset: str
    missing: float = 1.0
    """Share of a unimodal client's rows that lack the modality, 0 to 1."""
    test_modalities: str = "both"
    aggregation: str = "fedavg"
    engine: str = "local"
    imported_partition: str = ""
    """The first 8 digits of `partition_hash` if the partition came from a file and is not what the seed draws."""

    configuration: Mapping[str, Any] = field(default_factory=dict)
    """The preset's hyper-parameters and what uncertain and blank labels count as."""

    status: Status
    error: str | None = None

    macro_auc: float | None = None
    macro_auc_image_only: float | None = None
    """Macro AUC of the same model with its text feature zeroed."""
    macro_auc_text_only: float | None = None
    """Macro AUC of the same model with its image feature zeroed."""
    head_norm_image: float | None = None
    head_norm_text: float | None = None
    per_label_auc: Mapping[str, float | None] = field(default_factory=dict)
    """None for a label of which the test rows hold one class only; such a label is not in the macro average."""
    labels_scored: int = 0
    validation_auc: list[float] = field(default_factory=list)
    """One a round, the untrained model first."""
    best_round: int | None = None
    """Index into `validation_auc`: 0 is the untrained model."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One dict a round: its number, its seconds, its losses."""

    pretraining: Mapping[str, Any] = field(default_factory=dict)
    """Of a method that learns in rounds of its own before the classifier's: their history, the best of them, and bytes
    up and down in one of them, by client; empty for others."""

    method_numbers: Mapping[str, float] = field(default_factory=dict)
    """What the method tells of its last state, such as how good the reports are that it writes."""
    samples: list[dict[str, str]] = field(default_factory=list)
    """What the method makes, such as reports; of data only that are synthetic throughout."""

    parameters: Mapping[str, int] = field(default_factory=dict)
    """"classifier"; "method": the tensors that the server dispatches for it; "fill_image", "fill_text": of the networks
    that fill, where the method says so."""
    macs: Mapping[str, float | None] = field(default_factory=dict)
    """Multiply-accumulates for one study, a part of the model; None where no client lacks that modality, or there is no
    count of filling it."""
    unsupported_ops: Mapping[str, Any] = field(default_factory=dict)
    """Operators that the count of `macs` leaves out."""
    bytes_up: Mapping[str, int] = field(default_factory=dict)
    """Client number to bytes that it sends in one round."""
    bytes_down: Mapping[str, int] = field(default_factory=dict)
    """Client number to bytes that it receives in one round."""
    clients: list[dict[str, Any]] = field(default_factory=list)
    """One dict a client: client, kind, patients, rows."""
    test_rows: int = 0
    test_patients: int = 0

    seconds: float | None = None
    samples_per_second: float | None = None
    peak_memory_mb: float | None = None
    device: str = ""
    threads: int | None = None
    """Intra-op threads of the case."""
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""
    """Where the encoders' start comes from."""
    data: str = ""
    """Hash of the prepared data."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """The published collections that the data come from, one dict each: name, version, labels (where they come from),
    credentialed, checksum (of what was prepared). Empty for other data."""
    partition_hash: str = ""
    """Hash of who held which patients."""
    core: str = ""
    """Hash of the package's source without any method's file; empty in records that are older than the field."""
    method_source: str = ""
    """Hash of the method's file and of those it is built on or imports; empty in records that are older."""
    test_set: str = ""
    """Names the sidecar of row ids, patients and labels that all cases on the same test rows share."""
    scores_hash: str = ""
    """Of the scores before they are rounded for the sidecar (`store.scores_hash`); empty in older records."""
    commit: str | None = None
    """None outside a git repository."""
    dirty: bool | None = None
    """Whether the working tree had uncommitted changes."""
    date: str
    """ISO 8601, UTC."""
    notes: list[str] = field(default_factory=list)

    @property
    def credentialed(self) -> bool:
        """Whether the terms of its data forbid to publish anything about a single study."""
        return any(source.get("credentialed") for source in self.sources)

    def to_json(self) -> str:
        """Return the fields as JSON, in the order of their declaration.

        Raises ValueError, naming the field, for a value that JSON cannot hold (NaN, infinity, a NumPy number).
        """
        content = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in content.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ValueError(f"record {self.case_id}: field {name} does not fit into JSON: {error}") from error
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str, path: Path) -> "Record":
        """Read what `to_json` wrote, now or before fields with a default were added.

        `path` only names the culprit in the FedfeatError that anything else raises.
        """
        way_out = "remove the file or run its case again with --rerun"
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
            json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # 1e999, or half of a character
        except (ValueError, RecursionError) as error:
            raise FedfeatError(f"{path}: not a readable record ({error}); {way_out}") from error
        if not isinstance(content, dict):
            raise FedfeatError(f"{path}: not a record but a JSON {type(content).__name__}; {way_out}")
        if content.get("schema") != SCHEMA:
            found = content.get("schema", "none")
            raise FedfeatError(f"{path}: schema is {found}, this version reads schema {SCHEMA}; {way_out}")
        hints = _hints()
        for what, names in (("missing", _required() - content.keys()), ("unknown", content.keys() - hints.keys())):
            if names:
                raise FedfeatError(f"{path}: {what} field {', '.join(sorted(names))}; {way_out}")
        for name, value in content.items():
            if not _fits(value, hints[name]):
                raise FedfeatError(f"{path}: field {name} cannot hold {json.dumps(value)[:60]}; {way_out}")
        try:
            file_name(content["case_id"])
            check_test_set(content.get("test_set", ""))
        except ValueError as error:
            raise FedfeatError(f"{path}: {error}; {way_out}") from error
        return Record(**content)


def file_name(case_id: str) -> str:
    """Return the name, without an ending, of the files of a case: its id with '.' for ':'.

    Raises ValueError unless the id consists of letters, digits, ':', '.', '_' and '-'.
    """
    if not re.fullmatch(r"[A-Za-z0-9:._-]+", case_id):
        raise ValueError(f"case id {case_id!r}: only letters, digits, ':', '.', '_' and '-' may stand in it")
    return case_id.replace(":", ".")


def check_test_set(test_set: str) -> None:
    """Raise ValueError unless the hash of a test set, which names a file, consists of letters, digits, '_' and '-'."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", test_set):
        raise ValueError(f"test set {test_set!r}: only letters, digits, '_' and '-' may stand in its hash")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Record)


@cache
def _required() -> frozenset[str]:
    """Return the names of the fields without a default."""
    return frozenset(one.name for one in fields(Record) if one.default is MISSING and one.default_factory is MISSING)


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value read from JSON has the type of a field."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(_fits(one, arguments[0]) for one in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(_fits(one, arguments[1]) for one in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
