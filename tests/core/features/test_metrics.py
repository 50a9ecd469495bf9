import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from hsa_bench.core.features.accuracy import mean_per_class, ranks, topk


def test_ranks_count_the_classes_ahead_of_the_true_one() -> None:
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    assert ranks(scores, torch.tensor([0, 1, 2])).tolist() == [2, 0, 1]


def test_ties_rank_by_class_index_so_a_constant_scorer_is_mostly_wrong() -> None:
    labels = torch.arange(4)
    assert ranks(torch.zeros(4, 4), labels).tolist() == [0, 1, 2, 3]
    assert topk(torch.zeros(4, 4), labels, 1) == 25.0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_topk_agrees_with_scikit_learn(k: int) -> None:
    g = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(200, 7, generator=g), torch.randint(7, (200,), generator=g)
    expected = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(7)) * 100
    assert topk(scores, labels, k) == pytest.approx(expected)


def test_topk_of_more_than_there_are_classes_is_all() -> None:
    assert topk(torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2]), 5) == 100.0


def test_mean_per_class_agrees_with_scikit_learn_and_skips_absent_classes() -> None:
    g = torch.Generator().manual_seed(1)
    labels = torch.randint(4, (90,), generator=g)
    predictions = torch.where(torch.rand(90, generator=g) < 0.6, labels, 0)
    expected = balanced_accuracy_score(labels, predictions) * 100
    assert mean_per_class(predictions, labels, 6) == pytest.approx(expected)
