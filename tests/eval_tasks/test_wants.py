"""What frozen tasks declare to want is what they ask of the cache: all of it, and nothing else."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hsa_bench.core import registry
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.voc_labels import ABSENT, PRESENT, VocLabels
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.features import shared_decoding
from hsa_bench.core.features.extraction import Extraction
from hsa_bench.core.features.feed import feed
from hsa_bench.core.features.kept import KeptFeatures
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.runs.task import Task

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

SIDE, CLASSES = 16, 3
TRAIN, TEST = 36, 18
QUICK: dict[str, Any] = {
    "epochs": 1, "lrs": (0.1,), "weight_decays": (0.0,), "cs": (1.0,), "folds": 2, "iterations": 5,
    "shots": (1, 2), "draws": 1, "starts": 1, "costs": (0.5,), "max_iter": 5, "ks": (1,),
    "image_size": SIDE, "resize": SIDE, "precision": "float32",
}  # fmt: skip
OTHERWISE = {"linear": TRAIN, "geometry": TEST}
"""Pictures that a task decodes in any case, for its random views: one epoch of train, and all of test."""


@dataclass
class Counted:
    """Colours under noise, which count how often they are decoded."""

    pixels: np.ndarray[Any, Any]
    decoded: int = 0

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        self.decoded += 1
        return Image.fromarray(self.pixels[index])

    @property
    def side(self) -> int:
        return SIDE

    def digest(self) -> str:
        return str(self.pixels.sum())


def part(count: int, seed: int) -> ImageSet:
    labels = np.arange(count) % CLASSES
    grounds = np.eye(CLASSES)[labels][:, None, None] * 120 + 60
    noise = np.random.default_rng(seed).normal(0, 30, (count, SIDE, SIDE, 3))
    pixels = (grounds + noise).clip(0, 255).astype(np.uint8)
    return ImageSet(Counted(pixels), labels, tuple("rgb"), tuple(f"{seed}/{i}" for i in range(count)))


def data_of(task: Task) -> Classification:
    train, test = part(TRAIN, 0), part(TEST, 1)
    if not hasattr(task, "difficult"):
        return Classification("colours", train, test, SIDE, SIDE)
    shown = [np.eye(CLASSES, dtype=bool)[one.labels] for one in (train, test)]
    seen, asked = (np.where(one, PRESENT, ABSENT) for one in shown)
    return VocLabels("voc", train, test, SIDE, SIDE, seen, asked)


def frozen_tasks() -> list[Task]:
    modules = [f"eval_tasks.{name.replace('-', '_')}" for name in registry.files("eval_tasks")]
    return [task for module in modules for task in importlib.import_module(module).TASKS if task.frozen]


@pytest.fixture(scope="module")
def resnet() -> Backbone:
    return open_backbone(BackboneRequest(label="resnet", arch="resnet18-w8-cifar"))


def quick(task: Task) -> Task:
    known = {f.name for f in fields(task)}
    return replace(task, **{name: value for name, value in QUICK.items() if name in known})


def cases() -> list[Any]:
    """Every task on all images, and one of each kind on some."""
    kinds = {"knn", "linear", "layers", "voc-svm"}
    of_all = [pytest.param(task, None, id=task.name) for task in frozen_tasks()]
    return of_all + [
        pytest.param(task, 24, id=f"{task.name}-limit") for task in frozen_tasks() if task.name in kinds
    ]


@pytest.mark.parametrize(("task", "limit"), cases())
def test_a_run_asks_for_what_its_task_wants_and_decodes_nothing_more(
    task: Task, limit: int | None, resnet: Backbone, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(task)
    task = quick(task).resolved(data, ctx)
    wants = task.wants(resnet, data, limit)
    works = [Extraction(resnet, want, want.files(resnet, ctx.cache)) for want in wants]
    for work in works:
        work.begin()
    feed(works, ctx, "features", lambda _, error: pytest.fail(str(error)))
    for work in works:
        work.join()
    asked: set[Path] = set()
    usable = KeptFeatures.usable

    def noted(kept: KeptFeatures) -> bool:
        asked.add(kept.path)
        return usable(kept)

    monkeypatch.setattr(KeptFeatures, "usable", noted)
    monkeypatch.setattr(
        shared_decoding, "decoded", lambda *_: pytest.fail("it extracts what it did not want")
    )
    held = [images.images for images in (data.train, data.test)]
    for images in held:
        images.decoded = 0

    task.run(resnet, data, seed=0, limit=limit, ctx=ctx)

    assert works, "a frozen task that wants nothing shares nothing"
    assert asked == {work.files[layer].path for work in works for layer in work.wanted.layers}
    otherwise = OTHERWISE.get(task.name.partition("-")[0], 0) if task.name != "linear-cached" else 0
    assert sum(images.decoded for images in held) == min(limit or otherwise, otherwise)


def test_every_frozen_task_is_among_them() -> None:
    names = {task.name for task in frozen_tasks()}
    assert {"knn", "linear", "linear-cached", "logistic", "layers", "lowshot", "geometry", "voc-svm"} <= names
    assert {"voc-lowshot-pcl", "transfer-cifar10", "linear-mocov3", "knn-instdisc"} <= names
