from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from eval_tasks.geometry import CAVEAT, TASKS
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.features.geometry import uniformity
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Source
from hsa_bench.core.runs.image_count import counted
from hsa_bench.core.runs.task import Outcome

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

TASK = TASKS[0]
COUNT = 60


class Level(nn.Module):
    """Pictures of one grey level each to features that a test makes up."""

    dim = 10

    def __init__(self, features: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return self.features(((x[:, 0, 0, 0] * 0.229 + 0.485) * 255 / 20).round().long())


@pytest.fixture
def levels() -> Classification:
    """Ten grey levels, a class each."""
    labels = np.arange(COUNT) % 10
    pixels = np.broadcast_to((labels * 20)[:, None, None, None], (COUNT, 8, 8, 3)).astype(np.uint8)
    images = ImageSet(ArrayImages(pixels), labels, tuple("0123456789"), tuple(map(str, range(COUNT))))
    return Classification("levels", images.subset(range(40)), images.subset(range(40, COUNT)), 8, 8)


def seen(features: Callable[[Tensor], Tensor], data: Classification, ctx: Context) -> Outcome:
    module = Level(features).eval()
    source = Source(path="", format="")
    backbone = Backbone("made", "made", module, 10, Preprocess(), weights_hash(module), source)
    return TASK.resolved(data, ctx).run(backbone, data, seed=0, limit=None, ctx=ctx)


def test_a_collapsed_trunk_is_aligned_and_nothing_else(levels: Classification, ctx: Context) -> None:
    found = seen(lambda level: torch.ones(len(level), 10), levels, ctx)
    assert found.values["alignment"] == found.values["nmi"] == found.values["ari"] == 0
    assert found.values["uniformity"] == pytest.approx(0, abs=1e-6)
    assert found.values["rankme"] == pytest.approx(1, abs=1e-3)
    assert found.values["effective_rank"] == pytest.approx(1, abs=1e-3)
    assert found.effective["clusters"] == 1


def test_one_direction_a_class_is_perfect_by_all(levels: Classification, ctx: Context) -> None:
    found = seen(lambda level: one_hot(level, 10).float(), levels, ctx)
    assert found.values["alignment"] == 0
    assert found.values["nmi"] == pytest.approx(100)
    assert found.values["ari"] == pytest.approx(100)
    assert found.values["rankme"] == pytest.approx(10, rel=1e-4)
    assert found.values["effective_rank"] == pytest.approx(9, rel=1e-4)
    assert found.values["uniformity"] == pytest.approx(uniformity(torch.eye(10)[torch.arange(20) % 10]))
    assert found.courses["spectrum"].values == pytest.approx([1.0] * 10, abs=1e-5)


def test_isotropic_features_are_spread_and_say_nothing_of_classes(
    levels: Classification, ctx: Context
) -> None:
    def noise(level: Tensor) -> Tensor:
        return torch.randn(len(level), 10)

    torch.manual_seed(0)
    found = seen(noise, levels, ctx)
    assert found.values["alignment"] == pytest.approx(2, abs=0.4)  # pairs are no closer than any two
    assert found.values["uniformity"] < -2
    assert found.values["rankme"] > 8
    assert abs(found.values["ari"]) < 20


def test_the_numbers_are_those_of_scikit_learn_on_the_test_features(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, images=12, starts=2).resolved(colours, ctx)
    found = task.run(tiny, colours, seed=0, limit=None, ctx=ctx)
    features = task.features(tiny, colours, ctx)
    rows = [i for i in range(18) if i in _balanced(colours)]
    unit = normalize(features.test.rows()[rows], dim=1).numpy()
    clusters = KMeans(3, n_init=2, random_state=0).fit_predict(unit)
    labels = colours.test.labels[rows]
    assert found.values["nmi"] == pytest.approx(100 * normalized_mutual_info_score(labels, clusters))
    assert found.values["ari"] == pytest.approx(100 * adjusted_rand_score(labels, clusters))
    assert found.effective["test_images"] == 12


def _balanced(data: Classification) -> list[int]:
    from hsa_bench.core.data.image_set import balanced

    return balanced(data.test.labels, 12, seed=0)


def test_only_the_views_pass_through_the_trunk_where_features_are_on_file(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, pairs=7).resolved(colours, ctx)
    task.features(tiny, colours, ctx)
    with counted(tiny.module) as passes:
        first = task.run(tiny, colours, seed=0, limit=None, ctx=ctx)
        again = task.run(tiny, colours, seed=0, limit=None, ctx=ctx)
    assert passes.images == 2 * 2 * 7
    assert first == again


def test_the_protocol_says_how_little_each_foretells() -> None:
    assert CAVEAT in TASK.protocol
    assert "none foretells transfer" in CAVEAT
