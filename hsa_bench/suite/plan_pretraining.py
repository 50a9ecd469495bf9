"""The pretrainings of a job as runs: settings, seeds, and what each starts from, refused early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic import ValidationError

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import UsageError
from hsa_bench.core.processes import world
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Run, default_task, make_plan
from hsa_bench.suite.choose_tasks import with_settings
from hsa_bench.suite.job import Job
from pretrain.settings import Settings
from pretrain.start import FILES, Start, open_start

PRETRAIN = "pretrain.task"


def plan_pretraining(job: Job, bench: Bench) -> list[Run]:
    """Specify one run for each backbone to pretrain and each of its seeds.

    Raises:
        UsageError: Settings, data or what one starts from are not right.
    """
    if job.pretrain.backbones and world() > 1:
        raise UsageError("this run pretrains; with torchrun, pretrain first: torchrun -m pretrain")
    runs: list[Run] = []
    for label, own in job.pretrain.backbones.items():
        settings = {**job.pretrain.settings, **own, **job.settings_of(pretraining=True)}
        seeds = settings.pop("seeds", job.pretrain.seeds)
        for seed in seeds:
            runs += _one(label, seed, settings, job, bench)
    return runs


def _one(label: str, seed: int, settings: Mapping[str, Any], job: Job, bench: Bench) -> Sequence[Run]:
    start = _start(label, seed, settings, job)
    task = with_settings(default_task(PRETRAIN, "pretrain"), start.settings)
    # What a start cost stands in its own file; in the source of this run it would pass for this run's.
    source = start.backbone.source.model_copy(update={"budget": None})
    network = LoadedBackbone(start.request, replace(start.backbone, source=source))
    plan = make_plan([ChosenTask(PRETRAIN, task)], [network], job.dataset, [seed], job.limit, bench.ctx)
    if plan.blocked:
        raise UsageError(plan.blocked[0].blocked)
    start.check(cast(Settings, task))
    return plan.runs


def _start(label: str, seed: int, settings: Mapping[str, Any], job: Job) -> Start:
    request = BackboneRequest(label=label, arch=job.pretrain.arch, init=seed)
    try:
        return open_start(settings, request, {field: _said(field, label, job) for field in FILES})
    except (ValidationError, ValueError) as error:
        raise UsageError(str(error)) from error


def _said(field: str, label: str, job: Job) -> str:
    """Name the place where a setting of a pretraining was given."""
    if field in job.settings_of(pretraining=True):
        return f"--set pretrain.{field}"
    own = field in job.pretrain.backbones[label]
    return f"pretrain.{f'backbones.{label}' if own else 'settings'}.{field}"
