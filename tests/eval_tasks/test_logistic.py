from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from eval_tasks import logistic
from eval_tasks._logistic import curvature
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
    monkeypatch.setattr(_softmax_regression, "BLOCK", 12 * 40)  # 40 rows at once, and 20 last
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


def correlated(count: int = 400, dim: int = 60) -> tuple[Tensor, Tensor]:
    """Features whose directions differ ten thousandfold in variance, none of them along an axis."""
    g = torch.Generator().manual_seed(1)
    labels = torch.randint(CLASSES, (count,), generator=g)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=g)).Q
    plain = torch.randn(CLASSES, dim, generator=g)[labels] * 0.4 + torch.randn(count, dim, generator=g)
    return plain * torch.logspace(0, -2, dim) @ turn + 1, labels


THIRDS = [torch.tensor([i for i in range(400) if i % 3 != held]) for held in range(3)]


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"CENTRED": 0},
        {"BLOCK": 60 * 70},
        {"REMEMBERED": 1},
        {"CENTRED": 0, "BLOCK": 60 * 70, "REMEMBERED": 1},
    ],
)
def test_fits_side_by_side_are_scikit_learns_each(
    bounds: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bounds.items():
        monkeypatch.setattr(_softmax_regression, name, value)
    x, y = correlated()
    ours = regression(x, y)
    for fit, rows in zip(ours.fits(30.0, 1e-6, THIRDS, [None] * 3), THIRDS, strict=True):
        part = x[rows].double().numpy() / ours.unit
        theirs = LogisticRegression(C=30.0, tol=1e-10, max_iter=20_000).fit(part, y[rows].numpy())
        expected = torch.from_numpy(theirs.decision_function(x.double().numpy() / ours.unit)).float()
        assert fit.converged
        assert torch.allclose(centred(fit.scores(x)), centred(expected), atol=2e-3)


def test_the_largest_directions_alone_change_the_path_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = correlated()
    whole = regression(x, y).fit(30.0, 1e-6)
    monkeypatch.setattr(curvature, "EXACT", 40)
    monkeypatch.setattr(curvature, "RANK", 20)
    part = regression(x, y)
    assert isinstance(part._covariance, curvature.Largest)
    assert torch.allclose(part.fit(30.0, 1e-6).scores(x), whole.scores(x), atol=2e-3)


@pytest.mark.parametrize(("c", "most"), [(1.0, 8), (10_000.0, 60)])
def test_a_fit_takes_few_passes_however_the_features_are_correlated(
    c: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    look = Regression._looked
    monkeypatch.setattr(Regression, "_looked", lambda self, *a: (passes.append(1), look(self, *a))[1])
    x, y = correlated()
    assert all(fit.converged for fit in regression(x, y).fits(c, 1e-4, THIRDS, [None] * 3))
    assert len(passes) <= most  # 5 and 45; by the features' variances alone 14 and 97, for each part


def test_stretched_coordinates_make_the_curvature_round() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(50, 8, generator=g, dtype=torch.float64) * torch.logspace(0, -2, 8)
    x = x - x.mean(0)
    matrix = x.T @ x / 50
    found = curvature.covariance(lambda: [x.float()[:30], x.float()[30:]], matrix.diagonal(), 50)
    assert isinstance(found, curvature.Covariance)
    assert torch.allclose(found.matrix, matrix, atol=1e-6)
    exact = 0.1 * matrix + 0.01 * torch.eye(8)
    stretch = found.stretch(0.1, 0.01)
    gradient = torch.randn(3, 8, generator=g, dtype=torch.float64)
    step = stretch.outward(stretch.inward(gradient))
    assert torch.allclose(step @ exact, gradient, atol=1e-4)
    values, directions = torch.linalg.eigh(matrix)
    largest = curvature.Largest(directions[:, 3:], values[3:], float(values[:3].mean())).stretch(0.1, 0.01)
    assert torch.allclose(largest.outward(largest.inward(gradient)) @ exact, gradient, rtol=0.05, atol=0.05)


def test_what_cannot_be_told_apart_by_any_number_of_steps_ends_and_says_so() -> None:
    x, y = data()
    short = Regression(x, y, CLASSES, torch.device("cpu"), iterations=2).fit(10.0, 1e-9)
    assert not short.converged
    assert torch.isfinite(short.scores(x)).all()
