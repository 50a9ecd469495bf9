"""The whole command, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hsa_bench.core.models.architectures import build
from hsa_bench.core.results.store import Store
from hsa_bench.run import app
from pretrain.__main__ import app as pretrain_app
from tests.support.command import Done, call, start, start_without


def command(*arguments: object, cwd: Path, worker: bool = False) -> Done:
    return call(app, *arguments, cwd=cwd, worker=worker)


@pytest.mark.parametrize(
    "arguments",
    [
        ("hsa_bench.run", "--help"),
        ("hsa_bench.run", "--list"),
        ("hsa_bench.inspect", "--help"),
        ("pretrain", "--help"),
        ("reports", "--help"),
    ],
)
def test_help_and_list_need_no_torch(arguments: tuple[str, ...]) -> None:
    done = start_without(*arguments)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 100


def test_list_names_tasks_methods_data_sets_and_formats(tmp_path: Path) -> None:
    shown = command("--list", cwd=tmp_path).stdout
    for name in ("linear-cached", "semisup-10", "simclr", "stl10", "torchvision", "demo"):
        assert name in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "liner"], "did you mean linear"),
        (["--tasks", "knn", "--set", "knn.kk=3"], "did you mean k"),
        (["--tasks", "knn", "--set", "linear.epochs=3"], "--set linear.epochs: it changes nothing"),
        (["--seeds", "one"], "--seeds one: write whole numbers"),
        (["--checkpoint", "a=absent.pth", "--dataset", "digits"], "absent.pth: no such file"),
        (["--arch", "resnt18", "--dataset", "digits", "--tasks", "knn"], "did you mean"),
        (["--arch", "resnet18", "--dataset", "cifar10", "--tasks", "knn"], "see --data"),
        (["--arch", "resnet18", "--dataset", "imagefolder:nowhere", "--tasks", "knn"], "no such folder"),
        (["--set", "pretrain.method=hsaa"], r"pretrain.method: no such method; did you mean hsa?"),
        (["--set", "pretrain.queue=32"], "queue 32 must be larger than the batch (64)"),
        (
            ["--preset", "demo", "--tasks", "semisup", "--set", "semisup.subset=absent.txt"],
            "absent.txt: no such list",
        ),
        (["--arch", "resnet18", "--dataset", "digitz", "--tasks", "knn"], "did you mean digits"),
        (["--arch", "resnet18", "--dataset", "digits", "--tasks", "knn", "--baseline", "x"], "--baseline x"),
    ],
)
def test_wrong_usage_ends_with_2_and_the_remedy_and_leaves_nothing(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = command(*arguments, "--out", "out", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert not Store(tmp_path / "out").paths()


def test_a_run_is_reported_reused_and_repaired(tmp_path: Path) -> None:
    torch.save(build("resnet18-w16", seed=7).state_dict(), tmp_path / "mine.pth")
    (tmp_path / "flag").touch()
    (tmp_path / "one.yaml").write_text("random_controls: 1\npixels_control: false\n")  # each costs a worker
    arguments = (
        "--tasks", "knn,my_lab.my_eval", "--checkpoint", "mine=mine.pth", "--dataset", "digits",
        "--preset", "one.yaml", "--limit", "300", "--out", "out",
        "--set", f"my_lab.my_eval.flag={tmp_path / 'flag'}",
    )  # fmt: skip
    first = start("hsa_bench.run", *arguments, cwd=tmp_path)
    assert first.returncode == 1, first.stdout + first.stderr
    assert "mine: torchvision checkpoint, resnet18-w16, 120 of 120 trunk tensors loaded" in first.stdout
    assert "FAILED, the worker process was killed by SIGKILL" in first.stdout
    report = (tmp_path / "out" / "report.md").read_text()
    assert "failed" in report
    before = {p: p.stat().st_mtime_ns for p in Store(tmp_path / "out").paths() if '"ok"' in p.read_text()}

    (tmp_path / "flag").unlink()
    second = command(*arguments, cwd=tmp_path, worker=True)
    assert second.returncode == 0, second.stdout + second.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert "FAILED" not in second.stdout
    third = command(*arguments, cwd=tmp_path)
    assert "runs are on file and are re-used" in third.stdout
    assert "[1/" not in third.stdout


def test_dry_run_shows_the_plan_and_does_nothing(tmp_path: Path) -> None:
    shown = command("--dry-run", "--tasks", "knn,coco", "--out", "out", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "to run, after its pretraining" in " ".join(shown.stdout.split())
    assert not Store(tmp_path / "out").paths()
    refused = command("--dry-run", "--tasks", "knn", "--baseline", "byol", "--out", "out", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--baseline byol: not in this run" in refused.stderr


def test_a_data_set_is_asked_for_only_by_tasks_that_have_none_of_their_own(tmp_path: Path) -> None:
    plan = ("--dry-run", "--arch", "resnet18-w16", "--out", "out", "--set", "coco.root=digit-scenes")
    shown = command(*plan, "--tasks", "coco-fpn-1x", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    refused = command(*plan, "--tasks", "coco-fpn-1x,knn", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--dataset is needed for knn; for example --dataset digits" in refused.stderr


def test_a_limited_run_says_so_and_is_another_number(tmp_path: Path) -> None:
    arguments = ("--arch", "pixels", "--dataset", "digits", "--tasks", "knn", "--out", "out")
    assert command(*arguments, cwd=tmp_path).returncode == 0
    assert command(*arguments, "--limit", "50", cwd=tmp_path).returncode == 0
    limits = {json.loads(p.read_text())["spec"]["limit"] for p in Store(tmp_path / "out").paths()}
    assert limits == {None, 50}
    assert "limit" in (tmp_path / "out" / "report.md").read_text()


def test_the_whole_chain_from_pretraining_to_a_report_rebuilt_without_torch(tmp_path: Path) -> None:
    preset = str(Path(__file__).with_name("chain.yaml"))
    done = start("hsa_bench.run", "--preset", preset, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    report = (tmp_path / "out" / "report.md").read_text()
    header = next(line for line in report.splitlines() if line.startswith("| backbone | linear"))
    assert all(task in header for task in ("linear", "knn", "semisup-1", "semisup-10", "coco"))
    for row in ("hsa", "moco (baseline)", "simclr", "random", "pixels"):
        assert f"\n| {row} |" in report
    assert "Far too small to mean anything." in report
    assert list((tmp_path / "out" / "figures").glob("*.png"))

    again = command("--preset", preset, "--out", "out", cwd=tmp_path)
    assert "[1/" not in again.stdout
    report = (tmp_path / "out" / "report.md").read_text()
    (tmp_path / "out" / "report.md").unlink()
    rebuilt = start_without("reports", "out", "-o", "out/report.md", cwd=tmp_path)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert (tmp_path / "out" / "report.md").read_text() == report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "hsaa"], "pretrain.method: no such method; did you mean hsa?"),
        (["--method", "moco", "--set", "lrr=3"], "pretrain.lrr: no such setting; did you mean lr"),
        (["--method", "moco", "--set", "lr=many"], "pretrain.lr: Input should be a valid number"),
        (["--method", "moco", "--set", "lr"], "write field=value"),
        (["--method", "moco"], "queue 65536 must be smaller than the training set"),
    ],
)
def test_pretraining_that_cannot_be_is_refused_with_the_remedy(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    common = ["--arch", "resnet18-w16", "--dataset", "digits", "--epochs", "1", "--out", "out.pth"]
    done = call(pretrain_app, *common, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_broken_result_file_is_named_and_set_aside_and_the_run_done_again(tmp_path: Path) -> None:
    arguments = ("--arch", "pixels", "--dataset", "digits", "--tasks", "knn", "--out", "out")
    assert command(*arguments, cwd=tmp_path).returncode == 0
    [path] = Store(tmp_path / "out").paths()
    path.write_text("{half a fi")
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert str(path.relative_to(tmp_path)) in done.stdout
    assert path.with_name(f"{path.name}.broken").read_text() == "{half a fi"
    assert json.loads(path.read_text())["status"] == "ok"
