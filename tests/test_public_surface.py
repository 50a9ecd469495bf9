"""The names that users type and import, and that no module takes the place of one."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

import pytest

import hsa_bench
import hsa_bench.__main__ as console
from tests.support.command import TORCH, start_code

PACKAGES = ("hsa_bench", "pretrain", "eval_tasks", "reports")

CONSOLE = "import sys, hsa_bench.__main__; sys.argv[0] = 'hsa-bench'; hsa_bench.__main__.app()"


def modules() -> list[str]:
    """Every module of the four packages, but those that run when they are imported."""
    names = list(PACKAGES)
    for package in PACKAGES:
        found = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        names += [module.name for module in found if not module.name.endswith("__main__")]
    there = importlib.util.find_spec("detectron2") is not None
    return [name for name in names if there or "_detection.detectron2." not in name]


def test_evaluate_is_the_function_at_every_call_and_after_importing_everything() -> None:
    first = hsa_bench.evaluate
    for name in modules():
        importlib.import_module(name)
    assert callable(first) and hsa_bench.evaluate is first is hsa_bench.evaluate


def test_no_module_has_the_name_of_a_public_name_of_its_package() -> None:
    packages = [module for name in modules() if hasattr(module := importlib.import_module(name), "__path__")]
    for package in packages:
        inside = {module.name for module in pkgutil.iter_modules(package.__path__)}
        assert not set(getattr(package, "__all__", ())) & inside, package.__name__


def test_the_console_application_has_every_command() -> None:
    commands = {command.name for command in console.app.registered_commands}
    groups = {group.name for group in console.app.registered_groups}
    assert commands | groups == {"run", "inspect", "cache", "reproduce", "report", "pretrain"}


@pytest.mark.parametrize("command", ["", "run", "inspect", "cache", "reproduce", "report", "pretrain"])
def test_help_needs_no_torch(command: str) -> None:
    shown = start_code(CONSOLE, *command.split(), "--help", without=TORCH)
    assert shown.returncode == 0, shown.stderr
    assert f"Usage: hsa-bench {command}".strip() in shown.stdout


def test_help_of_the_console_application_imports_nothing_heavy() -> None:
    code = (
        "import sys, hsa_bench.__main__;"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'scipy', 'sklearn') if m in sys.modules])"
    )
    shown = start_code(code)
    assert shown.stdout.strip() == "[]", shown.stderr
