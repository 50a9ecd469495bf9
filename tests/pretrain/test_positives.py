from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

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
from hsa_bench.core.seed import derive, generator
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.batches import ContrastiveViews
from pretrain.embed import embed
from pretrain.positives import mutual, nearest_others, paired, purity


class SmallPicture:
    """A view that costs nothing."""

    def __call__(self, picture: Any) -> torch.Tensor:
        return torch.zeros(1)


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


def kept_by_a_loop(table: np.ndarray) -> list[set[int]]:
    return [{int(j) for j in row if i in table[j]} for i, row in enumerate(table)]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_mutual_neighbours_are_those_of_a_plain_loop_nearest_first(k: int) -> None:
    table = nearest_others(unit(50, 4), k)
    kept, expected = mutual(table), kept_by_a_loop(table)
    assert kept.shape == table.shape
    assert any(expected) and not all(expected)  # both kinds of pictures are here
    for i, (row, partners) in enumerate(zip(kept, expected, strict=True)):
        in_order = [j for j in table[i] if j in partners]
        assert row.tolist() == (
            [*in_order, *[-1] * (k - len(in_order))] if partners else [i, *[-1] * (k - 1)]
        )
    assert mutual(kept).tolist() == kept.tolist()


def test_among_copies_and_ties_neighbours_are_mutual_by_the_table_alone() -> None:
    features = F.normalize(torch.tensor([[1.0, 0.0]] * 6 + [[0.0, 1.0]] * 2), dim=1)
    table = nearest_others(features, k=2)
    kept = mutual(table)
    for i, partners in enumerate(kept_by_a_loop(table)):
        assert set(kept[i]) - {-1} == (partners or {i})
    assert kept[6].tolist()[0] == 7 and kept[7].tolist()[0] == 6


def test_purity_and_share_leave_out_pictures_that_are_their_own_pair() -> None:
    table = mutual(np.array([[1, 2], [0, 2], [3, 0], [2, 1], [0, 1]]))
    assert table.tolist() == [[1, 2], [0, -1], [3, 0], [2, -1], [4, -1]]
    assert paired(table).any(1).tolist() == [True, True, True, True, False]
    labels = np.array([0, 0, 1, 1, 1])
    assert purity(table, labels) == pytest.approx(100 * 4 / 6)
    rows = np.array([2, 4])
    assert purity(table[rows], labels, rows) == 50.0


def test_of_a_ragged_row_each_neighbour_is_drawn_as_often_and_a_full_one_as_before() -> None:
    images = open_dataset("digits", Path()).limited(8).train
    ragged = np.array([[3, 5, 6, -1, -1], *[[i, -1, -1, -1, -1] for i in range(1, 8)]])
    full = np.tile([7, 6, 5, 4, 3], (8, 1))
    drawn, before = Counter[int](), []
    for table in (ragged, full):
        views = ContrastiveViews(images, SmallPicture(), table, (), seed=0)
        for epoch in range(600):
            other = views[epoch, 0][1][2]
            if table is ragged:
                drawn[other] += 1
            else:
                before.append(other)
    assert set(drawn) == {3, 5, 6}
    assert min(drawn.values()) > 200 - 4 * (600 * 2 / 9) ** 0.5
    seed = derive(0, "views")
    expected = [
        int(full[0][torch.randint(5, (), generator=generator(seed, "neighbour", epoch, 0))])
        for epoch in range(600)
    ]
    assert before == expected


def test_a_picture_without_a_mutual_neighbour_comes_with_two_other_views_of_itself() -> None:
    images = open_dataset("digits", Path()).limited(8).train
    alone = np.array([[i, -1] for i in range(8)])
    draw = AUGMENTATIONS["digits"](32, 1.0)
    views, shown = ContrastiveViews(images, draw, alone, (), seed=0)[0, 2]
    assert shown == [2, 2, 2, 2]
    pictures = {np.asarray(view).tobytes() for view in views}
    assert len(pictures) == 4  # four draws, of which none repeats another
