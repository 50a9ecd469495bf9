from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from hsa_bench.core.data.device_resize import planes, resized
from hsa_bench.core.seed import forked
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.device_photometric import LARGEST_RADIUS, blended, blurred, luma, relit, turned
from pretrain.data.photometric import CHANGES, ColourJitter
from tests.support.cuda_division import CudaDivision

COUNT = 48


def pictures(width: int = 40, height: int = 32) -> NDArray[np.uint8]:
    """Noise, smooth colours, and pictures of few colours: black, white, grey, two levels."""
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 256, (COUNT, height, width, 3), dtype=np.uint8)
    for i in range(COUNT // 2):
        coarse = Image.fromarray(shown[i, : height // 4, : width // 4])
        shown[i] = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    shown[-1], shown[-2] = 0, 255
    shown[-3] = shown[-3, ..., :1]
    shown[-4] = shown[-4] // 128 * 255
    shown[-5] = shown[-5] // 17 * 17
    return shown


def difference(found: Tensor, expected: list[NDArray[np.uint8] | Image.Image]) -> NDArray[np.float64]:
    """Grey levels between a batch, [B, 3, S, S], and pictures by Pillow."""
    theirs = np.stack([np.asarray(picture) for picture in expected]).astype(np.float64)
    return np.abs(found.permute(0, 2, 3, 1).numpy() - theirs)


def factors(low: float, high: float) -> Tensor:
    drawn = torch.empty(COUNT).uniform_(low, high, generator=torch.Generator().manual_seed(1))
    drawn[:2] = torch.tensor([low, high])
    return drawn


@pytest.mark.parametrize("which", [0, 1, 2], ids=["brightness", "contrast", "saturation"])
def test_a_blend_has_pillows_pixels(which: int) -> None:
    shown, drawn = pictures(), factors(0.2, 1.8)
    others = torch.ones(COUNT, 3)
    others[:, which] = drawn
    expected = [CHANGES[which](Image.fromarray(p), f) for p, f in zip(shown, drawn.tolist(), strict=True)]
    found = blended(planes(torch.from_numpy(shown)), torch.full((COUNT,), which), others)
    assert difference(found, list(expected)).max() == 0


def test_grey_has_pillows_pixels() -> None:
    shown = pictures()
    expected = [Image.fromarray(p).convert("L").convert("RGB") for p in shown]
    found = luma(planes(torch.from_numpy(shown))).expand(-1, 3, -1, -1)
    assert difference(found, list(expected)).max() == 0


def test_a_shifted_hue_is_within_a_level_of_pillows() -> None:
    shown = pictures(120, 100)
    levels = torch.tensor([0, 1, 25, 128, 230, 255] * (COUNT // 6)).float()
    expected = [CHANGES[3](Image.fromarray(p), x) for p, x in zip(shown, levels.tolist(), strict=True)]
    found = difference(turned(planes(torch.from_numpy(shown)), levels), list(expected))
    assert found.max() <= 1
    assert found.mean() < 0.01


def test_a_blur_is_within_a_level_of_pillows() -> None:
    shown, radii = pictures(), factors(0.1, LARGEST_RADIUS)
    radii[2] = 0
    expected = [
        Image.fromarray(p).filter(ImageFilter.GaussianBlur(r))
        for p, r in zip(shown, radii.tolist(), strict=True)
    ]
    found = difference(blurred(planes(torch.from_numpy(shown)), radii), list(expected))
    assert found.max() <= 1
    assert found.mean() < 0.01


@pytest.mark.parametrize("side", [1, 2, 3])
def test_pictures_smaller_than_a_blur_are_blurred_as_pillow_does(side: int) -> None:
    shown = pictures()[:, :side, :side]
    expected = [Image.fromarray(np.ascontiguousarray(p)).filter(ImageFilter.GaussianBlur(2.0)) for p in shown]
    found = difference(blurred(planes(torch.from_numpy(shown)), torch.full((COUNT,), 2.0)), list(expected))
    assert found.max() <= 1


@pytest.mark.parametrize(("strength", "hue"), [(0.4, 0.1), (0.8, 0.2), (1.5, 0.5)])
def test_colours_change_in_each_pictures_own_order(strength: float, hue: float) -> None:
    step, shown = ColourJitter(strength, hue), pictures()
    with forked(3):
        numbers = [step.draw() for _ in shown]
    assert len({tuple(row[:4]) for row in numbers}) > 15
    assert any(row[0] < 0 for row in numbers)
    expected = [step.pixels(Image.fromarray(p), row) for p, row in zip(shown, numbers, strict=True)]
    found = difference(step.on_batch(planes(torch.from_numpy(shown)), torch.tensor(numbers)), list(expected))
    assert found.max() <= 6  # a level of hue's decoding may be blended and encoded again
    assert found.mean() < 0.02


def test_light_is_changed_as_for_digits() -> None:
    view = AUGMENTATIONS["digits"](32, 1.0)
    shown = pictures(32, 32)
    with forked(4):
        numbers = [view.draw((32, 32)) for _ in shown]
    expected = [view.change(Image.fromarray(p), row) for p, row in zip(shown, numbers, strict=True)]
    found = difference(relit(planes(torch.from_numpy(shown)), torch.tensor(numbers)[:, 4:]), list(expected))
    assert found.max() <= 1
    assert found.mean() < 0.01


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize(("size", "share"), [(32, 1.0), (24, 0.75)])
def test_a_whole_augmentation_is_within_a_few_levels_of_pillows(name: str, size: int, share: float) -> None:
    view, shown = AUGMENTATIONS[name](size, share), pictures(40, 32)[: COUNT // 2]  # smooth, as photographs
    with forked(5):
        numbers = [view.draw((40, 32)) for _ in shown]
    drawn = torch.tensor(numbers)
    cuts = view.cut_batch(torch.from_numpy(shown), drawn)
    expected = [view.pixels(Image.fromarray(p), row) for p, row in zip(shown, numbers, strict=True)]
    found = difference(view.change_batch(cuts, drawn), list(expected))
    assert found.mean() < 0.5
    assert np.quantile(found, 0.999) <= 4
    alone = torch.cat(
        [
            view.change_batch(view.cut_batch(torch.from_numpy(shown[i : i + 1]), row), row)
            for i, row in enumerate(drawn.split(1))
        ]
    )
    assert torch.equal(view.change_batch(cuts, drawn), alone)  # whatever else is in the batch


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_numbers_are_drawn_before_the_pixels_are_made(name: str) -> None:
    view, shown = AUGMENTATIONS[name](24, 1.0), Image.fromarray(pictures()[0])
    for seed in range(20):
        with forked(seed):
            numbers, then = view.draw(shown.size), torch.rand(1)
        with forked(seed):
            pixels, after = view(shown), torch.rand(1)
        assert torch.equal(then, after)
        assert np.array_equal(pixels.numpy(), view.pixels(shown, numbers))


def test_a_device_that_divides_otherwise_gives_the_same_pixels() -> None:
    g = torch.Generator().manual_seed(0)
    shown = torch.randint(0, 256, (64, 128, 128, 3), generator=g, dtype=torch.uint8)
    radii, hues = torch.rand(64, generator=g) * LARGEST_RADIUS, torch.randint(0, 256, (64,), generator=g)
    low = (torch.rand(64, 2, generator=g) * 60).floor()

    def made() -> list[Tensor]:
        x = planes(shown)
        crops = resized(shown[:8], torch.cat([low, low + 45], dim=1)[:8], 224, "bilinear")
        return [crops, turned(x, hues.float()), blurred(x[:8], radii[:8])]

    expected = made()
    with CudaDivision():
        thirds = torch.arange(99.0) / 3
        found = made()
    assert not torch.equal(thirds, torch.arange(99.0) / 3), "nothing was imitated"
    assert all(map(torch.equal, expected, found))
