"""Pretrainings that start from a file, by the ways people take: a run, its dry run, the plain command."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from hsa_bench import run
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import UsageError
from hsa_bench.core.results.result import TaskResult
from hsa_bench.suite import dry_run as dry
from hsa_bench.suite import suite as wet
from hsa_bench.suite.display import Display
from hsa_bench.suite.make_job import make_job
from hsa_bench.suite.open_bench import open_bench
from hsa_bench.suite.prepare import prepare
from pretrain import __main__ as plain
from tests.support.command import Done, call

ARCH = "resnet18-w8-s2"
COMMON: dict[str, Any] = {
    "epochs": 1,
    "batch": 8,
    "queue": 12,
    "dim": 16,
    "k": 2,
    "augment": "digits",
    "knn_every": 0,
}


def preset(folder: Path, rows: dict[str, Any], arch: str = ARCH, **more: Any) -> str:
    job = {
        "dataset": "digits",
        "limit": 16,
        "tasks": ["knn"],
        "random_controls": 0,
        "pixels_control": False,
        "pretrain": {"arch": arch, "backbones": rows, "settings": {**COMMON, **more}},
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return str(path)


def pretrained(*options: object) -> Done:
    settings = [
        word for name, value in COMMON.items() if name != "epochs" for word in ("--set", f"{name}={value}")
    ]
    return call(plain.app, "--dataset", "digits", "--limit", "16", "--epochs", "1", *settings, *options)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short training by MoCo, its checkpoint moco-0.pth and its whole state moco-0.state.pth."""
    folder = tmp_path_factory.mktemp("kept")
    done = pretrained(
        "--method", "moco", "--arch", ARCH, "--set", "keep_state=true", "--out", folder / "moco-0.pth"
    )
    assert done.returncode == 0, done.stderr
    return folder


FLOWS = [wet.run_suite, dry.dry_run]


@pytest.mark.parametrize("flow", FLOWS, ids=["run", "dry run"])
def test_a_start_that_cannot_be_taken_is_refused_before_work(
    flow: Callable[..., object], kept: Path, tmp_path: Path
) -> None:
    state, weights = str(kept / "moco-{seed}.state.pth"), str(kept / "moco-{seed}.pth")
    own, bench = r"pretrain\.backbones\.mine\.", open_bench(tmp_path / "out", tmp_path, "cpu")
    missing = r"\S+moco-\{seed\}\.state\.pth: \S+moco-1\.state\.pth: no such file"
    for row, arch, settings, said in (
        ({"start_from": state, "seeds": [1]}, ARCH, [], rf"{own}start_from {missing}"),
        ({"start_from": state, "seeds": [0, 1]}, ARCH, [], rf"{own}start_from {missing}"),
        ({"seeds": [1]}, ARCH, [f"pretrain.start_from={state}"], rf"--set pretrain\.start_from {missing}"),
        (
            {"start_from": state, "dim": 8},
            ARCH,
            [],
            rf"{own}start_from .*encoder\.heads\.stage4 does not fit",
        ),
        ({"start_from": state, "queue": 13}, ARCH, [], rf"{own}start_from .*queues\.stage4 does not fit"),
        (
            {"start_from": weights},
            ARCH,
            [],
            rf"{own}start_from .*moco-0\.pth: is a checkpoint with its trunk alone",
        ),
        ({"start_from": state}, "resnet18-w8-cifar", [], rf"{own}start_from .*is of arch {ARCH}, and this"),
        ({"init": weights}, "resnet18-w8-cifar", [], rf"{own}init .*is of arch {ARCH}, and this"),
        ({"init": weights, "seeds": [1]}, ARCH, [], rf"{own}init .*moco-1\.pth: no such file"),
        ({"init": weights, "start_from": state}, ARCH, [], rf"{own}init and {own}start_from: give one"),
        ({"init": 3}, ARCH, [], rf"{own}init: write the path of a file, not 3"),
    ):
        job = make_job(preset(tmp_path, {"mine": {"method": "hsa", **row}}, arch), {}, settings)
        with pytest.raises(UsageError, match=said):
            flow(job, bench, Display(Console(quiet=True)))
    assert not list((tmp_path / "out").rglob("*.json"))


