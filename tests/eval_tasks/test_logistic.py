from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from eval_tasks import logistic
from eval_tasks._logistic import fit as _softmax_regression
from eval_tasks._logistic.choose_c import folds
from eval_tasks._logistic.fit import Regression
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone, assert_unchanged

TASK = replace(logistic.TASKS[0], precision="float32")
CLASSES = 4

pytestmark = pytest.mark.usefixtures("one_thread")


def data(count: int = 300, dim: int = 12) -> tuple[Tensor, Tensor]:
    """Features of unlike scale, far from zero, as networks give them."""
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (count,), generator=g)
    means = torch.randn(CLASSES, dim, generator=g)
    scale = torch.logspace(-1, 1, dim)
    return (means[labels] + 1.5 * torch.randn(count, dim, generator=g) + 3) * scale, labels


def regression(features: Tensor, labels: Tensor) -> Regression:
    return Regression(features, labels, CLASSES, torch.device("cpu"), iterations=3000)


def centred(scores: Tensor) -> Tensor:
    return scores - scores.mean(1, keepdim=True)


@pytest.mark.parametrize("c", [0.1, 10.0, 1000.0])
def test_a_fit_is_scikit_learns(c: float) -> None:
    x, y = data()
    ours = regression(x, y)
    unit = float(x.double().square().sum(1).mean().sqrt())
    assert ours.unit == pytest.approx(unit, rel=1e-6)
    found = ours.fit(c, 3e-5)
    theirs = LogisticRegression(C=c, tol=1e-9, max_iter=20_000).fit(x.double().numpy() / unit, y.numpy())
    expected = torch.from_numpy(theirs.decision_function(x.double().numpy() / unit)).float()
    assert found.converged
    assert torch.allclose(
        centred(found.scores(x)), centred(expected), atol=0.01 * float(expected.abs().max())
    )


def test_rows_and_start_and_blocks_change_the_path_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    rows = torch.arange(0, 300, 2)
    alone = regression(x, y).fit(10.0, 1e-6, rows)
    start = regression(x, y).fit(0.1, 1e-6, rows)
    monkeypatch.setattr(_softmax_regression, "BLOCK", 12 * 40)  # 40 rows at once, and 30 last
    warm = regression(x, y).fit(10.0, 1e-6, rows, start)
    assert torch.allclose(warm.scores(x), alone.scores(x), atol=5e-3)
    everything = regression(x, y).fit(10.0, 1e-6)
    assert not torch.allclose(everything.scores(x), alone.scores(x), atol=0.05)


def test_half_precision_features_give_nearly_the_same() -> None:
    x, y = data()
    assert torch.allclose(
        regression(x.half(), y).fit(1.0, 1e-5).scores(x), regression(x, y).fit(1.0, 1e-5).scores(x), atol=0.05
    )


def test_c_is_that_of_the_best_mean_accuracy_over_the_folds(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = TASK.resolved(colours, ctx).run(tiny, colours, seed=0, limit=None, ctx=ctx)
    right = outcome.effective["validated_top1"]
    assert outcome.effective["C"] == float(max(right, key=lambda c: right[c]))
    assert outcome.values["top1"] > 90
    assert outcome.effective["fits_not_converged"] == 0
    assert_unchanged(tiny)


def test_the_scale_of_the_features_changes_nothing() -> None:
    x, y = data()
    small, large = (regression(x * scale, y).fit(1.0, 1e-6).scores(x * scale) for scale in (1e-3, 1e3))
    assert torch.allclose(small, large, atol=1e-3)


def test_folds_are_even_in_every_class_and_fixed() -> None:
    labels = np.repeat([0, 1, 2], [10, 23, 5])
    found = folds(labels, 5)
    assert np.array_equal(found, folds(labels, 5))
    for c in range(3):
        counts = np.bincount(found[labels == c], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert len(set(folds(np.repeat([0, 1, 2, 3, 4, 5], 1), 5))) == 5  # single images are spread too


def test_too_few_images_to_choose_c_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot be split into 5 folds.*single value of cs"):
        folds(np.array([0, 0, 1, 1]), 5)


def test_a_single_c_needs_no_folds(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    task = replace(TASK, cs=(1.0,)).resolved(colours, ctx)
    outcome = task.run(tiny, colours, seed=0, limit=3, ctx=ctx)
    assert outcome.effective["C"] == 1.0
    assert not outcome.effective["at_the_edge"]


def test_the_protocol_states_its_distance_to_linear(colours: Classification, ctx: Context) -> None:
    text = TASK.resolved(colours, ctx).protocol
    assert "5-fold cross-validation" in text
    assert "usually lies a little below `linear`" in text
