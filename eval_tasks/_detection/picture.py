"""Some test pictures with what a detector found in them, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval_tasks._detection.prediction import Row
from hsa_bench.core.coco_file import unpacked
from hsa_bench.core.detection_data import DetectionSplit
from hsa_bench.core.store import whole_file

PICTURES = 6
"""The first ones of the split."""
SHOWN = 0.5
"""Score from which a detection is drawn."""


def draw_detections(path: Path, split: DetectionSplit, rows: Sequence[Row]) -> None:
    """Write the first test pictures with boxes, classes, scores and masks drawn in."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    count = min(PICTURES, len(split))
    figure = Figure(figsize=(3 * count, 3.2), layout="constrained")
    colours = colormaps["tab10"]
    names = {category.id: (i, category.name) for i, category in enumerate(split.categories)}
    for index, axes in enumerate(np.atleast_1d(figure.subplots(1, count))):
        photo = split.photos[index]
        axes.imshow(split.images[index], extent=(0, photo.width, photo.height, 0))
        axes.axis("off")
        for row in rows:
            if row["image_id"] != photo.id or row["score"] < SHOWN:
                continue
            place, name = names[row["category_id"]]
            colour = colours(place % 10)
            x, y, width, height = row["bbox"]
            axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=1.5))
            axes.text(x, y, f"{name} {row['score']:.2f}", fontsize=7, color="white", backgroundcolor=colour)
            mask = unpacked(row["segmentation"])[:, :, None]  # [H, W, 1]
            axes.imshow(mask * np.array([*colour[:3], 0.5]), extent=(0, photo.width, photo.height, 0))
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=110)
