"""Task names and `--set` values to tasks, refused with a suggestion where they do not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hsa_bench.core import registry
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.label import fault_of, shown
from hsa_bench.core.input.settings import changed
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.runs.plan import ChosenTask
from hsa_bench.core.runs.task import ClassificationTask, Task

EVAL_TASKS = "eval_tasks"


def choose_tasks(
    names: Sequence[str],
    settings: Mapping[str, Any],
    image_size: int,
    asked: Collection[str] | None = None,
) -> list[ChosenTask]:
    """Return the tasks of a run with their settings.

    Args:
        names: Plug-in names (their `DEFAULT` variants, or all), variants, or dotted paths.
        settings: By `task.field`.
        image_size: For every classification task; 0 leaves it to them.
        asked: Names among the settings that must change something; None for all. The others, a preset's, may
            be of tasks that are not among these.

    Raises:
        UsageError: An unknown task, field or value, or a setting that changes nothing.
    """
    chosen: list[ChosenTask] = []
    used: set[str] = set()
    for name in names:
        try:
            module = registry.load(EVAL_TASKS, name)
        except ValueError as error:
            raise UsageError(f"--tasks {error}") from error
        tasks: tuple[Task, ...] = getattr(module, "TASKS", ())
        default = getattr(module, "DEFAULT", [task.name for task in tasks])
        variants = [task for task in tasks if task.name == name] or [t for t in tasks if t.name in default]
        if not variants:
            raise UsageError(f"--tasks {name}: {module.__name__} defines no TASKS")
        plugin = module.__name__.rsplit(".", 1)[-1].replace("_", "-")
        for task in variants:
            wide = {k: v for k, v in settings.items() if k.rpartition(".")[0] in {plugin, name}}
            own = {k: v for k, v in settings.items() if k.rpartition(".")[0] == task.name}
            used |= {*wide, *own}
            changes = {k.rpartition(".")[2]: v for k, v in {**wide, **own}.items()}
            if image_size and isinstance(task, ClassificationTask):
                changes.setdefault("image_size", image_size)
            if fault := fault_of(task.name):
                raise UsageError(f"--tasks {name}: its task's name {shown(task.name)} {fault}")
            chosen.append(ChosenTask(module.__name__, with_settings(task, changes)))
    different = list({c.task.name: c for c in chosen}.values())
    unused = {name: value for name, value in settings.items() if name not in used}
    _check_known(unused)
    if idle := [name for name in unused if asked is None or name in asked]:
        there = ", ".join(c.task.name for c in different)
        raise UsageError(f"--set {min(idle)}: it changes nothing, as the tasks of this run are {there}")
    return different


def with_settings(task: Task, changes: Mapping[str, Any]) -> Task:
    """The task with some fields changed.

    Raises:
        UsageError: It has no such field, or the field does not take that value.
    """
    return changed(task, changes, task.name)


def _check_known(settings: Mapping[str, Any]) -> None:
    """Refuse settings for which there are no such tasks, fields and values at all."""
    known = {*registry.files(EVAL_TASKS), *registry.names(EVAL_TASKS)}
    for name, value in settings.items():
        task, _, field = name.rpartition(".")
        if task not in known:
            raise UsageError(f"--set {name}: no task {task!r}; {did_you_mean(task, sorted(known))}")
        with_settings(registry.load(EVAL_TASKS, task).TASKS[0], {field: value})
