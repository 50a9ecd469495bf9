from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eval_tasks.knn import TASKS as KNNS
from eval_tasks.layers import TASKS
from eval_tasks.logistic import TASKS as LOGISTICS
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.models import layers as core
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.results.result import Source
from hsa_bench.core.runs.image_count import counted
from hsa_bench.core.runs.task import Outcome

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

TASK = TASKS[0]
RESNET = ["stem", "stage1", "stage2", "stage3", "stage4"]


def ran(backbone: Backbone, data: Classification, ctx: Context, **settings: object) -> Outcome:
    task = replace(TASK, **settings).resolved(data, ctx)  # type: ignore[arg-type]
    return task.run(backbone, data, seed=0, limit=None, ctx=ctx)


@pytest.fixture
def small() -> Backbone:
    return open_backbone(BackboneRequest(label="small", arch="resnet18-w8-s2"))


def test_every_layer_has_both_numbers_and_the_main_one_is_the_deepest(
    small: Backbone, colours: Classification, ctx: Context
) -> None:
    found = ran(small, colours, ctx, cs=(1.0, 10.0))
    layers = [name for name in found.values if "/" in name]
    assert layers == [f"{name}/{metric}" for name in RESNET for metric in ("top1", "knn_top1")]
    assert found.values["top1"] == found.values["stage4/top1"]
    assert found.values["knn_top1"] == found.values["stage4/knn_top1"]
    assert isinstance(found.examples, ClassificationOutcomes)
    right = found.examples.prediction == found.examples.label
    assert right.mean() * 100 == pytest.approx(found.values["top1"])
    assert found.effective["features"] == {
        "stem": 8 * 64, "stage1": 8 * 36, "stage2": 16 * 16, "stage3": 32 * 4, "stage4": 64,
    }  # fmt: skip


def test_knn_and_logistic_beside_it_need_no_pass(
    small: Backbone, colours: Classification, ctx: Context
) -> None:
    with counted(small.module) as passes:
        ran(small, colours, ctx, cs=(1.0,))
    assert passes.images == len(colours.train) + len(colours.test)
    with counted(small.module) as passes:
        for task in (KNNS[0], replace(LOGISTICS[0], cs=(1.0,))):
            task.resolved(colours, ctx).run(small, colours, 0, None, ctx)
    assert passes.images == 0


class TwoLayers(nn.Module):
    """What it is built of is for the first layer noise and for the second the picture's mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.first(torch.sin(1e4 * x[:, :, :2, :2]).flatten(1))
        return self.second(x.mean((2, 3)))


@pytest.fixture
def hand_made(monkeypatch: pytest.MonkeyPatch) -> Backbone:
    module = TwoLayers().eval()
    as_is = {"stage1": (module.first, lambda x: x), "stage2": (module.second, lambda x: x)}
    monkeypatch.setattr(core, "_layers", lambda net: as_is if net is module else {})
    return Backbone("two", "two", module, 3, Preprocess(), weights_hash(module), Source(path="", format=""))


def test_the_layer_that_knows_is_told_from_the_one_that_does_not(hand_made: Backbone, ctx: Context) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = rng.integers(0, 100, (120, 8, 8, 3)).astype(np.uint8)
    pixels[np.arange(120), :, :, labels] += 100
    images = ImageSet(ArrayImages(pixels), labels, ("a", "b", "c"), tuple(map(str, range(120))))
    data = Classification("made", images.subset(range(90)), images.subset(range(90, 120)), 8, 8)
    found = ran(hand_made, data, ctx)
    assert found.values["stage2/top1"] == found.values["stage2/knn_top1"] == 100
    assert found.values["stage1/top1"] < 70
    assert found.values["stage1/knn_top1"] < 70


def test_the_deepest_layer_of_a_vision_transformer_is_its_own_features(
    colours: Classification, ctx: Context
) -> None:
    vit = open_backbone(BackboneRequest(label="vit", arch="vit_w32x2_patch4_12-h2"))
    found = ran(vit, colours, ctx, cs=(10.0,))
    logistic = replace(LOGISTICS[0], cs=(10.0,)).resolved(colours, ctx).run(vit, colours, 0, None, ctx)
    knn = KNNS[0].resolved(colours, ctx).run(vit, colours, 0, None, ctx)
    assert found.values["block2/top1"] == logistic.values["top1"]
    assert found.values["block2/knn_top1"] == knn.values["top1"]


def test_some_layers_can_be_asked_for(small: Backbone, colours: Classification, ctx: Context) -> None:
    found = ran(small, colours, ctx, cs=(1.0,), layers=("stem", "stage2"))
    assert [name for name in found.values if name.endswith("/top1")] == ["stem/top1", "stage2/top1"]
    assert found.values["top1"] == found.values["stage2/top1"]


def test_what_has_no_such_layers_is_skipped_with_the_reason(small: Backbone) -> None:
    pixels = open_backbone(BackboneRequest(label="pixels", arch="pixels"))
    assert "only ResNets and vision transformers" in TASK.unsupported(pixels)
    assert TASK.unsupported(small) == ""
    assert "no layer 'stage9'; there are stem, stage1" in replace(TASK, layers=("stage9",)).unsupported(small)


def test_the_protocol_names_its_source_and_its_distance() -> None:
    assert "vissl @09270ed" in TASK.protocol
    assert "not to be put beside its numbers" in TASK.protocol
