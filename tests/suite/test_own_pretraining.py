"""A run that pretrains a network of one's own takes its files up; such a file alone asks for the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.results.result import TaskResult
from hsa_bench.run import app
from tests.support.command import call

PRESET = """
dataset: digits
limit: 32
tasks: [knn]
random_controls: 0
pixels_control: false
pretrain:
  arch: my_lab.nets:build
  backbones: {mine: {method: moco}}
  settings: {epochs: 1, batch: 8, queue: 16}
"""


def test_a_preset_that_pretrains_ones_own_network_measures_it(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(PRESET)

    done = call(app, "--preset", str(tmp_path / "own.yaml"), "--trust-preset", "--out", str(tmp_path / "out"))

    assert done.returncode == 0, done.stdout + done.stderr
    results = [TaskResult.model_validate_json(p.read_text()) for p in tmp_path.rglob("mine/knn/*.json")]
    assert [(r.status, r.spec.backbone.arch) for r in results] == [("ok", "my_lab.nets:build")]
    [written] = tmp_path.rglob("mine/pretrain/*.pth")
    with pytest.raises(CheckpointError, match=r"give --arch my_lab\.nets:build"):
        open_backbone(BackboneRequest(label="mine", path=str(written)))
    asked = open_backbone(BackboneRequest(label="mine", path=str(written), arch="my_lab.nets:build"))
    assert asked.weights == results[0].spec.backbone.weights
