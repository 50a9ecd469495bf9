"""Scenes of handwritten digits with boxes and masks, in COCO's layout: detection without a download.

Each scene is a textured ground with some digits of scikit-learn's set at random place, size, colour and
turn; no two masks overlap. Digits of the test split of `digits` appear in the val scenes only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contourpy
import numpy as np
import pycocotools.mask as run_lengths
from numpy.typing import NDArray
from PIL import Image

from hsa_bench.core.data.datasets.digits import TEST, glyph
from hsa_bench.core.files import whole_folder
from hsa_bench.core.seed import derive

VERSION = 1
"""Raised when a scene changes; enters the folder's name."""

SIDE = 96
"""Width and height of a scene, px."""
SCENES = {"train": 300, "val": 100}
FEWEST, MOST = 3, 6
"""Digits in a scene."""
SMALLEST, LARGEST = 32, 46
"""Width of a digit's square, px; the digit itself is a fifth less high and half as wide."""
TURN = 20.0
"""Largest turn either way, degrees."""
TRIES = 50
"""Places tried for a digit before it is left out."""
FAINT = 0.05
"""Cover of two digits that may meet in a pixel."""
INK = 0.4
"""Cover from which a pixel belongs to the mask."""

Cover = NDArray[np.float64]
"""Share of each pixel that a digit covers, [SIDE, SIDE] in [0, 1]."""


@dataclass(frozen=True)
class Scene:
    """A rendered picture and what is in it."""

    pixels: NDArray[np.uint8]
    """RGB, [SIDE, SIDE, 3]."""
    covers: tuple[Cover, ...]
    labels: tuple[int, ...]


def digit_scenes(cache: Path, seed: int = 0) -> Path:
    """The folder with the scenes, generated unless it is there.

    Args:
        cache: Folder to put it in.
        seed: Draws the scenes.

    Returns:
        A folder in COCO's layout with 10 categories.
    """
    root = cache / f"digit-scenes-v{VERSION}-seed{seed}"
    if root.is_dir():
        return root
    with whole_folder(root) as building:
        for split in SCENES:
            _write_split(building, split, seed)
    return root


def own_digits(split: str) -> NDArray[np.int64]:
    """Which of scikit-learn's digits a split is made of: those of the same split of `digits`."""
    from sklearn.datasets import load_digits

    every = np.arange(len(load_digits().target))
    return every[:-TEST] if split == "train" else every[-TEST:]


def scenes(split: str, seed: int) -> Iterator[Scene]:
    """Render one split; digits are dealt from a shuffled pack, so that all appear about as often."""
    from sklearn.datasets import load_digits

    digits, own = load_digits(), own_digits(split)
    rng = np.random.default_rng(derive(seed, "digit-scenes", split))
    pack: list[int] = []
    for _ in range(SCENES[split]):
        if len(pack) < MOST:
            pack = rng.permutation(own).tolist()
        dealt = [pack.pop() for _ in range(rng.integers(FEWEST, MOST + 1))]
        yield render([digits.images[i] for i in dealt], [int(digits.target[i]) for i in dealt], rng)


def render(digits: list[NDArray[np.float64]], labels: list[int], rng: np.random.Generator) -> Scene:
    """Place digits on a ground.

    Args:
        digits: As scikit-learn gives them, each [8, 8] in 0 .. 16.
        labels: Their classes.
        rng: Draws ground, places, sizes, turns and colours.
    """
    picture = _ground(rng)
    taken = np.zeros((SIDE, SIDE))
    covers: list[Cover] = []
    placed: list[int] = []
    for pixels, label in zip(digits, labels, strict=True):
        cover = _place(pixels, taken, rng)
        if cover is None:  # no room left; every scene has its first digit
            continue
        taken = np.maximum(taken, cover)
        covers.append(cover)
        placed.append(label)
        # ink is far from mid-grey, as the ground is near it: dark on light or light on dark
        ink = rng.uniform(0, 50, size=3) if rng.random() < 0.5 else rng.uniform(205, 255, size=3)
        picture = cover[:, :, None] * ink + (1 - cover[:, :, None]) * picture
    noisy = picture + rng.normal(0, 5, size=picture.shape)
    return Scene(noisy.clip(0, 255).astype(np.uint8), tuple(covers), tuple(placed))


def _ground(rng: np.random.Generator) -> NDArray[np.float64]:
    """Clouds of two sizes around a colour, [SIDE, SIDE, 3] in 0 .. 255."""
    ground = np.broadcast_to(rng.uniform(90, 165, size=3), (SIDE, SIDE, 3)).copy()
    for cells, strength in ((4, 16.0), (16, 8.0)):
        for channel in range(3):
            cloud = Image.fromarray(rng.normal(0, strength, size=(cells, cells)).astype(np.float32))
            ground[:, :, channel] += np.asarray(cloud.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return ground


def _place(pixels: NDArray[np.float64], taken: Cover, rng: np.random.Generator) -> Cover | None:
    side = int(rng.integers(SMALLEST, LARGEST + 1))
    framed = np.pad(pixels, 1)  # so that a turn cuts nothing off
    patch = glyph(framed, side, float(rng.uniform(-TURN, TURN)))
    for top, left in rng.integers(1, SIDE - side, size=(TRIES, 2)):  # a margin of 1 px closes every outline
        there = (slice(top, top + side), slice(left, left + side))
        if not (np.minimum(patch, taken[there]) > FAINT).any():
            cover = np.zeros((SIDE, SIDE))
            cover[there] = patch
            return cover
    return None


def outlines(cover: Cover) -> list[list[float]]:
    """Polygons around the inked pixels as x, y, x, y, …; holes are filled, as in COCO's own polygons."""
    filled = contourpy.contour_generator(z=cover, fill_type=contourpy.FillType.OuterOffset).filled(INK, 2.0)
    polygons = []
    for points, offsets in zip(*filled, strict=True):
        outer = points[: offsets[1] - 1] + 0.5  # pixel (0, 0) has its centre at 0.5, 0.5; last = first
        polygons.append(np.round(outer[::2], 1).reshape(-1).tolist())  # every second vertex, as people do
    return [polygon for polygon in polygons if len(polygon) >= 6]


def _write_split(root: Path, split: str, seed: int) -> None:
    (root / split).mkdir()
    (root / "annotations").mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes(split, seed), start=1):
        name = f"{number:06d}.jpg"
        Image.fromarray(scene.pixels).save(root / split / name, quality=92)
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        for cover, label in zip(scene.covers, scene.labels, strict=True):
            polygons = outlines(cover)
            mask = run_lengths.merge(run_lengths.frPyObjects(polygons, SIDE, SIDE))
            corners = np.concatenate([np.reshape(p, (-1, 2)) for p in polygons])
            low, high = corners.min(0), corners.max(0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [round(float(v), 2) for v in (*low, *(high - low))],
                    "area": float(run_lengths.area(mask)),
                    "iscrowd": 0,
                    "segmentation": polygons,
                }
            )
    categories = [{"id": digit + 1, "name": str(digit)} for digit in range(10)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content), encoding="utf-8")
