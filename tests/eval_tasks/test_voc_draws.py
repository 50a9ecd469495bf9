from __future__ import annotations

import numpy as np
import pytest

from eval_tasks._svm.voc_draws import offered, own_images, shared_images, usable
from hsa_bench.core.data.detection.voc_labels import ABSENT, IGNORED, PRESENT


def some_labels(images: int = 80) -> np.ndarray:
    rng = np.random.default_rng(2)
    return rng.choice([PRESENT, IGNORED, ABSENT], size=(images, 3), p=[0.3, 0.1, 0.6])


def test_a_class_draws_k_of_its_own_and_k_for_each_other_class() -> None:
    labels = some_labels()
    rows = own_images(labels, 1, 5, draw=0)

    assert (labels[rows, 1] == PRESENT).sum() == 5
    assert (labels[rows, 1] == ABSENT).sum() == 10
    assert len(set(rows.tolist())) == 15 and rows.tolist() == sorted(rows.tolist())
    assert np.array_equal(rows, own_images(labels, 1, 5, draw=0))
    assert not np.array_equal(rows, own_images(labels, 1, 5, draw=1))


def test_shared_images_are_k_of_each_class_and_may_repeat() -> None:
    labels = np.array([[PRESENT, PRESENT], [PRESENT, ABSENT], [IGNORED, PRESENT]])

    rows = shared_images(labels, [0, 1], 2, draw=0)

    assert sorted(rows[:2].tolist()) == [0, 1] and sorted(rows[2:].tolist()) == [0, 2]
    assert np.array_equal(rows, shared_images(labels, [0, 1], 2, draw=0))


def test_classes_and_ks_that_the_images_do_not_offer_are_left_out() -> None:
    train = np.full((10, 4), ABSENT)
    train[:4, 0], train[4:6, 1], train[6, 2] = PRESENT, PRESENT, IGNORED
    asked = np.array([[PRESENT, PRESENT, PRESENT, PRESENT], [ABSENT, ABSENT, ABSENT, ABSENT]])

    assert usable(train, asked, 1, 1).tolist() == [0, 1]
    assert offered(train, asked, [1, 2, 4], 0)[1] == [1, 2]
    assert offered(train, asked, [1, 2, 4], 6) == (pytest.approx([0, 1]), [1])
    with pytest.raises(ValueError, match="of 10 training images, no class has 9 that show it"):
        usable(train, asked, 9, 1)
