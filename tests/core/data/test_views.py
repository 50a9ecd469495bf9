import pickle
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from hsa_bench.core.data.drawn_view import random_box
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.views import (
    Normalise,
    SeededEpochs,
    SeededViews,
    View,
    centre_view,
    random_view,
)
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.seed import forked

CARD = Preprocess()


def picture(width: int = 50, height: int = 40, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def small_set(count: int = 6) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 20, 20, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    return ImageSet(ArrayImages(pixels), labels, ("a", "b"), tuple(map(str, range(count))))


@pytest.mark.parametrize("size", [(50, 40), (33, 70)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_centre_view_has_torchvisions_pixels(size: tuple[int, int], interpolation: str) -> None:
    view = View(size=24, resize=28, interpolation=interpolation)  # type: ignore[arg-type]
    expected = v2.Compose(
        [
            v2.Resize(28, InterpolationMode(interpolation)),
            v2.CenterCrop(24),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(CARD.mean, CARD.std),
        ]
    )
    ours = centre_view(view, CARD)
    seen = ours.normalise.batch(ours(picture(*size))[None])[0]
    assert torch.allclose(seen, expected(picture(*size)), atol=1e-5)


@pytest.mark.parametrize("size", [(50, 40), (33, 70), (24, 24), (28, 28)])
@pytest.mark.parametrize("resize", [28, 24])
def test_a_squashed_picture_is_resized_whole_after_its_shorter_side_or_at_once(
    size: tuple[int, int], resize: int
) -> None:
    first = [v2.Resize(resize)] if resize != 24 else []
    expected = v2.Compose([*first, v2.Resize([24, 24])])(picture(*size))

    seen = centre_view(View(size=24, resize=resize, squash=True), CARD).crop(picture(*size))

    assert np.array_equal(np.asarray(seen), np.asarray(expected))


def test_a_picture_of_the_right_size_passes_untouched() -> None:
    card = Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), value_range=255)
    view = centre_view(View(size=32, resize=32), card)
    seen = view.normalise.batch(view(picture(32, 32))[None])[0]
    assert np.array_equal(seen.permute(1, 2, 0).numpy(), np.asarray(picture(32, 32)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("flip", [True, False])
def test_the_random_view_has_torchvisions_draws_and_pixels(interpolation: str, flip: bool) -> None:
    view = View(size=24, resize=28, interpolation=interpolation)  # type: ignore[arg-type]
    ours = random_view(view, CARD, smallest=0.2, flip=flip)
    crop = v2.RandomResizedCrop(24, scale=(0.2, 1.0), interpolation=InterpolationMode(interpolation))
    theirs = v2.Compose([crop, *([v2.RandomHorizontalFlip()] if flip else []), v2.PILToTensor()])
    for seed in range(20):
        with forked(seed):
            found = ours(picture(seed=seed))
        with forked(seed):
            expected = theirs(picture(seed=seed))
        assert torch.equal(found.permute(2, 0, 1), expected)


def test_normalise_follows_the_card() -> None:
    card = Preprocess(mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0), channels="BGR", value_range=255)
    one = Image.fromarray(np.array([[[11, 26, 42]]], dtype=np.uint8))
    assert Normalise(card)(one).flatten().tolist() == [3.0, 3.0, 1.0]  # blue first
    pixels = torch.tensor([11, 26, 42], dtype=torch.uint8)[:, None, None]
    assert torch.equal(Normalise(card)(pixels), Normalise(card)(one))


def test_an_item_depends_on_seed_epoch_and_index_alone() -> None:
    images, view = small_set(), random_view(View(size=8, resize=8), CARD)
    item = SeededViews(images, [view], seed=1, epoch=2)[3]
    torch.rand(5)  # what happened before does not matter
    again = SeededViews(images, [view], seed=1, epoch=2)
    _ = again[5], again[0]
    assert torch.equal(item[0][0], again[3][0][0])
    assert item[1:] == (1, 3)
    for seed, epoch, index in ((0, 2, 3), (1, 3, 3), (1, 2, 2)):
        assert not torch.equal(item[0][0], SeededViews(images, [view], seed, epoch)[index][0][0])


def test_two_transforms_give_two_different_views() -> None:
    view = random_view(View(size=8, resize=8), CARD)
    (first, second), _, _ = SeededViews(small_set(), [view, view], seed=0, epoch=0)[0]
    assert not torch.equal(first, second)


def test_seeded_epochs_hold_the_items_of_every_epoch() -> None:
    images, view = small_set(), random_view(View(size=8, resize=8), CARD)
    whole = pickle.loads(pickle.dumps(SeededEpochs(images, [view], seed=4)))  # as loader processes get it
    for epoch in (0, 3):
        (found,), *rest = whole[epoch, 2]
        (expected,), *expected_rest = SeededViews(images, [view], seed=4, epoch=epoch)[2]
        assert torch.equal(found, expected)
        assert rest == expected_rest


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("value_range", [1.0, 255.0, 2.0, 0.3, 1e-6, 1e6])
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (16, 16)])
def test_a_batch_is_normalised_to_the_same_bits_as_its_pictures(
    channels: Literal["RGB", "BGR"], value_range: float, size: tuple[int, int]
) -> None:
    for mean, std in (
        (CARD.mean, CARD.std),
        ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        ((-0.1, 0.0, 1e5), (1e-3, 1, 7)),
    ):
        card = Preprocess(mean=mean, std=std, channels=channels, value_range=value_range)
        normalise = Normalise(card)
        pictures = torch.randint(256, (3, *size, 3), dtype=torch.uint8)
        one_by_one = torch.stack([normalise(Image.fromarray(p.numpy())) for p in pictures])
        found = normalise.batch(pictures)
        assert torch.equal(found, one_by_one)
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_that_lies_in_memory_as_planes_is_normalised_alike() -> None:
    planes = torch.randint(256, (3, 3, 6, 5), dtype=torch.uint8)
    pictures = planes.permute(0, 2, 3, 1)
    assert torch.equal(Normalise(CARD).batch(pictures), Normalise(CARD).batch(pictures.contiguous()))


def test_a_random_box_falls_back_to_the_centre_at_an_allowed_ratio() -> None:
    with forked(0, "box"):
        for width, height in ((1000, 10), (10, 1000)):
            left, top, right, bottom = random_box((width, height), (0.9, 1.0))  # no such box fits
            assert (right - left) / (bottom - top) == pytest.approx(
                4 / 3 if width > height else 3 / 4, abs=0.1
            )
            assert (left + right, top + bottom) == pytest.approx((width, height), abs=1)
