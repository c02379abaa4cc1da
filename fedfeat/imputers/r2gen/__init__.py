"""R2Gen (Chen et al., EMNLP 2020), federated: image-only clients write the reports that they lack.

The network learns at the multimodal clients, in rounds of its own before the classifier's; then every image-only client
writes its reports once, and the text encoder reads them as it reads real ones. The paper gives no schedule for it: as
many rounds as the classifier has, of as many epochs, is our reading (REPRODUCTION.md).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedfeat.data.augment import augment, scaled
from fedfeat.data.prepare import Studies
from fedfeat.imputers.base import Context, Dims, Imputer, Phase, Reply, State, average
from fedfeat.imputers.r2gen.cost import macs_behind_trunk
from fedfeat.imputers.r2gen.generation import generate
from fedfeat.imputers.r2gen.network import END, PAPER, SMALL, R2Gen, preceding, token_loss
from fedfeat.imputers.r2gen.quality import bleu4, distinct, usual
from fedfeat.imputers.r2gen.trunks import patch_trunk
from fedfeat.imputers.r2gen.vocabulary import Vocabulary, clean, vocabulary, word_counts
from fedfeat.models.counting import Cost, count, parameter_count
from fedfeat.models.training import NamedAdam, Training, batches
from fedfeat.randomness import scoped

_NETWORK = "network."
_ADAM = "adam."
_SHOWN = 5  # reports in a record


@dataclass(frozen=True)
class ReportGeneration(Imputer):
    """Write missing reports from images.

    Attributes:
        rounds: of pretraining, beside a first one that counts words; None: as many as the classifier has.
        epochs: a round; None: the preset's local epochs.
        threshold: a word that stands in the multimodal clients' reports less often is unknown.
        length: words of a report at most.
        beams: sequences that the search keeps.
        batch_size: pairs a training batch.
        visual_rate: the rate of the image trunk as a share of the preset's, which all else is trained at.
        weight_decay: Adam's (L2).
        clip_value: gradients are clipped at it, element by element.
    """

    name = "r2gen"
    title = "R2Gen (written reports)"
    paper = True
    sends = ("weights", "counts of words")

    rounds: int | None = None
    epochs: int | None = None
    threshold: int = 3
    length: int = 60
    beams: int = 3
    batch_size: int = 16
    visual_rate: float = 0.5
    weight_decay: float = 5e-5
    clip_value: float = 0.1

    def applies(self, kinds: Sequence[str]) -> str | None:
        """It writes reports from images, and nothing the other way round."""
        if "text" in kinds:
            return "it makes no image from a report, and some clients lack images"
        return None if "multimodal" in kinds else "no client is multimodal, so no pairs to learn from"

    def pretrain_rounds(self, training: Training) -> int:
        """One round to count words, then those in which the network learns."""
        return 1 + (training.rounds if self.rounds is None else self.rounds)

    def dispatches(self, kind: str, phase: Phase, round: int) -> bool:
        """Multimodal clients learn before the classifier's rounds; image-only ones write in the first of those."""
        return kind == "multimodal" if phase == "pretrain" else kind == "image" and round == 1

    def init(self, dims: Dims, generator: torch.Generator) -> tuple[State, State]:
        """Return a seed and what the network's sizes follow from: the words are not known yet."""
        return {"seed": torch.randint(2**31, (1,), generator=generator)}, {}

    def learn(self, ctx: Context, studies: Studies) -> tuple[State, State, Mapping[str, float]]:
        """Count the words of the reports, in the first round; else train the network on the pairs."""
        paired = (studies.present["image"] & studies.present["text"]).nonzero()[:, 0]
        if ctx.phase != "pretrain" or not len(paired):
            return {}, ctx.own, {}
        assert studies.reports is not None
        reports = [studies.reports[row] for row in paired.tolist()]
        if "words" not in ctx.shared:
            counts = word_counts(reports)
            words = sorted(counts)
            return {"words": _packed(words), "counts": torch.tensor([counts[word] for word in words])}, ctx.own, {}
        network, words_known = self._network(ctx), _unpacked(ctx.shared["words"])
        targets = torch.from_numpy(words_known.encode(reports, self.length + 1)).long().to(ctx.device)
        adam = NamedAdam(
            dict(network.named_parameters()),
            replace(ctx.training, weight_decay=self.weight_decay, clip_norm=0.0),
            {key.removeprefix(_ADAM): value for key, value in ctx.own.items() if key.startswith(_ADAM)},
            amsgrad=True,
            clip_value=self.clip_value,
            shares={"trunk.": self.visual_rate},
        )
        loss = self._train(ctx, network, studies.batch(paired), targets, adam)
        moments = {f"{_ADAM}{key}": value for key, value in adam.state_by_name().items()}
        state = {f"{_NETWORK}{key}": value for key, value in network.state_dict().items() if value.is_floating_point()}
        return state, moments, {"token_loss": loss}

    def _train(self, ctx: Context, network: R2Gen, studies: Studies, targets: Tensor, adam: NamedAdam) -> float:
        """Train in place; return the mean token loss of the last epoch."""
        training, total = ctx.training, 0.0
        assert studies.images is not None
        network.train()
        for _ in range(training.local_epochs if self.epochs is None else self.epochs):
            total = 0.0
            for index in batches(len(targets), self.batch_size, ctx.generator):
                rows = index.to(ctx.device)
                images = augment(scaled(studies.images[rows]), training.rotation_degrees, training.flip, ctx.generator)
                wanted = _trimmed(targets[rows])
                with training.autocast(ctx.device):
                    loss = token_loss(network(images, preceding(wanted)).float(), wanted)
                adam.step(loss)
                total += float(loss.detach()) * len(rows)
        return total / len(targets)

    def validation_loss(self, ctx: Context, studies: Studies) -> float | None:
        """Return the mean token loss of the validation reports, in nats; None before there is a network."""
        if "words" not in ctx.shared:
            return None
        words, network = _unpacked(ctx.shared["words"]), self._network(ctx)
        network.eval()
        assert studies.reports is not None
        targets = torch.from_numpy(words.encode(studies.reports, self.length + 1)).long().to(ctx.device)
        total = 0.0
        with torch.no_grad():
            for rows, images in _images(studies, ctx.training.evaluation_batch_size):
                wanted = _trimmed(targets[rows])
                total += float(token_loss(network(images, preceding(wanted)).float(), wanted)) * len(rows)
        return total / len(targets)

    def merge(self, shared: State, replies: Sequence[Reply], round: int) -> State:
        """Make the vocabulary of all counted words, and the network's first weights; later average the weights."""
        uploads = [reply for reply in replies if reply.method]
        if not uploads:
            return shared
        if "words" in shared:
            first = {key: uploads[0].method[key] for key in uploads[0].method}
            weights = average(first, [(reply.method, reply.rows["head"]) for reply in uploads])
            return {"seed": shared["seed"], "words": shared["words"], **weights}
        counts: Counter[str] = Counter()
        for reply in uploads:
            words = _words(reply.method["words"])
            counts.update(dict(zip(words, reply.method["counts"].tolist(), strict=True)))
        known = vocabulary(counts, self.threshold)
        return {"seed": shared["seed"], "words": _packed(known.words)}

    def pair(self, ctx: Context, studies: Studies) -> tuple[Studies, State]:
        """Write the reports of rows without one, once; later rounds read them again."""
        lacking = studies.present["image"] & ~studies.present["text"]
        if not bool(lacking.any()) or studies.present["text"].any():
            return studies, ctx.own
        own = dict(ctx.own)
        if "tokens" not in own:
            assert ctx.tokenized is not None
            own["tokens"] = ctx.tokenized(self.written(ctx, studies)).to(ctx.device)
        return studies.paired(tokens=own["tokens"]), own

    def written(self, ctx: Context, studies: Studies) -> list[str]:
        """Return the reports that the network writes for the studies' images."""
        words, network = _unpacked(ctx.shared["words"]), self._network(ctx)
        texts: list[str] = []
        for _, images in _images(studies, ctx.training.evaluation_batch_size):
            ids = generate(network, images, self.length, self.beams).cpu().numpy()
            texts += [words.decode(row) for row in ids]
        return texts

    def cost(self, ctx: Context, studies: Studies, missing: str) -> Cost:
        """Count the writing of one report of full length, with the cache; the text encoder that reads it is not in it.

        fvcore counts the trunk; what is behind it is known in closed form.
        """
        assert studies.images is not None
        network, image = self._network(ctx), scaled(studies.images[:1])
        trunk = count(network.trunk, (image,))
        assert trunk.macs is not None  # it is the image encoder's, which is always counted
        with torch.no_grad():
            _, patches, width = network.trunk(image).shape
        words = len(_unpacked(ctx.shared["words"]).words)
        behind = macs_behind_trunk(network.sizes, width, patches, words, self.length, self.beams)
        return Cost(trunk.macs + behind, parameter_count(network), trunk.unsupported)

    def describe(self, ctx: Context, studies: Studies) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        """Tell how close the reports written for the validation images are to the real ones, and show some of both."""
        assert studies.reports is not None
        written, real = self.written(ctx, studies), [clean(report) for report in studies.reports]
        numbers = {
            "written": len(written),
            "distinct": distinct(written),
            "bleu4": bleu4(written, real),
            "bleu4_constant": bleu4([usual(real)] * len(real), real),
        }
        pairs = list(zip(written, real, strict=True))[:_SHOWN]
        return numbers, [{"written": made, "real": report} for made, report in pairs]

    def _network(self, ctx: Context) -> R2Gen:
        """Return the network with the dispatched weights; before any were sent, with those that all start from.

        Its image trunk starts from the image encoder's; the rest is drawn from the seed that the server drew.
        """
        words = len(_unpacked(ctx.shared["words"]).words)
        with scoped(torch.device("cpu"), int(ctx.shared["seed"])):
            trunk, width = patch_trunk(ctx.dims.image_trunk)
            network = R2Gen(trunk, width, words, PAPER if ctx.dims.image_trunk == "resnet50" else SMALL)
        weights = {key.removeprefix(_NETWORK): value for key, value in ctx.shared.items() if key.startswith(_NETWORK)}
        if weights:
            network.load_state_dict(weights, strict=False)  # integer buffers are not sent
        else:
            trunk.trunk.load_state_dict(ctx.classifier.image.trunk.state_dict())
        return network.to(ctx.device)


def _images(studies: Studies, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row numbers and images in [0, 1], so many at a time."""
    assert studies.images is not None
    for rows in torch.arange(len(studies), device=studies.images.device).split(size):
        yield rows, scaled(studies.images[rows])


def _trimmed(targets: Tensor) -> Tensor:
    """Return ids cut behind the `END` of the longest report."""
    return targets[:, : int((targets != END).sum(1).max()) + 1]


def _packed(words: Sequence[str]) -> Tensor:
    """Return words as the bytes of a text: what travels between clients and server are tensors."""
    return torch.tensor(list("\n".join(words).encode()), dtype=torch.uint8)


def _words(packed: Tensor) -> list[str]:
    return bytes(packed.tolist()).decode().split("\n")


def _unpacked(packed: Tensor) -> Vocabulary:
    return Vocabulary(tuple(_words(packed)))
