"""Task names and `--set` values to tasks, refused with a suggestion where they do not fit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from pydantic import ValidationError

from hsa_bench.core import registry
from hsa_bench.core.plan import ChosenTask
from hsa_bench.core.task import ClassificationTask, Task
from hsa_bench.job import UsageError

EVAL_TASKS = "eval_tasks"


def choose_tasks(names: Sequence[str], settings: Mapping[str, Any], image_size: int) -> list[ChosenTask]:
    """The tasks of a run with their settings.

    Args:
        names: Plug-in names (their default variants), variants, or dotted paths.
        settings: By `task.field`.
        image_size: For every classification task; 0 leaves it to them.

    Raises:
        UsageError: An unknown task, field or value.
    """
    chosen: list[ChosenTask] = []
    used: set[str] = set()
    for name in names:
        try:
            module = registry.load(EVAL_TASKS, name)
        except ValueError as error:
            raise UsageError(f"--tasks {error}") from error
        tasks: tuple[Task, ...] = getattr(module, "TASKS", ())
        variants = [task for task in tasks if task.name == name] or list(tasks)
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
            chosen.append(ChosenTask(module.__name__, with_settings(task, changes)))
    _refuse_unused(set(settings) - used)
    return list({c.task.name: c for c in chosen}.values())


def with_settings(task: Task, changes: Mapping[str, Any]) -> Task:
    """The task with some fields changed.

    Raises:
        UsageError: It has no such field, or the field does not take that value.
    """
    known = [field.name for field in fields(task) if field.name != "name"]
    for name in changes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known
            raise UsageError(f"{task.name}.{name}: no such setting; did you mean {', '.join(near)}?")
    try:
        return replace(task, **changes)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise UsageError(f"{task.name}.{name}: {first['msg']}, not {first['input']!r}") from error


def _refuse_unused(unused: set[str]) -> None:
    """A setting of a known task that is not in this run is fine in a preset; an unknown task is not."""
    known = {*registry.files(EVAL_TASKS), *registry.names(EVAL_TASKS)}
    for name in sorted(unused):
        task = name.rpartition(".")[0]
        if task not in known:
            near = difflib.get_close_matches(task, sorted(known), n=3) or sorted(known)
            raise UsageError(f"--set {name}: no task {task!r}; did you mean {', '.join(near)}?")
