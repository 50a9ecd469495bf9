"""Made pictures as large as ImageNet's: in memory as they are seen, or as JPEG files of 500 x 375 px."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.open import open_dataset

DISTINCT = 64
"""Pictures that are drawn; the others are copies of them, which cost as much to decode."""


def in_memory(count: int, side: int) -> ImageSet:
    """Squares of noise, uint8."""
    few = np.random.default_rng(0).integers(0, 256, (min(count, DISTINCT), side, side, 3), dtype=np.uint8)
    pixels = np.concatenate([few] * -(-count // len(few)))[:count]
    labels = np.arange(count) % 2
    return ImageSet(ArrayImages(pixels), labels, ("a", "b"), tuple(map(str, range(count))))


def as_files(folder: Path, count: int) -> Classification:
    """A folder of `count` training pictures in two classes, and two test pictures."""
    rng, contents = np.random.default_rng(0), []
    for i in range(min(count, DISTINCT)):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        path = folder / f"{i}.jpg"
        Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=92)
        contents.append(path.read_bytes())
        path.unlink()
    names = [f"train/{'ab'[i % 2]}/{i:06}.jpg" for i in range(count)] + ["test/a/0.jpg", "test/b/0.jpg"]
    for parent in {Path(name).parent for name in names}:
        (folder / parent).mkdir(parents=True)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(Path.write_bytes, [folder / name for name in names], cycle(contents)))
    return open_dataset(f"imagefolder:{folder}", Path())
