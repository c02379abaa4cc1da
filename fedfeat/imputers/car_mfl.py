"""CAR-MFL (MICCAI 2024): what is missing comes, raw, from the most similar study of a public set.

Each round a client embeds its own rows and the public studies with the global model, takes the public studies that
are nearest in the modality that it has, keeps the one whose findings agree best with its own, and trains on its own
modality beside that study's other one. The server trains on the public studies as a further member.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedfeat.data.augment import scaled
from fedfeat.data.prepare import MODALITIES, Studies
from fedfeat.imputers.base import Context, Imputer, Reply, State
from fedfeat.models.counting import Cost, count

_OTHER = {"image": "text", "text": "image"}
_ROWS_AT_A_TIME = 1024
"""Of a client's: their distances to all public studies are in memory together."""


@dataclass(frozen=True)
class CarMfl(Imputer):
    """Cross-modal augmentation by retrieval.

    Attributes:
        nearest: how many public studies the findings choose from.
        noisy: what the weight of a unimodal client is multiplied by, in the average of the encoder that it trained on
            retrieved inputs, before the softmax.
    """

    name = "car_mfl"
    title = "CAR-MFL (retrieval)"
    marks = ("uses public data",)
    paper = True
    public = True

    nearest: int = 10
    noisy: float = 0.3

    def pair(self, ctx: Context, studies: Studies) -> tuple[Studies, State]:
        """Pair rows that lack a modality with that of the public study that is retrieved for them."""
        lacking = [name for name in MODALITIES if not bool(studies.present[name].all())]
        if not lacking:
            return studies, ctx.own
        assert ctx.public is not None  # the engine gives it to whoever asks for it
        given = {name: _raw(ctx.public, name)[self._chosen(ctx, studies, ctx.public, name)] for name in lacking}
        return studies.paired(images=given.get("image"), tokens=given.get("text")), ctx.own

    def _chosen(self, ctx: Context, studies: Studies, public: Studies, missing: str) -> Tensor:
        """Return the number of the public study for every row, by the modality that is not missing."""
        by, size = _OTHER[missing], ctx.training.evaluation_batch_size
        own, theirs = (ctx.classifier.features(held.only(by), size)[by] for held in (studies, public))
        return retrieved(own, theirs, _findings(studies), _findings(public), self.nearest)

    def cost(self, ctx: Context, studies: Studies, missing: str) -> Cost:
        """Count one row's retrieval in a round: its encoding, its share of the public studies', and the distances.

        The parameters are those of the encoder, which the client has anyway. What training on the pair costs beyond
        training on a filled feature, a pass through the other encoder, is not in it.
        """
        assert ctx.public is not None
        by = _OTHER[missing]
        row = _raw(studies, by)[:1]
        encoded = count(ctx.classifier.get_submodule(by), (scaled(row) if by == "image" else row,))
        assert encoded.macs is not None  # fvcore has counted it in the classifier
        encodings = encoded.macs + encoded.macs * len(ctx.public) // len(studies)
        return replace(encoded, macs=encodings + len(ctx.public) * ctx.dims.features)

    def weights(self, replies: Sequence[Reply], group: str) -> Sequence[float]:
        """Return the shares of rows; for an encoder a softmax of them, those of noisy clients made smaller before."""
        total = sum(reply.rows["head"] for reply in replies)
        shares = [reply.rows["head"] / total for reply in replies]
        if group == "head":
            return shares
        noisy = [reply.kind in MODALITIES and reply.kind != group for reply in replies]
        scaled = [share * (self.noisy if one else 1.0) for share, one in zip(shares, noisy, strict=True)]
        weights: list[float] = torch.tensor(scaled, dtype=torch.float64).softmax(0).tolist()
        return weights


def retrieved(own: Tensor, public: Tensor, findings: Tensor, public_findings: Tensor, nearest: int) -> Tensor:
    """Return the number of the public study that is retrieved for every row, (n,).

    Of the `nearest` by Euclidean distance, it is the one with the highest Jaccard similarity of positive findings (1
    for two empty sets). Equal distances: the earlier in the public set is nearer; equal similarities: the nearer wins.

    Args:
        own: (n, d) features.
        public: (p, d) features of the same modality.
        findings: (n, labels) bool, the findings that are known to be positive.
        public_findings: (p, labels) bool.
        nearest: at least 1; with fewer public studies all of them.
    """
    chosen = [torch.zeros(0, dtype=torch.int64, device=own.device)]
    for rows, positive in zip(own.split(_ROWS_AT_A_TIME), findings.split(_ROWS_AT_A_TIME), strict=True):
        distances = torch.cdist(rows, public, compute_mode="donot_use_mm_for_euclid_dist")
        near = distances.sort(dim=1, stable=True).indices[:, :nearest]
        similarity = jaccard(positive[:, None], public_findings[near])
        best = similarity.sort(dim=1, descending=True, stable=True).indices[:, :1]
        chosen.append(near.gather(1, best)[:, 0])
    return torch.cat(chosen)


def jaccard(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jaccard similarity of sets of labels, (..., labels) bool each, broadcast; 1 for two empty ones."""
    both, either = (first & second).sum(-1), (first | second).sum(-1)
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def _raw(studies: Studies, name: str) -> Tensor:
    """Return the array of a modality that the studies hold."""
    raw = studies.images if name == "image" else studies.tokens
    assert raw is not None
    return raw


def _findings(studies: Studies) -> Tensor:
    return (studies.targets == 1) & studies.label_mask
