from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hsa_bench.core.features.geometry import effective_rank, rankme, singular_values, spread


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


@pytest.mark.parametrize("directions", [1, 5, 16])
def test_rankme_counts_equal_directions(directions: int) -> None:
    features = torch.zeros(40, 16)
    features[torch.arange(40), torch.arange(40) % directions] = 1
    exact = 40 % directions == 0
    assert rankme(singular_values(features)) == pytest.approx(directions, rel=1e-4 if exact else 0.02)


def test_rankme_is_the_entropy_of_shares_without_centring() -> None:
    features = torch.diag(torch.tensor([4.0, 3.0, 1.0]))
    share = torch.tensor([0.5, 0.375, 0.125], dtype=torch.float64) + 1e-7
    assert rankme(singular_values(features)) == pytest.approx(float((-(share * share.log()).sum()).exp()))
    shifted = features + 100  # which centring would take away again
    assert rankme(singular_values(shifted)) < 1.2
    assert effective_rank(shifted) == pytest.approx(effective_rank(features), rel=1e-3)


def test_isotropic_features_use_every_direction() -> None:
    torch.manual_seed(0)
    assert rankme(singular_values(torch.randn(4000, 32))) == pytest.approx(32, rel=0.01)
