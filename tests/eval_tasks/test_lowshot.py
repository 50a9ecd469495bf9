from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from eval_tasks import lowshot
from eval_tasks.lowshot import TASKS, LowShot, in_span, shot
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.features.extract import Features, FeatureSet
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.runs.task import Outcome

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

TASK = TASKS[0]
CLASSES = 3


def draws(outcome: Outcome, name: str) -> tuple[float, ...]:
    return next(metric.draws for metric in outcome.metrics if metric.name == name)


def ran(task: LowShot, backbone: Backbone, data: Classification, ctx: Context) -> Outcome:
    return task.resolved(data, ctx).run(backbone, data, seed=0, limit=None, ctx=ctx)


@pytest.fixture
def clouds() -> tuple[FeatureSet, Tensor]:
    """Few features around one centre per class, and others; more dimensions than features."""
    torch.manual_seed(0)
    labels = torch.arange(24) % CLASSES
    centres = torch.randn(CLASSES, 40)
    few = FeatureSet(centres[labels] + 2 * torch.randn(24, 40) + 1, labels, CLASSES, "")
    return few, centres[torch.arange(60) % CLASSES] + 2 * torch.randn(60, 40) + 1


def test_the_logistic_regression_is_scikit_learns(clouds: tuple[FeatureSet, Tensor]) -> None:
    few, test = clouds
    found = replace(TASK, tolerance=1e-6, decay=3.0)._logistic(few, test)
    scaler = StandardScaler().fit(few.features.numpy())
    model = LogisticRegression(C=len(few.labels) / 3.0, tol=1e-8, max_iter=10_000)
    model.fit(scaler.transform(few.features.numpy()), few.labels.numpy())
    expected = model.predict_log_proba(scaler.transform(test.numpy()))
    assert np.allclose(found.log_softmax(1).numpy(), expected, atol=5e-3)


