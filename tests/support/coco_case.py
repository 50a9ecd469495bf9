"""Objects and detections in COCO's form, made by hand or at random."""

from __future__ import annotations

from typing import Any

import numpy as np


def box(x: float, y: float, w: float, h: float) -> dict[str, Any]:
    """A box and the mask that fills it."""
    return {"bbox": [x, y, w, h], "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}


def truth(objects: list[dict[str, Any]], images: int = 2) -> dict[str, Any]:
    return {
        "images": [{"id": i, "width": 200, "height": 150} for i in range(1, images + 1)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
        "annotations": [
            {"id": i, "area": o["bbox"][2] * o["bbox"][3], "iscrowd": 0, **o} for i, o in enumerate(objects)
        ],
    }


def in_image(image: int, category: int, **rest: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, **rest}


def random_case(seed: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Objects in most images, some a crowd, and detections that are objects shaken, relabelled or made up."""
    rng = np.random.default_rng(seed)
    objects, found = [], []
    for _ in range(40):
        w, h = rng.uniform(5, 60, 2)
        place = box(*map(float, (*rng.uniform(0, 80, 2), w, h)))
        row = in_image(int(rng.integers(1, 9)), int(rng.choice([3, 8])), **place)
        objects.append({**row, "iscrowd": int(rng.random() < 0.1)})
        x, y, w, h = np.array(place["bbox"]) + rng.normal(0, 3, 4)
        shaken = box(float(max(x, 0)), float(max(y, 0)), float(abs(w) + 1), float(abs(h) + 1))
        found.append({**row, **shaken, "score": float(np.float32(rng.random()))})
    found += [{**row, "category_id": 3, "score": float(np.float32(rng.random()))} for row in found[:15]]
    return found, truth(objects, images=10)
