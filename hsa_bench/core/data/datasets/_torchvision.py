"""What the data sets that torchvision reads have in common: never downloaded, always explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import FAULTS, ArrayImages
from hsa_bench.core.errors import DataError


def opened(reader: Callable[..., Any], folder: Path, wanted: str, **options: Any) -> Any:
    """A torchvision data set, or an error that says which files it wants and where."""
    from scipy.io.matlab import MatReadError

    try:
        return reader(root=str(folder), **options)
    except (*FAULTS, ModuleNotFoundError, MatReadError) as error:
        why = str(error).partition(" You can use download")[0]  # here nothing downloads
        raise DataError(f"{folder}: {wanted} not found here or not intact ({why}); see --data") from error


def in_memory(
    pixels: NDArray[np.uint8], labels: Sequence[int] | NDArray[np.int64], classes: Sequence[str]
) -> ImageSet:
    """An image set from arrays.

    Args:
        pixels: [N, H, W, 3].
        labels: [N].
        classes: Their names.
    """
    return ImageSet(
        images=ArrayImages(pixels),
        labels=np.asarray(labels, dtype=np.int64),
        classes=tuple(classes),
        examples=tuple(map(str, range(len(pixels)))),
    )
