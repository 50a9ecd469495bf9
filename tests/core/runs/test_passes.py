"""Pictures that pass through a backbone are counted, in copies, too."""

import copy

import pytest
import torch
from torch import nn

from hsa_bench.core.runs.image_count import counted


def test_every_forward_pass_counts_its_batch_also_of_a_copy() -> None:
    net = nn.Flatten()

    with counted(net) as passes:
        net(torch.zeros(3, 2))
        copy.deepcopy(net)(torch.zeros(5, 2))

    assert passes.images == 8


def test_nothing_is_left_behind_also_after_an_error() -> None:
    net = nn.Linear(2, 1)

    with pytest.raises(RuntimeError, match="shapes"), counted(net) as passes:
        net(torch.zeros(3, 7))

    assert passes.images == 0 and not net._forward_hooks
