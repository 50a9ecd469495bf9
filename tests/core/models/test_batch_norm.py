from __future__ import annotations

import pytest
import torch
from torch import nn

from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.batch_norm import GroupedBatchNorm, group_batch_norm


@pytest.mark.parametrize("shape", [(8, 5), (8, 5, 4, 4)])
def test_each_part_is_normalised_by_itself(shape: tuple[int, ...]) -> None:
    layer = GroupedBatchNorm(5, groups=4).train()
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2)
        layer.bias.uniform_(-1, 1)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = layer(x)
    for g in range(4):
        plain = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(5).train()
        plain.load_state_dict(
            {**GroupedBatchNorm(5, 1).state_dict(), "weight": layer.weight, "bias": layer.bias}
        )
        torch.testing.assert_close(found[2 * g : 2 * g + 2], plain(x[2 * g : 2 * g + 2]))


def test_running_statistics_follow_the_mean_over_the_parts() -> None:
    layer, x = GroupedBatchNorm(3, groups=2).train(), torch.randn(6, 3)
    layer(x)
    means = (x[:3].mean(0) + x[3:].mean(0)) / 2
    torch.testing.assert_close(layer.running_mean, 0.1 * means)


def test_replacing_layers_keeps_names_values_and_evaluation() -> None:
    plain, grouped = build("resnet18-w16"), build("resnet18-w16")
    group_batch_norm(grouped, 4)
    assert list(plain.state_dict()) == list(grouped.state_dict())
    x = torch.randn(4, 3, 32, 32)
    assert torch.equal(plain(x), grouped(x))


def test_a_batch_that_cannot_be_split_evenly_is_refused() -> None:
    with pytest.raises(
        ValueError, match="batch of 6 on each of 1 processes cannot be split into 4 equal parts"
    ):
        GroupedBatchNorm(3, groups=4).train()(torch.randn(6, 3))
