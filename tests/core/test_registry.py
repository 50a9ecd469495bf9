from __future__ import annotations

import importlib

import pytest

from hsa_bench.core import registry

PACKAGES = [
    "eval_tasks",
    "pretrain.methods",
    "hsa_bench.core.data.datasets",
    "hsa_bench.core.checkpoints.formats",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_private_modules_are_no_plugins(package: str) -> None:
    assert not [name for name in registry.files(package) if name.startswith("_")]
    assert registry.files(package)


@pytest.mark.parametrize("plugin", registry.files("eval_tasks"))
def test_the_names_a_task_file_states_are_those_of_its_tasks(plugin: str) -> None:
    path = registry.files("eval_tasks")[plugin]
    module = importlib.import_module(f"eval_tasks.{path.stem}")
    assert registry.declared(path) == tuple(task.name for task in module.TASKS)


@pytest.mark.parametrize("plugin", registry.files("hsa_bench.core.data.datasets"))
def test_a_data_set_is_called_as_its_file(plugin: str) -> None:
    assert registry.load("hsa_bench.core.data.datasets", plugin).DATASET.name == plugin


@pytest.mark.parametrize("package", PACKAGES)
def test_every_plugin_has_a_first_line_to_list(package: str) -> None:
    for path in registry.files(package).values():
        assert registry.summary(path).endswith((".", "/"))


def test_an_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(ValueError, match="did you mean digits"):
        registry.load("hsa_bench.core.data.datasets", "digit")
