"""Everything that is found out, and refused, before a job begins to work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.data.manifest import keep_in
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.errors import DataError, UsageError
from hsa_bench.core.models.user_module import is_own
from hsa_bench.core.results.plan_file import PlanFile, PlannedRun
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.row_names import usual_baselines
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.plan import (
    ChosenTask,
    LoadedBackbone,
    OpenedTask,
    Plan,
    Run,
    open_tasks,
    plan_runs,
)
from hsa_bench.core.runs.task import ClassificationTask
from hsa_bench.suite.choose_tasks import choose_tasks
from hsa_bench.suite.controls import control_requests, control_tasks
from hsa_bench.suite.display import Display
from hsa_bench.suite.job import SHIPPED, Job
from hsa_bench.suite.on_file import CHECKPOINT
from hsa_bench.suite.one_name import check_one_name
from hsa_bench.suite.plan_pretraining import plan_pretraining
from reports.published.entries import named_claims


@dataclass(frozen=True)
class Prepared:
    """A job whose every part was found and is in order; nothing has run yet."""

    job: Job
    bench: Bench
    tasks: tuple[OpenedTask, ...]
    """Evaluations by task, in the report's order, on the data they were found with."""
    pretraining: tuple[Run, ...]
    """One run for each backbone to pretrain and each pretraining seed."""
    checkpoints: tuple[LoadedBackbone, ...]
    """The backbones named by the user."""
    controls: tuple[LoadedBackbone, ...]
    """Untrained twins and raw pixels."""
    baselines: tuple[str, ...]
    """The rows that the others are compared with."""
    claims: dict[str, str]
    """By backbone: the published pretraining that its file is said to be."""

    def plan(self, pretrained: Sequence[LoadedBackbone] = ()) -> Plan:
        """Specify every number that is wanted of these backbones, the checkpoints and the controls."""
        seeds, limit = self.job.seeds, self.job.limit
        plan = plan_runs(self.tasks, [*pretrained, *self.checkpoints], seeds, limit)
        beside = plan_runs(control_tasks(self.job, self.tasks), self.controls, seeds, limit)
        return Plan(
            (*plan.runs, *beside.runs),
            (*plan.blocked, *beside.blocked),
            (*plan.backbones, *beside.backbones),
        )

    def awaited(self, label: str, blocked: str = "") -> list[PlannedRun]:
        """Return the evaluations of a backbone that is not there yet, or never will be."""
        return [
            PlannedRun(label=label, task=opened.task.name, seed=seed, blocked=blocked)
            for opened in self.tasks
            for seed in (self.job.seeds if opened.task.seeded else (0,))
        ]

    def pretrained(self, results: Sequence[TaskResult], display: Display) -> list[LoadedBackbone]:
        """Load the backbones that came out of pretraining."""
        loaded = []
        for result in results:
            if result.status == "ok":
                path = self.bench.store.artefact(result, CHECKPOINT)
                assert path is not None, "a pretraining hands over its checkpoint"
                arch = self.job.pretrain.arch if is_own(self.job.pretrain.arch) else ""
                loaded.append(load(BackboneRequest(label=result.label, path=str(path.absolute()), arch=arch)))
                display.loaded(result.label, loaded[-1].backbone)
        return loaded

    def plan_file(self, planned: Sequence[PlannedRun]) -> PlanFile:
        """Return what the report needs to know of the job."""
        return PlanFile(
            title=self.job.title,
            preset=self.job.preset,
            notes=self.job.notes,
            baselines=self.baselines,
            claims=self.claims,
            pairs=self.job.pairs,
            controls=tuple(dict.fromkeys(c.request.label for c in self.controls)),
            limited=self.job.limit is not None,
            command=self.bench.provenance.command,
            runs=tuple(planned),
        )


def prepare(job: Job, bench: Bench, display: Display) -> Prepared:
    """Choose the tasks, open the data, load the checkpoints: all that can be refused before work starts.

    Raises:
        UsageError: An unknown task, setting, value, data set, baseline or claim; a checkpoint that does not
            load completely; or data without which nothing can be measured.
    """
    _check_pairs(job)
    chosen = choose_tasks(job.tasks, job.settings_of(pretraining=False), job.image_size, job.asked)
    _check_dataset(job, bench, chosen, display)
    pretraining = plan_pretraining(job, bench)
    checkpoints = []
    for request in job.requests():
        checkpoints.append(load(request))
        display.loaded(request.label, checkpoints[-1].backbone)
    check_one_name(checkpoints, pretraining)
    controls = [load(request) for request in control_requests(job, checkpoints)]
    prepared = Prepared(
        job=job,
        bench=bench,
        tasks=tuple(open_tasks(chosen, job.dataset, bench.ctx)),
        pretraining=tuple(pretraining),
        checkpoints=tuple(checkpoints),
        controls=tuple(controls),
        baselines=_baselines(job, controls),
        claims=named_claims(job.claims, job.labels()),
    )
    if prepared.tasks and all(opened.blocked for opened in prepared.tasks):
        raise UsageError(prepared.tasks[0].blocked)
    return prepared


def load(request: BackboneRequest) -> LoadedBackbone:
    """Load a backbone completely.

    Raises:
        UsageError: It is not loaded; the message says why.
    """
    try:
        return LoadedBackbone(request, open_backbone(request))
    except (ValidationError, ValueError) as error:
        raise UsageError(str(error)) from error


def _check_dataset(job: Job, bench: Bench, chosen: Sequence[ChosenTask], display: Display) -> None:
    """Refuse a job that needs a data set and names none, or none that there is."""
    need = [c.task.name for c in chosen if isinstance(c.task, ClassificationTask) and not c.task.own_data]
    if job.pretrain.backbones:
        need.insert(0, "pretraining")
    if need and not job.dataset:
        raise UsageError(f"--dataset is needed for {', '.join(need)}; for example --dataset {SHIPPED}")
    try:
        if need:
            keep_in(bench.ctx.cache)
            for note in open_dataset(job.dataset, bench.ctx.data_root).notes:
                display.say(f"note: {note}")
    except DataError:
        pass  # planning blocks the runs that need it and says why
    except ValueError as error:
        raise UsageError(f"--dataset {error}") from error


def _check_pairs(job: Job) -> None:
    """Refuse pairs of rows that there are not.

    Raises:
        UsageError: With the pair and the row.
    """
    for pair in job.pairs:
        if lost := next((row for row in (pair.row, pair.less) if row not in job.labels()), ""):
            raise UsageError(f"pairs, {pair.label}: {lost} is no row of this run; {', '.join(job.labels())}")


def _baselines(job: Job, controls: Sequence[LoadedBackbone]) -> tuple[str, ...]:
    """Return the rows to compare with: as asked, else the usual ones.

    Raises:
        UsageError: One asked for is not in the run.
    """
    names = job.labels()
    beside = list(dict.fromkeys(control.request.label for control in controls))
    labels = list(dict.fromkeys([*names, *beside]))
    for label in job.baseline:
        if label not in labels:
            raise UsageError(f"--baseline {label}: not in this run; there are {', '.join(labels)}")
    return job.baseline or usual_baselines(names, beside)
