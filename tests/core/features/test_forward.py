from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages, FileImages
from hsa_bench.core.data.views import CentreView, Normalise, View
from hsa_bench.core.errors import BrokenPicture
from hsa_bench.core.features.decode_ahead import decoded
from hsa_bench.core.features.forward import (
    FrozenTrunk,
    batches,
    evaluating,
    frozen_forward,
)
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.layers import LAST, watched
from hsa_bench.core.models.preprocess import CAFFE, IMAGENET, Preprocess

SAME = View(size=16, resize=16)


def in_memory(count: int, side: int = 16) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return ImageSet(ArrayImages(pixels), np.zeros(count, np.int64), ("a",), tuple(map(str, range(count))))


def in_files(folder: Path, count: int) -> ImageSet:
    names = [f"{i}.jpg" for i in range(count)]
    for i, name in enumerate(names):
        coarse = np.random.default_rng(i).integers(0, 256, (5, 4 + i % 3, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40 + i % 7, 30 + i % 5)).save(folder / name)
    return ImageSet(FileImages(folder, tuple(names)), np.zeros(count, np.int64), ("a",), tuple(names))


def plain(module: nn.Module, images: ImageSet, view: CentreView, batch: int = 256) -> Tensor:
    """One picture after the other, normalised by the table, then batches through the module."""
    x = torch.stack([view.normalise(view.crop(images.picture(i))) for i in range(len(images))])
    with torch.no_grad():
        return torch.cat(
            [module.eval()(part.to(memory_format=torch.channels_last)) for part in x.split(batch)]
        )


@pytest.fixture
def trunk() -> nn.Module:
    torch.manual_seed(0)
    return build("resnet18-w8-cifar")


@pytest.mark.parametrize("card", [IMAGENET, CAFFE], ids=["RGB", "BGR"])
@pytest.mark.parametrize("view", [SAME, View(12, 14, "bicubic"), View(12, 12, squash=True)])
def test_features_are_those_of_pictures_normalised_one_by_one_bit_for_bit(
    trunk: nn.Module, ctx: Context, tmp_path: Path, card: Preprocess, view: View
) -> None:
    for images in (in_memory(5), in_files(tmp_path, 5)):
        seen = CentreView(view, card)
        found = torch.cat(list(batches(trunk, images, range(5), seen, ctx)))
        assert torch.equal(found, plain(trunk, images, seen))


def test_batches_are_the_rows_asked_for_in_their_order_however_many_threads_decode(tmp_path: Path) -> None:
    view = CentreView(View(12, 14), IMAGENET)
    rows = [5, 0, 3, 3, 6, 1, 2]
    for images in (in_files(tmp_path, 7), in_memory(7)):
        whole = [np.asarray(view.crop(images.picture(row))) for row in rows]
        for workers in (0, 5):
            parts = list(decoded(images, rows, view, workers, pin=False, batch=3))
            assert [len(part) for part in parts] == [3, 3, 1]
            assert {part.dtype for part in parts} == {torch.uint8}
            assert np.array_equal(torch.cat(parts).numpy(), np.stack(whole))


def test_pixels_in_memory_that_the_view_leaves_as_they_are_are_taken_without_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = in_memory(9).subset([8, 1, 4, 6])
    view = CentreView(SAME, IMAGENET)
    whole = np.stack([np.asarray(view.crop(images.picture(row))) for row in (2, 0, 3)])
    monkeypatch.setattr(ArrayImages, "__getitem__", None)
    (found,) = decoded(images, [2, 0, 3], view, 0, pin=False)
    assert np.array_equal(found.numpy(), whole)


def test_nothing_is_decoded_far_ahead_of_need() -> None:
    seen: list[int] = []

    class Counted(ArrayImages):
        def __getitem__(self, index: int) -> Image.Image:
            seen.append(index)
            return super().__getitem__(index)

    images = in_memory(40)
    images = replace(images, images=Counted(images.images.pixels))  # type: ignore[attr-defined]  # an array
    stream = decoded(images, range(40), CentreView(View(8, 8), IMAGENET), 0, pin=False, batch=4)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator
    assert max(seen) < 4 * 4


