from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.pretrain.two_processes import CASES, train
from tests.support.command import start

SAMPLE = ("simclr", "hsa-joined")
"""HSA has all that MoCo shares out, and more; joined passes are those of a GPU."""


@pytest.mark.parametrize(
    "cases",
    [SAMPLE, pytest.param(tuple(case for case in CASES if case not in SAMPLE), marks=pytest.mark.long)],
    ids=" ".join,
)
def test_two_processes_train_as_one_does(cases: tuple[str, ...], tmp_path: Path) -> None:
    done = start("tests.pretrain.two_processes", tmp_path, *cases, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    for case in cases:
        as_one_does(case, tmp_path)


def as_one_does(case: str, folder: Path) -> None:
    alone = train(case, folder / "alone" / case)

    together = torch.load(folder / case / "weights.pth", weights_only=True)
    for name, tensor in alone.method.state_dict().items():
        torch.testing.assert_close(
            together[name], tensor, rtol=1e-8, atol=1e-10, msg=lambda m, n=name: f"{case}, {n}: {m}"
        )
    curves = json.loads((folder / case / "curves.json").read_text())
    assert curves.keys() == alone.progress.curves.keys()
    for name, curve in alone.progress.curves.items():
        assert curves[name] == pytest.approx(curve, rel=1e-6), (case, name)
