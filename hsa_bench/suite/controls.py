"""The untrained twins of a run's architectures, and the picture itself: what any number must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.input.label import valid
from hsa_bench.core.results.row_names import PIXELS, RANDOM
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, OpenedTask
from hsa_bench.suite.job import Job

T = TypeVar("T", ChosenTask, OpenedTask)


def control_requests(job: Job, checkpoints: Sequence[LoadedBackbone]) -> list[BackboneRequest]:
    """Random initialisations of every architecture in the run, pooled alike, and raw pixels."""
    named = job.pretrain.arch, "" if "=" in job.arch else job.arch
    twins = dict.fromkeys((arch, "") for arch in named if arch and not checkpoints)
    twins |= dict.fromkeys((job.pretrain.arch, "") for _ in [0] if job.pretrain.arch)
    twins |= dict.fromkeys((b.backbone.arch, b.backbone.card.tokens) for b in checkpoints)
    heads = {b.backbone.arch: b.request.head for b in checkpoints}
    shapes = [(arch, tokens) for arch, tokens in twins if arch not in {"", PIXELS}]
    requests = [
        BackboneRequest(
            label=_label(shape, shapes),
            arch=shape[0],
            init=init,
            card={"tokens": shape[1]} if shape[1] else {},
            head=heads.get(shape[0], ""),
            side=job.image_size,
        )
        for shape in shapes
        for init in range(job.random_controls)
    ]
    if job.pixels_control:
        requests.append(BackboneRequest(label=PIXELS, arch=PIXELS))
    return requests


def control_tasks(job: Job, tasks: Sequence[T]) -> list[T]:
    """Return the tasks of the controls: the cheap ones; all if the job says so or has no other backbone."""
    alone = not (job.checkpoints or job.pretrain.backbones)
    return [one for one in tasks if alone or job.controls_on == "all" or one.task.cheap]


def _label(shape: tuple[str, str], shapes: Sequence[tuple[str, str]]) -> str:
    if len(shapes) == 1:
        return RANDOM
    arch, tokens = shape
    alike = [s for s in shapes if s[0] == arch]
    return valid(f"{RANDOM} {arch}" + (f" {tokens}" if len(alike) > 1 else ""))
