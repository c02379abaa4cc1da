"""A case: what one run is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fedfeat.data.partition import Counts
from fedfeat.errors import FedfeatError

SETUPS = ("homogeneous", "heterogeneous")


@dataclass(frozen=True)
class Case:
    """One run, by every axis on which runs may differ.

    Attributes:
        method: a method's name.
        setup: "homogeneous" or "heterogeneous" (paper, section 3.1).
        partition: the numbers of image-only, text-only and multimodal clients, `I:T:M`.
        seed: varies the partition, the initialisation and the order of batches; validation and test stay.
        dataset: a data set's name.
        preset: a preset's name.
        params: values for the method's parameters that are not its defaults.
        missing: share of a unimodal client's rows that lack the other modality; so far only 1.
        test_modalities: the modalities of test rows; so far only "both".
        aggregation: a rule's name; see `federation.aggregation`.
        engine: what runs the clients; so far only "local": one process, one model on the device.
        imported_partition: 8 digits of the hash of a partition that comes from a file and is not what the seed draws;
            `plan` sets it. Empty: the drawn one, wherever it comes from.
    """

    method: str = "fin"
    setup: str = "homogeneous"
    partition: str = "8:0:2"
    seed: int = 0
    dataset: str = "phantom"
    preset: str = "phantom"
    params: Mapping[str, Any] = field(default_factory=dict)
    missing: float = 1.0
    test_modalities: str = "both"
    aggregation: str = "fedavg"
    engine: str = "local"
    imported_partition: str = ""

    def __post_init__(self) -> None:
        """Raise FedfeatError if a value is impossible."""
        if self.setup not in SETUPS:
            raise FedfeatError(f"setup {self.setup!r} is unknown; the known ones are {', '.join(SETUPS)}")
        Counts.parse(self.partition)
        if self.seed < 0:
            raise FedfeatError(f"seed {self.seed} is negative; use 0 or more")
        for name, only in (("missing", 1.0), ("test_modalities", "both"), ("engine", "local")):
            if getattr(self, name) != only:
                raise FedfeatError(f"{name} {getattr(self, name)!r} cannot be run; so far it is {only!r} in every case")

    @property
    def case_id(self) -> str:
        """Return the id: setup, partition, method and seed, then what is not default."""
        parts = [self.setup, self.partition, self.method, f"seed{self.seed}"]
        defaults = {entry.name: entry.default for entry in fields(Case)}
        for name in ("dataset", "preset", "missing", "test_modalities", "aggregation", "engine"):
            value = getattr(self, name)
            if value != defaults[name]:
                parts.append(f"{name}.{value}" if name in ("missing", "preset") else str(value))
        parts += [f"{name}.{value}" for name, value in sorted(self.params.items())]
        parts += [f"partition.{self.imported_partition}"] if self.imported_partition else []
        return re.sub(r"[^A-Za-z0-9:._-]", "_", "-".join(parts))
