"""What a detector computes in, and when its losses are looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from eval_tasks._detection.engine import Detector
from eval_tasks._detection.settings import DetectionTask
from eval_tasks._detection.torchvision.detector import torchvision_detector
from eval_tasks._detection.training import FineTuning
from hsa_bench.core.context import Context
from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.seed import forked
from tests.eval_tasks.test_detection_training import TASK, data, few_scenes, samples

__all__ = ["data", "few_scenes"]

LOSSES = {"loss_objectness", "loss_proposal_box", "loss_class", "loss_box", "loss_mask"}


def detector(task: DetectionTask) -> Detector:
    with forked(0, "heads"):
        return torchvision_detector(build("resnet18-w16" if task.head == "fpn" else "resnet50-w8"), 10, task)


def losses(made: Detector, data: DetectionData, task: DetectionTask, ctx: Context) -> dict[str, Tensor]:
    """Losses of one batch of eight, with the gradient left."""
    work = FineTuning(made.train(), samples(data.train, task), task, 0, ctx)
    [batch] = list(work._loader("batches", 1, 0))
    return work._step(0, batch)


@pytest.mark.parametrize("head", ["fpn", pytest.param("c4", marks=pytest.mark.long)])
def test_losses_in_bfloat16_are_float32s_but_for_its_rounding(
    head: str, data: DetectionData, ctx: Context
) -> None:
    """Objectness to 1 %; of the others, whose regions are drawn from proposals that move, 10 % and 0.02."""
    task = replace(TASK, head=head, batch=8, roi_batch=64, proposals=(60, 60), rpn_candidates=(200, 200))
    plain, rounded = detector(task), detector(task)

    expected = losses(plain, data, task, ctx)
    found = losses(rounded, data, replace(task, precision="bfloat16"), ctx)

    assert found.keys() == expected.keys() == LOSSES
    assert {loss.dtype for loss in found.values()} == {torch.float32}
    objectness = "loss_objectness"
    assert found[objectness].item() == pytest.approx(expected[objectness].item(), rel=0.01)
    for name, loss in found.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=0.1, abs=0.02), name
    assert found["loss_class"] != expected["loss_class"]  # it was computed in other numbers
    for name, parameter in rounded.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all(), name


def test_boxes_are_decoded_in_float32(data: DetectionData, ctx: Context) -> None:
    task = replace(TASK, precision="bfloat16")
    made, seen = detector(task), []
    pooling: Any = made.heads.box_roi_pool
    pooling.register_forward_pre_hook(lambda _, given: seen.extend(box.dtype for box in given[1]))
    losses(made, data, task, ctx)
    assert set(seen) == {torch.float32}


def test_detectron2s_losses_in_bfloat16_too(data: DetectionData, ctx: Context) -> None:
    pytest.importorskip("detectron2", reason="needs Detectron2")
    from eval_tasks._detection.detectron2.detector import detectron2_detector

    task = replace(TASK, engine="detectron2", batch=8, roi_batch=64)
    made = []
    for _ in range(2):
        with forked(0, "heads"):
            made.append(detectron2_detector(build("resnet18"), 10, task))
    expected = losses(made[0], data, task, ctx)
    found = losses(made[1], data, replace(task, precision="bfloat16"), ctx)
    for name, loss in found.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=0.1, abs=0.02), name


def test_tf32_is_refused_where_there_is_none(data: DetectionData, ctx: Context) -> None:
    with pytest.raises(UsageError, match="precision=tf32: cpu does not compute"):
        replace(TASK, precision="tf32").resolved(data, ctx)


def tuned(data: DetectionData, ctx: Context, look_every: int, folder: str) -> Any:
    task = replace(TASK, iterations=9, mask_layers=1)
    at = replace(ctx, artefacts=ctx.artefacts.with_name(folder))
    return FineTuning(detector(task), samples(data.train, task), task, 0, at, look_every).run()


def test_looking_seldom_loses_no_loss(
    data: DetectionData, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval_tasks._detection.resume.SAVES", 2)  # after 4, 8 and the last
    assert tuned(data, ctx, 7, "a").losses == tuned(data, ctx, 1, "b").losses


@pytest.mark.parametrize("after", ["nan", "a fault"])
def test_looking_seldom_names_the_iteration_of_a_loss_that_is_no_number(
    after: str, data: DetectionData, ctx: Context
) -> None:
    task = replace(TASK, iterations=40)
    made = detector(task)
    right, ran = made.losses, []

    def wrong(*given: Any) -> dict[str, Tensor]:
        ran.append(1)
        if after == "a fault" and len(ran) == 6:
            raise RuntimeError("boxes that are no numbers")
        return {name: loss * (torch.nan if len(ran) == 4 else 1) for name, loss in right(*given).items()}

    made.losses = wrong  # type: ignore[method-assign]
    work = FineTuning(made, samples(data.train, task), task, 0, ctx, look_every=7)
    with pytest.raises(FloatingPointError, match="the loss is not finite in iteration 3:"):
        work.run()


def test_a_gpu_is_asked_seldom_and_a_cpu_each_time(data: DetectionData, ctx: Context) -> None:
    made, taken = detector(TASK), samples(data.train)
    assert FineTuning(made, taken, TASK, 0, ctx)._looks == 1
    assert FineTuning(made, taken, TASK, 0, replace(ctx, device="cuda:1"))._looks == 20


def test_the_protocol_says_what_is_not_float32() -> None:
    assert replace(TASK, precision="bfloat16").protocol == TASK.protocol.replace(
        " Box and mask AP",
        " Trained in bfloat16, with weights, boxes and losses in float32; tested in float32. Box and mask AP",
    )
