"""The plug-ins of docs/extending.md, as they stand there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch

import hsa_bench
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import weights_hash
from pretrain.__main__ import app
from tests.support.command import call

TEXT = (Path(__file__).parents[1] / "docs/extending.md").read_text()
FILES = {
    found[1]: found[0]
    for found in re.findall(r"```python\n(# my_lab/(\w+\.py)\n.*?)```", TEXT, flags=re.DOTALL)
}
ARCH = "resnet18-w8-cifar"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path with the documented files, and nothing imported from it yet."""
    (tmp_path / "documented").mkdir()
    for name, text in FILES.items():
        (tmp_path / "documented" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_there_is_one_of_each_kind() -> None:
    assert set(FILES) == {"nearest_mean.py", "colours.py", "two_nets.py", "sphere.py"}


@pytest.mark.parametrize("name", FILES)
def test_of_the_suite_a_plug_in_imports_the_api_alone(name: str) -> None:
    modules = {node.module for node in ast.walk(ast.parse(FILES[name])) if isinstance(node, ast.ImportFrom)}
    ours = {m for m in modules if m and m.split(".")[0] in {"hsa_bench", "pretrain", "eval_tasks", "reports"}}
    assert ours == {"hsa_bench.api"}


def test_the_evaluator_measures_on_the_data_set(lab: Path) -> None:
    frame = hsa_bench.evaluate(
        build(ARCH), "documented.nearest_mean", "documented.colours", out=lab / "out", label="mine"
    )

    top1 = frame[frame.metric == "top1"]
    assert list(top1.task) == ["nearest-mean"] and top1.value.item() > 90  # three colours are easily told


def test_the_format_takes_the_branch_that_is_asked_for(lab: Path) -> None:
    student, teacher = (build(ARCH, seed).state_dict() for seed in (1, 2))
    weights = {
        **{f"student.{k}": v for k, v in student.items()},
        **{f"teacher.{k}": v for k, v in teacher.items()},
        "student.head.weight": torch.ones(3, 64),
    }
    torch.save({"weights": weights}, lab / "mine.pth")
    request = BackboneRequest(label="m", path=str(lab / "mine.pth"), file_format="documented.two_nets")

    assert open_backbone(request).weights == weights_hash(build(ARCH, 1))
    asked = request.model_copy(update={"branch": "teacher"})
    assert open_backbone(asked).weights == weights_hash(build(ARCH, 2))


def test_the_method_pretrains(lab: Path) -> None:
    chosen = ("--method", "documented.sphere", "--arch", ARCH, "--dataset", "documented.colours")
    done = call(app, *chosen, "--epochs", 2, "--out", "s.pth", "--set", "batch=30", cwd=lab)

    assert done.returncode == 0, done.stderr
    assert open_backbone(BackboneRequest(label="s", path=str(lab / "s.pth"))).arch == ARCH
