"""Run a classification task on data and a backbone in memory."""

from __future__ import annotations

import numpy as np
import pytest

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.runs.task import ClassificationTask, Outcome

ON_ONE_THREAD = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]
"""Marks of files whose networks are tiny and whose loaders may be processes."""


def run(
    task: ClassificationTask, backbone: Backbone, data: Classification, ctx: Context, seed: int = 0
) -> Outcome:
    """The outcome of the task as it is resolved for the data."""
    return task.resolved(data, ctx).run(backbone, data, seed=seed, limit=None, ctx=ctx)


def scores(outcome: Outcome) -> np.ndarray:
    """The score of each test image."""
    assert isinstance(outcome.examples, ClassificationOutcomes)
    return outcome.examples.score
