"""The protocol of a detection task in words, with the values in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval_tasks._detection.solver import BATCH, SCHEDULES

if TYPE_CHECKING:
    from eval_tasks._detection.settings import DetectionTask

ENGINES = {
    "auto": "of Detectron2 where it is installed, else of torchvision's parts",
    "detectron2": "of Detectron2",
    "torchvision": "of torchvision's parts",
}


def training(task: DetectionTask) -> str:
    """Network and training."""
    network = "Mask R-CNN" if task.masks else "Faster R-CNN"
    tuned = "nothing is frozen" if task.norm == "batch" else "all but batch norm is trained"
    return (
        f"{network} {ENGINES[task.engine]}, {_body(task)}; the whole network is fine-tuned, {tuned}. "
        f"{_norm(task)} {_solver(task)} {_sizes(task)}{_numbers(task)}"
    )


def _numbers(task: DetectionTask) -> str:
    rounded = f" Trained in {task.precision}, with weights, boxes and losses in float32; tested in float32."
    return "" if task.precision == "float32" else rounded


def _body(task: DetectionTask) -> str:
    if task.head == "c4":
        return "on the trunk's third stage, the fourth going over each region (C4)" + (
            ", followed by a further batch norm" if task.norm == "batch" else ""
        )
    return f"on a feature pyramid ({task.pyramid_dim} channels) over the trunk's stages (FPN)"


def _norm(task: DetectionTask) -> str:
    if task.norm == "frozen":
        return "Batch norm as pretrained."
    where = "trunk and heads" if task.head == "c4" else "trunk and pyramid"
    precise = f", its statistics taken anew over {task.precise_batches} batches at the end"
    return f"Batch norm over all processes, trained in {where}{precise if task.precise_batches else ''}."


def _solver(task: DetectionTask) -> str:
    solver, full = task.solver, SCHEDULES[task.published]
    steps = ", ".join(f"{at:,}" for at in solver.decay_at)
    decay = "cosine decay" if task.schedule == "cosine" else f"x {task.decay:g} after {steps}"
    published = (
        f"{task.optimiser}, {task.schedule}, {task.batch}, {solver.lr}, {solver.iterations}"
        == f"sgd, steps, {BATCH}, 0.02, {full.iterations}"
    )
    scaled = "" if published else f" (published: SGD 0.02, {full.iterations:,} of {BATCH})"
    return (
        f"{task.optimiser.upper()}, learning rate {solver.lr:g}, weight decay {task.weight_decay:g}, "
        f"{solver.iterations:,} iterations of {task.batch} images{scaled}, warm-up {solver.warmup:,}, "
        f"{decay}."
    )


def _sizes(task: DetectionTask) -> str:
    sizes = "-".join(str(size) for size in sorted({min(task.train_sizes), max(task.train_sizes)}))
    return (
        f"Shorter side {sizes} px in training, {task.test_size} px in test, longer side at most "
        f"{task.max_size}; images {'' if task.flip else 'not '}mirrored at random. "
        f"{task.roi_batch} regions an image in training; at most {task.detections} detections an image."
    )
