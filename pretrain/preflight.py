"""Settings and data that cannot work together, refused before training; and those that hardly do."""

from __future__ import annotations

from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.errors import PretrainingError
from pretrain.contrastive import method_class
from pretrain.monitor.pixels import classes_of
from pretrain.settings import Settings


def check(settings: Settings, images: int, image_size: int = 0, processes: int = 1) -> None:
    """Refuse what cannot train.

    Args:
        settings: To be checked.
        images: Pictures to train on.
        image_size: Side of the full crops, px; 0 if it is not known yet.
        processes: That share a batch.

    Raises:
        PretrainingError: With the settings that clash and what to change.
    """
    if images < settings.batch:
        raise PretrainingError(f"batch {settings.batch} is larger than the training set ({images} images)")
    if settings.part % processes:
        raise PretrainingError(f"{processes} processes cannot share a batch of {settings.part} equally")
    settings.fitted(images // settings.batch)
    if not method_class(settings.method).queued:
        return
    _check_groups(settings, processes)
    _check_queue(settings, images)
    if settings.method == "hsa" and settings.neighbours and settings.k >= images:
        raise PretrainingError(f"k {settings.k} neighbours cannot be found among {images} images")
    large = [crop for crop in settings.crops if image_size and crop >= image_size]
    if large:
        raise PretrainingError(f"crops {large}: must be smaller than the full view ({image_size} px)")


def check_labels(settings: Settings, images: ImageSet) -> None:
    """Refuse a length that labels decide, where there are none.

    Raises:
        PretrainingError: With what to change.
    """
    if settings.until_purity and classes_of(images) < 2:
        raise PretrainingError(
            f"until_purity {settings.until_purity:g}: the training images have no labels, or one class "
            "alone, so nothing tells the purity of neighbours; set until_purity 0, and epochs"
        )


def _check_queue(settings: Settings, images: int) -> None:
    keys, queue = method_class(settings.method).keys(settings), settings.queue
    each = "" if keys == 1 else f" x {keys} keys each"
    if queue <= keys * settings.batch:
        raise PretrainingError(f"queue {queue} must be larger than the batch ({settings.batch}{each})")
    if queue >= keys * images:
        raise PretrainingError(
            f"queue {queue} must be smaller than the training set ({images} images{each}): "
            "each anchor would meet its own older key as a negative"
        )


def _check_groups(settings: Settings, processes: int) -> None:
    groups = settings.groups
    if settings.part % groups or (groups % processes and processes % groups):
        raise PretrainingError(
            f"bn_groups {groups}: a batch of {settings.part} on {processes} process(es) cannot be cut into "
            "that many equal parts; choose a divisor of the batch that divides their number, or a multiple"
        )
    if settings.part // groups < 2:
        raise PretrainingError(
            f"bn_groups {groups}: leaves one picture a part; batch norm needs two (batch {settings.part})"
        )


def warnings(settings: Settings, images: int) -> tuple[str, ...]:
    """List what works but should be known."""
    settings = settings.fitted(images // settings.batch)
    method, texts = method_class(settings.method), []
    held = settings.queue / method.keys(settings)
    if method.queued and 4 * held > images:
        each = "" if held == settings.queue else f", {method.keys(settings)} keys a picture,"
        texts.append(
            f"queue {settings.queue}{each} is {held / images:.0%} of the training set: "
            f"{met_share(held, images):.1%} of the anchors meet their own older key as a negative"
        )
    last, first = min(settings.refresh, settings.epochs), settings.warmup_epochs
    weighed = settings.method == "hsa" and settings.neighbours and settings.weights[1] > 0
    untrained = not (settings.init or settings.start_from)
    if weighed and untrained and first < last:
        remedy = f"Set refresh {first}, or a longer warmup" if first else "Set a warmup"
        texts.append(
            f"epochs {first + 1} to {last} learn from neighbours that the untrained network found: the "
            f"warm-up ends before the second mining. {remedy}"
        )
    return tuple(texts)


def met_share(held: float, images: int) -> float:
    """Return the share of anchors whose own key of the epoch before is still in the queue.

    An anchor at place t of its epoch finds the keys of the last `held - t` pictures of the epoch before; its
    own stands anywhere among `images`. The mean over t is held² / (2 images²).

    Args:
        held: Pictures whose keys fill the queue.
        images: Pictures of the training set.
    """
    return held**2 / (2 * images**2)
