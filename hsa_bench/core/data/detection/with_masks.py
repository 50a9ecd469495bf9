"""Detection data whose objects are learnt and tested with their masks.

Detectron2 leaves objects whose polygons have fewer than three points out of training, and stops at those
without a mask (facebookresearch/detectron2 @02b5c4e detectron2/data/datasets/coco.py:177-187,
detection_utils.py:425-429); its test is pycocotools' on the file, where every box counts.
"""

from __future__ import annotations

from dataclasses import replace

from hsa_bench.core.data.detection.coco_file import Instance, Photo
from hsa_bench.core.data.detection.detection_data import DetectionData, DetectionSplit, named
from hsa_bench.core.data.detection.masks import OTHER_SIZE
from hsa_bench.core.errors import DataError


def with_masks(data: DetectionData, without: str) -> DetectionData:
    """Check the masks of all objects.

    Args:
        data: With the masks that its files state.
        without: The setting that does without masks, for messages.

    Returns:
        The data less training objects whose mask is broken. Such a test object stays: its box counts, its
        mask counts neither way. Both are among the split's `dropped`.

    Raises:
        DataError: An object has no mask, or one of another picture's size.
    """
    return replace(data, train=_checked(data.train, without, False), val=_checked(data.val, without, True))


def _checked(split: DetectionSplit, without: str, tested: bool) -> DetectionSplit:
    _refuse_boxes_alone(split, without)
    kept, dropped = [], list(split.dropped)
    for photo, objects in zip(split.photos, split.objects, strict=True):
        own = []
        for instance in objects:
            trouble = "" if instance.segmentation else "it is a crowd without a mask"
            if not trouble and not split.sound:
                trouble = instance.mask_trouble_in(photo)
            if trouble.startswith(OTHER_SIZE):
                raise DataError(
                    f"{split.annotation_file}: {named(instance, photo)}: {trouble}; or set {without}"
                )
            if trouble:
                outcome = "its box counts, its mask neither way" if tested else "not learnt"
                dropped.append(
                    f"{split.annotation_file.name}: {named(instance, photo)}: {trouble}; {outcome}"
                )
            if not trouble or tested:
                own.append(instance)
        kept.append(tuple(own))
    return replace(split, objects=tuple(kept), dropped=tuple(dropped))


def _refuse_boxes_alone(split: DetectionSplit, without: str) -> None:
    bare: list[tuple[Instance, Photo]] = [
        (instance, photo)
        for photo, objects in zip(split.photos, split.objects, strict=True)
        for instance in objects
        if not instance.segmentation and not instance.iscrowd
    ]
    if bare:
        total = sum(map(len, split.objects))
        raise DataError(
            f"{split.annotation_file}: has boxes without masks, {len(bare):,} of {total:,}, such as "
            f"{named(*bare[0])}; set {without}, or add the masks"
        )