def test_a_broken_picture_ends_the_batches_with_its_name(
    trunk: nn.Module, ctx: Context, tmp_path: Path
) -> None:
    images = in_files(tmp_path, 6)
    (tmp_path / "4.jpg").write_bytes((tmp_path / "4.jpg").read_bytes()[:100])
    with pytest.raises(BrokenPicture, match=r"4\.jpg"):
        list(batches(trunk.train(), images, range(6), CentreView(View(12, 14), IMAGENET), ctx))
    assert trunk.training


def test_several_trunks_are_fed_from_one_stream_of_batches(ctx: Context) -> None:
    images = in_memory(7)
    torch.manual_seed(0)
    modules = [build("resnet18-w8-cifar"), build("resnet18-w4-cifar").double(), build("pixels")]
    cards = [IMAGENET, CAFFE, IMAGENET]
    views = [CentreView(SAME, card) for card in cards]
    trunks = [FrozenTrunk(m, v.normalise, "cpu") for m, v in zip(modules, views, strict=True)]
    found: list[list[Tensor]] = [[] for _ in trunks]
    for pictures in decoded(images, range(7), views[0], 0, pin=False, batch=4):
        pending = [trunk(pictures) for trunk in trunks]
        for own, one in zip(found, pending, strict=True):
            own.append(one.features()[LAST])
    for own, module, view in zip(found, modules, views, strict=True):
        (alone,) = batches(module, images, range(7), view, ctx)
        assert torch.allclose(torch.cat(own), alone, rtol=1e-5, atol=1e-6)  # batches of 4, not of 7
        assert own[0].dtype == torch.float32


def test_layers_come_with_the_trunks_own_features_in_parts_of_bounded_memory(
    trunk: nn.Module, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hsa_bench.core.features import forward

    images, view = in_memory(10), CentreView(SAME, IMAGENET)
    (pictures,) = decoded(images, range(10), view, workers=0, pin=False)
    found = FrozenTrunk(trunk, view.normalise, "cpu", layers=("stem", "stage2"))(pictures).features()
    with watched(trunk, ("stem", "stage2")) as layers:
        own = plain(trunk, images, view)
    assert found.keys() == {LAST, "stem", "stage2"}
    assert torch.equal(found[LAST], own)
    assert all(torch.equal(found[name], layers[name]) for name in ("stem", "stage2"))
    monkeypatch.setattr(forward, "BATCH", 4)
    sizes: list[int] = []
    trunk.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    frozen_forward(trunk, torch.randn(10, 3, 16, 16), "cpu")
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("training", [True, False])
def test_the_modules_mode_is_restored_also_when_nobody_takes_the_rest(
    trunk: nn.Module, ctx: Context, monkeypatch: pytest.MonkeyPatch, training: bool
) -> None:
    from hsa_bench.core.features import forward

    monkeypatch.setattr(forward, "BATCH", 2)
    found = batches(trunk.train(training), in_memory(8), range(8), CentreView(SAME, IMAGENET), ctx)
    next(found)
    assert not trunk.training
    found.close()  # type: ignore[attr-defined]  # a generator
    assert trunk.training == training
    with evaluating(trunk):
        trunk.train(not training)
    assert trunk.training == training


def test_images_without_numbers_are_counted_and_only_when_features_are_asked_for() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            features = x.mean((2, 3))
            features[1:3] = torch.nan
            return features

    pending = FrozenTrunk(Broken(), Normalise(IMAGENET), "cpu")(torch.zeros(5, 4, 4, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="2 of 5 images give NaN"):
        pending.features()
    with pytest.raises(ValueError, match="2 of 5 images give NaN"):
        frozen_forward(Broken(), torch.zeros(5, 3, 4, 4), "cpu")


def test_a_frozen_forward_takes_pixels_or_what_is_normalised(trunk: nn.Module) -> None:
    pixels = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    normalise = Normalise(CAFFE)
    ready = torch.stack([normalise(one) for one in pixels.permute(0, 3, 1, 2)])
    assert torch.equal(
        frozen_forward(trunk, pixels, "cpu", normalise=normalise), frozen_forward(trunk, ready, "cpu")
    )
