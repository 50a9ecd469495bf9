"""What a plug-in imports: an evaluator, a data set, a checkpoint format or a pretraining method.

The names here keep their meaning from version to version; everything else may move. docs/extending.md has a
whole example of each kind.
"""

from __future__ import annotations

from eval_tasks._shared.frozen import FrozenTask
from eval_tasks._shared.outcome import score_test_images
from hsa_bench.core.checkpoints.layout import Converted, Payload, has, split, state_in, take
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, DatasetSpec, ImageSet
from hsa_bench.core.data.images import ArrayImages, FileImages
from hsa_bench.core.errors import DataError, HsaBenchError, PretrainingError, UsageError
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.curve import Curve
from hsa_bench.core.results.metric import Metric, number, percent, top1
from hsa_bench.core.results.outcomes import ClassificationOutcomes, DetectionOutcomes
from hsa_bench.core.runs.task import SETTINGS, ClassificationTask, Outcome, Task
from hsa_bench.core.seed import generator
from pretrain.contrastive import Contrastive
from pretrain.encoder import Encoder
from pretrain.settings import Settings as PretrainingSettings

__all__ = [
    "SETTINGS",
    "ArrayImages",
    "Backbone",
    "Classification",
    "ClassificationOutcomes",
    "ClassificationTask",
    "Context",
    "Contrastive",
    "Converted",
    "Curve",
    "DataError",
    "DatasetSpec",
    "DetectionOutcomes",
    "Encoder",
    "FileImages",
    "FrozenTask",
    "HsaBenchError",
    "ImageSet",
    "Metric",
    "Outcome",
    "Payload",
    "Preprocess",
    "PretrainingError",
    "PretrainingSettings",
    "Task",
    "UsageError",
    "Wanted",
    "generator",
    "has",
    "number",
    "percent",
    "score_test_images",
    "split",
    "state_in",
    "take",
    "top1",
]
