"""Whole commands: however many checkpoints are given, each picture is read and decoded once."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from my_lab.counted_digits import LOG
from my_lab.nets import Net

from hsa_bench.core.results.store import Store
from hsa_bench.run import app
from tests.support.command import Done, call

PRESET = "random_controls: 0\npixels_control: false\n"
LINE = "feature pass: {} backbones, counted-digits at 32 px, 300 images decoded once"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LOG, str(tmp_path / "decoded.txt"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests/outside", os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "bare.yaml").write_text(PRESET)
    return tmp_path


def run(folder: Path, count: int, tasks: str, *more: object, worker: bool = False) -> Done:
    given = []
    for i in range(count):
        path = folder / f"{i}.pth"
        if not path.exists():
            torch.manual_seed(i)
            torch.save(Net().state_dict(), path)
        given += ["--checkpoint", f"net{i}={path}"]
    fixed = (
        "--arch",
        "my_lab.nets:build",
        "--dataset",
        "my_lab.counted_digits",
        "--preset",
        "bare.yaml",
        "--out",
        "out",
    )
    return call(app, "--tasks", tasks, *given, *fixed, *more, cwd=folder, worker=worker)


def decoded(folder: Path) -> Counter[int]:
    """How often each picture was, since the last look."""
    log = folder / "decoded.txt"
    found = Counter(map(int, log.read_text().split())) if log.exists() else Counter[int]()
    log.unlink(missing_ok=True)
    return found


ONCE = Counter([*range(200), *range(1297, 1397)])
"""By their places among scikit-learn's digits."""


def test_eight_checkpoints_decode_each_picture_once_for_all_tasks(folder: Path) -> None:
    settings = ("--set", "linear-cached.epochs=1", "--set", "knn-instdisc.choosers=10")

    done = run(folder, 8, "knn-instdisc,linear-cached", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(re.escape(LINE.format(8)) + r" \(\d+\.\d s\)\n\[1/16\] net0 knn-instdisc", done.stdout)
    assert decoded(folder) == ONCE
    assert "Feature passes: pictures that" in (folder / "out/report.md").read_text()


def test_a_dry_run_shows_the_pass_and_decodes_nothing(folder: Path) -> None:
    done = run(folder, 2, "knn", "--dry-run")

    assert f"{LINE.format(2)}: to do" in done.stdout, done.stdout + done.stderr
    assert not decoded(folder)


def test_one_checkpoint_alone_has_no_pass(folder: Path) -> None:
    done = run(folder, 1, "knn-instdisc", "--set", "knn-instdisc.choosers=10")

    assert done.returncode == 0 and "feature pass" not in done.stdout
    assert decoded(folder) == ONCE
    assert not (folder / "out/passes").exists()


def test_the_command_s_worker_shares_the_decoding(folder: Path) -> None:
    done = run(folder, 3, "knn-instdisc", "--set", "knn-instdisc.choosers=10", worker=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert LINE.format(3) in done.stdout
    assert len(Store(folder / "out").paths()) == 3
    assert decoded(folder) == ONCE


@pytest.mark.long
def test_a_backbone_that_kills_the_worker_harms_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies at its 60th picture: in the pass, and in its own run."""
    monkeypatch.setenv("MY_LAB_DIES_AT", "60")
    lethal = ("--checkpoint", "lethal=my_lab.nets:lethal", "--set", "knn-instdisc.choosers=10")

    done = run(folder, 2, "knn-instdisc", *lethal, worker=True)

    assert done.returncode == 1
    assert "killed by SIGKILL" in done.stdout and "the runs make their features one by one" in done.stdout
    assert re.search(r"lethal knn-instdisc: FAILED, the worker process was killed", done.stdout)
    assert all(f"net{i} knn-instdisc: top1" in done.stdout for i in range(2))

    monkeypatch.delenv("MY_LAB_DIES_AT")
    again = run(folder, 2, "knn-instdisc", *lethal, worker=True)
    assert again.returncode == 0 and "lethal knn-instdisc: top1" in again.stdout
