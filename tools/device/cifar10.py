"""CIFAR-10 on a node, in the folder of data sets: its python release, or a folder of pictures a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.open import open_dataset
from tools.device.piece import Call
from tools.device.piece_folder import PieceFolder
from tools.device.row import Row

RELEASE = "cifar-10-batches-py"
RELEASE_NAME = "cifar10"
TINY = "digits"
"""What a rehearsal takes in its place."""


def dataset(call: Call) -> str:
    """Name the data set as the suite's commands take it; "" where it is not there."""
    if call.tiny:
        return TINY
    pictures = call.data / "cifar10"
    if (pictures / "train").is_dir():
        return f"imagefolder:{pictures}"
    return RELEASE_NAME if any((at / RELEASE).is_dir() for at in (pictures, call.data)) else ""


def noted(call: Call, on_file: PieceFolder) -> bool:
    """Write where the pictures are taken from, or that the piece is skipped; return whether they are here."""
    name = dataset(call)
    words = {"": "skipped", TINY: TINY, RELEASE_NAME: "its python release"}.get(
        name, "files, a folder a class"
    )
    note = (
        ""
        if name
        else (
            "no CIFAR-10 in DATA: neither cifar10/train and cifar10/test, a folder a class in each, nor "
            f"{RELEASE}"
        )
    )
    row = Row("CIFAR-10", words, note=note)
    if "pictures" not in on_file.parts or on_file.parts["pictures"].rows != (row,):
        on_file.put("pictures", [row], 0.0)
    if not name:
        print(f"  skipped: {note}; DATA={call.data}", flush=True)
    return bool(name)


def training_pictures(call: Call, count: int | None = None) -> ImageSet:
    """Read the training pictures into memory, so that a device may hold them whole; or but so many."""
    images = open_dataset(dataset(call), call.data).limited(count).train
    if isinstance(images.images, ArrayImages):
        return images
    pixels = np.stack([np.asarray(images.picture(i)) for i in range(len(images))])
    return replace(images, images=ArrayImages(pixels), indices=None)
