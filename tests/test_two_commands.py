"""Two commands in one place at once: nothing is done twice, and each says who works there."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from hsa_bench.core.results.store import Store
from tests.support.command import call
from tests.support.processes import process

PRETRAIN = (
    *(
        "--method",
        "moco",
        "--arch",
        "resnet18-w8-s2",
        "--dataset",
        "digits",
        "--epochs",
        "2",
        "--limit",
        "64",
    ),
    *("--set", "batch=16", "--set", "queue=32", "--set", "augment=digits", "--out", "moco.pth"),
)
RUN = ("--arch", "pixels", "--dataset", "digits", "--limit", "200", "--tasks", "knn,linear", "--out", "out")


def _command(module: str, arguments: Sequence[str], log: Path) -> None:
    done = call(importlib.import_module(module).app, *arguments, cwd=log.parent)
    log.write_text(f"exit {done.returncode}\n{done.stdout}{done.stderr}")


def at_once(module: str, arguments: Sequence[str], folder: Path) -> list[str]:
    """Run the same command twice at the same time; return what each said."""
    logs = [folder / "first.log", folder / "second.log"]
    children = [process(_command, module, arguments, log) for log in logs]
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=300)
    said = [log.read_text() for log in logs]
    assert all(text.startswith("exit 0\n") for text in said), said
    return sorted(said, key=lambda text: "works here; waiting" in text)


@pytest.mark.long
def test_two_pretrainings_of_one_file_train_once(tmp_path: Path) -> None:
    first, second = at_once("pretrain.__main__", PRETRAIN, tmp_path)
    assert "moco.pth: 128 images" in first
    assert "works here; waiting" not in first
    assert "moco.pth: process " in second
    assert "holds this training already; nothing to do" in second
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert left == {"moco.pth", "moco.safetensors", ".moco.pth.lock", "first.log", "second.log"}


@pytest.mark.long
def test_two_runs_in_one_folder_do_every_run_once(tmp_path: Path) -> None:
    first, second = at_once("hsa_bench.run", RUN, tmp_path)
    assert "[2/2]" in first
    assert "works here; waiting until it is done, Ctrl-C leaves" in second
    assert "2 of 2 runs are on file and are re-used" in second
    assert "nothing to do: every run is on file" in second
    assert "[1/" not in second
    assert len(Store(tmp_path / "out").paths()) == 2
