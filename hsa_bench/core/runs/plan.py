"""Backbones x tasks x seeds to cells: every number that is wanted, specified before work starts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.errors import DataError
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.result import DataId, PlannedCell, RunSpec, Source
from hsa_bench.core.runs.task import Task


class Cell(Record):
    """One number to get, as JSON: a worker needs nothing else."""

    module: str
    """Dotted name of the plug-in that defines the task."""
    backbone: BackboneRequest
    dataset: str
    spec: RunSpec
    source: Source
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

    def planned(self) -> PlannedCell:
        """As the report sees it."""
        return PlannedCell(label=self.label, task=self.spec.task, seed=self.spec.seed, key=self.spec.key)


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


@dataclass(frozen=True)
class Plan:
    """What there is to do, and what cannot be done."""

    cells: tuple[Cell, ...]
    blocked: tuple[PlannedCell, ...] = field(default=())


def default_task(module: str, name: str) -> Task:
    """The task of that name as its plug-in declares it."""
    tasks: Sequence[Task] = importlib.import_module(module).TASKS
    return next(task for task in tasks if task.name == name)


def make_plan(
    tasks: Sequence[ChosenTask],
    backbones: Sequence[LoadedBackbone],
    dataset: str,
    seeds: Sequence[int],
    limit: int | None,
    ctx: Context,
) -> Plan:
    """Specify every cell; tasks whose data is missing are blocked, the others go on.

    Args:
        tasks: In the order of the report's columns.
        backbones: In the order of its rows.
        dataset: The run's labelled image set.
        seeds: A task whose number does not depend on the seed runs once, with seed 0.
        limit: Training and test images to draw, or None.
        ctx: Where data is.
    """
    cells: list[Cell] = []
    blocked: list[PlannedCell] = []
    for chosen in tasks:
        runs = seeds if chosen.task.seeded else [0]
        try:
            data = chosen.task.data(dataset, ctx)
            data_id = DataId(name=data.name, fingerprint=data.fingerprint())
            task = chosen.task.resolved(data, ctx)
        except DataError as error:
            blocked += [
                PlannedCell(label=b.request.label, task=chosen.task.name, seed=seed, blocked=str(error))
                for b in backbones
                for seed in runs
            ]
            continue
        cells += [
            Cell(
                module=chosen.module,
                backbone=b.request,
                dataset=dataset,
                spec=RunSpec(
                    task=task.name,
                    version=task.version,
                    settings=task.settings(),
                    backbone=b.backbone.id,
                    data=data_id,
                    seed=seed,
                    limit=limit,
                ),
                source=b.backbone.source,
                skipped=task.unsupported(b.backbone),
            )
            for b in backbones
            for seed in runs
        ]
    return Plan(tuple(cells), tuple(blocked))
