"""The map of features that kNN leaves: what is in it, and that it repeats."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from eval_tasks import knn
from eval_tasks._shared import embedding as _embedding
from eval_tasks._shared.embedding import embedded, leave_embedding, mappable, perplexity
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.features.extract import FeatureSet
from hsa_bench.core.models.backbone import Backbone

pytestmark = pytest.mark.usefixtures("one_thread")


def images_of(labels: NDArray[np.int64]) -> ImageSet:
    pixels = np.zeros((len(labels), 2, 2, 3), np.uint8)
    names = tuple(f"{i}.png" for i in range(len(labels)))
    return ImageSet(ArrayImages(pixels), labels, ("cat", "dog", "owl"), names)


def features_of(labels: NDArray[np.int64]) -> FeatureSet:
    """A direction for each class, under noise."""
    values = np.random.default_rng(0).normal(np.eye(3, 8)[labels] * 4, 1)
    return FeatureSet(torch.tensor(values, dtype=torch.float32), torch.from_numpy(labels), 3, "")


def left(labels: NDArray[np.int64], ctx: Context, scale: float = 1.0) -> dict[str, NDArray[np.generic]]:
    features = features_of(labels)
    features = replace(features, features=features.features * scale)
    with np.load(leave_embedding(features, images_of(labels), ctx)["embedding"], allow_pickle=False) as kept:
        return dict(kept)


def test_the_file_holds_coordinates_labels_names_and_how_it_was_made(ctx: Context) -> None:
    labels = np.arange(30) % 3
    kept = left(labels, ctx)

    assert kept["xy"].shape == (30, 2) and kept["xy"].dtype == np.float32
    assert kept["label"].tolist() == labels.tolist() and kept["label"].dtype == np.int64
    assert kept["classes"].tolist() == ["cat", "dog", "owl"]
    assert kept["example"].tolist() == [f"{i}.png" for i in range(30)]
    assert str(kept["method"]) == "t-SNE, perplexity 9.7, of 30 test images"
    assert (ctx.artefacts.parent / "run-embedding.npz").is_file()


def test_the_same_features_give_the_same_coordinates_bit_for_bit_whatever_their_length(ctx: Context) -> None:
    labels = np.arange(60) % 3
    once, again, longer = (left(labels, ctx, scale)["xy"] for scale in (1, 1, 4))

    assert once.tobytes() == again.tobytes() == longer.tobytes()


def test_threads_change_nothing(ctx: Context) -> None:
    labels = np.arange(60) % 3
    with threadpool_limits(limits=1):
        one = left(labels, ctx)["xy"]
    with threadpool_limits(limits=2):
        two = left(labels, ctx)["xy"]

    assert one.tobytes() == two.tobytes()


def test_images_of_one_class_stay_together(ctx: Context) -> None:
    labels = np.arange(90) % 3
    xy = left(labels, ctx)["xy"].astype(np.float64)

    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2) + np.diag(np.full(90, np.inf))
    assert (labels[distance.argmin(1)] == labels).mean() > 0.9


def test_of_many_images_as_many_are_drawn_of_each_class(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_embedding, "MOST", 12)
    labels = np.array([0] * 30 + [1] * 20 + [2] * 3)

    kept, again = left(labels, ctx), left(labels, ctx)

    assert np.bincount(kept["label"]).tolist() == [5, 4, 3]
    assert [labels[int(name.removesuffix(".png"))] for name in kept["example"]] == kept["label"].tolist()
    assert kept["example"].tolist() == again["example"].tolist()


@pytest.mark.parametrize("count", [0, 1, 4])
def test_few_images_leave_nothing(ctx: Context, count: int) -> None:
    labels = np.arange(count) % 3

    assert leave_embedding(features_of(labels), images_of(labels), ctx) == {}
    assert not list(ctx.artefacts.parent.glob("*"))


def test_features_without_two_directions_have_no_map() -> None:
    assert not mappable(np.ones((9, 8), np.float32))
    assert not mappable(np.array([[1.0], [-1.0]] * 5, np.float32))
    assert mappable(np.eye(5, dtype=np.float32))


@pytest.mark.parametrize(
    "unit",
    [np.eye(5, 8), np.repeat(np.eye(2), 20, 0), np.eye(9, 3), np.eye(40)[np.arange(120) % 40]],
    ids=["five", "two values", "nearly all zero", "copies"],
)
def test_odd_features_give_finite_coordinates(unit: NDArray[np.float64]) -> None:
    assert np.isfinite(embedded(unit.astype(np.float32))).all()


def test_an_image_has_at_most_30_neighbours_and_fewer_among_few() -> None:
    assert [perplexity(count) for count in (5, 31, 1000)] == [1.3, 10.0, 30.0]


def test_knn_alone_leaves_a_map_and_its_number_is_the_same(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    with_map, without = (
        task.resolved(colours, ctx) for task in (knn.TASKS[0], replace(knn.TASKS[0], name="mine"))
    )
    found = with_map.run(tiny, colours, seed=0, limit=None, ctx=ctx)
    other = without.run(tiny, colours, seed=0, limit=None, ctx=ctx)

    assert set(found.artefacts) == {"embedding"} and other.artefacts == {}
    assert found.metrics == other.metrics
    with np.load(Path(found.artefacts["embedding"])) as kept:
        assert len(kept["xy"]) == len(colours.test)
