"""The contract of a method: what a way to fill missing modalities may do, and where.

A method is one file with one class that derives from `Imputer`. Only `fill` must be written; `learn` too if it learns.
The engine, not the method, strips targets at evaluation, detaches what `fill` returns, takes from it only the rows that
are absent, restores models and averages.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from fedfeat.data.prepare import Studies
from fedfeat.models.classifier import Classifier
from fedfeat.models.counting import Cost
from fedfeat.models.training import Training

State = Mapping[str, Tensor]  # tensors by name
SAMPLES_AT_MOST, SAMPLE_LENGTH = 20, 2_000  # of what `describe` returns: records are read by people
Phase = Literal["pretrain", "train", "eval"]


@dataclass(frozen=True)
class Dims:
    """What a method's tensors depend on: the width of a feature, the number of labels, the image encoder's trunk."""

    features: int
    labels: int
    image_trunk: str = "resnet50"
    """A name of `models.encoders.IMAGE_TRUNKS`."""


@dataclass(frozen=True)
class Context:
    """What a method may see where a hook runs.

    Attributes:
        classifier: the model in use there. Read only: in `learn` the just-trained local one, else the one being trained
            or evaluated.
        dims: the sizes that `init` was given.
        shared: the method's tensors that the server dispatches, on `device`; a copy of its own for each client.
        own: the method's tensors that stay with this client, on `device`; empty where the global model is evaluated.
        training: the hyper-parameters of the preset.
        phase: "pretrain", "train" or "eval".
        round: 1 to the number of rounds; 0: before the first.
        public: the public studies, with both modalities, on `device`, if the method asks for them (`Imputer.public`);
            None otherwise, and in `fill` and `describe` at evaluation.
        tokenized: reports -> (n, T) int32 ids for the text encoder, on the CPU (`Prepared.tokenized`); None where no
            text can come about.
        generator: the CPU generator to draw from.
        device: where features lie.
    """

    classifier: Classifier
    dims: Dims
    shared: State
    own: State
    training: Training
    phase: Phase
    round: int
    generator: torch.Generator
    device: torch.device
    public: Studies | None = None
    tokenized: Callable[[Sequence[str]], Tensor] | None = None


@dataclass(frozen=True)
class Reply:
    """What a client sends back after a round, on the CPU.

    Attributes:
        client: its number.
        kind: "image", "text" or "multimodal"; "server" for the server itself, where it trains on public studies.
        rows: training rows for each group of keys: "image" and "text", those that have the modality (`Imputer.pair`
            may have given it to them); "head", all.
        model: the classifier's tensors that it trained.
        method: the method's tensors that it uploads (`learn`'s first result).
        metrics: numbers for the record.

    What `learn` returns is detached and brought to the CPU before it stands here.
    """

    client: int
    kind: str
    rows: Mapping[str, int]
    model: State
    method: State
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Imputer:
    """A way to fill missing modalities. Its dataclass fields are its parameters, and stand in records.

    Class attributes:
        name: letters, digits and '_'; no method's name contains another's, so that `pytest -k` selects what one thinks.
        title: as boards show it.
        marks: what a reader of the board must know, such as "upper bound".
        paper: it belongs to the default selection of methods.
        nothing_missing: the clients hold every modality: no method but the bound that methods are compared to.
        public: every client also holds the public studies (`Context.public`), and the server trains on them as a
            further member, of kind "server".
        sends: what leaves a client, a phrase each, as boards show it: "weights" (the classifier's, and the method's own
            networks), and whatever else tells of its patients, such as "sums of features" or "features of patients".
    """

    name: ClassVar[str]
    title: ClassVar[str]
    marks: ClassVar[tuple[str, ...]] = ()
    paper: ClassVar[bool] = False
    nothing_missing: ClassVar[bool] = False
    public: ClassVar[bool] = False
    sends: ClassVar[tuple[str, ...]] = ("weights",)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name."""
        return asdict(self)

    def fill(
        self, ctx: Context, features: Mapping[str, Tensor], present: Mapping[str, Tensor], targets: Tensor | None
    ) -> Mapping[str, Tensor]:
        """Return features in which absent rows are filled; default: they stay zero, for methods that only `pair`.

        Args:
            ctx: see `Context`.
            features: modality -> (batch, features), detached; absent rows hold zeros.
            present: modality -> (batch,) bool.
            targets: (batch, labels) in {0, 1}, NaN where unknown, while training; None at evaluation.

        Returns:
            modality -> (batch, features); rows that are present are ignored.
        """
        return features

    def pair(self, ctx: Context, studies: Studies) -> tuple[Studies, State]:
        """Give rows that lack a modality a raw one, before the local epochs of a round; on a client.

        The client then trains the encoders of all modalities that a row has. Rows, targets and what is present must
        stay as they are: `Studies.paired` sees to that.

        Args:
            ctx: its classifier is the global model; what is done to its weights here is not sent.
            studies: the client's, on the device.

        Returns:
            The studies to train on, and the new `own` (return `ctx.own` to keep it).
        """
        return studies, ctx.own

    def init(self, dims: Dims, generator: torch.Generator) -> tuple[State, State]:
        """Return the first `shared` tensors, and the first `own` tensors of every client; on the server."""
        return {}, {}

    def learn(self, ctx: Context, studies: Studies) -> tuple[State, State, Mapping[str, float]]:
        """Learn on a client after its local epochs; return what to upload, the new `own`, and metrics.

        Args:
            ctx: its classifier is the just-trained local model; what is done to it here is not sent.
            studies: the client's own, without what `pair` gave them, on the device; `targets` count only where
                `label_mask` is True.

        Returns:
            Tensors to upload (none: nothing is uploaded), the new `own` (return `ctx.own` to keep it), and numbers for
            the round's history, by names other than the engine's own ("round", "seconds", "validation_auc", "loss").
        """
        return {}, ctx.own, {}

    def pretrain_rounds(self, training: Training) -> int:
        """Return how many rounds of `learn` and `merge` (phase "pretrain", rounds 1 to this) precede the classifier's.

        In them no classifier is trained: `ctx.classifier` is the one that round 1 starts from.
        """
        return 0

    def validation_loss(self, ctx: Context, studies: Studies) -> float | None:
        """Return how far off `ctx.shared` is on the validation studies after a round of pretraining; on the server.

        The `shared` of the round with the smallest value goes on. None (the default): that of the last round.
        """
        return None

    def merge(self, shared: State, replies: Sequence[Reply], round: int) -> State:
        """Return the new `shared`: FedAvg over the clients that uploaded, weighted by all their rows; on the server.

        Raises:
            ValueError: an upload has other keys or shapes than `shared`, or a tensor that is not floating point: then
                the method needs a `merge` of its own.
        """
        uploads = [reply for reply in replies if reply.method]
        for reply in uploads:
            if {k: v.shape for k, v in reply.method.items()} != {k: v.shape for k, v in shared.items()}:
                raise ValueError(
                    f"method {self.name}: client {reply.client} uploads other keys or shapes than `shared` has"
                )
            if not all(tensor.is_floating_point() for tensor in reply.method.values()):
                raise ValueError(
                    f"method {self.name}: only floating point can be averaged; define merge for the others"
                )
        return average(shared, [(reply.method, reply.rows["head"]) for reply in uploads])

    def weights(self, replies: Sequence[Reply], group: str) -> Sequence[float]:
        """Return a weight for each reply in the average of a group of keys; on the server.

        Args:
            replies: all of the round.
            group: "image" and "text", the encoders; "head".

        Returns:
            One weight a reply, 0 or more; they are divided by the sum of those that trained the group. Default: rows.
        """
        return [reply.rows[group] for reply in replies]

    def dispatches(self, kind: str, phase: Phase, round: int) -> bool:
        """Return whether `shared` is sent to clients of this kind in this round; `ctx.shared` is empty where not."""
        return True

    def cost(self, ctx: Context, studies: Studies, missing: str) -> Cost | None:
        """Return what giving one row the modality `missing` costs, each time it is done.

        Asked after the last round, once for each modality that some clients lack.

        Args:
            ctx: of the model that is tested, with the public studies if the method asks for them; `own` is empty.
            studies: of one of the clients that lack the modality, on the device.
            missing: "image" or "text".

        Returns:
            None (the default): `fill` is counted by fvcore, and how many parameters it uses is not known. A method
            that does its work elsewhere, or whose networks are known, says it here (`fedfeat.models.counting.count`).
        """
        return None

    def describe(self, ctx: Context, studies: Studies) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        """Return what else a record should tell of the method's last state; once, after the last round, on the server.

        Args:
            ctx: of the model that is tested.
            studies: the validation rows, with both modalities, on the device.

        Returns:
            Finite numbers by name, and at most 20 samples of what the method makes, each a few texts by name, of at
            most 2,000 characters. Samples stand in records of wholly synthetic data only: what is made of patients'
            data is not to be published.
        """
        return {}, []

    def applies(self, kinds: Sequence[str]) -> str | None:
        """Return why the method cannot be run with clients of these kinds, or None."""
        return None

    def takes_part(self, kind: str) -> bool:
        """Return whether clients of this kind take part at all."""
        return True