def test_a_run_gives_scikit_learns_accuracy_on_the_features_as_they_are(
    clouds: tuple[FeatureSet, Tensor],
    tiny: Backbone,
    colours: Classification,
    ctx: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, test = clouds
    lengths = torch.linspace(0.1, 10, 24)[:, None]  # which standardising does not undo
    train = replace(few, features=few.features * lengths)
    truth = torch.arange(60) % CLASSES
    both = Features(train, FeatureSet(test, truth, CLASSES, ""))
    monkeypatch.setattr(LowShot, "features", lambda *_: both)
    labels = replace(colours.train.subset(range(24)), labels=train.labels.numpy())
    found = ran(replace(TASK, shots=(4,), draws=1), tiny, replace(colours, train=labels), ctx)
    rows = shot(train.labels.numpy(), 4, 0)
    scaler = StandardScaler().fit(train.features[rows].numpy())
    model = LogisticRegression(C=len(rows), tol=1e-8, max_iter=10_000)
    model.fit(scaler.transform(train.features[rows].numpy()), train.labels[rows].numpy())
    expected = 100 * model.score(scaler.transform(test.numpy()), truth.numpy())
    assert found.values["logistic_k4"] == pytest.approx(expected)


def test_a_feature_without_spread_says_nothing(clouds: tuple[FeatureSet, Tensor]) -> None:
    few, test = clouds
    constant = replace(few, features=torch.cat([few.features, torch.ones(24, 1)], 1))
    asked = torch.cat([test, torch.ones(60, 1)], 1)
    found, expected = TASK._logistic(constant, asked), TASK._logistic(few, test)
    assert torch.allclose(found.softmax(1), expected.softmax(1), atol=1e-2)


def test_the_svm_is_scikit_learns_class_by_class_on_unit_features(clouds: tuple[FeatureSet, Tensor]) -> None:
    few, test = clouds
    found, unfinished = TASK._svm(few, test)
    x, asked = normalize(few.features.double().numpy()), normalize(test.double().numpy())
    for c in range(CLASSES):
        svm = LinearSVC(C=0.5, class_weight={1: 2, -1: 1}, dual=True, max_iter=2000, tol=1e-8, random_state=0)
        svm.fit(x, np.where(few.labels.numpy() == c, 1, -1))
        assert np.allclose(found[:, c].numpy(), svm.decision_function(asked), atol=1e-3)
    assert unfinished == 0


def test_a_class_without_an_image_never_wins(clouds: tuple[FeatureSet, Tensor]) -> None:
    few, test = clouds
    found, _ = TASK._svm(replace(few, classes=CLASSES + 1), test)
    assert set(found.argmax(1).tolist()) <= set(range(CLASSES))


def test_coordinates_in_the_span_keep_every_product() -> None:
    torch.manual_seed(1)
    few, others = torch.randn(5, 30).double(), torch.randn(7, 30).double()
    x, y = in_span(few, others)
    assert x.shape == (5, 5)
    assert torch.allclose(y @ x.T, others @ few.T)
    many = torch.randn(30, 5)
    assert in_span(many, many)[0] is many


def test_draws_hold_each_class_alike_and_smaller_ones_lie_in_larger() -> None:
    labels = np.array([0] * 10 + [2] * 5 + [5] * 7)
    for draw in range(3):
        four, two = shot(labels, 4, draw), shot(labels, 2, draw)
        assert np.bincount(labels[four.numpy()]).tolist() == [4, 0, 4, 0, 0, 4]
        assert set(two.tolist()) < set(four.tolist())
    assert set(shot(labels, 4, 0).tolist()) != set(shot(labels, 4, 1).tolist())


def test_numbers_are_means_over_draws_and_the_main_one_over_the_numbers_of_images(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    found = ran(replace(TASK, shots=(1, 4, 12, 96)), tiny, colours, ctx)
    assert found.effective["shots"] == [1, 4, 12]  # a class has 12 images
    assert list(found.values) == [
        "logistic", "svm", "logistic_k1", "logistic_k4", "logistic_k12", "svm_k1", "svm_k4", "svm_k12",
    ]  # fmt: skip
    for name in ("logistic", "svm"):
        by_shot = [found.values[f"{name}_k{k}"] for k in (1, 4, 12)]
        assert found.values[name] == pytest.approx(fmean(by_shot))
        assert found.values[name] == pytest.approx(fmean(draws(found, name)))
        assert len(draws(found, f"{name}_k4")) == 5
        assert found.values[f"{name}_k4"] == pytest.approx(fmean(draws(found, f"{name}_k4")))
    assert len(set(draws(found, "logistic_k12"))) == 1  # all images there are: nothing to draw


def test_the_same_images_are_drawn_for_every_backbone_and_again(
    tiny: Backbone,
    wrap: Callable[[nn.Module], Backbone],
    colours: Classification,
    ctx: Context,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Other(nn.Module):
        dim = 3

        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    drawn: list[list[int]] = []

    def remembered(*given: Any) -> Tensor:
        rows = shot(*given)
        drawn.append(rows.tolist())
        return rows

    monkeypatch.setattr(lowshot, "shot", remembered)
    first, _ = ran(TASK, tiny, colours, ctx), ran(TASK, wrap(Other()), colours, ctx)
    half = len(drawn) // 2
    assert drawn[:half] == drawn[half:]
    assert ran(TASK, tiny, colours, ctx) == first


def test_numbers_given_twice_count_once(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    once = ran(replace(TASK, shots=(1, 4)), tiny, colours, ctx)
    twice = ran(replace(TASK, shots=(4, 1, 4), classifiers=("logistic", "svm", "svm")), tiny, colours, ctx)
    assert twice.metrics == once.metrics


def test_one_image_of_each_class_is_enough_where_classes_are_one_hot(ctx: Context) -> None:
    class Hot(nn.Module):
        """The pixel's level as one of ten directions."""

        def forward(self, x: Tensor) -> Tensor:
            level = ((x[:, 0, 0, 0] * 0.229 + 0.485) * 255 / 20).round().long()
            return nn.functional.one_hot(level, 10).float()

    from hsa_bench.core.models.backbone import weights_hash
    from hsa_bench.core.models.preprocess import Preprocess
    from hsa_bench.core.results.result import Source

    labels = np.arange(60) % 10
    pixels = np.broadcast_to((labels * 20)[:, None, None, None], (60, 8, 8, 3)).astype(np.uint8)
    images = ImageSet(ArrayImages(pixels), labels, tuple("0123456789"), tuple(map(str, range(60))))
    data = Classification("hot", images.subset(range(40)), images.subset(range(40, 60)), 8, 8)
    module = Hot().eval()
    hot = Backbone("hot", "hot", module, 10, Preprocess(), weights_hash(module), Source(path="", format=""))
    found = ran(replace(TASK, shots=(1, 2)), hot, data, ctx)
    assert set(found.values.values()) == {100.0}


def test_the_main_metric_is_the_first_classifiers() -> None:
    assert TASK.main_metric == "logistic"
    assert replace(TASK, classifiers=("svm",)).main_metric == "svm"


def test_fewer_images_than_asked_for_are_refused_with_the_setting(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    with pytest.raises(ValueError, match=r"lowshot\.shots: a class has fewer than 96 training images"):
        ran(replace(TASK, shots=(96,)), tiny, colours, ctx)


def test_the_protocol_names_sources_and_departures() -> None:
    for part in (
        "vissl/utils/low_shot_utils.py:38-74",
        "eval_svm_voc.py:33",
        "chooses penalties on the test",
    ):
        assert part in TASK.protocol
