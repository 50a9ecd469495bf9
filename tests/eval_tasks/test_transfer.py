"""Transfer: classifiers against scikit-learn and `knn`, metrics, view, and data that are missing."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from eval_tasks import knn, transfer
from eval_tasks.transfer import Transfer
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.errors import DataError
from hsa_bench.core.features.accuracy import topk
from hsa_bench.core.features.extract import Features, FeatureSet
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.task import Outcome
from hsa_bench.run import app
from hsa_bench.suite.choose_tasks import choose_tasks
from tests.support.command import call
from tests.support.picture_sets import SETS

SMALL = {"image_size": 16, "precision": "float32"}
BY_NAME = {task.name: task for task in transfer.TASKS}

pytestmark = pytest.mark.usefixtures("one_thread")


def task(name: str, **changed: object) -> Transfer:
    return replace(BY_NAME[f"transfer-{name}"], **{**SMALL, **changed})  # type: ignore[arg-type]


def mixed_up(data: Classification) -> Classification:
    """A data set that no classifier gets wholly right, with few test images of one class."""
    labels = data.train.labels.copy()
    labels[::4] = (labels[::4] + 1) % 3
    kept = [i for i, label in enumerate(data.test.labels) if label != 2 or i < 6]
    test = data.test.subset(kept)
    truth = test.labels.copy()
    truth[::3] = (truth[::3] + 1) % 3
    return replace(data, train=replace(data.train, labels=labels), test=replace(test, labels=truth))


def run(one: Transfer, backbone: Backbone, data: Classification, ctx: Context) -> Outcome:
    return one.resolved(data, ctx).run(backbone, data, seed=0, limit=None, ctx=ctx)


def features(count: int, seed: int) -> FeatureSet:
    """Hand-made features of four classes that overlap, of unlike scale and far from zero."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    centres = torch.randn(4, 10, generator=torch.Generator().manual_seed(9))
    x = (centres[labels] + 1.5 * torch.randn(count, 10, generator=g) + 3) * torch.logspace(-1, 1, 10)
    return FeatureSet(x, labels, 4, "")


def test_the_linear_classifier_is_scikit_learns_at_the_chosen_c(ctx: Context) -> None:
    train, test = features(240, 0), features(200, 1)
    found = task("cifar10", tolerance=1e-5).regressed(Features(train, test), ctx, "")

    unit = float(train.features.double().square().sum(1).mean().sqrt())
    theirs = LogisticRegression(C=found.effective["C"], tol=1e-9, max_iter=20_000)
    theirs.fit(train.features.double().numpy() / unit, train.labels.numpy())
    p = theirs.predict_proba(test.features.double().numpy() / unit)
    assert torch.allclose(found.scores.softmax(1), torch.from_numpy(p).float(), atol=5e-3)
    top1 = 100 * theirs.score(test.features.double().numpy() / unit, test.labels.numpy())
    assert topk(found.scores, test.labels, 1) == pytest.approx(top1, abs=0.6) and 40 < top1 < 95


def test_both_classifiers_have_both_metrics_as_scikit_learn_takes_them(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    data = mixed_up(colours)
    outcome = run(task("pets"), tiny, data, ctx)

    assert isinstance(outcome.examples, ClassificationOutcomes)
    told = outcome.examples.label, outcome.examples.prediction
    assert outcome.values["mean_per_class"] == pytest.approx(100 * balanced_accuracy_score(*told))
    assert outcome.values["top1"] == pytest.approx(100 * accuracy_score(*told))
    assert outcome.values["top1"] != pytest.approx(outcome.values["mean_per_class"], abs=1)
    assert set(outcome.values) == {
        "top1", "top5", "mean_per_class", "knn_top1", "knn_mean_per_class",
    }  # fmt: skip
    assert_unchanged(tiny)


def test_the_vote_is_that_of_knn_on_the_same_features(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    data = mixed_up(colours)
    found = run(task("pets", k=7), tiny, data, ctx)
    seen = tiny.module.seen  # type: ignore[union-attr]
    own = replace(knn.TASKS[0], k=7, precision="float32").resolved(data, ctx).run(tiny, data, 0, None, ctx)

    assert isinstance(own.examples, ClassificationOutcomes)
    assert found.values["knn_top1"] == own.values["top1"]
    by_class = 100 * balanced_accuracy_score(own.examples.label, own.examples.prediction)
    assert found.values["knn_mean_per_class"] == pytest.approx(by_class)
    assert found.effective["k"] == 7
    assert tiny.module.seen == seen  # type: ignore[union-attr]  # features were on file


def test_the_main_metric_is_the_fields_for_each_data_set() -> None:
    """Kornblith et al. 2019, table 1."""
    per_class = {name for name, one in BY_NAME.items() if one.main_metric == "mean_per_class"}
    assert per_class == {"transfer-aircraft", "transfer-pets", "transfer-flowers102"}
    assert {one.main_metric for one in transfer.TASKS} == {"top1", "mean_per_class"}
    assert all(name == f"transfer-{one.dataset}" for name, one in BY_NAME.items())


def test_transfer_means_all_of_its_data_sets_and_a_name_one() -> None:
    everything = choose_tasks(["transfer"], {"transfer.k": 5, "transfer-dtd.k": 9}, image_size=32)
    assert [one.task.name for one in everything] == list(transfer.NAMES)
    assert {one.task.settings()["k"] for one in everything} == {5, 9}
    assert {one.task.settings()["image_size"] for one in everything} == {32}
    assert [one.task.name for one in choose_tasks(["transfer-dtd"], {}, 0)] == ["transfer-dtd"]


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ({}, (224, 224)),
        ({"image_size": 32}, (32, 32)),
        ({"image_size": 32, "resize": 36}, (32, 36)),
        ({"image_size": 0}, (16, 20)),
    ],
)
def test_pictures_are_resized_to_the_crop_whatever_their_size(
    asked: dict[str, int], seen: tuple[int, int], colours: Classification, ctx: Context
) -> None:
    data = replace(colours, resize=20)
    view = replace(BY_NAME["transfer-stl10"], **asked).resolved(data, ctx).view
    assert (view.size, view.resize, view.interpolation) == (*seen, "bicubic")


