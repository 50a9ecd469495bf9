import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eval_tasks import knn
from eval_tasks.knn import vote
from hsa_bench.core.backbone import Backbone, assert_unchanged
from hsa_bench.core.data import Classification
from hsa_bench.core.metrics import topk
from hsa_bench.core.neighbours import vote as core_vote
from hsa_bench.core.task import Context

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("row", range(4))
def test_the_vote_gives_the_reference_implementations_numbers(conformance: Path, row: int) -> None:
    expected = json.loads((conformance / "expected.json").read_text())["knn"][row]
    with np.load(conformance / "knn.npz") as file:
        given = {name: torch.from_numpy(file[name]) for name in file.files}
    bank, labels = given["train_features"], given["train_labels"].long()
    query, truth = given["test_features"], given["test_labels"].long()

    dino = vote(query, bank, labels, 10, expected["k"], expected["dino_T"])
    assert topk(dino, truth, 1) == pytest.approx(expected["dino_top1"], abs=1e-9)
    assert topk(dino, truth, 5) == pytest.approx(expected["dino_top5"], abs=1e-9)
    lightly = vote(query, bank, labels, 10, expected["k"], expected["lightly_T"])
    assert topk(lightly, truth, 1) == pytest.approx(expected["lightly_top1"], abs=1e-4)  # printed in float32


def test_the_public_vote_is_the_core_one() -> None:
    assert vote is core_vote
    assert tuple(task.name for task in knn.TASKS) == knn.NAMES


def test_few_images_and_few_classes_work(tiny: Backbone, colours: Classification, ctx: Context) -> None:
    # dino, mmselfsup and vissl fail below 100 test images; top-5 of three classes fails in others.
    task = replace(knn.TASKS[0], k=200).resolved(colours, ctx)
    outcome = task.run(tiny, colours, seed=0, limit=None, ctx=ctx)
    assert outcome.effective["k"] == 36
    assert outcome.metrics["top5"] == 100.0
    assert_unchanged(tiny)


def test_the_number_is_the_vote_on_unit_features(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = knn.TASKS[0].resolved(colours, ctx)
    outcome = task.run(tiny, colours, seed=0, limit=None, ctx=ctx)
    x = [task_features(tiny, split) for split in (colours.test, colours.train)]
    expected = vote(x[0], x[1], torch.from_numpy(colours.train.labels), 3, 20, 0.07)
    assert outcome.metrics["top1"] == topk(expected, torch.from_numpy(colours.test.labels), 1) > 90
    assert outcome.examples is not None
    assert outcome.examples.prediction.tolist() == expected.argmax(1).tolist()  # type: ignore[union-attr]


def task_features(tiny: Backbone, split) -> torch.Tensor:  # type: ignore[no-untyped-def]
    mean, std = (torch.tensor(v)[:, None, None] for v in (tiny.card.mean, tiny.card.std))
    pixels = torch.from_numpy(split.images.pixels).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        return torch.nn.functional.normalize(tiny.module((pixels - mean) / std), dim=1)


def test_classes_are_those_of_the_data_set_not_of_the_test_labels(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    only_red = replace(colours, test=colours.test.subset(np.flatnonzero(colours.test.labels == 0).tolist()))
    task = knn.TASKS[0].resolved(only_red, ctx)
    assert task.run(tiny, only_red, seed=0, limit=None, ctx=ctx).metrics["top1"] > 90


def test_a_limit_takes_that_many_of_both_splits(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    outcome = knn.TASKS[0].resolved(colours, ctx).run(tiny, colours, seed=0, limit=6, ctx=ctx)
    assert outcome.effective["k"] == 6
    assert outcome.examples is not None
    assert len(outcome.examples.example) == 6


def test_the_protocol_states_the_values_in_force(colours: Classification, ctx: Context) -> None:
    text = replace(knn.TASKS[0], k=7, temperature=0.1).resolved(colours, ctx).protocol
    assert "k = 7" in text
    assert "exp(cosine / 0.1)" in text
    assert "Centre crop of 16 px" in text
    assert "arXiv:1805.01978" in text
