"""Folders in COCO's layout for tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from hsa_bench.core.data.detection.detection_data import DetectionData, open_coco

WIDTH, HEIGHT = 12, 8
POLYGON = [[2, 1, 6, 1, 6, 4, 2, 4]]
"""Of 4 x 3 px, at (2, 1)."""


def content(split: str, pictures: int = 3) -> dict[str, Any]:
    """An annotation file of pictures of 12 x 8 px, each with a cat of 4 x 3 px."""
    return {
        "images": [
            {"id": 10 + i, "file_name": f"{split}{i}.png", "width": WIDTH, "height": HEIGHT}
            for i in range(pictures)
        ],
        "categories": [{"id": 5, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {
                "id": i,
                "image_id": 10 + i,
                "category_id": 3,
                "bbox": [2, 1, 4, 3],
                "area": 12,
                "iscrowd": 0,
                "segmentation": POLYGON,
            }
            for i in range(pictures)
        ],
    }


def write_coco(root: Path, change: Callable[[str, dict[str, Any]], object] = lambda _, __: None) -> Path:
    """Write train and val; `change` may mend or break the content of each before it is written."""
    for split in ("train", "val"):
        said = content(split)
        (root / split).mkdir(parents=True, exist_ok=True)
        (root / "annotations").mkdir(exist_ok=True)
        for i, photo in enumerate(said["images"]):
            colour = (60 * i, 90, 200 if split == "val" else 10)
            Image.new("RGB", (WIDTH, HEIGHT), colour).save(root / split / photo["file_name"])
        change(split, said)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(said))
    return root


def opened_coco(root: Path) -> DetectionData:
    """Open a folder as it is now."""
    open_coco.cache_clear()
    return open_coco(root, "mine")
