"""SVM scores of VOC's images as outcomes from which the mean average precision of any resample follows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eval_tasks._svm.fit import Floats
from hsa_bench.core.data.detection.voc_labels import IGNORED, PRESENT, VocLabels
from hsa_bench.core.data.image_set import Labels
from hsa_bench.core.results.outcomes import DetectionOutcomes


def outcomes(data: VocLabels, asked: Labels, classes: NDArray[np.int64], scores: Floats) -> DetectionOutcomes:
    """Each image once for each class, as a detection that is right where the image shows the class.

    So the mean average precision of any resample of the images can be taken. It is the same at all IoUs.

    Args:
        data: The test images.
        asked: Their labels, [I, 20].
        classes: Those that are measured, [C].
        scores: Of these classes, [C, I].
    """
    images, kinds = len(asked), asked.shape[1]
    labels = asked[:, classes].T.ravel()  # [C x I]
    objects = np.zeros((images, kinds), np.int32)
    objects[:, classes] = asked[:, classes] == PRESENT
    none = np.zeros(0, np.int32)
    iou = np.ones(10, np.bool_)
    return DetectionOutcomes(
        example=np.array(data.test.examples),
        interpolation=np.array("voc-area"),
        classes=np.array(data.classes, np.str_),
        bbox_image=np.tile(np.arange(images, dtype=np.int32), len(classes)),
        bbox_class=np.repeat(classes.astype(np.int32), images),
        bbox_score=scores.ravel(),
        bbox_matched=(labels == PRESENT)[:, None] & iou,
        bbox_ignored=(labels == IGNORED)[:, None] & iou,
        bbox_objects=objects,
        segm_image=none,
        segm_class=none,
        segm_score=none.astype(np.float32),
        segm_matched=np.zeros((0, 10), np.bool_),
        segm_ignored=np.zeros((0, 10), np.bool_),
        segm_objects=objects[:, :0],
    )
