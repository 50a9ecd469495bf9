from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.views import View
from hsa_bench.core.features import extraction, forward
from hsa_bench.core.features.extract import Storage, extract
from hsa_bench.core.features.forward import frozen_forward
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone, assert_unchanged, weights_hash
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Source

VIEW = View(size=12, resize=12)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


class Counting(nn.Module):
    """Batch norm and mean pixel; counts the images it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.bn(x).mean((2, 3))


def backbone(module: nn.Module | None = None, card: Preprocess | None = None) -> Backbone:
    module = module or Counting()
    return Backbone(
        label="counting",
        arch="counting",
        module=module,
        dim=3,
        card=card or Preprocess(),
        weights=weights_hash(module),
        source=Source(path="test", format="control"),
    )


def small_set(count: int, seed: int = 0) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return ImageSet(ArrayImages(pixels), np.arange(count) % 2, ("a", "b"), tuple(map(str, range(count))))


def test_features_are_those_of_the_normalised_images_in_order(ctx: Context) -> None:
    images = small_set(300)  # more than one batch
    found = extract(backbone(), images, VIEW, ctx)
    mean, std = (torch.tensor(v) for v in (Preprocess().mean, Preprocess().std))
    pixels = torch.from_numpy(images.images.pixels).float() / 255  # type: ignore[attr-defined]
    expected = (pixels.mean((1, 2)) - mean) / std / (1 + 1e-5) ** 0.5
    assert torch.allclose(found.features, expected, atol=1e-5)
    assert found.labels.tolist() == images.labels.tolist()
    assert found.classes == 2


def test_a_second_extraction_makes_no_forward_pass_and_gives_the_same(ctx: Context) -> None:
    first, again = backbone(), backbone()
    made = extract(first, small_set(8), VIEW, ctx)
    found = extract(again, small_set(8), VIEW, ctx)
    assert (first.module.seen, again.module.seen) == (8, 0)
    assert torch.equal(made.features, found.features)


def test_whatever_changes_a_feature_changes_the_key(ctx: Context) -> None:
    other = Counting()
    nn.init.constant_(other.bn.weight, 2.0)
    made = [
        extract(backbone(), small_set(8), VIEW, ctx),
        extract(backbone(other), small_set(8), VIEW, ctx),
        extract(backbone(card=Preprocess(channels="BGR")), small_set(8), VIEW, ctx),
        extract(backbone(), small_set(8, seed=1), VIEW, ctx),
        extract(backbone(), small_set(8).subset(range(7)), VIEW, ctx),
        extract(backbone(), small_set(8), View(size=8, resize=12), ctx),
        extract(backbone(), small_set(8), View(size=8, resize=8), ctx),
        extract(backbone(), small_set(8), View(size=8, resize=8, interpolation="bicubic"), ctx),
        extract(backbone(), small_set(8), VIEW, ctx, "bfloat16"),
    ]
    assert len({f.key for f in made}) == len(made)


def test_features_of_a_gpu_are_files_of_their_own_whichever_its_number(tmp_path: Path) -> None:
    plain = Wanted(small_set(8), VIEW)

    def file(device: str) -> Path:
        return plain.on(device).files(backbone(), tmp_path)[LAST].path

    assert file("cpu") == file("cpu:0") == plain.files(backbone(), tmp_path)[LAST].path
    assert file("cuda") == file("cuda:1")
    assert len({file("cpu"), file("cuda"), file("mps")}) == 3


def test_workers_change_no_feature(ctx: Context) -> None:
    alone = extract(backbone(), small_set(20), VIEW, ctx)
    elsewhere = replace(ctx, cache=ctx.cache / "other", workers=2)
    assert torch.equal(alone.features, extract(backbone(), small_set(20), VIEW, elsewhere).features)


def test_batch_norm_stays_in_eval_mode_and_the_trunk_unchanged(ctx: Context) -> None:
    trunk = backbone()
    trunk.module.train()
    extract(trunk, small_set(8), VIEW, ctx)
    assert_unchanged(trunk)
    trunk.module.train()(torch.randn(4, 3, 6, 6))
    with pytest.raises(RuntimeError, match="changed the trunk"):
        assert_unchanged(trunk)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_no_numbers_are_refused_and_not_cached(ctx: Context, value: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            features = x.mean((2, 3))
            features[2] = value
            return features

    with pytest.raises(ValueError, match="counting: 1 of 8 images"):
        extract(backbone(Broken()), small_set(8), VIEW, ctx)
    assert not list(ctx.cache.rglob("*.npy"))


def test_a_frozen_forward_builds_no_graph() -> None:
    features = frozen_forward(backbone().module, torch.randn(2, 3, 6, 6), "cpu")
    assert not features.requires_grad
    assert features.dtype == torch.float32


def test_interpolation_is_no_difference_where_nothing_is_resized(ctx: Context) -> None:
    smooth = replace(VIEW, interpolation="bicubic")
    first = extract(backbone(), small_set(8), VIEW, ctx)
    again = backbone()
    assert extract(again, small_set(8), smooth, ctx).key == first.key
    assert again.module.seen == 0


def test_a_killed_extraction_goes_on_where_it_was(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "BATCH", 4)
    monkeypatch.setattr(forward, "BATCH", 4)
    monkeypatch.setattr(extraction, "PIECE", 8)
    whole = extract(backbone(), small_set(30), VIEW, replace(ctx, cache=ctx.cache / "whole"))

    class Dies(Counting):
        def forward(self, x: Tensor) -> Tensor:
            if self.seen == 20:  # in the third piece
                raise KeyboardInterrupt
            return super().forward(x)

    with pytest.raises(KeyboardInterrupt):
        extract(backbone(Dies()), small_set(30), VIEW, ctx)
    later = backbone()
    found = extract(later, small_set(30), VIEW, ctx)
    assert later.module.seen == 30 - 16  # two pieces were whole
    assert torch.equal(found.features, whole.features)
    left = sorted(p.suffix for p in (ctx.cache / "features").iterdir() if p.suffix != ".lock")
    assert left == [".json", ".npy"]  # and no pieces lie about


def test_large_sets_are_kept_on_disk_in_half_precision(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = extract(backbone(), small_set(30), VIEW, replace(ctx, cache=ctx.cache / "small"))
    monkeypatch.setattr(extraction, "IN_MEMORY", 30 * 3 * 4 - 1)
    found = extract(backbone(), small_set(30), VIEW, ctx)
    assert found.features.dtype == torch.float16
    assert torch.equal(found.features, exact.features.half())
    assert found.rows(slice(3)).dtype == torch.float32


@pytest.mark.parametrize(("storage", "dtype"), [("float16", torch.float16), ("float32", torch.float32)])
def test_the_number_format_on_file_can_be_asked_for(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, storage: Storage, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(extraction, "IN_MEMORY", 30 * 3 * 4 + (1 if storage == "float16" else -1))
    found = extract(backbone(), small_set(30), VIEW, ctx, storage=storage)
    assert found.features.dtype == dtype
    assert found.key != extract(backbone(), small_set(30), VIEW, ctx).key
