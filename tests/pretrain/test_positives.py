from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import pretrain.embed
import pretrain.positives
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View, centre_view
from hsa_bench.core.features.forward import batches
from hsa_bench.core.models.preprocess import Preprocess
from pretrain.embed import embed
from pretrain.positives import nearest_others, purity


def unit(count: int, width: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(0)), dim=1)


def plain(features: torch.Tensor, k: int) -> np.ndarray:
    similarity = features @ features.T
    similarity.fill_diagonal_(-2)
    return similarity.topk(k).indices.numpy()


@pytest.mark.parametrize("rows", [2**16, 60, 13, 4])
def test_neighbours_are_those_of_a_plain_search_however_small_the_blocks(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain.positives, "ROWS", rows)
    features = unit(60, 8)
    assert np.array_equal(nearest_others(features, 5), plain(features, 5))


def test_a_picture_is_no_neighbour_of_itself_even_among_copies() -> None:
    features = F.normalize(torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0], [0.6, 0.8]]), dim=1)
    found = nearest_others(features, k=2)
    assert all(i not in row for i, row in enumerate(found))
    assert set(found[0]) < {1, 2, 3}
    assert found[4][0] == 5


def test_purity_is_the_share_of_neighbours_of_the_own_class() -> None:
    neighbours = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])
    assert purity(neighbours, np.array([0, 0, 1, 1])) == 50.0


@pytest.mark.parametrize("in_memory", [2**30, 0])
def test_embedding_is_the_pooled_features_in_memory_or_on_disk(
    in_memory: int, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain.embed, "IN_MEMORY", in_memory)
    images = open_dataset("digits", Path()).limited(40).train
    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w16")).module.train()
    plain_view = centre_view(View(32, 32), Preprocess())
    found = embed(trunk, images, plain_view, ctx, "x")
    assert trunk.training
    expected = F.normalize(
        torch.cat(list(batches(trunk, images, range(len(images)), plain_view, ctx))), dim=1
    )
    assert torch.equal(found, expected)
    assert not ctx.cache.exists() or not list(ctx.cache.iterdir())  # the scratch file has no name
