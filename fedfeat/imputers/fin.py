"""The Feature Imputation Network (paper, section 2.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfeat.data.prepare import Studies
from fedfeat.imputers.base import Context, Dims, Imputer, State
from fedfeat.models.counting import Cost, count
from fedfeat.models.training import NamedAdam, batches
from fedfeat.randomness import scoped

DIRECTIONS = {"image_to_text": ("image", "text"), "text_to_image": ("text", "image")}


class FeatureImputationNetwork(nn.Module):
    """One direction: a transformer decoder whose query and memory are the available feature, as one token each.

    At 256 dimensions, 6 layers, 4 heads and a feed-forward width of 1024 it has 6,320,640 parameters (paper, table 3).
    """

    def __init__(self, features: int, layers: int, heads: int, feedforward: int) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(features, heads, feedforward, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers)

    def forward(self, available: Tensor) -> Tensor:
        """Take (n, features); return (n, features) of unit norm."""
        token = available.unsqueeze(1)
        return functional.normalize(self.decoder(token, token).squeeze(1).float(), dim=1)


@dataclass(frozen=True)
class FIN(Imputer):
    """Predict the missing feature from the available one by networks trained at the multimodal clients.

    Attributes:
        layers: decoder layers.
        heads: attention heads.
        expansion: feed-forward width as a multiple of the feature's (the paper's 1024 is 4 times 256).
        epochs: epochs a round over a client's pairs; None: the preset's local epochs.
    """

    name = "fin"
    title = "Feature imputation (FIN)"
    paper = True

    layers: int = 6
    heads: int = 4
    expansion: int = 4
    epochs: int | None = None

    def network(self, dims: Dims) -> FeatureImputationNetwork:
        """Return one direction's network with fresh weights."""
        return FeatureImputationNetwork(dims.features, self.layers, self.heads, self.expansion * dims.features)

    def init(self, dims: Dims, generator: torch.Generator) -> tuple[State, State]:
        """Return both directions' weights, `<direction>.<parameter>`."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        shared: dict[str, Tensor] = {}
        with scoped(torch.device("cpu"), seed):
            for direction in DIRECTIONS:
                shared |= _prefixed(direction, self.network(dims).state_dict())
        return shared, {}

    def learn(self, ctx: Context, studies: Studies) -> tuple[State, State, Mapping[str, float]]:
        """Train both networks by MSE (equation 4) on the pairs of features of the just-trained local model.

        A client without pairs uploads nothing.
        """
        paired = studies.present["image"] & studies.present["text"]
        if not bool(paired.any()):
            return {}, ctx.own, {}
        pool = ctx.classifier.features(studies.batch(paired.nonzero()[:, 0]), ctx.training.evaluation_batch_size)
        upload: dict[str, Tensor] = {}
        own: dict[str, Tensor] = {}
        metrics: dict[str, float] = {}
        for direction, (source, target) in DIRECTIONS.items():
            network = self.network(ctx.dims).to(ctx.device)
            network.load_state_dict(_part(ctx.shared, direction))
            state = _part(ctx.own, direction) if ctx.training.persistent_optimizer else {}
            adam = NamedAdam(dict(network.named_parameters()), ctx.training, state)
            loss = self._train(network, adam, pool[source], pool[target], ctx)
            upload |= _prefixed(direction, {key: value.detach().cpu() for key, value in network.state_dict().items()})
            own |= _prefixed(direction, adam.state_by_name())
            metrics[f"mse_{direction}"] = loss
        return upload, own, metrics

    def _train(self, network: nn.Module, adam: NamedAdam, source: Tensor, target: Tensor, ctx: Context) -> float:
        total = 0.0
        network.train()
        epochs = ctx.training.local_epochs if self.epochs is None else self.epochs
        for _ in range(epochs):
            total = 0.0
            for index in batches(len(source), ctx.training.batch_size, ctx.generator):
                rows = index.to(source.device)
                with ctx.training.autocast(ctx.device):
                    predicted = network(source[rows])
                loss = functional.mse_loss(predicted, target[rows])
                adam.step(loss)
                total += float(loss.detach()) * len(rows)
        return total / len(source)

    def fill(
        self, ctx: Context, features: Mapping[str, Tensor], present: Mapping[str, Tensor], targets: Tensor | None
    ) -> Mapping[str, Tensor]:
        """Fill rows that have the other modality by the networks in evaluation mode (equations 5 and 6)."""
        filled = dict(features)
        for direction, (source, target) in DIRECTIONS.items():
            rows = (present[source] & ~present[target]).nonzero()[:, 0]
            if len(rows):
                network = _loaded(self, ctx.dims, direction, ctx.shared)
                filled[target] = features[target].index_put((rows,), network(features[source][rows]))
        return filled

    def cost(self, ctx: Context, studies: Studies, missing: str) -> Cost:
        """Count one direction's network on one feature: 6,320,640 and 6,314,496 at the paper's sizes (table 3)."""
        with torch.device("meta"):
            return count(self.network(ctx.dims), (torch.zeros(1, ctx.dims.features),))

    def applies(self, kinds: Sequence[str]) -> str | None:
        """Without a multimodal client the networks have no pairs to learn from."""
        return None if "multimodal" in kinds else "no client is multimodal, so no pairs to learn from"


@cache
def _skeleton(fin: FIN, dims: Dims, direction: str) -> nn.Module:
    """Return a direction's network without weights, in evaluation mode: whoever uses it assigns the weights first."""
    with torch.device("meta"):
        return fin.network(dims).eval().requires_grad_(False)


def _loaded(fin: FIN, dims: Dims, direction: str, shared: State) -> nn.Module:
    """Return the network that computes with the very tensors of `shared`; it has them already from the second batch on.

    Loading takes longer than filling a small batch.
    """
    network = _skeleton(fin, dims, direction)
    state = _part(shared, direction)
    if any(tensor.data_ptr() != state[name].data_ptr() for name, tensor in network.named_parameters()):
        network.load_state_dict(state, assign=True)
    return network


def _part(state: State, direction: str) -> dict[str, Tensor]:
    prefix = f"{direction}."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _prefixed(direction: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{direction}.{key}": value for key, value in state.items()}
