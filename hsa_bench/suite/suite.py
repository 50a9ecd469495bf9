"""The whole job: pretrain, load, plan, run, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.errors import CheckpointError, DataError, UsageError
from hsa_bench.core.models.user_module import is_own
from hsa_bench.core.processes import from_first, rank, world
from hsa_bench.core.results.result import PlanFile, PlannedCell, TaskResult
from hsa_bench.core.results.row_names import usual_baselines
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.plan import Cell, ChosenTask, LoadedBackbone, Plan, default_task, make_plan
from hsa_bench.core.runs.runner import finished, run_cells, run_together
from hsa_bench.core.runs.task import ClassificationTask
from hsa_bench.suite.choose_tasks import choose_tasks, with_settings
from hsa_bench.suite.controls import control_requests, control_tasks
from hsa_bench.suite.display import Display
from hsa_bench.suite.job import SHIPPED, Job

PRETRAIN = "pretrain.task"


@dataclass(frozen=True)
class Suite:
    """A job on a bench."""

    job: Job
    bench: Bench
    display: Display
    overwrite: bool = False

    def check(self) -> list[ChosenTask]:
        """Tasks with their settings; everything that can be refused early is refused here.

        Raises:
            UsageError: An unknown task, setting, value or data set.
        """
        settings = self._settings(evaluation=True)
        chosen = choose_tasks(self.job.tasks, settings, self.job.image_size, spare=True)
        need = [c.task.name for c in chosen if isinstance(c.task, ClassificationTask) and not c.task.own_data]
        if self.job.pretrain.backbones:
            need.insert(0, "pretraining")
        if need and not self.job.dataset:
            raise UsageError(f"--dataset is needed for {', '.join(need)}; for example --dataset {SHIPPED}")
        try:
            if need:
                open_dataset(self.job.dataset, self.bench.ctx.data_root)
        except DataError:
            pass  # planning blocks the cells that need it and says why
        except ValueError as error:
            raise UsageError(f"--dataset {error}") from error
        return chosen

    def pretraining(self) -> list[Cell]:
        """One cell for each backbone to pretrain and each pretraining seed."""
        job = self.job
        if job.pretrain.backbones and world() > 1:
            raise UsageError("this run pretrains; with torchrun, pretrain first: torchrun -m pretrain")
        cells: list[Cell] = []
        for label, own in job.pretrain.backbones.items():
            own_settings = {**job.pretrain.settings, **own, **self._settings(evaluation=False)}
            seeds = own_settings.pop("seeds", job.pretrain.seeds)
            task = with_settings(default_task(PRETRAIN, "pretrain"), own_settings)
            for seed in seeds:
                start = _load(BackboneRequest(label=label, arch=job.pretrain.arch, init=seed))
                plan = make_plan(
                    [ChosenTask(PRETRAIN, task)], [start], job.dataset, [seed], job.limit, self.bench.ctx
                )
                if plan.blocked:
                    raise UsageError(plan.blocked[0].blocked)
                cells += plan.cells
        return cells

    def checkpoints(self) -> list[LoadedBackbone]:
        """The backbones named by the user, loaded completely or refused."""
        loaded = []
        for request in self.job.requests():
            loaded.append(_load(request))
            self.display.loaded(request.label, loaded[-1].backbone)
        return loaded

    def controls(self, checkpoints: Sequence[LoadedBackbone]) -> list[LoadedBackbone]:
        """Untrained twins and raw pixels."""
        return [_load(request) for request in control_requests(self.job, checkpoints)]

    def run(self, cells: Sequence[Cell]) -> list[TaskResult]:
        """Results of all cells: those on file, and the rest by running them."""
        done = from_first([not self.overwrite and finished(c, self.bench) is not None for c in cells])
        todo = [cell for cell, on_file in zip(cells, done, strict=True) if not on_file]
        todo.sort(key=lambda cell: not cell.task().broad)
        kept = len(cells) - len(todo)
        if kept:
            self.display.say(f"{kept} of {len(cells)} cells are on file and are re-used")
        self.display.expect(len(todo))
        runner = run_cells if world() == 1 else run_together
        for result in runner(todo, self.bench, self.display.watch):
            self.display.finish(result)
        on_file = (self.bench.store.get(c.label, c.spec.task, c.spec.key) for c in cells)
        return [result for result in on_file if result is not None]

    def pretrained(self, results: Sequence[TaskResult]) -> list[LoadedBackbone]:
        """The backbones that came out of pretraining."""
        loaded = []
        for result in results:
            if result.status == "ok":
                folder = self.bench.store.path(result.label, result.spec.task, result.spec.key).parent
                path = (folder / result.artefacts["checkpoint"]).absolute()
                arch = self.job.pretrain.arch if is_own(self.job.pretrain.arch) else ""
                loaded.append(_load(BackboneRequest(label=result.label, path=str(path), arch=arch)))
                self.display.loaded(result.label, loaded[-1].backbone)
        return loaded

    def evaluation(
        self,
        tasks: Sequence[ChosenTask],
        backbones: Sequence[LoadedBackbone],
        controls: Sequence[LoadedBackbone],
    ) -> Plan:
        """Every number wanted of the loaded backbones, and of the controls."""
        job = self.job
        rest = job.dataset, job.seeds, job.limit, self.bench.ctx
        plan = make_plan(tasks, backbones, *rest)
        beside = make_plan(control_tasks(job, tasks), controls, *rest)
        return Plan((*plan.cells, *beside.cells), (*plan.blocked, *beside.blocked))

    def baselines(self, controls: Sequence[LoadedBackbone]) -> tuple[str, ...]:
        """The rows that the others are compared with.

        As asked, else the usual ones.

        Raises:
            UsageError: One asked for is not in the run.
        """
        files = list(dict.fromkeys(self._names()))
        beside = list(dict.fromkeys(control.request.label for control in controls))
        labels = list(dict.fromkeys([*files, *beside]))
        for label in self.job.baseline:
            if label not in labels:
                raise UsageError(f"--baseline {label}: not in this run; there are {', '.join(labels)}")
        return self.job.baseline or usual_baselines(files, beside)

    def claims(self) -> dict[str, str]:
        """Published pretrainings that files are said to be, by backbone.

        Raises:
            UsageError: Of no backbone, or of nobody knows which.
        """
        from reports.published.entries import named_claims

        try:
            return named_claims(self.job.claims, list(dict.fromkeys(self._names())))
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _names(self) -> list[str]:
        return [*self.job.pretrain.backbones, *(request.label for request in self.job.requests())]

    def plan_file(self, cells: Sequence[PlannedCell], controls: Sequence[LoadedBackbone]) -> PlanFile:
        """What the report needs to know of the run."""
        return PlanFile(
            title=self.job.title,
            preset=self.job.preset,
            notes=self.job.notes,
            baselines=self.baselines(controls),
            claims=self.claims(),
            controls=tuple(dict.fromkeys(c.request.label for c in controls)),
            limited=self.job.limit is not None,
            command=self.bench.provenance.command,
            cells=tuple(cells),
        )

    def _settings(self, evaluation: bool) -> dict[str, object]:
        mine = {k: v for k, v in self.job.set.items() if k.startswith("pretrain.") != evaluation}
        return mine if evaluation else {k.removeprefix("pretrain."): v for k, v in mine.items()}


def run_suite(suite: Suite) -> bool:
    """Run the job and leave its plan; the caller writes the report.

    Returns:
        Whether every cell has a number or is skipped with a reason.

    Raises:
        UsageError: Before any work, if something about the job is wrong.
    """
    with suite.display.busy("planning"):
        tasks = suite.check()
        pretraining = suite.pretraining()
        checkpoints = suite.checkpoints()
        controls = suite.controls(checkpoints)
        suite.baselines(controls)
        suite.claims()
        _refuse_if_all_blocked(suite.evaluation(tasks, checkpoints, controls))
    results = suite.run(pretraining)
    with suite.display.busy("planning"):
        plan = suite.evaluation(tasks, [*suite.pretrained(results), *checkpoints], controls)
    lost = _lost(suite, tasks, results)
    planned = [c.planned() for c in (*pretraining, *plan.cells)] + [*plan.blocked, *lost]
    if rank() == 0:
        suite.bench.store.write_plan(suite.plan_file(planned, controls))
    for task, why in {cell.task: cell.blocked for cell in plan.blocked}.items():
        suite.display.say(f"{task} is blocked for all backbones: {why}")
    results += suite.run(plan.cells)
    return not plan.blocked and not lost and all(r.status != "failed" for r in results)


def cells_of(suite: Suite, tasks: Sequence[ChosenTask], label: str, why: str = "") -> list[PlannedCell]:
    """Evaluations of a backbone that is not there yet."""
    return [
        PlannedCell(label=label, task=chosen.task.name, seed=seed, blocked=why)
        for chosen in tasks
        for seed in (suite.job.seeds if chosen.task.seeded else (0,))
    ]


def _lost(suite: Suite, tasks: Sequence[ChosenTask], results: Sequence[TaskResult]) -> list[PlannedCell]:
    """Evaluations that cannot be specified because their pretraining failed."""
    return [
        cell
        for result in results
        if result.failure is not None
        for cell in cells_of(suite, tasks, result.label, f"its pretraining failed: {result.failure.message}")
    ]


def _refuse_if_all_blocked(plan: Plan) -> None:
    if plan.blocked and not plan.cells:
        raise UsageError(plan.blocked[0].blocked)


def _load(request: BackboneRequest) -> LoadedBackbone:
    try:
        return LoadedBackbone(request, request.load())
    except (CheckpointError, ValidationError, ValueError) as error:
        raise UsageError(str(error)) from error
