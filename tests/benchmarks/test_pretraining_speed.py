"""Speed of pretraining as ratios to a peer in the same run: `make bench`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View
from pretrain.embed import embed
from pretrain.loop import Training
from pretrain.positives import nearest_others
from pretrain.settings import Settings
from tests.benchmarks.ratios import ratios
from tools.device.speed.lightly_moco import LightlyMoCo

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.filterwarnings("ignore"),  # the peer's
]
SIZE = 32


def pictures(count: int) -> ImageSet:
    return open_dataset("digits", Path()).limited(count).train


def training(images: ImageSet, ctx: Context, **settings: Any) -> Training:
    chosen = replace(Settings(batch=256, queue=768, epochs=10, knn_every=0), **settings)
    return Training(
        chosen, open_backbone(BackboneRequest(label="x", arch="resnet18")), images, View(SIZE, SIZE), 0, ctx
    )


class Pictures(Dataset[Any]):
    def __init__(self, images: ImageSet, transform: Any) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images.picture(index)), 0


def test_moco_is_faster_than_lightlys(benchmark: BenchmarkFixture, ctx: Context) -> None:
    """Peer: lightly's own parts, with its own loader."""
    pytest.importorskip("lightly", reason="needs lightly: pip install -e .[bench]")
    from lightly.transforms.moco_transform import MoCoV2Transform

    images, workers = pictures(1024), 0  # loading beside the step is slower on two cores, for both
    ours = training(images, replace(ctx, workers=workers), method="moco", augment="moco-v2")
    ours.counting = False

    peer = LightlyMoCo(torchvision.models.resnet18(), queue=768)
    loader = DataLoader(
        Pictures(images, MoCoV2Transform(input_size=SIZE)),
        256,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
    )

    def theirs() -> None:
        total: Tensor | float = 0.0
        for (x_query, x_key), _ in loader:
            total = total + peer.step(x_query, x_key)

    found = ratios(
        benchmark, {"ours": lambda: ours._epoch(0, ours._batches(range(1))), "lightly": theirs}, rounds=5
    )
    assert found["lightly"] >= 1.15  # aimed at is 1.3; measured were 1.25 to 1.30


def test_hsa_costs_as_much_as_its_views(benchmark: BenchmarkFixture, ctx: Context) -> None:
    images = pictures(1024)
    views = [torch.randn(256, 3, SIZE, SIZE) for _ in range(4)]

    def stepping(**settings: Any) -> Callable[[], object]:
        work = training(images, ctx, **settings)
        work.method.begin(9)
        work.counting = False
        mine = views if work.method.pairs else views[:2]
        return lambda: work._step(9, 0, iter([mine]))

    found = ratios(
        benchmark,
        {
            "moco": stepping(method="moco"),
            "hsa, one level": stepping(method="hsa", levels=()),
            "hsa, stage 3 too": stepping(method="hsa", levels=(3,)),
        },
        rounds=7,
    )
    assert found["hsa, one level"] <= 3.1
    assert found["hsa, stage 3 too"] <= 4.1


def test_mining_is_a_twentieth_of_an_epoch(benchmark: BenchmarkFixture, ctx: Context) -> None:
    """Search at CIFAR-10's size; features and steps on 1,024 pictures, scaled to its 50,000."""
    count, sample = 50_000, pictures(1024)
    work = training(sample, ctx, method="hsa")
    work.counting = False
    features = nn.functional.normalize(torch.randn(count, 512), dim=1)
    work.progress.neighbours = nearest_others(features[:1024], 5)
    found = ratios(
        benchmark,
        {
            "epoch": lambda: work._epoch(9, work._batches(range(9, 10))),
            "features": lambda: embed(work.method.mining_trunk, sample, work._plain, ctx, ""),
        },
        rounds=2,
    )
    start = time.perf_counter()
    nearest_others(features, 5)
    search = time.perf_counter() - start
    epoch = benchmark.extra_info["seconds of epoch"] * count / 1024
    share = (found["features"] + search / epoch) / work.settings.refresh
    benchmark.extra_info["mining / epoch"] = round(share, 4)
    print(f"search {search:.1f} s, epoch {epoch:.0f} s, mining {share:.2%} of an HSA epoch")
    assert share <= 0.05
