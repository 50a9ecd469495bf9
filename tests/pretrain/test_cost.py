from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Run, default_task, make_plan
from pretrain import export


def planned(bench: Bench) -> Run:
    task = replace(
        default_task("pretrain.task", "pretrain"),
        **{"method": "hsa", "epochs": 2, "batch": 16, "queue": 32, "augment": "digits"},
        **{"head_bn": "hidden", "k": 3, "knn_every": 0, "warmup": 0.5},
    )
    request = BackboneRequest(label="hsa", arch="resnet18-w8-s2")
    [run] = make_plan(
        [ChosenTask("pretrain.task", task)],
        [LoadedBackbone(request, open_backbone(request))],
        "digits",
        (0,),
        64,
        bench.ctx,
    ).runs
    return run


@pytest.mark.long
def test_a_pretraining_taken_up_after_its_last_epoch_has_the_cost_of_all_epochs(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(bench)
    undisturbed = execute(run, replace(bench, store=replace(bench.store, out=tmp_path / "undisturbed")))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(export, "export", full)
        failed = execute(run, bench)
    assert failed.failure is not None
    assert failed.failure.message.startswith(f"{PretrainingError.__name__}: ")
    resumed = execute(run, bench)

    assert resumed.status == undisturbed.status == "ok"
    assert resumed.images == undisturbed.images == 2 * 64 * 5  # five views of each image an epoch
    assert resumed.seconds > 0.5 * undisturbed.seconds
    assert resumed.effective == undisturbed.effective