def description(told: object) -> tuple[dict[str, float], list[dict[str, str]]]:
    """Return what `describe` returned as a record holds it.

    Raises:
        TypeError, ValueError: it is not what the contract says.
    """
    if not (isinstance(told, tuple) and len(told) == 2 and isinstance(told[0], Mapping)):
        raise TypeError("it must return (numbers, samples), a mapping and a list")
    numbers, samples = told
    for name, value in numbers.items():
        if not isinstance(name, str) or not isinstance(value, int | float) or not math.isfinite(value):
            raise TypeError(f"{name!r} is {value!r}; numbers are finite, by name")
    if not isinstance(samples, list | tuple) or len(samples) > SAMPLES_AT_MOST:
        raise TypeError(f"samples are a list of at most {SAMPLES_AT_MOST}")
    for sample in samples:
        texts = [*sample, *sample.values()] if isinstance(sample, Mapping) else [None]
        if not all(isinstance(text, str) and len(text) <= SAMPLE_LENGTH for text in texts):
            raise TypeError(f"a sample is a mapping from names to texts of at most {SAMPLE_LENGTH:,} characters")
    kept = [{name: text.encode(errors="replace").decode() for name, text in sample.items()} for sample in samples]
    return {name: float(value) for name, value in numbers.items()}, kept


def average(before: State, uploads: Sequence[tuple[State, float]]) -> dict[str, Tensor]:
    """Average each key over the uploads that hold it (FedAvg), by their weights; keys that none holds stay.

    Sums are kept in float64 and divided once, so that a single upload comes back bit for bit, whatever its weight.
    Integer tensors are not averaged: they stay as they were before.
    """
    after: dict[str, Tensor] = {}
    for key, old in before.items():
        held = [(state[key], weight) for state, weight in uploads if key in state and weight > 0]
        if not held or not old.is_floating_point():
            after[key] = old
            continue
        total = torch.zeros_like(old, dtype=torch.float64, device="cpu")
        for value, weight in held:
            total += value.detach().cpu().double() * weight
        after[key] = (total / sum(weight for _, weight in held)).to(old.dtype).to(old.device)
    return after
