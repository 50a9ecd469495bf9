"""The choice of fine-tuning rates: which pairs stop early, and that a pause changes no number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from eval_tasks import semisup
from eval_tasks._finetune import finetune
from eval_tasks._finetune.finetune import Rates, fine_tune
from eval_tasks._finetune.rates import RateSearch, best_rates, better_half
from eval_tasks._finetune.training import Training
from hsa_bench.core.context import Context
from hsa_bench.core.data import images as images_module
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.loading import Batch, stream
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View, centre_view
from hsa_bench.core.errors import Diverged
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.preprocess import Preprocess
from tests.support.evaluation import ON_ONE_THREAD, run, scores

TASK = replace(
    semisup.TASKS[1], fraction=0.5, steps=20, batch=6, rates=((0.01, 0.2),), smallest=0.3, weight_decay=0.01
)
NOTHING, GOOD, WILD = (0.0, 1e-9), (0.01, 0.2), (0.01, 1e6)

pytestmark = ON_ONE_THREAD

A, B, C, D = (Rates(0.0, float(i)) for i in range(4))


@pytest.mark.parametrize(
    ("merit", "kept"),
    [
        ({A: 10.0, B: 40.0, C: 30.0, D: 20.0}, [B, C]),
        ({A: 10.0, B: 40.0, C: 30.0}, [B, C]),
        ({A: 10.0, B: 40.0}, [B]),
        ({A: 10.0}, [A]),
        ({A: 30.0, B: 40.0, C: 30.0, D: 30.0}, [A, B, C, D]),
        ({A: 40.0, B: 40.0, C: 40.0, D: 30.0}, [A, B, C]),
        ({A: 0.0, B: 0.0}, [A, B]),
        ({}, []),
    ],
)
def test_the_better_half_goes_on_and_all_that_are_as_good(
    merit: dict[Rates, float], kept: list[Rates]
) -> None:
    assert better_half(merit) == kept


def chosen(
    pairs: tuple[tuple[float, float], ...],
    backbone: Backbone,
    data: Classification,
    ctx: Context,
    **settings: float,
) -> tuple[dict[str, int], dict[str, object]]:
    """Steps that each pair was trained for, and what was told of the choice."""
    task = replace(TASK, rates=pairs, **settings).resolved(data, ctx)  # type: ignore[arg-type]
    begun: dict[str, Training] = {}

    def begin(pair: Rates, rest: ImageSet) -> Training:
        begun[str(pair)] = task.begin(backbone, rest, pair, 0, ctx)
        return begun[str(pair)]

    def scored(training: Training, judge: ImageSet) -> Tensor:
        return task.scores(training.network, judge, backbone, ctx)

    labelled = data.train.subset(range(0, 36, 2))
    search = RateSearch(begin, scored, task.steps, task.halving_step)
    best, told = best_rates([Rates(*pair) for pair in pairs], labelled, task.held_out, 0, search)
    assert told["rates"] == str(best)
    return {pair: len(training.losses) for pair, training in begun.items()}, told


def test_the_worse_half_stops_at_the_stated_step(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    pairs = (NOTHING, GOOD, (0.0, 2e-9), (0.02, 0.2))
    steps, told = chosen(pairs, tiny, colours, ctx, halve_after=0.6)
    assert steps == {"trunk 0, head 1e-09": 12, "trunk 0.01, head 0.2": 20, "trunk 0, head 2e-09": 12,
                     "trunk 0.02, head 0.2": 20}  # fmt: skip
    assert list(told["stopped_early"]) == ["trunk 0, head 1e-09", "trunk 0, head 2e-09"]  # type: ignore[call-overload]
    assert list(told["held_out_top1"]) == ["trunk 0.01, head 0.2", "trunk 0.02, head 0.2"]  # type: ignore[call-overload]
    assert told["diverged"] == []


def test_no_pair_stops_early_where_the_rule_is_off(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    steps, told = chosen((NOTHING, GOOD), tiny, colours, ctx, halve_after=0.0)
    assert set(steps.values()) == {20}
    assert told["stopped_early"] == {}
    assert told["rates"] == "trunk 0.01, head 0.2"


def test_a_diverged_pair_takes_no_place_among_the_better_half(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    steps, told = chosen((WILD, GOOD, NOTHING), tiny, colours, ctx, halve_after=0.6)
    assert told["diverged"] == ["trunk 0.01, head 1e+06"]
    assert told["rates"] == "trunk 0.01, head 0.2"
    assert steps["trunk 0, head 1e-09"] == 12


def test_a_stopped_pair_goes_on_where_all_better_ones_diverge_later(
    tiny: Backbone, colours: Classification, ctx: Context
) -> None:
    task = replace(TASK, rates=(GOOD, NOTHING)).resolved(colours, ctx)

    def begin(pair: Rates, rest: ImageSet) -> Training:
        training = task.begin(tiny, rest, pair, 0, ctx)
        if pair == GOOD:
            whole = training.batches

            def ends_badly(first: int, until: int) -> Iterator[Batch]:
                for step, ((x,), y, index) in enumerate(whole(first, until), start=first):
                    yield [x if step < 15 else x * torch.nan], y, index

            training.batches = ends_badly
        return training

    def scored(training: Training, judge: ImageSet) -> Tensor:
        return task.scores(training.network, judge, tiny, ctx)

    labelled = colours.train.subset(range(0, 36, 2))
    best, told = best_rates(
        [Rates(*GOOD), Rates(*NOTHING)], labelled, 0.2, 0, RateSearch(begin, scored, 20, 12)
    )
    assert best == NOTHING
    assert told["diverged"] == [str(Rates(*GOOD))]
    assert told["stopped_early"] == {}


class Dropped(nn.Module):
    """A network that draws: dropout before a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = 8
        self.body = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 16 * 16, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("pauses", [(7,), (3, 4, 11)])
