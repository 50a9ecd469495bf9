from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from eval_tasks._detection.solver import Solver, rate
from eval_tasks.coco import TASKS, Coco
from eval_tasks.voc import TASKS as VOC
from hsa_bench.core.context import Context
from hsa_bench.core.errors import DataError, UsageError
from hsa_bench.core.input.settings import changed
from tests.support.voc_layout import write_voc

VARIANTS = {task.name: task for task in TASKS}


@pytest.mark.parametrize(
    ("name", "head", "solver"),
    [
        ("coco", "c4", Solver(0.02, 180_000, 1000, (120_000, 160_000))),
        ("coco-c4-1x", "c4", Solver(0.02, 90_000, 1000, (60_000, 80_000))),
        ("coco-fpn-1x", "fpn", Solver(0.02, 90_000, 1000, (60_000, 80_000))),
        ("coco-fpn-2x", "fpn", Solver(0.02, 180_000, 1000, (120_000, 160_000))),
    ],
)
def test_the_defaults_are_the_published_schedules(name: str, head: str, solver: Solver) -> None:
    assert VARIANTS[name].solver == solver
    assert VARIANTS[name].head == head


def test_c4_and_the_pyramid_propose_as_in_the_published_configs() -> None:
    c4, fpn = VARIANTS["coco"], VARIANTS["coco-fpn-1x"]

    assert (c4.rpn_candidates, c4.proposals) == ((12_000, 6000), (2000, 1000))
    assert (fpn.rpn_candidates, fpn.proposals) == ((2000, 1000), (1000, 1000))


@pytest.mark.parametrize(("batch", "lr", "iterations"), [(8, 0.01, 180_000), (2, 0.0025, 720_000)])
def test_another_batch_scales_rate_and_iterations(batch: int, lr: float, iterations: int) -> None:
    solver = replace(VARIANTS["coco-c4-1x"], batch=batch).solver

    assert solver.lr == pytest.approx(lr)
    assert solver.iterations == iterations
    assert solver.decay_at == (iterations * 2 // 3, round(iterations * 8 / 9))
    assert solver.warmup == 1000 * 16 // batch


def test_what_is_given_stays_and_the_rest_follows() -> None:
    solver = replace(VARIANTS["coco-c4-1x"], batch=4, iterations=900, lr=0.3).solver

    assert solver == Solver(0.3, 900, 10, (600, 800))


def test_engine_and_solver_stand_resolved_in_the_key() -> None:
    settings = replace(VARIANTS["coco"], batch=8, engine="torchvision").resolved(
        None, Context(Path(), Path())
    )

    assert settings.settings()["lr"] == 0.01
    assert settings.settings()["iterations"] == 360_000
    assert settings.settings()["decay_at"] == (240_000, 320_000)
    assert VARIANTS["coco"].resolved(None, Context(Path(), Path())).engine in {"detectron2", "torchvision"}


def test_an_engine_that_is_not_there_is_told_before_work_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    task = replace(VARIANTS["coco"], engine="detectron2")

    with pytest.raises(DataError, match=r"Detectron2 is not installed .* set coco\.engine=torchvision"):
        task.resolved(None, Context(Path(), Path()))
    assert VARIANTS["coco"].resolved(None, Context(Path(), Path())).engine == "torchvision"


def test_learning_rate_warms_up_and_falls_as_in_the_schedule() -> None:
    task = VARIANTS["coco-c4-1x"]
    steps = task.solver

    assert [rate(i, steps) for i in (0, 500, 1000)] == pytest.approx([0.001, 0.5005, 1])
    assert [rate(i, steps) for i in (59_999, 60_000, 79_999, 80_000)] == pytest.approx([1, 0.1, 0.1, 0.01])

    cosine = replace(task, schedule="cosine", iterations=100, warmup=20).solver
    assert [rate(i, cosine) for i in (20, 60, 100)] == pytest.approx([1, 0.5, 0])


def test_wrong_settings_are_refused() -> None:
    fpn = VARIANTS["coco-fpn-1x"]
    with pytest.raises(ValidationError, match="anchor_sizes needs 5 sizes"):
        replace(fpn, anchor_sizes=(16, 32))
    with pytest.raises(ValidationError, match="stages must name"):
        replace(fpn, stages=(2, 1))
    with pytest.raises(ValidationError, match="iterations"):
        replace(fpn, iterations=0)
    with pytest.raises(ValidationError, match="engine"):
        replace(fpn, engine="mmdet")
    with pytest.raises(ValidationError, match="lerning_rate"):
        Coco(name="coco", lerning_rate=1)  # type: ignore[call-arg]


def test_the_protocol_states_the_values_in_force() -> None:
    protocol = replace(VARIANTS["coco-fpn-1x"], iterations=900, lr=0.05, engine="torchvision").protocol

    for part in (
        "Mask R-CNN of torchvision's parts",
        "SGD, learning rate 0.05",
        "900 iterations of 16 images (published: SGD 0.02, 90,000 of 16)",
        "x 0.1 after 600, 800",
        "side 640-800 px",
    ):
        assert part in protocol
    assert "published:" not in VARIANTS["coco"].protocol


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ()}, "train must name a list"),
        ({"masks": True}, "masks must be false"),
        ({"classes": ()}, "classes must be names"),
        ({"classes": ("dog", "dog")}, "each once"),
    ],
)
def test_settings_of_voc_that_mean_nothing_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=rf"voc\.settings: .*{message}"):
        changed(VOC[0], changes, "voc")


def test_lists_of_ones_own_folder_stand_in_the_key_as_they_were_given(tmp_path: Path) -> None:
    for name in ("train", "more", "val"):
        write_voc(tmp_path, name, {name: [("wren", (1, 1, 9, 9), False)]})
    ctx = Context(tmp_path, tmp_path)

    def lists(**given: object) -> tuple[tuple[str, ...], str]:
        task = changed(VOC[0], {"root": str(tmp_path), "classes": "auto", **given}, "voc")
        resolved = task.resolved(task.data("", ctx), ctx)
        return resolved.train, resolved.test

    assert lists() == (("train",), "val")
    assert lists(train=("train", "more")) == (("train", "more"), "val")