def test_a_changed_view_is_no_longer_the_recipe(colours: Classification, ctx: Context) -> None:
    usual = BY_NAME["transfer-cars"]
    assert usual.resolved(colours, ctx).unlike(usual, colours, ctx) == ()
    changed = replace(usual, image_size=32).resolved(colours, ctx)
    assert set(changed.unlike(usual, colours, ctx)) == {"image_size", "resize"}


@pytest.mark.parametrize("one", transfer.TASKS, ids=transfer.NAMES)
def test_the_protocol_states_data_metric_and_departures(
    one: Transfer, colours: Classification, ctx: Context
) -> None:
    text = one.resolved(colours, ctx).protocol
    assert text.startswith(f"{one.dataset}, ")
    assert f"the main one here is {one.metric}" in text
    for fact in ("arXiv:1805.08974", "5-fold cross-validation", "among 45 values", "here 6 are tried"):
        assert fact in text
    assert "Centre crop of 224 px after resizing the shorter side to 224 px (bicubic)" in text
    assert "20 nearest" in text and "arXiv:2104.14294" in text


def test_an_unknown_data_set_blocks_its_own_task(ctx: Context) -> None:
    with pytest.raises(DataError, match="did you mean dtd"):
        task("dtd", dataset="dtdd").data("", ctx)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the whole command where two of nine data sets are there."""
    folder = tmp_path_factory.mktemp("transfer")
    SETS["pets"](folder / "data")
    SETS["dtd"](folder / "data")
    for seed in (7, 8):
        torch.save(build("resnet18-w16", seed=seed).state_dict(), folder / f"{seed}.pth")
    arguments = ["--tasks", "transfer", "--data", "data", "--out", "out", "--image-size", "32"]
    files = ["--checkpoint", "mine=7.pth", "--checkpoint", "moco=8.pth", "--set", "transfer.folds=2"]
    done = call(app, *arguments, *files, cwd=folder)
    assert done.returncode == 1, done.stdout + done.stderr  # as cells are missing
    assert "transfer-cars is blocked for all backbones: data: no folder stanford_cars" in done.stdout
    return folder / "out"


def test_missing_sets_are_blocked_by_their_folders_while_the_others_run(out: Path) -> None:
    results = [TaskResult.model_validate(json.loads(path.read_text())) for path in Store(out).paths()]
    ended = [(r.label, r.spec.task, r.main_metric) for r in results if r.status == "ok"]
    assert sorted(ended) == [
        ("mine", "transfer-dtd", "top1"),
        ("mine", "transfer-pets", "mean_per_class"),
        ("moco", "transfer-dtd", "top1"),
        ("moco", "transfer-pets", "mean_per_class"),
    ]
    assert {(r.spec.data.name, r.spec.settings["resize"]) for r in results} == {("pets", 32), ("dtd", 32)}

    report = (out / "report.md").read_text()
    for folder in ("cifar-10-batches-py", "stl10_binary", "food-101", "flowers-102/jpg", "stanford_cars"):
        assert folder in report.partition("**Blocked or not run yet**")[2]
    assert "| average of 9 | — | — | — |" in report


def test_differences_are_tested_data_set_by_data_set_in_their_own_metric(out: Path) -> None:
    with (out / "tables/statistics.csv").open(newline="") as file:
        by_task = {row["task"]: row for row in csv.DictReader(file)}
    assert {name: (row["test"], row["number"]) for name, row in by_task.items()} == {
        "transfer-dtd": ("exact McNemar", "6"),
        "transfer-pets": ("paired bootstrap", "7"),  # within each class
    }
    assert "cannot be recomputed" not in (out / "report.md").read_text()


def test_too_few_images_for_the_folds_fail_with_the_setting_to_change(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    with pytest.raises(ValueError, match=r"folds to choose C by.*cs"):
        task("dtd").resolved(colours, ctx).run(tiny, colours, seed=0, limit=3, ctx=ctx)


def test_scores_that_are_equal_go_to_the_first_class() -> None:
    scores = torch.zeros(4, 2)
    labels = torch.tensor([0, 0, 0, 1])
    both = FeatureSet(torch.zeros(4, 1), labels, 2, "")
    assert transfer._mean_per_class(scores, Features(both, both)) == 50.0
    assert np.argmax(scores.numpy(), 1).tolist() == [0] * 4
