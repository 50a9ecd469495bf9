"""Which images have an object to learn, and which one to find."""

from __future__ import annotations

from hsa_bench.core.data.detection.detection_data import DetectionData, DetectionSplit
from hsa_bench.core.errors import DataError


def to_learn(split: DetectionSplit) -> list[int]:
    """Images that have an object to be learnt, and no crowd alone."""
    return [i for i, objects in enumerate(split.objects) if any(not o.iscrowd for o in objects)]


def to_find(split: DetectionSplit) -> list[int]:
    """Images that have an object that the test asks for: no crowd, and in VOC not a difficult one."""
    return [
        i
        for i, objects in enumerate(split.objects)
        if any(not o.iscrowd and not o.difficult for o in objects)
    ]


def refuse_nothing(data: DetectionData) -> None:
    """Refuse data with nothing to learn, or nothing to find.

    Raises:
        DataError: With the file that says so.
    """
    for split, found, what in (
        (data.train, to_learn(data.train), "no image has an object to learn (crowds are not learnt)"),
        (
            data.val,
            to_find(data.val),
            "no test image has an object to find (crowds and difficult ones aside)",
        ),
    ):
        if not found:
            left_out = f"; {len(split.dropped):,} are left out: {split.dropped[0]}" if split.dropped else ""
            raise DataError(f"{split.annotation_file}: {what}{left_out}")
