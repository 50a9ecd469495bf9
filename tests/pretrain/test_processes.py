from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.pretrain.two_processes import CASES, train

ROOT = Path(__file__).parents[2]


SAMPLE = {"simclr", "hsa"}
"""HSA has all that MoCo shares out, and more."""


@pytest.mark.parametrize(
    "case", [case if case in SAMPLE else pytest.param(case, marks=pytest.mark.long) for case in CASES]
)
def test_two_processes_train_as_one_does(case: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "tests.pretrain.two_processes", str(tmp_path), case),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    alone = train(case, tmp_path / "alone")

    together = torch.load(tmp_path / "weights.pth", weights_only=True)
    for name, tensor in alone.method.state_dict().items():
        torch.testing.assert_close(
            together[name], tensor, rtol=1e-8, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert curves.keys() == alone.progress.curves.keys()
    for name, curve in alone.progress.curves.items():
        assert curves[name] == pytest.approx(curve, rel=1e-6), name
