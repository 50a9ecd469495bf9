from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eval_tasks._shared.outcome import score_test_images
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.results import outcomes

pytestmark = pytest.mark.usefixtures("one_thread")


def images(labels: list[int], classes: int) -> ImageSet:
    pixels = np.zeros((len(labels), 2, 2, 3), dtype=np.uint8)
    return ImageSet(
        ArrayImages(pixels),
        np.array(labels),
        tuple(map(str, range(classes))),
        tuple(f"{i}.png" for i in labels),
    )


def data(labels: list[int], classes: int) -> Classification:
    return Classification("made", images(list(range(classes)), classes), images(labels, classes), 1, 1)


def test_metrics_and_outcomes_tell_the_same_story(tmp_path: Path) -> None:
    scores = torch.tensor([[5.0, 4, 3, 2, 1, 0], [0.0, 1, 2, 3, 4, 5], [5.0, 4, 3, 2, 1, 0]])
    outcome = score_test_images(data([0, 1, 5], 6), scores)
    assert outcome.values == {"top1": pytest.approx(100 / 3), "top5": pytest.approx(200 / 3)}
    examples = outcome.examples
    assert isinstance(examples, outcomes.ClassificationOutcomes)
    assert examples.prediction.tolist() == [0, 5, 0]
    assert examples.score.tolist() == [5.0, 5.0, 5.0]
    assert examples.top5.tolist() == [True, True, False]
    assert examples.example.tolist() == ["0.png", "1.png", "5.png"]
    outcomes.save(tmp_path / "o.npz", examples)
    assert isinstance(outcomes.load(tmp_path / "o.npz"), outcomes.ClassificationOutcomes)


def test_of_equal_scores_the_lowest_class_is_the_prediction() -> None:
    outcome = score_test_images(data([0, 1], 6), torch.zeros(2, 6))
    assert outcome.examples is not None
    assert outcome.examples.prediction.tolist() == [0, 0]  # type: ignore[union-attr]
    assert outcome.values["top1"] == 50.0


def test_two_classes_have_a_top5_of_100() -> None:
    assert score_test_images(data([0, 1], 2), torch.tensor([[0.0, 1], [0, 1]])).values["top5"] == 100.0


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        score_test_images(data([0], 2), torch.tensor([[0.0, value]]))


def test_classes_that_train_lacks_are_counted() -> None:
    both = data([0, 1, 2], 3)
    assert score_test_images(both, torch.eye(3)).effective == {}
    lacking = replace(both, train=both.train.subset([0, 1]))
    assert score_test_images(lacking, torch.eye(3)).effective == {"classes_only_in_test": 1}
