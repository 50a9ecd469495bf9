"""The command on checkpoints of several formats, on modules of one's own, and on what was seen before."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hsa_bench.core.checkpoints.detectron2_names import to_detectron2
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.errors import UsageError
from hsa_bench.core.features.image_hashes import image_hashes
from hsa_bench.core.models.architectures import build
from hsa_bench.core.runs.plan import LoadedBackbone
from hsa_bench.notebook import evaluate
from hsa_bench.run import app
from hsa_bench.suite.choose_tasks import choose_tasks
from hsa_bench.suite.controls import control_requests, control_tasks
from hsa_bench.suite.make_job import make_job
from hsa_bench.suite.options import parse_checkpoint
from reports.report import write_report
from tests.support.command import call

ARCH = "resnet18-w8-s2"
QUICK = ("--set", "linear-cached.epochs=3", "--limit", "200", "--dataset", "digits")


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("results/*/*/*.json"))]


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One trunk in four formats."""
    folder = tmp_path_factory.mktemp("four")
    state = build(ARCH, 9).state_dict()
    moco = {f"module.encoder_{b}.{k}": v if b == "q" else v + 1 for b in "qk" for k, v in state.items()}
    torch.save({"arch": "resnet18", "state_dict": moco, "epoch": 1}, folder / "moco.pth.tar")
    save_file(state, folder / "plain.safetensors")
    vissl = {f"_feature_blocks.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    held = {"base_model": {"model": {"trunk": vissl, "heads": {}}}}
    torch.save({"classy_state_dict": held, "type": "consolidated"}, folder / "vissl.torch")
    arrays = {k: v.numpy() for k, v in to_detectron2(state).items()}
    (folder / "d2.pkl").write_bytes(pickle.dumps({"model": arrays, "matching_heuristics": True}))
    return folder


def test_four_formats_of_one_trunk_share_features_and_give_the_same_numbers(four: Path) -> None:
    files = {"moco": "moco.pth.tar", "plain": "plain.safetensors", "vissl": "vissl.torch", "d2": "d2.pkl"}
    named = [part for label, file in files.items() for part in ("--checkpoint", f"{label}={file}")]
    rest = ("--arch", ARCH, "--tasks", "knn,linear-cached", *QUICK, "--out", "out")
    done = call(app, *named, *rest, cwd=four)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "vissl: vissl checkpoint" in done.stdout
    found = [r for r in results(four / "out") if r["label"] in files]
    assert len(found) == 8
    for task in ("knn", "linear-cached"):
        metrics = [r["metrics"] for r in found if r["spec"]["task"] == task]
        assert metrics.count(metrics[0]) == 4
    assert {r["source"]["format"] for r in found} == {"moco", "torchvision", "vissl", "detectron2"}
    assert len({r["source"]["sha256"] for r in found}) == 4
    controls = {r["spec"]["backbone"]["weights"] for r in results(four / "out") if r["label"] not in files}
    weights = {r["spec"]["backbone"]["weights"] for r in found}
    features = list((four / "out" / "cache" / "features").glob("*.npy"))
    views = len(features) // (2 * (len(weights) + len(controls)))  # train and test, of each set of weights
    assert len(weights) == 1
    assert len(features) == 2 * views * (1 + len(controls))
    report = (four / "out" / "report.md").read_text()
    assert "batch-norm counters, which the file has not, are 0" in report


def test_options_may_differ_by_backbone(four: Path) -> None:
    named = [parse_checkpoint(f"{label}={four / 'moco.pth.tar'}") for label in "qk"]
    options = {"checkpoints": named, "arch": ARCH, "branch": "k=key", "dataset": "digits"}
    q, k = make_job("", {**options, "card": {"k": {"std": [0.228, 0.224, 0.225]}}}, []).requests()
    one, other = open_backbone(q), open_backbone(k)
    assert (one.source.branch, other.source.branch) == ("query", "key")
    assert (one.card.std[0], other.card.std[0]) == (0.229, 0.228)
    assert one.id != other.id
    with pytest.raises(UsageError, match=r"--card z\.…: no such backbone"):
        make_job("", {**options, "card": {"z": {}}}, [])


def test_controls_are_measured_on_the_cheap_tasks_of_a_run() -> None:
    tasks = choose_tasks(["knn", "linear", "logistic", "coco"], {}, 0)
    named = make_job("", {"checkpoints": (parse_checkpoint("a=b.pth"),), "dataset": "digits"}, [])
    assert [one.task.name for one in control_tasks(named, tasks)] == ["knn", "logistic"]
    everything = named.model_copy(update={"controls_on": "all"})
    alone = make_job("", {"arch": "resnet18", "dataset": "digits"}, [])
    assert control_tasks(everything, tasks) == control_tasks(alone, tasks) == tasks


def test_test_images_seen_in_pretraining_are_a_note(four: Path) -> None:
    data = open_dataset("digits", four)
    hashes = np.unique(image_hashes(data.test.subset(range(7)), Context(four, four / "c")))
    budget = {"method": "moco", "dataset": "d", "epochs": 1, "images": 2, "views": 2, "seconds": 1.0}
    card = {"mean": [0.5] * 3, "std": [0.2] * 3, "channels": "RGB", "value_range": 1.0}
    about = {"format": "hsa_bench/1", "arch": ARCH, "card": card, "budget": {**budget, "seed": 0}}
    held = {**about, "state_dict": build(ARCH, 9).state_dict(), "image_hashes": torch.from_numpy(hashes)}
    torch.save(held, four / "own.pth")
    evaluate(four / "own.pth", "knn", label="mine", limit=200, out=four / "seen")
    report = write_report(four / "seen").read_text()
    assert "7 of 500 test images of digits were pretrained on" in report


def test_a_module_of_ones_own_is_evaluated_without_a_file(tmp_path: Path) -> None:
    job = make_job("", {"arch": "my_lab.nets:build", "dataset": "digits"}, [])
    [request] = job.requests()
    assert (request.label, request.path) == ("build", "my_lab.nets:build")
    twins = control_requests(job, [LoadedBackbone(request, open_backbone(request))])
    assert [r.arch for r in twins[:3]] == ["my_lab.nets:build"] * 3
    assert open_backbone(twins[0]).weights != open_backbone(request).weights
    settings = {"semisup-10.steps": 2, "semisup-10.rates": [[0.01, 0.05]]}
    frame = evaluate("my_lab.nets:build", "knn,semisup-10", limit=200, out=tmp_path, **settings)
    assert set(frame["status"]) == {"ok"}


def test_a_vit_works_in_frozen_tasks_and_semisup_and_detection_says_why_not(tmp_path: Path) -> None:
    torch.save(build("vit_w32x2_patch8_32", 1).state_dict(), tmp_path / "vit.pth")
    tasks = "knn,linear,linear-cached,logistic,semisup-10,coco-fpn-1x"
    settings = {
        "linear.epochs": 1,
        "linear-cached.epochs": 3,
        "semisup-10.steps": 2,
        "semisup-10.rates": [[0.01, 0.05]],
        "coco.root": "digit-scenes",
        "coco.engine": "torchvision",
    }
    evaluate(tmp_path / "vit.pth", tasks, limit=200, out=tmp_path / "out", **settings)
    found = {r["spec"]["task"]: r for r in results(tmp_path / "out")}
    skipped = found.pop("coco-fpn-1x")
    assert {r["status"] for r in found.values()} == {"ok"}
    assert len(found) == 5
    assert (skipped["status"], "vision transformer" in skipped["reason"]) == ("skipped", True)
    assert found["knn"]["spec"]["backbone"]["card"]["tokens"] == "cls"
