"""Options that change nothing, or hold what cannot be, are refused before work begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hsa_bench import evaluate
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.settings import changed
from hsa_bench.inspect import app as inspect
from hsa_bench.run import app as run
from hsa_bench.suite.choose_tasks import choose_tasks
from hsa_bench.suite.make_job import make_job
from hsa_bench.suite.open_bench import open_bench
from hsa_bench.suite.options import parse_checkpoint
from pretrain.__main__ import app as pretrain
from pretrain.settings import Settings
from reports.__main__ import app as reports
from tests.support.command import call

CONTROLS = ("--arch", "resnet18-w8-s2", "--dataset", "digits", "--tasks", "knn")
MODULE = ("--checkpoint", "x=my_lab.nets:build", "--dataset", "digits", "--tasks", "knn")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*CONTROLS, "--card", "std=1,1,1"), "--card: it changes nothing"),
        ((*CONTROLS, "--head", "drop"), "--head: it changes nothing"),
        ((*CONTROLS, "--format", "moco"), "--format moco: it changes nothing"),
        ((*CONTROLS, "--branch", "key"), "--branch key: it changes nothing"),
        (("--card", "tokens=cls"), "--card: it changes nothing"),
        (("--format", "moco"), "--format moco: it changes nothing"),
        ((*MODULE, "--format", "moco"), "--format moco: it changes nothing"),
        ((*MODULE, "--branch", "x=key"), "--branch x=…: it changes nothing, as x is a module"),
        ((*MODULE, "--arch", "resnet18"), "--arch resnet18: it changes nothing"),
        ((*CONTROLS, "--trust-preset"), "--trust-preset: it changes nothing"),
        ((*CONTROLS, "--tasks", ","), "--tasks ,: names no task"),
        ((*CONTROLS, "--seeds", "0,0"), "--seeds 0,0: 0 stands there twice"),
        ((*CONTROLS, "--seeds", "-1"), "--seeds -1: Input should be greater than or equal to 0"),
        ((*CONTROLS, "--seeds", str(10**20)), "Input should be less than 4294967296"),
        ((*CONTROLS, "--seeds", "9" * 6000), "write whole numbers"),
        ((*CONTROLS, "--image-size", str(10**20)), "--image-size"),
        ((*CONTROLS, "--image-size", "-1"), "--image-size"),
        ((*CONTROLS, "--limit", "-1"), "--limit"),
        ((*CONTROLS, "--limit", str(10**20)), "limit"),
        ((*CONTROLS, "--workers", str(10**9)), "--workers"),
        ((*CONTROLS, "--device", "meta"), "--device meta: not usable here"),
        ((*CONTROLS, "--device", "hpu"), "--device hpu: not usable here"),
        ((*CONTROLS, "--device", "cuda:99"), "--device cuda:99: torch sees"),
        ((*CONTROLS, "--device", "cuda:01"), "--device cuda:01: not usable here"),
        ((*CONTROLS, "--device", ""), "--device : not usable here"),
        ((*CONTROLS, "--tasks", "../x"), "--tasks ../x: not found; there are"),
        ((*CONTROLS, "--dataset", "../x"), "--dataset ../x: not found; there are"),
        (("--checkpoint", "x=~nobody-here/x.pth", "--dataset", "digits"), "nobody's home"),
        ((*CONTROLS, "--dataset", "imagefolder:~nobody-here/x"), "nobody's home"),
        ((*CONTROLS, "--claim", "moco-v2-200"), "--claim"),
    ],
)
def test_run_refuses(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = call(run, "--dry-run", "--out", "out", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in " ".join(done.stderr.replace("│", " ").split()), done.stderr
    assert "core.data" not in done.stderr


def test_a_preset_may_say_of_files_what_this_run_has_none_of(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("branch: key\ndataset: digits\n", encoding="utf-8")
    assert make_job(str(tmp_path / "p.yaml"), {"arch": "resnet18"}, []).branch == "key"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x.pth", "--names", "timm"), "--names: it changes nothing without --export"),
        (("x.pth", "--image-size", 32), "--image-size: it changes nothing without --probe"),
        (("x.pth", "--dataset", "cifar10"), "--dataset: it changes nothing without --probe"),
        (("~nobody-here/x.pth",), "nobody's home"),
        (("sys:exit",), "--arch sys:exit: exit() without arguments fails (SystemExit"),
    ],
)
def test_inspect_refuses(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = call(inspect, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", ""), "name a file"),
        (("--out", "/"), "name a file"),
        (("--out", "~nobody-here/x.pth"), "nobody's home"),
        (("--print",), "--preset : there are hsa-200ep"),
        (("--print", "--preset", "hsa-cifar10", "--epochs", "3"), "leave the other options out"),
        (("--trust-preset",), "--trust-preset: it changes nothing"),
        (("--seed", "-1"), "--seed"),
        (("--image-size", str(10**20)), "--image-size"),
        (("--set", f"dim={10**20}"), "pretrain.dim: Input should be less than or equal to 65536"),
        (("--set", "lr=.inf"), "pretrain.lr: "),
        (("--set", "1=2"), "pretrain.1: no such setting"),
    ],
)
def test_pretrain_refuses(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    whole = (
        "--method",
        "moco",
        "--arch",
        "resnet18-w8-s2",
        "--dataset",
        "digits",
        "--epochs",
        "1",
        "--out",
        "x.pth",
    )
    done = call(pretrain, *(() if "--print" in arguments else whole), *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in " ".join(done.stderr.replace("│", " ").split()), done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "resnet18"}, "arch: it changes nothing"),
        ({"file_format": "moco"}, "file_format: it changes nothing"),
        ({"branch": "key"}, "branch: it changes nothing"),
        ({"seeds": (0, 0)}, "seeds: 0 stands there twice"),
        ({"seeds": ()}, "seeds: there is none"),
        ({"limit": 0}, "limit 0: "),
        ({"image_size": -1}, r"knn\.image_size: "),
    ],
)
def test_evaluate_refuses(change: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(torch.nn.Flatten(), "knn", out=tmp_path, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["knn", "linear", "semisup-1", "voc-svm", "coco", "transfer-cifar10"])
def test_no_setting_is_beyond_what_can_be_computed_with(task: str) -> None:
    """Every numeric field of the task, in every place of its value."""
    (chosen,) = choose_tasks([task], {}, 0)
    for name, value in chosen.task.settings().items():
        if isinstance(value, bool) or not isinstance(value, int | float | tuple):
            continue
        first = value[0] if isinstance(value, tuple) and value else value
        for odd in (float("inf"), float("-inf"), float("nan"), 1e31, -1e31, 10**31, -(10**31)):
            given = [odd, *value[1:]] if isinstance(value, tuple) else odd
            if isinstance(first, tuple):
                given = [[odd, 1.0]]
            with pytest.raises(UsageError, match=rf"{task}\.{name}[.\d]*: "):
                choose_tasks([task], {f"{task}.{name}": given}, 0)
    for name in {"image_size", "resize"} & chosen.task.settings().keys():
        for odd in (-1, 10**5):
            with pytest.raises(UsageError, match=rf"{task}\.{name}: "):
                choose_tasks([task], {f"{task}.{name}": odd}, 0)


def test_a_home_is_found_wherever_a_path_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.pth").touch()
    assert open_bench(Path("~/out"), Path("~"), "cpu").store.out == tmp_path / "out"
    assert parse_checkpoint("x=~/x.pth").path == str(tmp_path / "x.pth")
    assert parse_checkpoint("~/x.pth").path == str(tmp_path / "x.pth")
    (tmp_path / "p.yaml").write_text(
        "dataset: digits\ncheckpoints: [{label: a, path: ~/x.pth}]", encoding="utf-8"
    )
    assert make_job("~/p.yaml", {}, []).requests()[0].path == str(tmp_path / "x.pth")
    for app, arguments in ((reports, ("~/none",)), (inspect, ("~/x.pth",))):
        done = call(app, *arguments, cwd=tmp_path)
        assert done.returncode == 2 and f"error: {tmp_path}" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coco.test_size", 10**5), ("coco.train_sizes", [800, 10**5]), ("coco.anchor_sizes", [10**5] * 5),
        ("coco.box_dim", 10**6), ("coco.mask_layers", 10**6), ("coco.batch", 10**9), ("coco.momentum", 1.0),
        ("coco.score_threshold", 1.5), ("coco.rpn_candidates", [1, 10**9]), ("coco.roi_samples", 10**6),
    ],
)  # fmt: skip
def test_a_detector_that_no_memory_holds_is_refused_by_field(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"{name}[.\d]*: "):
        choose_tasks(["coco"], {name: value}, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch", 10**9),
        ("queue", 10**9),
        ("dim", 10**6),
        ("head_layers", 10**6),
        ("crops", [10**5]),
        ("lr", 1e31),
    ],
)  # fmt: skip
def test_a_pretraining_that_no_memory_holds_is_refused_by_field(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"pretrain\.{name}[.\d]*: "):
        changed(Settings(), {name: value}, "pretrain")


@pytest.mark.parametrize(
    ("task", "field", "value"),
    [
        ("semisup-1", "rates", [[1e7, 1.0]]), ("semisup-1", "weight_decay", 1e5),
        ("semisup-1", "init_std", 1e4),
        ("linear", "lrs", [1e7]), ("linear", "weight_decay", 1e5), ("linear-cached", "lrs", [1e7]),
        ("coco", "lr", 1e7), ("coco", "weight_decay", 1e5),
    ],
)  # fmt: skip
def test_a_training_that_no_number_survives_is_refused_by_field(task: str, field: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"{task}\.{field}[.\d]*: "):
        choose_tasks([task], {f"{task}.{field}": value}, 0)