def test_a_plan_knows_a_start_by_its_content(kept: Path, tmp_path: Path) -> None:
    shutil.copy(kept / "moco-0.state.pth", tmp_path / "elsewhere.pth")

    def planned(**row: Any) -> str:
        job = make_job(preset(tmp_path, {"mine": {"method": "hsa", **row}}), {}, [])
        found = prepare(job, open_bench(tmp_path / "out", tmp_path, "cpu"), Display(Console(quiet=True)))
        [planned] = found.pretraining
        return planned.spec.key

    state = planned(start_from=str(kept / "moco-{seed}.state.pth"))
    assert state == planned(start_from=str(tmp_path / "elsewhere.pth"))
    assert len({state, planned(init=str(kept / "moco-{seed}.pth")), planned()}) == 3


@pytest.mark.long
def test_a_run_keeps_a_state_and_another_run_starts_from_it(tmp_path: Path) -> None:
    def ran(rows: dict[str, Any]) -> TaskResult:
        done = call(run.app, "--preset", preset(tmp_path, rows), "--out", tmp_path / "out")
        assert done.returncode == 0, done.stdout + done.stderr
        [found] = tmp_path.rglob(f"{next(iter(rows))}/pretrain/*.json")
        return TaskResult.model_validate_json(found.read_text())

    moco = ran({"moco": {"method": "moco", "keep_state": True}})
    [state] = tmp_path.rglob("moco/pretrain/*.state.pth")
    assert Path(moco.artefacts["state"]).name == state.name
    hsa = ran({"hsa": {"method": "hsa", "start_from": str(state)}})
    written = open_backbone(BackboneRequest(label="x", path=str(next(tmp_path.rglob("hsa/pretrain/*.pth")))))
    assert written.source.budget is not None
    assert written.source.budget.start.startswith(f"the whole state of {state.name}")
    assert len(str(hsa.spec.settings["start_from"])) == 64


@pytest.mark.parametrize(
    ("option", "file", "taken"),
    [
        ("--start-from", "moco-0.state.pth", "the whole state of moco-0.state.pth"),
        ("--init", "moco-0.pth", "the weights of moco-0.pth"),
    ],
)
def test_the_plain_command_starts_from_a_file(
    option: str, file: str, taken: str, kept: Path, tmp_path: Path
) -> None:
    done = pretrained("--method", "hsa", option, kept / file, "--out", tmp_path / "hsa.pth")

    assert done.returncode == 0, done.stderr
    assert f"starts from {taken}" in done.stderr
    budget = open_backbone(BackboneRequest(label="x", path=str(tmp_path / "hsa.pth"))).source.budget
    assert budget is not None
    assert budget.start.startswith(taken)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--start-from", "none.pth"), "--start-from none.pth: "),
        (("--init", "none.pth"), "--init none.pth: "),
        (("--start-from", "moco-0.pth"), "moco-0.pth: is a checkpoint with its trunk alone"),
        (("--start-from", "moco-0.state.pth", "--arch", "resnet18-w8-cifar"), f"is of arch {ARCH}"),
        (("--start-from", "moco-0.state.pth", "--set", "dim=8"), "encoder.heads.stage4 does not fit"),
        (("--start-from", "moco-0.state.pth", "--init", "moco-0.pth"), "--init and --start-from: give one"),
    ],
)
def test_the_plain_command_refuses_what_it_cannot_start_from(
    options: tuple[str, ...], said: str, kept: Path, tmp_path: Path
) -> None:
    given = [kept / word if (kept / word).is_file() else word for word in options]

    done = pretrained("--method", "hsa", *given, "--out", tmp_path / "hsa.pth")

    assert done.returncode == 2
    assert said in done.stderr
    assert not list(tmp_path.glob("hsa*"))
