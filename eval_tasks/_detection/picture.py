"""Some test pictures with what a detector found in them, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval_tasks._detection.prediction import StoredDetections
from hsa_bench.core.data.detection.detection_data import DetectionSplit
from hsa_bench.core.data.detection.masks import unpacked
from hsa_bench.core.files import whole_file

PICTURES = 4
"""The first ones of the split that have an object."""


def draw_detections(path: Path, split: DetectionSplit, findings: Sequence[StoredDetections]) -> None:
    """Write the first test pictures with the best detections, as many as there are objects.

    Boxes with class and score, masks filled; true boxes are dashed white.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    chosen = [one for one in findings if split.objects[one.image]][:PICTURES]
    figure = Figure(figsize=(3 * len(chosen), 3))
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.93, wspace=0.03)
    colours = colormaps["tab10"]
    for one, axes in zip(chosen, np.atleast_1d(figure.subplots(1, len(chosen))), strict=True):
        photo, objects = split.photos[one.image], split.objects[one.image]
        axes.imshow(split.images[one.image], extent=(0, photo.width, photo.height, 0))
        axes.axis("off")
        for instance in objects:
            x, y, width, height = instance.bbox
            axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor="white", linestyle="--"))
        for i, label in enumerate(one.labels[: len(objects)].tolist()):
            colour = colours(label % 10)
            x0, y0, x1, y1 = one.boxes[i].tolist()
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.5))
            axes.text(
                x0,
                y0,
                f"{split.categories[label].name} {one.scores[i]:.2f}",
                fontsize=6,
                color="white",
                verticalalignment="bottom",
                bbox={"facecolor": colour, "linewidth": 0, "pad": 0.8},
            )
            if one.masks is not None:
                mask = unpacked(one.masks[i])[:, :, None]  # [H, W, 1]
                axes.imshow(mask * np.array([*colour[:3], 0.5]), extent=(0, photo.width, photo.height, 0))
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=110)
