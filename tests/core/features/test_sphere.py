from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from hsa_bench.core.features import geometry as sphere
from hsa_bench.core.features.geometry import alignment, uniformity


def unit(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return normalize(torch.randn(count, dim, dtype=torch.float64), dim=1)


def test_equal_pairs_are_aligned_and_opposite_ones_are_not() -> None:
    x = unit(7, 4)
    assert alignment(x, x) == 0
    assert alignment(x, -x) == pytest.approx(4)
    assert alignment(torch.eye(4)[:2], torch.eye(4)[2:]) == pytest.approx(2)


def test_alignment_and_uniformity_are_those_of_the_papers_listing() -> None:
    x, y = unit(50, 8), unit(50, 8, seed=1)
    assert alignment(x, y) == pytest.approx(float((x - y).norm(p=2, dim=1).pow(2).mean()))
    assert uniformity(x) == pytest.approx(float(torch.pdist(x, p=2).pow(2).mul(-2).exp().mean().log()))


def test_a_collapsed_trunk_is_not_uniform() -> None:
    assert uniformity(torch.eye(4)[[0] * 9]) == pytest.approx(0)


def test_one_hot_features_have_the_potential_of_right_angles() -> None:
    assert uniformity(torch.eye(10)) == pytest.approx(-4)
    two_of_each = torch.eye(10)[torch.arange(20) % 10]
    pairs = 20 * 19
    expected = math.log((20 * 1.0 + (pairs - 20) * math.exp(-4)) / pairs)
    assert uniformity(two_of_each) == pytest.approx(expected)


def test_isotropic_features_near_the_least_potential() -> None:
    assert uniformity(unit(3000, 256)) == pytest.approx(-4, abs=0.05)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = unit(50, 8)
    whole = uniformity(x)
    monkeypatch.setattr(sphere, "ROWS", 7)
    assert uniformity(x) == pytest.approx(whole)


def test_a_single_image_has_no_pairs() -> None:
    with pytest.raises(ValueError, match="at least two images"):
        uniformity(torch.eye(1))
