from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsa_bench.core.context import Context
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.features.image_hashes import image_hashes, shared


def test_a_picture_is_found_again_in_another_set_and_another_file_format(
    ctx: Context, tmp_path: Path
) -> None:
    train = open_dataset("digits", Path()).limited(20).train
    for i in range(3):
        train.picture(i).save(tmp_path / f"{i}.png")
    Image.fromarray(np.full((32, 32, 3), 7, np.uint8)).save(tmp_path / "new.bmp")
    names = ("0.png", "1.png", "2.png", "new.bmp")
    other = replace(
        train, images=FileImages(tmp_path, names), labels=np.zeros(4, np.int64), examples=names, indices=None
    )

    assert shared(image_hashes(other, ctx), image_hashes(train, ctx)) == 3
    assert shared(image_hashes(train, ctx), image_hashes(train, ctx)) == 20


@pytest.mark.processes
def test_loader_processes_give_the_same_hashes(ctx: Context) -> None:
    train = open_dataset("digits", Path()).limited(20).train
    assert np.array_equal(image_hashes(train, ctx), image_hashes(train, replace(ctx, workers=2)))


def test_the_same_bytes_in_another_shape_are_another_picture(ctx: Context) -> None:
    train = open_dataset("digits", Path()).limited(20).train.subset([0, 1])

    class Two:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Image.Image:
            return Image.new("RGB", (4, 8) if index else (8, 4))

        def digest(self) -> str:
            return ""

    one, other = image_hashes(replace(train, images=Two(), indices=None), ctx)
    assert one != other
