from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hsa_bench.core.spectrum import effective_rank, spread


def test_features_that_are_all_one_have_no_spread_and_rank_one() -> None:
    same = F.normalize(torch.ones(10, 4), dim=1)
    assert spread(same) == pytest.approx(0, abs=1e-6)
    assert effective_rank(same) == pytest.approx(1)


def test_features_around_zero_have_spread_one() -> None:
    assert spread(torch.cat([torch.eye(4), -torch.eye(4)])) == pytest.approx(1)


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_equal_directions_count_fully(directions: int) -> None:
    features = torch.zeros(2 * directions, 16)
    features[:directions, :directions] = torch.eye(directions)
    features[directions:, :directions] = -torch.eye(directions)
    assert effective_rank(features) == pytest.approx(directions)


def test_unequal_directions_count_by_the_entropy_of_their_singular_values() -> None:
    features = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    expected = (-(0.75 * torch.tensor(0.75).log() + 0.25 * torch.tensor(0.25).log())).exp()
    assert effective_rank(features) == pytest.approx(float(expected))
