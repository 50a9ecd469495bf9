import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.views import View
from hsa_bench.core.features.extract import extract
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.layers import LAST, STAGES, STEM, layer_names, watched
from hsa_bench.core.runs.image_count import counted

RESNET = ("stem", "stage1", "stage2", "stage3", "stage4")
VIEW = View(size=32, resize=32)
VIT = "vit_w32x3_patch8_32-h2"

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def pictures(count: int) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return ImageSet(ArrayImages(pixels), np.arange(count) % 2, ("a", "b"), tuple(map(str, range(count))))


def seen(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    with torch.no_grad(), watched(module, layer_names(module)) as found:
        last = module(x)
    return {LAST: last, **found}


def test_a_resnet_50_is_pooled_to_the_sizes_of_the_published_protocol() -> None:
    torch.manual_seed(0)
    trunk = build("resnet50")
    found = seen(trunk, torch.randn(1, 3, 224, 224))
    assert {name: f.shape[1] for name, f in found.items() if name != LAST} == {
        "stem": 64 * 12**2, "stage1": 256 * 6**2, "stage2": 512 * 4**2, "stage3": 1024 * 3**2,
        "stage4": 2048 * 2**2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pool", "side", "op"),
    [
        (STEM, 112, lambda x: avg_pool2d(x, 10, 10, 4)),
        (STAGES[0], 56, lambda x: avg_pool2d(x, 16, 8)),
        (STAGES[2], 14, lambda x: avg_pool2d(x, 8, 3)),
        (STAGES[3], 7, lambda x: avg_pool2d(x, 6, 1)),
        (STAGES[3], 4, lambda x: adaptive_avg_pool2d(x, 2)),
        (STAGES[0], 3, lambda x: x),
    ],
)
def test_maps_are_pooled_as_published_and_others_to_the_same_grid(
    pool: Callable[[Tensor], Tensor], side: int, op: Callable[[Tensor], Tensor]
) -> None:
    x = torch.randn(2, 3, side, side)
    assert torch.equal(pool(x), op(x).flatten(1))


@pytest.mark.parametrize("arch", ["resnet18-w8-cifar", "resnet18-w8-s2", "resnet26d"])
def test_every_stage_of_a_resnet_is_seen_and_the_trunk_says_the_same(arch: str) -> None:
    trunk, x = build(arch), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        plain, maps = trunk(x), trunk.stages(x)  # type: ignore[operator]  # a trunk with stages
    found = seen(trunk, x)
    assert tuple(found) == (LAST, *RESNET)
    assert torch.equal(found[LAST], plain)
    for pool, name, own in zip(STAGES, RESNET[1:], maps, strict=True):
        assert torch.equal(found[name], pool(own))


def test_the_stem_is_taken_after_its_activation_and_before_the_pooling() -> None:
    trunk, x = build("resnet18"), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        own = trunk.relu(trunk.bn1(trunk.conv1(x)))  # type: ignore[operator]  # its children
    assert torch.equal(seen(trunk, x)["stem"], STEM(own))


@pytest.mark.parametrize("tokens", ["cls", "mean", "cls+mean"])
def test_every_block_of_a_vision_transformer_is_read_as_the_last(tokens: str) -> None:
    trunk, x = build(VIT, tokens=tokens), torch.randn(2, 3, 32, 32)  # type: ignore[arg-type]
    found = seen(trunk, x)
    assert tuple(found) == (LAST, "block1", "block2", "block3")
    assert torch.equal(found["block3"], found[LAST])
    assert found["block1"].shape == found[LAST].shape
    assert not torch.equal(found["block1"], found["block2"])


def test_networks_without_known_layers_have_none() -> None:
    assert layer_names(build("pixels")) == ()
    assert layer_names(nn.Conv2d(3, 3, 1)) == ()


@pytest.fixture
def small() -> Backbone:
    return open_backbone(BackboneRequest(label="small", arch="resnet18-w8-cifar"))


def test_one_pass_puts_all_layers_on_file(small: Backbone, ctx: Context) -> None:
    with counted(small.module) as passes:
        deep = extract(small, pictures(40), VIEW, ctx, layers=("stage4", "stem"))
    assert passes.images == 40
    with counted(small.module) as passes:
        early = extract(small, pictures(40), VIEW, ctx, layers=("stem",))
        own = extract(small, pictures(40), VIEW, ctx)
    assert passes.images == 0
    assert [f.features.shape[1] for f in (early, deep, own)] == [8 * 144, 64 * 4, 64]
    # The map of 4 x 4 is pooled to 2 x 2, and its mean to the trunk's own features.
    assert torch.allclose(deep.features.view(40, 64, 4).mean(2), own.features, atol=1e-5)


def test_layers_that_are_wanted_later_leave_what_there_is(small: Backbone, ctx: Context) -> None:
    own = extract(small, pictures(10), VIEW, ctx)
    file = ctx.cache / "features" / f"{own.key}.npy"
    written = file.stat().st_mtime_ns
    extract(small, pictures(10), VIEW, ctx, layers=("stage2",))
    assert file.stat().st_mtime_ns == written


def test_layers_killed_half_way_go_on(small: Backbone, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsa_bench.core.features import extraction, forward

    monkeypatch.setattr(extraction, "BATCH", 4)
    monkeypatch.setattr(forward, "BATCH", 4)
    monkeypatch.setattr(extraction, "PIECE", 8)
    whole = extract(small, pictures(30), VIEW, replace(ctx, cache=ctx.cache / "whole"), layers=("stage1",))

    calls = 0

    def dies(description: str, done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(small, pictures(30), VIEW, replace(ctx, progress=dies), layers=("stage1",))
    with counted(small.module) as passes:
        found = extract(small, pictures(30), VIEW, ctx, layers=("stage1",))
    assert passes.images == 30 - 16
    assert torch.equal(found.features, whole.features)


def test_layers_nobody_asks_for_take_no_room(small: Backbone, ctx: Context) -> None:
    extract(small, pictures(10), VIEW, ctx, layers=("stage4", "stage3"))
    said = [json.loads(path.read_text())["layer"] for path in (ctx.cache / "features").glob("*.json")]
    assert sorted(said) == ["", "stage3", "stage4"]


def test_features_too_large_for_half_precision_are_refused_with_the_remedy(
    small: Backbone, ctx: Context
) -> None:
    with torch.no_grad():
        small.module.bn1.bias.fill_(1e6)  # type: ignore[union-attr, operator]  # its batch norm
    huge = replace(small, weights=weights_hash(small.module))
    with pytest.raises(ValueError, match=r"small: NaN or infinite features.*storage=float32"):
        extract(huge, pictures(10), VIEW, ctx, storage="float16", layers=("stem",))
    assert len(extract(huge, pictures(10), VIEW, ctx, storage="float32", layers=("stem",)).features) == 10
