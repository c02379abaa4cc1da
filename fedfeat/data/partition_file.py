"""Partitions as files: exported, shared, imported elsewhere, or written by hand (see docs/partition-files.md)."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fedfeat.data.partition import KINDS, Client, Counts, Partition, draw, setup_of
from fedfeat.data.studies import Setup, StudyTable
from fedfeat.errors import FedfeatError

SCHEMA = 1
REQUIRED = ("schema", "dataset", "setup", "partition", "clients")
OPTIONAL = ("seed", "hash", "public")
_NAMED = 5  # patients that a message names


@dataclass(frozen=True)
class PartitionFile:
    """A partition, and what it is a partition of.

    Attributes:
        path: where it lies, for messages.
        dataset: the data set's name.
        setup: the setup's name.
        counts: its `I:T:M`.
        seed: what it was drawn with; None: it was not drawn.
        partition: clients and public patients.
    """

    path: Path
    dataset: str
    setup: str
    counts: str
    seed: int | None
    partition: Partition

    @property
    def column(self) -> tuple[str, str]:
        """The setup and the `I:T:M`."""
        return self.setup, self.counts

    def require_dataset(self, name: str) -> None:
        """Raise FedfeatError if it is a partition of another data set than `name`."""
        if self.dataset != name:
            raise FedfeatError(
                f"{self.path}: a partition of the data set {self.dataset}, not of {name}; name the data set "
                f"{self.dataset}, or the file of another partition"
            )

    def to_json(self) -> str:
        """Return the file's text."""
        content = {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "setup": self.setup,
            "partition": self.counts,
            "seed": self.seed,
            "hash": self.partition.digest,
            "clients": [{"kind": client.kind, "patients": client.patients} for client in self.partition.clients],
            "public": self.partition.public,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def drawn(path: Path, table: StudyTable, dataset: str, setup: str, counts: str, seed: int) -> PartitionFile:
    """Return what a seed draws, as a file to be written to `path`; raises FedfeatError if it can draw nothing."""
    parsed = Counts.parse(counts)
    found = setup_of(table, setup, parsed)
    if isinstance(found, str):
        raise FedfeatError(f"{path}: not written, since there is no such partition: {found}")
    return PartitionFile(path, dataset, setup, str(parsed), seed, draw(table, found, parsed, seed))


def read(path: Path) -> PartitionFile:
    """Read a partition file; whether it fits the data is for `check` to say.

    Raises:
        FedfeatError: it is not as docs/partition-files.md says, or its hash is not that of what it holds.
    """
    content = _content(path)
    clients = content["clients"]
    if not isinstance(clients, list) or not clients:
        _refuse(path, "clients is no list of clients; give each its kind and patients")
    partition = Partition(
        tuple(_client(path, number, entry) for number, entry in enumerate(clients)),
        _patients(path, "public", content.get("public", [])),
    )
    stated, counts = _counts(path, content["partition"]), Counter(client.kind for client in partition.clients)
    found = Counts(counts["image"], counts["text"], counts["multimodal"])
    if stated != found:
        _refuse(path, f"partition is {stated}, but its clients are {found}; correct one of them")
    held = Counter(patient for _, patients in _holders(partition) for patient in patients)
    twice = next((patient for patient, times in held.items() if times > 1), None)
    if twice is not None:
        places = [place for place, patients in _holders(partition) for patient in patients if patient == twice]
        _refuse(path, f"patient {twice!r} is held twice ({' and '.join(places)}); leave it in one place")
    if content.get("hash") not in (None, partition.digest):
        _refuse(
            path,
            f"its hash is {content['hash']!r}, but what it holds has {partition.digest}: it was changed after it was "
            "written; if you meant to, replace the hash by that one or leave it out, otherwise export the file again "
            "by `fedfeat partition`",
        )
    return PartitionFile(path, content["dataset"], content["setup"], str(found), content.get("seed"), partition)


def check(file: PartitionFile, table: StudyTable, setup: Setup) -> None:
    """Raise FedfeatError, naming the file, unless its partition is one of this source's training patients."""
    path, rows = file.path, table.rows
    splits = dict(zip(rows["patient"], rows["split"], strict=True))
    held = [patient for _, patients in _holders(file.partition) for patient in patients]
    unknown = [patient for patient in held if patient not in splits]
    if unknown:
        _refuse(
            path,
            f"the data set {table.source} has no patient {_few(unknown)}; remove them, or name the data of this file",
        )
    kept = [patient for patient in held if splits[patient] != "train"]
    if kept:
        split = splits[kept[0]]
        same = [patient for patient in kept if splits[patient] == split]
        _refuse(path, f"patient {_few(same)} is in the split {split!r} of {table.source}; only 'train' may be held")
    sites = {client.kind: _site(path, client, setup, file.setup) for client in file.partition.clients}
    owned = [(f"client {client.number}", sites[client.kind], client.patients) for client in file.partition.clients]
    for place, site, patients in (*owned, ("public", setup.evaluation_site, file.partition.public)):
        if site is not None:
            there = set(rows.loc[rows["site"] == site, "patient"])
            strangers = [patient for patient in patients if patient not in there]
            if strangers:
                _refuse(path, f"{place}: the {file.setup} setup takes patients of {site}, and {_few(strangers)} is not")


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        _refuse(path, f"the partition cannot be read ({error.strerror}); export one by `fedfeat partition --to FILE`")
    except UnicodeDecodeError:
        _refuse(path, "not JSON in UTF-8; export it by `fedfeat partition`")
    try:
        content = json.loads(text)
    except ValueError as error:
        _refuse(path, f"not JSON ({error}); mend it, or export it again by `fedfeat partition`")
    if not isinstance(content, dict):
        _refuse(path, f"holds a JSON {type(content).__name__}, no partition; export one by `fedfeat partition`")
    if content.get("schema") != SCHEMA:
        found = content.get("schema", "missing")
        _refuse(path, f"schema is {found}, and this version reads {SCHEMA}; export it again by `fedfeat partition`")
    for what, names in (
        ("lacks", [name for name in REQUIRED if name not in content]),
        ("has the unknown", [name for name in content if name not in REQUIRED + OPTIONAL]),
    ):
        if names:
            _refuse(path, f"{what} {', '.join(names)}; see docs/partition-files.md for the format")
    for name in ("dataset", "setup", "partition"):
        if not isinstance(content[name], str):
            _refuse(path, f"{name} is {json.dumps(content[name])[:60]}; write a text in quotes")
    seed = content.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        _refuse(path, f"seed is {json.dumps(seed)[:60]}; write the number it was drawn with, or leave it out")
    return content


def _counts(path: Path, text: str) -> Counts:
    try:
        return Counts.parse(text)
    except FedfeatError as error:
        _refuse(path, str(error))


def _client(path: Path, number: int, entry: object) -> Client:
    place = f"client {number}"
    if not isinstance(entry, dict) or set(entry) != {"kind", "patients"}:
        _refuse(path, f"{place} is not as it must be; give it kind and patients, and nothing else")
    if entry["kind"] not in KINDS:
        _refuse(path, f"{place} is of kind {entry['kind']!r}; the kinds are {', '.join(KINDS)}")
    patients = _patients(path, place, entry["patients"])
    if not patients:
        _refuse(path, f"{place} has no patients; give it some, or remove it and correct partition")
    return Client(number, entry["kind"], patients)


def _patients(path: Path, place: str, entry: object) -> tuple[str, ...]:
    if not isinstance(entry, list):
        _refuse(path, f'{place}: patients are no list; write their ids as ["…", "…"]')
    strange = [patient for patient in entry if not isinstance(patient, str)]
    if strange:
        _refuse(path, f"{place}: patient {json.dumps(strange[0])[:60]} is no text; write ids in quotes")
    return tuple(sorted(entry))


def _holders(partition: Partition) -> Iterator[tuple[str, tuple[str, ...]]]:
    for client in partition.clients:
        yield f"client {client.number}", client.patients
    yield "public", partition.public


def _site(path: Path, client: Client, setup: Setup, name: str) -> str | None:
    if client.kind not in setup.pools:
        _refuse(
            path,
            f"client {client.number} is of kind {client.kind!r}, which the {name} setup lacks; "
            f"it has {', '.join(setup.pools)}",
        )
    return setup.pools[client.kind].site


def _few(patients: list[str]) -> str:
    more = f" and {len(patients) - _NAMED} more" if len(patients) > _NAMED else ""
    return ", ".join(map(repr, patients[:_NAMED])) + more


def _refuse(path: Path, reason: str) -> NoReturn:
    raise FedfeatError(f"{path}: {reason}")
