"""Purity of bare pixels' neighbours, which mined ones must be better than."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import pretrain.monitor.pixels
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View, centre_view
from hsa_bench.core.features.forward import batches
from hsa_bench.core.models.preprocess import Preprocess
from pretrain.monitor.mined import doubt
from pretrain.monitor.pixels import asked, classes_of, pixels_purity
from pretrain.monitor.watch import look
from pretrain.positives import mutual, paired

VIEW = centre_view(View(32, 32), Preprocess())


def images(count: int = 90) -> ImageSet:
    return open_dataset("digits", Path()).limited(count).train


def by_a_loop(features: torch.Tensor, labels: np.ndarray, rows: list[int], k: int, both_ways: bool) -> float:
    similarity = F.normalize(features, dim=1) @ F.normalize(features, dim=1).T
    similarity.fill_diagonal_(-2)
    table = similarity.topk(k).indices.tolist()
    pairs = [(i, j) for i in rows for j in table[i] if not both_ways or i in table[j]]
    return 100 * sum(int(labels[i] == labels[j]) for i, j in pairs) / len(pairs)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("most", [10_000, 20])
def test_it_is_that_of_a_plain_search_among_what_the_pixels_control_has(
    both_ways: bool, most: int, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain.monitor.pixels, "ASKED", most)
    control = open_backbone(BackboneRequest(label="pixels", arch="pixels"))
    features = torch.cat(list(batches(control.module, images(), range(90), VIEW, ctx)))
    rows = asked(images())
    assert len(rows) == min(most, 90)
    assert most > 90 or set(np.bincount(images().labels[rows])) == {2}
    expected = by_a_loop(features, images().labels, rows, 5, both_ways)
    assert pixels_purity(images(), 5, both_ways, VIEW, ctx) == pytest.approx(expected)


def test_more_neighbours_than_other_pictures_are_all_of_them(ctx: Context) -> None:
    few = images(4)
    same = few.labels[:, None] == few.labels[None]
    expected = 100 * (same.sum() - 4) / 12
    assert pixels_purity(few, 50, False, VIEW, ctx) == pytest.approx(expected)


def test_a_look_measures_the_purity_of_the_nearest_others_it_embeds(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w8-cifar")).module
    features = torch.cat(list(batches(trunk, images(), range(90), VIEW, ctx)))
    for most in (10_000, 20):
        monkeypatch.setattr(pretrain.monitor.pixels, "ASKED", most)
        expected = by_a_loop(features, images().labels, asked(images()), 5, both_ways=False)
        assert look(trunk, images(), VIEW, ctx, k=5)["purity_looked"] == pytest.approx(expected)
    assert "purity_looked" not in look(trunk, images(), VIEW, ctx)


def test_labels_of_one_class_tell_nothing() -> None:
    assert classes_of(images()) == 10
    assert classes_of(replace(images(), labels=np.full(90, 3))) == 1
    assert classes_of(replace(images(), labels=np.zeros(90, np.int64), classes=("all",))) == 1


def test_neighbours_are_doubted_where_they_are_not_above_pixels() -> None:
    assert doubt(3, 21.5, None) == doubt(3, 21.6, 21.5) == ""
    for purity in (21.5, 15.0):
        text = doubt(3, purity, 21.5)
        for said in ("epoch 3", f"{purity:.1f} %", "21.5 %", "warmup_steps"):
            assert said in text


def test_a_mutual_table_of_an_empty_kind_has_no_pair() -> None:
    around = np.array([[1], [2], [0]])  # each has the next, none is had back
    assert not paired(mutual(around)).any()
