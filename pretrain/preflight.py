"""Settings and data that cannot work together, refused before training."""

from __future__ import annotations

from hsa_bench.core.data_error import DataError
from pretrain.settings import Settings


class PretrainingError(DataError):
    """Settings and data that cannot work together, found before training."""


def check(settings: Settings, images: int) -> None:
    """Refuse what cannot train.

    Raises:
        PretrainingError: With the settings that clash and what to change.
    """
    if images < settings.batch:
        raise PretrainingError(f"batch {settings.batch} is larger than the training set ({images} images)")
    if settings.method == "simclr":
        return
    if not settings.batch < settings.queue:
        raise PretrainingError(f"queue {settings.queue} must be larger than the batch ({settings.batch})")
    if settings.queue >= images:
        raise PretrainingError(
            f"queue {settings.queue} must be smaller than the training set ({images} images): "
            "each anchor would meet its own older key as a negative"
        )
    if settings.method == "hsa" and settings.neighbours and settings.k >= images:
        raise PretrainingError(f"k {settings.k} neighbours cannot be found among {images} images")
