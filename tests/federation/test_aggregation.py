"""FedAvg against values computed by hand."""

import pytest
import torch

from fedfeat.errors import FedfeatError
from fedfeat.federation.aggregation import fedavg, fedavg_all, rule
from fedfeat.imputers.base import Reply, average
from fedfeat.imputers.zero import Zero

by_rows = Zero().weights
BEFORE = {
    "image.weight": torch.tensor([10.0, 20.0]),
    "image.count": torch.tensor(7),
    "text.weight": torch.tensor([100.0]),
    "head.weight": torch.tensor([0.0]),
}


def reply(client: int, kind: str, rows: dict[str, int], **model: list[float]) -> Reply:
    tensors = {f"{part}.weight": torch.tensor(values) for part, values in model.items()}
    return Reply(client, kind, rows, tensors, {}, {})


# Client 0 holds images only (30 rows); client 1 holds both (10 rows, of which 5 have an image).
REPLIES = [
    reply(0, "image", {"image": 30, "text": 0, "head": 30}, image=[1.0, 2.0], head=[4.0]),
    reply(1, "multimodal", {"image": 5, "text": 10, "head": 10}, image=[8.0, 9.0], text=[50.0], head=[8.0]),
]


def test_each_key_is_averaged_over_those_that_trained_it() -> None:
    after = fedavg(BEFORE, REPLIES, by_rows)
    # (30 * 1 + 5 * 8) / 35 = 2 and (30 * 2 + 5 * 9) / 35 = 3: image rows weigh the image encoder
    assert torch.allclose(after["image.weight"], torch.tensor([2.0, 3.0]))
    assert after["text.weight"].tolist() == [50.0]  # one client has text: renormalised to its own
    assert after["head.weight"].tolist() == [5.0]  # (30 * 4 + 10 * 8) / 40


def test_integer_buffers_and_untrained_keys_stay() -> None:
    after = fedavg(BEFORE, [REPLIES[0]], by_rows)
    assert after["image.count"].item() == 7
    assert after["text.weight"].tolist() == [100.0]
    assert set(after) == set(BEFORE)


def test_the_papers_wording_counts_unchanged_encoders() -> None:
    after = fedavg_all(BEFORE, REPLIES, by_rows)
    assert after["text.weight"].tolist() == [87.5]  # (30 * 100 + 10 * 50) / 40
    assert torch.allclose(after["image.weight"], torch.tensor([2.75, 3.75]))  # (30 * 1 + 10 * 8) / 40


def test_one_client_comes_back_bit_for_bit() -> None:
    value = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    alone = Reply(0, "multimodal", {"image": 97, "text": 97, "head": 97}, {"image.weight": value}, {}, {})
    assert torch.equal(fedavg({"image.weight": torch.zeros(1000)}, [alone], by_rows)["image.weight"], value)


def test_the_order_of_replies_does_not_matter_to_the_value() -> None:
    assert all(
        torch.equal(fedavg(BEFORE, REPLIES, by_rows)[key], fedavg(BEFORE, REPLIES[::-1], by_rows)[key])
        for key in BEFORE
    )


def test_a_client_without_rows_of_a_modality_weighs_nothing() -> None:
    assert average({"a": torch.tensor([1.0])}, [({"a": torch.tensor([5.0])}, 0)])["a"].tolist() == [1.0]


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(FedfeatError, match="aggregation 'median' is unknown; the known ones are fedavg"):
        rule("median")


def test_a_weight_too_few_is_told() -> None:
    with pytest.raises(ValueError, match="weights returned 1 weights of 'image' for 2 replies"):
        fedavg(BEFORE, REPLIES, lambda replies, group: [1.0])
