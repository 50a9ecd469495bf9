"""Writes detectron2_*.npz: what the real Detectron2 finds in the case's image.

Run `python -m tests.golden.make_detection_golden` where Detectron2 is installed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval_tasks._detection.detectron2.detector import Detectron2Detector, _quiet, detectron2_detector
from hsa_bench.core.models.architectures import build
from tests.golden.detection_case import (
    CASES,
    CLASSES,
    ORIGINAL,
    detector,
    image,
    summary,
    task_of,
    under_detectron2s_names,
)

FOLDER = Path(__file__).parent


def real(case: str) -> Detectron2Detector:
    """Detectron2's network with the weights of the case's detector."""
    task = replace(task_of(case), engine="detectron2")
    there = detectron2_detector(build(CASES[case][1]), CLASSES, task)
    there.network.load_state_dict(under_detectron2s_names(detector(case), task.head), strict=True)
    return there.eval()


@torch.no_grad()
def theirs(case: str) -> dict[str, NDArray[Any]]:
    """The summary of the real Detectron2."""
    there = real(case)
    with _quiet():
        images = there.network.preprocess_image([{"image": image()}])
        maps = there.network.backbone(images.tensor)
        proposals, _ = there.network.proposal_generator(images, maps, None)
    (found,) = there.detect([image()], [ORIGINAL])
    return summary(dict(maps), proposals[0].proposal_boxes.tensor, found)


if __name__ == "__main__":
    for name in CASES:
        np.savez_compressed(FOLDER / f"detectron2_{name}.npz", **theirs(name))