def test_a_pause_changes_no_number(
    pauses: tuple[int, ...], colours: Classification, ctx: Context, wrap: object
) -> None:
    backbone: Backbone = wrap(Dropped())  # type: ignore[operator]
    task = replace(TASK, steps=14).resolved(colours, ctx)
    labelled = colours.train.subset(range(20))
    whole, parts = (task.begin(backbone, labelled, Rates(0.001, 0.001), 0, ctx) for _ in range(2))
    before = torch.get_rng_state()
    whole.go_on(14)
    for pause in (*pauses, 14):
        parts.go_on(pause)
        assert not parts.network.training
        torch.rand(3)  # what others draw meanwhile
    assert parts.losses == pytest.approx(whole.losses, abs=1e-5)
    for one, other in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)  # products round by where a tensor lies
    torch.set_rng_state(before)


@pytest.mark.parametrize("first", [0, 1, 4, 5, 9])
def test_a_stream_can_begin_at_any_step(first: int, colours: Classification, ctx: Context) -> None:
    view, images = centre_view(View(16, 16), Preprocess()), colours.train.subset(range(14))
    whole = list(stream(images, [view], 4, 3, 11, ctx))
    part = list(stream(images, [view], 4, 3, range(first, 11), ctx))
    assert len(part) == 11 - first
    assert [index.tolist() for _, _, index in part] == [index.tolist() for _, _, index in whole[first:]]


@pytest.mark.parametrize("every", [1, 4, 100])
def test_the_step_at_which_a_loss_diverged_is_named_however_often_it_is_looked_at(
    every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "steps_between_looks", lambda device: every)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    sgd = torch.optim.SGD(network.parameters(), 0.1)
    seen: list[int] = []

    def batches() -> Iterator[Batch]:
        for step in range(10, 20):
            seen.append(step)
            yield (
                [torch.full((2, 3), torch.inf if step >= 15 else 1.0)],
                torch.tensor([0, 1]),
                torch.arange(2),
            )

    monkeypatch.setattr(finetune, "on", lambda device, x: x)
    with pytest.raises(Diverged, match=r"at step 15, with initial rates \[0\.1\]; lower them"):
        fine_tune(network, batches(), sgd, lambda step: 1.0, "cpu", first=10)
    assert seen[-1] == {1: 15, 4: 17, 100: 19}[every]


@pytest.fixture
def in_files(tmp_path: Path) -> Classification:
    """24 training and 6 test pictures of two classes in files."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 3)):
        for c in range(2):
            folder = tmp_path / "files" / split / f"class{c}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 128, (20, 24, 3), dtype=np.uint8)
                pixels[..., c] += 100
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return open_dataset(f"imagefolder:{tmp_path / 'files'}", tmp_path)


def test_labelled_pictures_are_decoded_once_for_all_pairs(
    tiny: Backbone, in_files: Classification, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    decode = images_module.decoded

    def counting(content: bytes) -> Image.Image:
        decoded.append(content)
        return decode(content)

    monkeypatch.setattr(images_module, "decoded", counting)
    task = replace(TASK, image_size=16, rates=(GOOD, (0.02, 0.2), NOTHING), steps=10)
    outcome = run(task, tiny, in_files, ctx)
    labelled, test = 12, 6
    assert outcome.effective["labelled_images"] == labelled
    assert len(decoded) == labelled + test

    monkeypatch.setattr(semisup, "held", lambda images, rows, workers: images)
    plain = run(task, tiny, in_files, ctx)
    assert np.array_equal(scores(outcome), scores(plain))
    assert len(decoded) > 10 * labelled


def test_the_protocol_states_the_rule(colours: Classification, ctx: Context) -> None:
    task = replace(semisup.TASKS[0], steps=60).resolved(colours, ctx)
    assert "after 18 of them the pairs that score worse than the better half there stop" in task.protocol
    assert "stop" not in replace(task, halve_after=0.0).protocol
