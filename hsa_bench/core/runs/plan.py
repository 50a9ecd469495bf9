"""Backbones x tasks x seeds to runs: every number that is wanted, specified before work starts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.manifest import keep_in
from hsa_bench.core.errors import DataError, UsageError
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.probe import size_fault
from hsa_bench.core.results.plan_file import PlannedRun
from hsa_bench.core.results.pretrainings import stated_seed
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.result import DataId, RunSpec, Source
from hsa_bench.core.runs.task import Task


class Run(Record):
    """One number to get, as JSON: a worker needs nothing else."""

    module: str
    """Dotted name of the plug-in that defines the task."""
    backbone: BackboneRequest
    dataset: str
    spec: RunSpec
    source: Source
    print: str = ""
    """The network's, as it was planned with; see `network_print`."""
    skipped: str = ""
    """Why the task cannot measure this backbone."""

    @property
    def label(self) -> str:
        """The backbone's name in tables."""
        return self.backbone.label

    def task(self) -> Task:
        """The task with the settings of the specification."""
        plain = default_task(self.module, self.spec.task)
        return replace(plain, **self.spec.settings)

    def planned(self) -> PlannedRun:
        """As the report sees it."""
        return PlannedRun(
            label=self.label,
            task=self.spec.task,
            seed=self.spec.seed,
            key=self.spec.key,
            pretraining_seed=stated_seed(self.source),
        )


@dataclass(frozen=True)
class ChosenTask:
    """A task and the plug-in it came from."""

    module: str
    task: Task


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone and how a worker gets it again."""

    request: BackboneRequest
    backbone: Backbone

    @property
    def source(self) -> Source:
        """Where it came from, with what the user states of it."""
        seed = self.request.pretraining_seed
        own = self.backbone.source
        return own if seed is None else own.model_copy(update={"pretraining_seed": seed})


@dataclass(frozen=True)
class Plan:
    """What there is to do, and what cannot be done."""

    runs: tuple[Run, ...]
    blocked: tuple[PlannedRun, ...] = field(default=())
    backbones: tuple[LoadedBackbone, ...] = ()
    """That the runs measure."""


def default_task(module: str, name: str) -> Task:
    """The task of that name as its plug-in declares it."""
    tasks: Sequence[Task] = importlib.import_module(module).TASKS
    return next(task for task in tasks if task.name == name)


@dataclass(frozen=True)
class OpenedTask:
    """A task with everything that data set and machine decide, or the reason why it has no data."""

    module: str
    """Dotted name of the plug-in that defines the task."""
    task: Task
    dataset: str
    data: DataId | None
    """None if the data are missing."""
    blocked: str = ""
    """Why the data are missing."""


def open_tasks(tasks: Sequence[ChosenTask], dataset: str, ctx: Context) -> list[OpenedTask]:
    """Open each task's data and settle its settings; missing data blocks that task, the others go on.

    Args:
        tasks: In the order of the report's columns.
        dataset: The run's labelled image set.
        ctx: Where data is.
    """
    keep_in(ctx.cache)
    opened = []
    for chosen in tasks:
        try:
            data = chosen.task.data(dataset, ctx)
            found = DataId(name=data.name, fingerprint=data.fingerprint())
            task = chosen.task.resolved(data, ctx)
            opened.append(OpenedTask(chosen.module, task, dataset, found))
        except DataError as error:
            opened.append(OpenedTask(chosen.module, chosen.task, dataset, None, str(error)))
    return opened


@dataclass(frozen=True)
class _Sizes:
    """Sizes of pictures that backbones were tried on."""

    seen: dict[tuple[int, int], str] = field(default_factory=dict)
    """Why one is not taken, by backbone and side."""

    def check(self, backbone: LoadedBackbone, task: Task) -> None:
        """Refuse a backbone that does not take the pictures of a task.

        Raises:
            UsageError: With the size that it takes.
        """
        side, own = getattr(task, "image_size", 0), backbone.backbone
        if not side or task.unsupported(own):
            return
        key = id(own), side
        if key not in self.seen:
            self.seen[key] = size_fault(own.module, side)
        if fault := self.seen[key]:
            takes = (
                f"; it takes {own.side} px: give --image-size {own.side}" if own.side not in {0, side} else ""
            )
            raise UsageError(
                f"{own.label}: takes no pictures of {side} px, as {task.name} has them ({fault}){takes}"
            )


def plan_runs(
    tasks: Sequence[OpenedTask],
    backbones: Sequence[LoadedBackbone],
    seeds: Sequence[int],
    limit: int | None,
) -> Plan:
    """Specify the run of every task on every backbone, and of every seed where the seed matters.

    Args:
        tasks: In the order of the report's columns.
        backbones: In the order of its rows.
        seeds: A task whose number does not depend on the seed runs once, with seed 0.
        limit: Training and test images to draw, or None.

    Raises:
        UsageError: A backbone takes no pictures of a task's size.
    """
    runs: list[Run] = []
    blocked: list[PlannedRun] = []
    sizes = _Sizes()
    for opened in tasks:
        task, drawn = opened.task, seeds if opened.task.seeded else [0]
        for backbone in backbones:
            for seed in drawn:
                label = backbone.request.label
                if opened.data is None:
                    blocked.append(PlannedRun(label=label, task=task.name, seed=seed, blocked=opened.blocked))
                    continue
                sizes.check(backbone, task)
                spec = RunSpec(
                    task=task.name,
                    version=task.version,
                    settings=task.settings(),
                    backbone=backbone.backbone.id,
                    data=opened.data,
                    seed=seed,
                    limit=limit,
                )
                runs.append(
                    Run(
                        module=opened.module,
                        backbone=backbone.request,
                        dataset=opened.dataset,
                        spec=spec,
                        source=backbone.source,
                        print=backbone.backbone.print,
                        skipped=task.unsupported(backbone.backbone),
                    )
                )
    return Plan(tuple(runs), tuple(blocked), tuple(backbones))


def make_plan(
    tasks: Sequence[ChosenTask],
    backbones: Sequence[LoadedBackbone],
    dataset: str,
    seeds: Sequence[int],
    limit: int | None,
    ctx: Context,
) -> Plan:
    """Open the tasks' data and specify every run; see `open_tasks` and `plan_runs`."""
    return plan_runs(open_tasks(tasks, dataset, ctx), backbones, seeds, limit)
