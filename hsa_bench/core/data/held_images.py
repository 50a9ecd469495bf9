"""Pictures that are read and decoded once and held in memory, for trainings that see them many times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages, Images

HELD = 2**30
"""Bytes of pixels that are held at most; pictures beyond are decoded each time they are asked for."""

AHEAD = 64
"""Pictures decoded at once, which are in memory twice."""


class Place(NamedTuple):
    """Place of a picture's pixels in `HeldImages.pixels`."""

    begin: int
    """Index of its first byte."""
    height: int
    width: int


@dataclass(frozen=True)
class HeldImages:
    """The pictures of another collection under the same numbers, some of them as pixels in memory."""

    images: Images
    """The other collection, asked for what is not held."""
    pixels: Tensor
    """Pixels of one picture after the other, uint8, in one tensor, whose memory loader processes share."""
    places: Mapping[int, Place]
    """Place of each picture that is held, by its number."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image.Image:
        place = self.places.get(index)
        if place is None:
            return self.images[index]
        begin, height, width = place
        pixels = self.pixels[begin : begin + height * width * 3]
        return Image.fromarray(pixels.view(height, width, 3).numpy())

    @property
    def side(self) -> int:
        return self.images.side

    def digest(self) -> str:
        return self.images.digest()


def held(images: ImageSet, rows: Sequence[int], workers: int = 0, most: int = HELD) -> ImageSet:
    """Decode some pictures of a set now and hold them in memory; a set that is in memory stays as it is.

    Args:
        images: All of them keep their numbers.
        rows: Which of them to hold.
        workers: Threads that decode.
        most: Most bytes of pixels; pictures are held in order until one does not fit.

    Raises:
        BrokenPicture: A picture cannot be decoded.
    """
    if isinstance(images.images, ArrayImages | HeldImages):
        return images
    pixels = bytearray()
    places: dict[int, Place] = {}
    wanted = list(dict.fromkeys(rows if images.indices is None else [images.indices[row] for row in rows]))
    for row, picture in _decoded(images.images, wanted, max(1, workers)):
        if len(pixels) + picture.width * picture.height * 3 > most:
            break
        places[row] = Place(len(pixels), picture.height, picture.width)
        pixels += picture.tobytes()
    tensor = torch.frombuffer(pixels, dtype=torch.uint8) if pixels else torch.empty(0, dtype=torch.uint8)
    return replace(images, images=HeldImages(images.images, tensor, places))


def _decoded(images: Images, rows: Sequence[int], threads: int) -> Iterator[tuple[int, Image.Image]]:
    """Yield pictures in order with their numbers, decoded by threads, `AHEAD` of them at a time."""
    with ThreadPoolExecutor(threads) as pool:
        for low in range(0, len(rows), AHEAD):
            batch = rows[low : low + AHEAD]
            yield from zip(batch, pool.map(images.__getitem__, batch), strict=True)
