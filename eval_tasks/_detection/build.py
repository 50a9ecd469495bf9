"""A detector over a trunk, by the engine that the task's settings name."""

from __future__ import annotations

from torch import nn

from eval_tasks._detection.engine import Detector
from eval_tasks._detection.settings import DetectionTask


def build_detector(trunk: nn.Module, classes: int, task: DetectionTask) -> Detector:
    """Build a detector over a trunk, by the engine of the task's settings.

    Args:
        trunk: Becomes part of the detector; hand in a copy. Heads draw from torch's global generator.
        classes: Kinds of objects, background not counted.
        task: Its settings, resolved.
    """
    if task.engine == "detectron2":
        from eval_tasks._detection.detectron2.detector import detectron2_detector

        return detectron2_detector(trunk, classes, task)
    from eval_tasks._detection.torchvision.detector import torchvision_detector

    return torchvision_detector(trunk, classes, task)
