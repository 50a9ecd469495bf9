from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.data import device_views
from hsa_bench.core.data.device_views import AugmentOn, DeviceViews
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages, FileImages
from hsa_bench.core.data.loading import stream
from hsa_bench.core.data.views import Normalise, View, random_view
from hsa_bench.core.models.preprocess import Preprocess

CARD = Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), channels="BGR", value_range=255)
"""Input is the pixels, blue first."""
VIEW = random_view(View(size=16, resize=16), CARD, smallest=0.3)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def arrays(count: int = 12) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 20, 24, 3), dtype=np.uint8)
    return ImageSet(ArrayImages(pixels), np.arange(count) % 2, ("a", "b"), tuple(map(str, range(count))))


def files(folder: Path, count: int = 12) -> ImageSet:
    """Pictures of many sizes."""
    rng, names = np.random.default_rng(0), tuple(f"{i}.png" for i in range(count))
    for i, name in enumerate(names):
        Image.fromarray(rng.integers(0, 256, (20 + i, 30 - i, 3), dtype=np.uint8)).save(folder / name)
    return ImageSet(FileImages(folder, names), np.arange(count) % 2, ("a", "b"), names)


def inputs(images: ImageSet, augment_on: AugmentOn, ctx: Context) -> Tensor:
    """Two epochs of input, [N, 3, 16, 16], as the linear classifier gets it."""
    there = DeviceViews(images, CARD, torch.device("cpu"), augment_on)
    loader = stream(images, [there.carried(VIEW)], 5, seed=3, steps=6, ctx=ctx)
    made = [there.finished(VIEW, carried, index) for (carried,), _, index in loader]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in made)
    return torch.cat(made)


def test_both_ways_show_the_same_views_of_pictures_in_memory(ctx: Context) -> None:
    cpu, device = (inputs(arrays(), on, ctx) for on in ("cpu", "device"))
    assert cpu.shape == (24, 3, 16, 16)
    assert 0 < (cpu - device).abs().max() <= 1


def test_both_ways_show_the_same_views_of_a_subset(ctx: Context) -> None:
    part = arrays().subset([7, 3, 11, 0, 5, 8])
    cpu, device = (inputs(part, on, ctx) for on in ("cpu", "device"))
    assert (cpu - device).abs().max() <= 1


def test_files_of_many_sizes_are_cropped_before_they_travel(ctx: Context, tmp_path: Path) -> None:
    images = files(tmp_path)
    cpu, device = (inputs(images, on, ctx) for on in ("cpu", "device"))
    assert torch.equal(cpu, device)  # cropped by Pillow both times


def test_a_set_too_large_for_the_device_is_cropped_before_it_travels(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = inputs(arrays(), "cpu", ctx)
    monkeypatch.setattr(device_views, "WHOLE", 12 * 20 * 24 * 3)
    assert DeviceViews(arrays(), CARD, torch.device("cpu"), "device").lives_there
    monkeypatch.setattr(device_views, "WHOLE", 12 * 20 * 24 * 3 - 1)
    assert torch.equal(inputs(arrays(), "device", ctx), cpu)


def test_only_numbers_travel_where_the_pictures_are_there() -> None:
    there = DeviceViews(arrays(), CARD, torch.device("cpu"), "device")
    carried = there.carried(VIEW)(arrays().picture(0))
    assert carried.shape == (5,)
    assert torch.equal(there.whole, torch.from_numpy(arrays().images.pixels))  # type: ignore[attr-defined]


def test_input_is_normalised_to_the_bits_of_the_table() -> None:
    card = Preprocess(channels="BGR")
    there = DeviceViews(arrays(), card, torch.device("cpu"), "device")
    numbers = torch.tensor([[0.0, 0, 16, 16, 1]])
    found = there.finished(VIEW, numbers, torch.tensor([4]))
    picture = arrays().picture(4).crop((0, 0, 16, 16)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert torch.equal(found[0], Normalise(card)(picture))


@pytest.mark.processes
def test_loader_processes_change_nothing(ctx: Context, tmp_path: Path) -> None:
    for images in (arrays(), files(tmp_path)):
        alone, together = (inputs(images, "device", replace(ctx, workers=w)) for w in (0, 2))
        assert torch.equal(alone, together)
