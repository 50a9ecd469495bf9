from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

from hsa_bench.core.context import Context
from hsa_bench.core.data.device_views import normalised
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.data.loading import Batch, EpochBatches, ordered, shuffled, stream
from hsa_bench.core.data.views import Normalise, View, centre_view, random_view
from hsa_bench.core.models.preprocess import Preprocess

VIEW = View(size=8, resize=8)
CROPS = [random_view(VIEW, Preprocess())]

# From Python 3.12 on a fork beside torch's threads warns; loader processes never use those threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def small_set(count: int = 10) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return ImageSet(ArrayImages(pixels), np.arange(count) % 2, ("a", "b"), tuple(map(str, range(count))))


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first[0][0], second[0][0]) and all(
        torch.equal(a, b) for a, b in zip(first[1:], second[1:], strict=True)
    )


def test_ordered_gives_every_image_once_in_order() -> None:
    batches = list(ordered(small_set(), centre_view(VIEW, Preprocess()), batch=4))
    assert [len(b[1]) for b in batches] == [4, 4, 2]
    assert torch.cat([b[2] for b in batches]).tolist() == list(range(10))
    assert torch.cat([b[1] for b in batches]).tolist() == [0, 1] * 5


def test_views_travel_as_bytes_and_become_the_input_that_the_card_asks_for(ctx: Context) -> None:
    card = Preprocess(channels="BGR")
    view = random_view(VIEW, card)
    (sent,) = stream(small_set(), [view], 4, seed=2, steps=1, ctx=ctx)
    ((pixels,), *rest), ((x,), *same_rest) = sent, next(normalised([sent], view.normalise, "cpu"))
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (4, 8, 8, 3))
    assert torch.equal(x, torch.stack([Normalise(card)(p.permute(2, 0, 1)) for p in pixels]))
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert all(a is b for a, b in zip(rest, same_rest, strict=True))


def test_an_epoch_visits_every_image_once_in_an_order_of_its_own() -> None:
    orders = [
        torch.cat([b[2] for b in shuffled(small_set(), CROPS, 4, seed=0, epoch=epoch)]).tolist()
        for epoch in (0, 1, 0)
    ]
    assert all(sorted(o) == list(range(10)) for o in orders)
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]


@pytest.mark.processes
def test_workers_change_nothing() -> None:
    alone, together = (list(shuffled(small_set(), CROPS, 4, 1, 0, workers=w)) for w in (0, 2))
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.processes
@pytest.mark.parametrize("drop_last", [True, False])
def test_a_stream_is_the_epochs_one_after_another(drop_last: bool, ctx: Context) -> None:
    images, per_epoch = small_set(), 2 if drop_last else 3
    steps = 2 * per_epoch + 1
    found = list(
        stream(images, CROPS, 4, seed=3, steps=steps, ctx=replace(ctx, workers=2), drop_last=drop_last)
    )
    epochs = (shuffled(images, CROPS, 4, seed=3, epoch=e, drop_last=drop_last) for e in range(3))
    expected = list(chain.from_iterable(epochs))[:steps]
    assert len(found) == steps
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_a_stream_visits_every_image_equally_often_where_batches_fill_epochs() -> None:
    places = list(chain.from_iterable(EpochBatches(6, batch=3, seed=0, steps=8, drop_last=True)))
    assert sorted(places) == [(epoch, index) for epoch in range(4) for index in range(6)]
