"""Each import contract of pyproject.toml sees the import that it forbids, planted in a copy."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import ROOT, start_code

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: dict[str, dict[str, Any]] = {contract["name"]: contract for contract in SETTINGS["contracts"]}

FORBIDDEN: dict[str, list[tuple[str, str]]] = {
    "three layers, one direction; the middle packages do not know each other": [
        ("pretrain/heads.py", "import reports.report"),
        ("eval_tasks/_shared/schedule.py", "from hsa_bench.suite.job import Job"),
        ("hsa_bench/suite/job.py", "import hsa_bench.run"),
        ("hsa_bench/suite/job.py", "import hsa_bench.api"),
        ("hsa_bench/core/runs/plan.py", "import pretrain.heads"),
    ],
    "core, from running a task down to files on disk": [
        ("hsa_bench/core/models/layers.py", "import hsa_bench.core.runs.plan"),
        ("hsa_bench/core/data/images.py", "import hsa_bench.core.checkpoints.match"),
    ],
    "a laptop without torch can report": [("hsa_bench/core/results/store.py", "import torch")],
    "reports read results, and of the base what needs no torch": [
        ("reports/report.py", "import hsa_bench.core.registry")
    ],
    "evaluators share _shared, and no method knows another": [
        ("eval_tasks/_svm/fit.py", "import eval_tasks._linear.grid"),
        ("eval_tasks/_shared/schedule.py", "import eval_tasks._linear.grid"),
    ],
    "detection, from the whole transfer down to the interface of a detector": [
        ("eval_tasks/_detection/solver.py", "import eval_tasks._detection.preflight")
    ],
    "reports, from text and figures down to the run folder": [
        ("reports/run_folder/collected.py", "import reports.sections")
    ],
}
"""By contract: a file, and a line in it that breaks this contract and no other."""

PLANTED = [(name, file, line) for name, rows in FORBIDDEN.items() for file, line in rows]
EXHAUSTIVE = [name for name, contract in CONTRACTS.items() if contract.get("exhaustive")]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages' Python files and the contracts."""
    for package in SETTINGS["root_packages"]:
        only = shutil.ignore_patterns("__pycache__", "*.yaml", "*.csv", "templates")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=only)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken(copy: Path) -> list[str]:
    """Names of the contracts that lint-imports finds broken."""
    done = start_code(LINT, "--no-cache", cwd=copy)
    told = re.findall(r"^(.+) (KEPT|BROKEN)\b", done.stdout, flags=re.MULTILINE)
    assert [name for name, _ in told] == list(CONTRACTS), done.stdout + done.stderr
    return [name for name, state in told if state == "BROKEN"]


def test_every_contract_has_an_import_that_it_forbids() -> None:
    assert set(FORBIDDEN) == set(CONTRACTS)


def test_the_packages_as_they_are_break_none(copy: Path) -> None:
    assert broken(copy) == []


@pytest.mark.parametrize(("name", "file", "line"), PLANTED, ids=[f"{f}-{line}" for _, f, line in PLANTED])
def test_a_planted_import_breaks_its_contract_alone(copy: Path, name: str, file: str, line: str) -> None:
    path = copy / file
    path.write_text(f"{path.read_text()}\n{line}\n")

    assert broken(copy) == [name]


@pytest.mark.parametrize("name", EXHAUSTIVE)
def test_a_room_that_is_not_listed_breaks_an_exhaustive_contract(copy: Path, name: str) -> None:
    for container in CONTRACTS[name]["containers"]:
        room = copy / container.replace(".", "/") / "unlisted"
        room.mkdir()
        (room / "__init__.py").touch()

    assert broken(copy) == [name]


def test_core_lists_all_of_its_rooms() -> None:
    assert "hsa_bench.core" in {room for name in EXHAUSTIVE for room in CONTRACTS[name]["containers"]}


def test_the_contract_of_reports_names_all_of_core_but_what_they_may_take() -> None:
    allowed = {"results", "commands", "input", "digest", "errors", "files", "printable"}
    core = {path.stem for path in (ROOT / "hsa_bench/core").iterdir() if not path.name.startswith("_")}
    forbidden = CONTRACTS["reports read results, and of the base what needs no torch"]["forbidden_modules"]
    assert {name.rpartition(".")[2] for name in forbidden} == core - allowed
