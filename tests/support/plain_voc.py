"""VOC's average precision by the devkit's rules (VOCevaldet) as Detectron2 computes it, in plain loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Corners = tuple[float, float, float, float]
Objects = dict[str, list[tuple[str, Corners, bool]]]
"""Class, corners counted from 1, and whether it is difficult, by image."""

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def overlap(a: Corners, b: Corners) -> float:
    """Intersection over union of boxes that hold their last pixel."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def objects_of(folder: Path, split: str) -> Objects:
    """Read the objects of the images that a list names."""
    there: Objects = {}
    for image in (folder / "ImageSets" / "Main" / f"{split}.txt").read_text().split():
        tree = ElementTree.parse(folder / "Annotations" / f"{image}.xml")
        there[image] = []
        for one in tree.iter("object"):
            x0, y0, x1, y1 = (float(one.findtext(f"bndbox/{c}", "")) for c in CORNERS)
            difficult = one.findtext("difficult") == "1"
            there[image].append((one.findtext("name", ""), (x0, y0, x1, y1), difficult))
    return there


def average_precision(
    rows: list[dict[str, Any]],
    there: Objects,
    category: str,
    threshold: float,
    use_07: bool,
) -> float:
    """AP of one class at one overlap, in percent."""
    wanted = sum(name == category and not hard for found in there.values() for name, _, hard in found)
    ranked = sorted((r for r in rows if r["category"] == category), key=lambda r: -r["score"])
    taken: set[tuple[str, int]] = set()
    right, points = 0, []
    counted = 0
    for row in ranked:
        x0, y0, x1, y1 = row["bbox"]
        corners = (x0 + 1, y0 + 1, x1, y1)
        best, nearest = -1.0, -1
        for i, (name, box, _) in enumerate(there[row["image_id"]]):
            if name == category and overlap(corners, box) > best:
                best, nearest = overlap(corners, box), i
        place = (row["image_id"], nearest)
        if best > threshold and there[row["image_id"]][nearest][2]:
            continue  # a difficult object: counts neither way
        counted += 1
        if best > threshold and place not in taken:
            taken.add(place)
            right += 1
        points.append((right / wanted, right / counted))
    if use_07:
        # 3 * 0.1 is more than 0.3 in floats, so a recall of 3/10 reads the next precision, as in Detectron2
        grid = [t * 0.1 for t in range(11)]
        return 100 * sum(max((p for r, p in points if r >= t), default=0.0) for t in grid) / 11
    area, before = 0.0, 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - before) * max(p for r, p in points if r >= recall)
        before = recall
    return 100 * area


def plain_voc(rows: list[dict[str, Any]], folder: Path, split: str, use_07: bool) -> dict[str, float]:
    """AP over ten overlaps, at .50 and at .75, averaged over the classes that have objects."""
    there = objects_of(folder, split)
    classes = sorted({name for found in there.values() for name, _, difficult in found if not difficult})
    each = {
        iou: sum(average_precision(rows, there, c, iou / 100, use_07) for c in classes) / len(classes)
        for iou in range(50, 100, 5)
    }
    return {"AP": sum(each.values()) / 10, "AP50": each[50], "AP75": each[75], "classes": len(classes)}
