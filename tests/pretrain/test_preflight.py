from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from hsa_bench.core.errors import PretrainingError
from pretrain.preflight import check, met_share, warnings
from pretrain.settings import Settings

SMALL = Settings(batch=16, queue=32, bn_groups=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 128}, "batch 128 is larger than the training set"),
        ({"queue": 16}, r"queue 16 must be larger than the batch \(16\)"),
        ({"queue": 64}, "queue 64 must be smaller than the training set"),
        ({"symmetric": True}, r"queue 32 must be larger than the batch \(16 x 2 keys each\)"),
        ({"symmetric": True, "queue": 128}, r"smaller than the training set \(64 images x 2 keys each\)"),
        ({"method": "hsa", "symmetric": True, "queue": 64}, r"smaller than the training set \(64 images\)"),
        ({"method": "hsa", "k": 64}, "k 64 neighbours cannot be found"),
        ({"bn_groups": 3}, "bn_groups 3: a batch of 16 on 1 process.* cannot be cut"),
        ({"bn_groups": 16}, "bn_groups 16: leaves one picture a part"),
        ({"method": "hsa", "crops": (24, 32)}, r"crops \[32\]: must be smaller than the full view"),
    ],
)
def test_what_cannot_train_is_refused_with_the_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PretrainingError, match=message):
        check(replace(SMALL, **changes), images=64, image_size=32)


@pytest.mark.parametrize(
    ("changes", "processes", "message"),
    [
        ({}, 3, "3 processes cannot share a batch of 16"),
        ({"bn_groups": 1}, 2, ""),
        ({"bn_groups": 2}, 8, ""),
        ({"batch": 24, "bn_groups": 3}, 2, "bn_groups 3: a batch of 24 on 2 process"),
    ],
)
def test_processes_must_be_able_to_share_a_batch(
    changes: dict[str, Any], processes: int, message: str
) -> None:
    settings = replace(SMALL, **changes)
    if message:
        with pytest.raises(PretrainingError, match=message):
            check(settings, images=64, processes=processes)
    else:
        check(settings, images=64, processes=processes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 10, "accumulate": 3}, "batch 10 cannot be cut into 3 equal parts"),
        ({"levels": (2, 3), "level_weights": (1.0,)}, "needs one for each of levels"),
        ({"epochs": 5, "lr_warmup": 5}, "lr_warmup 5 must be shorter than the 5 epochs"),
        ({"method": "mocca"}, "did you mean moco"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(**settings)


def test_what_just_fits_is_taken() -> None:
    for changes in ({"queue": 33}, {"queue": 127}, {"method": "simclr", "queue": 1}):
        check(replace(SMALL, symmetric=True, **changes), images=64)  # type: ignore[arg-type]  # fields


def test_a_queue_above_a_quarter_of_the_data_is_remarked() -> None:
    assert warnings(replace(SMALL, queue=250), images=1000) == ()
    [text] = warnings(replace(SMALL, queue=500), images=1000)
    assert "queue 500 is 50% of the training set: 12.5% of the anchors" in text
    assert warnings(replace(SMALL, method="simclr", queue=500), images=1000) == ()
    both = replace(SMALL, symmetric=True)
    assert warnings(replace(both, queue=500), images=1000) == ()
    [text] = warnings(replace(both, queue=1000), images=1000)
    assert "queue 1000, 2 keys a picture, is 50% of the training set: 12.5% of the anchors" in text


@pytest.mark.parametrize(("queue", "keys"), [(64, 1), (128, 1), (240, 1), (256, 2)])
def test_the_share_of_anchors_that_meet_their_own_key_is_that_of_a_simulation(queue: int, keys: int) -> None:
    images, batch, epochs, draw = 256, 8, 60, random.Random(0)
    fifo: list[int] = []
    met = 0
    for epoch in range(epochs):
        order = draw.sample(range(images), images)
        for start in range(0, images, batch):
            visit = order[start : start + batch]
            met += len(set(visit) & set(fifo)) if epoch else 0
            fifo = [*fifo, *visit * keys][-queue:]
    assert met / (images * (epochs - 1)) == pytest.approx(met_share(queue / keys, images), abs=0.02)


def test_without_a_warm_up_neighbours_of_a_start_are_no_untrained_networks() -> None:
    settings = Settings(method="hsa", epochs=16, batch=64, queue=64, warmup=0, refresh=1)
    (found,) = warnings(settings, images=6400)
    assert found.startswith("epochs 1 to 1 learn from neighbours that the untrained network found")
    assert found.endswith("Set a warmup")
    for begun in ({"start_from": "1a2b"}, {"init": "1a2b"}):
        assert not warnings(replace(settings, **begun), images=6400)


def test_neighbours_of_an_untrained_network_are_warned_of() -> None:
    short = Settings(method="hsa", epochs=8, queue=2048, batch=128)
    (found,) = warnings(short, 10_000)
    assert found.startswith("epochs 2 to 5 learn from neighbours that the untrained network found")
    assert "Set refresh 1, or a longer warmup" in found
    for settled in (
        {"refresh": 1},
        {"warmup": 0.6},
        {"epochs": 200},
        {"neighbours": False},
        {"weights": (1.0, 0.0)},
        {"epochs": 1},
    ):
        assert warnings(replace(short, **settled), 10_000) == ()
