"""The whole command under torchrun: two real processes give one process's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsa_bench.core.results.outcomes import ClassificationOutcomes, load
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.run import app
from tests.support.command import Done, call, start


def command(out: Path, *options: str, processes: int = 1) -> Done:
    arguments = ("--arch", "resnet18-w8-s2", "--out", out, *options)
    if processes == 1:
        return call(app, *arguments)
    return start("hsa_bench.run", *arguments, processes=processes)


def results(out: Path) -> dict[tuple[str, str, str], TaskResult]:
    store = Store(out)
    found = [store.get(p.parent.parent.name, p.parent.name, p.stem) for p in store.paths()]
    return {(r.label, r.spec.task, r.spec.key): r for r in found if r is not None}


def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    options = [
        *("--dataset", "digits", "--limit", "300", "--tasks", "linear,knn,semisup-1"),
        *("--set", "linear.epochs=1", "--set", "linear.batch=99", "--set", "linear.lrs=[0.1,1]"),
        *("--set", "semisup.steps=2", "--set", "semisup.batch=4", "--set", "semisup.rates=[[0.01,0.2]]"),
    ]
    alone, together = tmp_path / "alone", tmp_path / "together"
    for out, processes in ((alone, 1), (together, 2)):
        done = command(out, *options, processes=processes)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("report: ") == 1
    first, second = results(alone), results(together)
    assert first.keys() == second.keys()
    for place, one in first.items():
        other = second[place]
        assert other.status == one.status, other.failure
        assert other.metrics == one.metrics, place
        if one.examples:
            one_by_one = [load(Store(o).path(*place).with_suffix(".npz")) for o in (alone, together)]
            a, b = (x for x in one_by_one if isinstance(x, ClassificationOutcomes))
            assert np.array_equal(a.example, b.example)
            assert np.allclose(a.score, b.score, atol=1e-5)
    banks = [sorted((out / "cache" / "features").glob("*.npy")) for out in (alone, together)]
    for one_bank, other_bank in zip(*banks, strict=True):
        assert one_bank.name == other_bank.name
        assert np.array_equal(np.load(one_bank), np.load(other_bank))


@pytest.mark.long
@pytest.mark.parametrize("broken", [pytest.param(0, marks=pytest.mark.long), 1100])
def test_an_error_in_one_process_is_one_failed_cell_and_no_endless_wait(tmp_path: Path, broken: int) -> None:
    folder = tmp_path / "pictures"
    for split, count in (("train", 1200), ("test", 4)):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
        for i in range(count):
            file = folder / split / "ab"[i * 2 // count] / f"{i:04}.png"
            Image.fromarray(np.full((8, 8, 3), i % 256, np.uint8)).save(file)
    names = sorted((folder / "train").rglob("*.png"))
    names[broken or 1].write_bytes(b"no picture")  # the first one is opened while planning
    options = ["--dataset", f"imagefolder:{folder}", "--tasks", "knn,semisup-1", "--set", "semisup.steps=1"]
    done = command(tmp_path / "out", *options, "--set", "semisup.rates=[[0.01,0.2]]", processes=2)
    failed = [r for r in results(tmp_path / "out").values() if r.spec.task == "knn"]
    assert {r.status for r in failed} == {"failed"}, done.stderr[-2000:]
    assert failed[0].failure is not None
    assert str(names[broken or 1]) in failed[0].failure.message
