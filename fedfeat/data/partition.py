"""Patients to clients: who holds whose studies, and of which modalities."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from fedfeat.data.prepare import MODALITIES
from fedfeat.data.studies import Pool, Setup, StudyTable
from fedfeat.errors import FedfeatError
from fedfeat.randomness import numpy_generator

KINDS: dict[str, tuple[str, ...]] = {"image": ("image",), "text": ("text",), "multimodal": MODALITIES}
# The order in which the clients of the released splits take roles: multimodal first, then image-only, then text-only.
# With it roles are nested: the two multimodal clients of 8:0:2 are among the four of 6:0:4.
ROLE_ORDER = (3, 5, 6, 0, 7, 1, 4, 9, 8, 2)
PUBLIC_SHARE = 1.25  # clients' worth of patients set aside as public where a setup names no number (as in the lab's)


@dataclass(frozen=True)
class Counts:
    """The paper's `I:T:M`: how many image-only, text-only and multimodal clients there are."""

    image: int
    text: int
    multimodal: int

    @classmethod
    def parse(cls, text: str) -> "Counts":
        """Read `I:T:M`; raise FedfeatError if it is malformed or has no client."""
        match = re.fullmatch(r"(0|[1-9][0-9]{0,3}):(0|[1-9][0-9]{0,3}):(0|[1-9][0-9]{0,3})", text)
        if not match or not any(map(int, match.groups())):
            raise FedfeatError(
                f"partition {text!r} is not I:T:M (image-only, text-only and multimodal clients), such as 8:0:2"
            )
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return f"{self.image}:{self.text}:{self.multimodal}"

    @property
    def total(self) -> int:
        """The number of clients."""
        return self.image + self.text + self.multimodal

    def kinds(self) -> tuple[str, ...]:
        """Return the kind of each client, 0 to total - 1."""
        order = [place for place in ROLE_ORDER if place < self.total] + list(range(len(ROLE_ORDER), self.total))
        roles = ["multimodal"] * self.multimodal + ["image"] * self.image + ["text"] * self.text
        by_client = dict(zip(order, roles, strict=True))
        return tuple(by_client[client] for client in range(self.total))


@dataclass(frozen=True)
class Client:
    """One client: its number, its kind (a key of `KINDS`) and its patients."""

    number: int
    kind: str
    patients: tuple[str, ...]


@dataclass(frozen=True)
class Partition:
    """All clients, and the patients set aside as public, whoever uses them."""

    clients: tuple[Client, ...]
    public: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Return 32 hexadecimal digits: equal for equal kinds and patients, client by client, and public patients."""
        clients = [[client.kind, sorted(client.patients)] for client in self.clients]
        text = json.dumps([clients, sorted(self.public)])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def setup_of(table: StudyTable, name: str, counts: Counts) -> Setup | str:
    """Return the setup, or the reason for which it cannot be run on this source with these counts."""
    if name in table.no_setup:
        return table.no_setup[name]
    setup = table.setups[name]
    if setup.partitions is not None and str(counts) not in setup.partitions:
        return f"the {name} setup is defined for {', '.join(setup.partitions)} only, not for {counts}"
    return setup


def draw(table: StudyTable, setup: Setup, counts: Counts, seed: int) -> Partition:
    """Draw a partition of the training patients.

    The same seed gives client i the same patients in every partition of equally many clients, and the same public set;
    where the setups name its size, it is the same in all of them.

    Raises:
        FedfeatError: there are more clients than patients for them.
    """
    taken: set[str] = set()
    public = _reserve_public(table, setup, counts, seed)
    taken.update(public)
    kinds = counts.kinds()
    clients: dict[int, Client] = {}
    for pool in dict.fromkeys(setup.pools.values()):
        members = [number for number, kind in enumerate(kinds) if setup.pools[kind] == pool]
        patients = [patient for patient in _shuffled(table, pool.site, seed) if patient not in taken]
        for number, chosen in zip(members, _deal(patients, members, pool, counts), strict=True):
            clients[number] = Client(number, kinds[number], tuple(sorted(chosen)))
            taken.update(chosen)
    partition = Partition(tuple(clients[number] for number in range(counts.total)), tuple(sorted(public)))
    check_disjoint(table, partition)
    return partition


def check_disjoint(table: StudyTable, partition: Partition) -> None:
    """Raise AssertionError if a patient is held twice: by two clients, the public set, validation or test."""
    held = Counter(partition.public)
    for client in partition.clients:
        held.update(client.patients)
    held.update(table.rows.loc[table.rows["split"] != "train", "patient"].unique())
    twice = [patient for patient, times in held.items() if times > 1]
    if twice:  # not `assert`, which `python -O` removes
        raise AssertionError(f"patient {twice[0]!r} is held in more than one place: training data would leak")


def _shuffled(table: StudyTable, site: str | None, seed: int) -> list[str]:
    rows = table.rows[table.rows["split"] == "train"]
    if site is not None:
        rows = rows[rows["site"] == site]
    patients = sorted(rows["patient"].unique())
    order = numpy_generator(seed, "partition", site or "all").permutation(len(patients))
    return [patients[place] for place in order]


def _reserve_public(table: StudyTable, setup: Setup, counts: Counts, seed: int) -> list[str]:
    patients = _shuffled(table, setup.evaluation_site, seed)
    if setup.public_patients is not None:
        return patients[: setup.public_patients]
    share = int(len(patients) / (counts.total + PUBLIC_SHARE))
    if not share:
        raise FedfeatError(
            f"partition {counts}: {counts.total} clients and the public set need {counts.total + 2} training "
            f"patients, and {table.source} has {len(patients)}; use fewer clients or more patients"
        )
    return patients[: int(PUBLIC_SHARE * share)]


def _deal(patients: list[str], members: list[int], pool: Pool, counts: Counts) -> list[list[str]]:
    if pool.patients is None:
        return [list(part) for part in np.array_split(np.array(patients, dtype=object), max(len(members), 1))][
            : len(members)
        ]
    size = pool.patients
    if len(members) * size > len(patients):
        raise FedfeatError(
            f"partition {counts}: {len(members)} clients of {size} patients need {len(members) * size}, "
            f"and {pool.site} has {len(patients)} beside the public set; use fewer clients"
        )
    return [patients[place * size : (place + 1) * size] for place in range(len(members))]
