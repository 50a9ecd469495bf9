from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hsa_bench.core.data.device_resize import Interpolation, resized
from hsa_bench.core.data.views import RandomView, View, random_view
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.seed import forked

INTERPOLATIONS: tuple[Interpolation, ...] = ("bilinear", "bicubic")
SIZES = [(40, 32, 32), (32, 32, 32), (100, 80, 24), (20, 30, 48), (7, 5, 16)]


def noise(count: int, width: int, height: int, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    """Pictures of noise; the first ones are white, black, and of black and white dots."""
    pictures = np.random.default_rng(0).integers(low, high, (count, height, width, 3), dtype=np.uint8)
    pictures[0], pictures[1] = high - 1, low
    pictures[2] = np.where(pictures[2] > 128, high - 1, low)
    return pictures


def boxes(count: int, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Boxes of whole pixels; the first are the whole picture and a single pixel."""
    rng = np.random.default_rng(1)
    drawn = [(0, 0, width, height), (width - 1, 0, width, 1)]
    for _ in range(count - 2):
        left, top = int(rng.integers(0, width)), int(rng.integers(0, height))
        drawn.append((left, top, int(rng.integers(left, width)) + 1, int(rng.integers(top, height)) + 1))
    return drawn


def difference(found: torch.Tensor, expected: list[Image.Image]) -> NDArray[np.float64]:
    """Grey levels between a batch, [B, 3, S, S], and Pillow's pictures."""
    theirs = np.stack([np.asarray(picture) for picture in expected]).astype(np.float64)
    return np.abs(found.permute(0, 2, 3, 1).numpy() - theirs)


@pytest.mark.parametrize(("width", "height", "side"), SIZES)
@pytest.mark.parametrize(("interpolation", "most"), [("bilinear", 1), ("bicubic", 2)])
def test_a_crop_has_pillows_pixels(
    width: int, height: int, side: int, interpolation: Interpolation, most: int
) -> None:
    # Bicubic is measured where it does not overshoot, as Pillow cuts off between directions of its choice.
    low, high = (0, 256) if interpolation == "bilinear" else (80, 176)
    pictures, drawn = noise(12, width, height, low, high), boxes(12, width, height)
    mode = Image.Resampling[interpolation.upper()]
    expected = [
        Image.fromarray(picture).crop(box).resize((side, side), mode)
        for picture, box in zip(pictures, drawn, strict=True)
    ]
    found = resized(torch.from_numpy(pictures), torch.tensor(drawn).float(), side, interpolation)
    levels = difference(found, expected)
    assert levels.max() <= most
    assert levels.mean() < 0.1
    assert torch.equal(found, found.round())


@pytest.mark.parametrize(("width", "height", "side"), SIZES)
def test_a_box_within_a_picture_has_pillows_pixels(width: int, height: int, side: int) -> None:
    pictures = noise(12, width, height)
    inner = [
        (left + 0.3, top + 0.1, max(right - 0.2, left + 0.7), max(bottom - 0.15, top + 0.6))
        for left, top, right, bottom in boxes(12, width, height)
    ]
    expected = [
        Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR, box)
        for picture, box in zip(pictures, inner, strict=True)
    ]
    found = resized(torch.from_numpy(pictures), torch.tensor(inner), side, "bilinear", beyond=True)
    levels = difference(found, expected)
    assert levels.max() <= 1
    assert levels.mean() < 0.1


def test_a_picture_comes_out_the_same_in_any_batch() -> None:
    pictures, drawn = torch.from_numpy(noise(64, 50, 40)), torch.tensor(boxes(64, 50, 40)).float()
    for interpolation in INTERPOLATIONS:
        together = resized(pictures, drawn, 24, interpolation)
        for i in range(64):
            alone = resized(pictures[i : i + 1], drawn[i : i + 1], 24, interpolation)
            assert torch.equal(together[i : i + 1], alone)


@pytest.mark.parametrize("flip", [True, False])
def test_the_random_view_of_a_device_is_pillows_of_the_same_numbers(flip: bool) -> None:
    view = random_view(View(size=24, resize=24), Preprocess(), smallest=0.2, flip=flip)
    assert isinstance(view, RandomView)
    pictures = noise(40, 50, 40)
    with forked(0):
        numbers = [view.draw((50, 40)) for _ in pictures]
    assert {row[4] for row in numbers} == ({0.0, 1.0} if flip else {0.0})
    drawn = torch.tensor(numbers)
    found = view.change_batch(view.cut_batch(torch.from_numpy(pictures), drawn), drawn)
    expected = [
        Image.fromarray(view.pixels(Image.fromarray(picture), row))
        for picture, row in zip(pictures, numbers, strict=True)
    ]
    assert difference(found, expected).max() <= 1


def test_half_precision_around_it_changes_nothing() -> None:
    pictures, drawn = torch.from_numpy(noise(8, 50, 40)), torch.tensor(boxes(8, 50, 40)).float()
    plain = resized(pictures, drawn, 24, "bilinear")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resized(pictures, drawn, 24, "bilinear"), plain)
