"""Some test pictures with what a detector found in them, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval_tasks._detection.prediction import Row
from hsa_bench.core.coco_file import unpacked
from hsa_bench.core.detection_data import DetectionSplit
from hsa_bench.core.store import whole_file

PICTURES = 4
"""The first ones of the split."""


def draw_detections(path: Path, split: DetectionSplit, rows: Sequence[Row]) -> None:
    """Write the first test pictures with the best detections, as many as there are objects.

    Boxes with class and score, masks filled; true boxes are dashed white.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    count = min(PICTURES, len(split))
    figure = Figure(figsize=(3 * count, 3))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.93, wspace=0.03)
    colours = colormaps["tab10"]
    names = {category.id: (i, category.name) for i, category in enumerate(split.categories)}
    for index, axes in enumerate(np.atleast_1d(figure.subplots(1, count))):
        photo = split.photos[index]
        axes.imshow(split.images[index], extent=(0, photo.width, photo.height, 0))
        axes.axis("off")
        for instance in split.objects[index]:
            x, y, width, height = instance.bbox
            axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="white", linestyle="--"))
        found = sorted((row for row in rows if row["image_id"] == photo.id), key=lambda row: -row["score"])
        for row in found[: len(split.objects[index])]:
            place, name = names[row["category_id"]]
            colour = colours(place % 10)
            x, y, width, height = row["bbox"]
            axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=1.5))
            axes.text(x, y, f"{name} {row['score']:.2f}", fontsize=7, color="white", backgroundcolor=colour)
            mask = unpacked(row["segmentation"])[:, :, None]  # [H, W, 1]
            axes.imshow(mask * np.array([*colour[:3], 0.5]), extent=(0, photo.width, photo.height, 0))
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=110)
