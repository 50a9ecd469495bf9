from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View, centre_view
from hsa_bench.core.models.preprocess import Preprocess
from pretrain.loop import Training
from pretrain.monitor.watch import collapse, look
from pretrain.settings import Settings


class Constant(nn.Module):
    """Features that are nearly the same for all pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.direction + 1e-4 * x.mean((1, 2, 3))[:, None]


def images() -> ImageSet:
    return open_dataset("digits", Path()).limited(60).train


def test_collapsed_features_are_remarked_and_others_are_not(ctx: Context) -> None:
    alike = look(Constant(), images(), centre_view(View(32, 32), Preprocess()), ctx)
    assert alike["spread"] < 0.01
    assert "the features have collapsed" in collapse(alike)

    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w16")).module
    apart = look(trunk, images(), centre_view(View(32, 32), Preprocess()), ctx)
    assert collapse(apart) == ""
    assert 0 <= apart["knn"] <= 100


def test_without_classes_there_is_no_knn_and_no_purity(ctx: Context, tmp_path: Path) -> None:
    unlabelled = replace(images(), labels=np.zeros(60, np.int64), classes=("all",))
    trunk = BackboneRequest(label="x", arch="resnet18-w16")
    settings = Settings(method="hsa", epochs=1, batch=16, queue=32, bn_groups=4, augment="digits", k=3)
    training = Training(settings, open_backbone(trunk), unlabelled, View(32, 32), 0, ctx)
    training.run(tmp_path / "resume")
    assert {"loss", "spread", "rank"} <= set(training.progress.curves)
    assert not {"knn", "purity"} & set(training.progress.curves)


def test_a_collapse_is_said_once_and_kept_for_the_report(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretrain.monitor.watch.LEAST_RANK", 1e9)  # so that these features count as collapsed
    said: list[str] = []
    settings = Settings(
        epochs=2, batch=16, queue=24, bn_groups=4, augment="digits", head_bn="hidden", knn_every=2
    )
    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w16"))
    training = Training(settings, trunk, images(), View(32, 32), 0, ctx, say=said.append)
    training.run(tmp_path / "resume")
    queue, first, collapsed, second = said
    assert queue.startswith("warning: queue 24 is 40% of the training set")
    assert first.startswith("epoch 1 of 2, ")
    assert "images/s, 0:00:0" in first
    assert collapsed.startswith("warning: after epoch 2 the features have collapsed")
    assert "knn" in second
    assert training.progress.warnings == [text.removeprefix("warning: ") for text in (queue, collapsed)]
