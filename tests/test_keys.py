"""The key of every number, held to what it was: moving or renaming code must not run results again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from eval_tasks.logistic import Logistic
from hsa_bench.core import registry
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.models.architectures import build
from hsa_bench.core.results.result import BackboneId, DataId, RunSpec
from hsa_bench.core.runs.task import SETTINGS, Task
from hsa_bench.notebook import from_module

GOLDEN = Path(__file__).parent / "golden/keys.json"
"""Keys by task, and of modules handed to `evaluate`; a changed line needs a raised version."""

DATA = DataId(name="digits", fingerprint="f" * 64)

MODULES = ("resnet18-w8-cifar", "resnet18-w8-s2", "vit_w32x2_patch8_32", "pixels")


def tasks() -> dict[str, Task]:
    """All tasks by name, with their default settings."""
    modules = [registry.load("eval_tasks", name) for name in registry.files("eval_tasks")]
    modules.append(registry.load("pretrain", "task"))
    return {task.name: task for module in modules for task in module.TASKS}


def key_of(task: Task) -> str:
    """The key of a task by its defaults on a backbone and data that stand for any."""
    backbone = BackboneId(arch="resnet18", weights="0" * 64)
    return RunSpec(
        task=task.name, version=task.version, settings=task.settings(), backbone=backbone, data=DATA, seed=0
    ).key


def key_of_module(arch: str) -> str:
    """The key of a kNN of a module of this suite handed to `evaluate`; weights and structure's hash aside."""
    stable = re.sub(r"-[0-9a-f]{8}$", "", from_module(build(arch), "mine").arch)
    backbone = BackboneId(arch=stable, weights="0" * 64)
    return RunSpec(task="knn", version=1, settings={}, backbone=backbone, data=DATA, seed=0).key


@pytest.mark.parametrize("name", tasks())
def test_the_key_of_each_task_is_the_one_on_file(name: str) -> None:
    assert key_of(tasks()[name]) == json.loads(GOLDEN.read_text())["tasks"][name]


@pytest.mark.parametrize("arch", MODULES)
def test_the_key_of_a_module_handed_to_evaluate_is_the_one_on_file(arch: str) -> None:
    assert key_of_module(arch) == json.loads(GOLDEN.read_text())["modules"][arch]


def test_no_task_is_on_file_that_is_not_there() -> None:
    assert set(json.loads(GOLDEN.read_text())["tasks"]) == set(tasks())


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class WithMore(Logistic):
    """A task that was given another setting since its version."""

    later: ClassVar[frozenset[str]] = frozenset({"more", "bounded"})

    more: int = 3
    bounded: float = Field(default=1, ge=0)


def test_a_later_setting_is_in_the_key_where_it_is_not_its_default() -> None:
    plain = Logistic()
    assert key_of(WithMore()) == key_of(plain)
    assert key_of(WithMore(more=4)) != key_of(plain)
    assert WithMore(more=4).settings() == {**plain.settings(), "more": 4}
    assert WithMore(bounded=2).settings() == {**plain.settings(), "bounded": 2}


def test_a_later_setting_counts_as_a_departure(ctx: Context) -> None:
    data = open_dataset("digits", ctx.data_root)
    assert WithMore(more=4).unlike(WithMore(), data, ctx)[-1:] == ("more",)
    assert "more" in WithMore().unlike(WithMore(more=4), data, ctx)


if __name__ == "__main__":
    keys = {
        "tasks": {name: key_of(task) for name, task in tasks().items()},
        "modules": {arch: key_of_module(arch) for arch in MODULES},
    }
    GOLDEN.write_text(json.dumps(keys, indent=1, sort_keys=True) + "\n")
