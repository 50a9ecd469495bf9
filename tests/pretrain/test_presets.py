from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pretrain.__main__ import app
from pretrain.data.augment import AUGMENTATIONS
from pretrain.preflight import check
from pretrain.preset import presets, read_preset, text
from pretrain.settings import Settings

SIZES = {"imagenet": 1_281_167, "cifar10": 50_000}


@pytest.mark.parametrize("name", list(presets()))
def test_every_preset_can_train(name: str) -> None:
    preset = read_preset(name)
    settings = Settings(**preset.settings)
    check(settings, SIZES[preset.dataset], preset.image_size)
    assert settings.augment in AUGMENTATIONS
    assert preset.arch.startswith("resnet")


@pytest.mark.parametrize("name", list(presets()))
def test_every_line_of_a_preset_names_its_source_or_calls_itself_ours(name: str) -> None:
    head, _, body = text(name).partition("\narch:")
    named = set(re.findall(r"#   (\[\w+\])", head))
    for line in ("arch:" + body).splitlines():
        setting, _, comment = line.partition("#")
        if setting.strip() == "settings:":
            continue
        used = set(re.findall(r"\[[a-z]\w*\]", comment))
        assert used <= named, line
        assert used or "our choice" in comment or "arXiv:" in comment or "data set's" in comment, line


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "simclr-100ep",
            ["[0, 1]", "last scale of a block", "max-pooling", "crops are PIL's", "blur", "hue"],
        ),
        ("simclr-cifar10", ["[0, 1]", "last scale of a block", "crops are PIL's", "hue", "1,000 epochs"]),
        (
            "hsa-200ep",
            ["its own neighbour", "running statistics", "sum of crops) / 2", "a box and share a GPU"],
        ),
        (
            "hsa-cifar10",
            [
                "its own neighbour",
                "CIFAR-10's",
                "first convolution",
                "sum of crops) / 2",
                "a box and share a GPU",
            ],
        ),
        ("moco-v2-200ep", ["running statistics"]),
        ("moco-v2-cifar10", ["CIFAR-10's", "first convolution"]),
        ("moco-demo-cifar10", ["(there CIFAR's)", "first convolution"]),
        ("moco-v2-sym-cifar10", ["convolutions start", "first's keys"]),
        ("simclr-sgd-cifar10", ["convolutions start", "no offset"]),
    ],
)
def test_a_preset_says_where_it_departs_from_its_source(name: str, told: list[str]) -> None:
    shown = text(name)
    assert "# What differs from the source" in shown
    assert [words for words in told if words not in shown] == []


def test_simclrs_rate_is_that_of_its_readme() -> None:
    assert Settings(**read_preset("simclr-100ep").settings).peak_lr == pytest.approx(4.8)
    assert Settings(**read_preset("simclr-cifar10").settings).peak_lr == pytest.approx(2.0)


DEMO = {"batch": 512, "lr": 0.06, "bn_groups": 8, "weight_decay": 5e-4, "temperature": 0.1, "queue": 4096}
LIGHTLY = {"batch": 512, "lr": 0.06 * 512 / 128, "weight_decay": 5e-4, "head_layers": 2}
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "moco-demo-cifar10": ("82.6", {**DEMO, "ema": 0.99, "head_layers": 1, "knn_of": "embedding"}),
    "moco-v2-sym-cifar10": (
        "84.7",
        {**LIGHTLY, "symmetric": True, "bn_groups": 8, "queue": 8192, "ema": 0.99, "temperature": 0.1},
    ),
    "simclr-sgd-cifar10": ("84.8", {**LIGHTLY, "head_bn": "all", "temperature": 0.5, "optimiser": "sgd"}),
}
"""Target, percent, and what its source has; kept by hand."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_with_a_target_has_its_sources_settings_and_length(name: str) -> None:
    target, source = PUBLISHED[name]
    every = {"epochs": 200, "schedule": "epoch", "lr_rule": "fixed", "knn_k": 200, "knn_temperature": 0.1}
    settings = Settings(**read_preset(name).settings)
    assert {field: getattr(settings, field) for field in {**every, **source}} == {**every, **source}
    assert settings.peak_lr == pytest.approx(source["lr"])
    assert f"\n# Target: {target} % after 200 epochs, by kNN (k 200, temperature 0.1) on " in text(name)


@pytest.mark.parametrize("name", list(presets()))
def test_print_shows_every_file_as_it_is(name: str) -> None:
    shown = CliRunner().invoke(app, ["--preset", name, "--print"])
    assert (shown.exit_code, shown.stdout) == (0, text(name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "hsa-200"], "did you mean hsa-200ep"),
        (["--print"], "--preset : there are hsa-200ep"),
        (["--method", "moco"], "--arch, --dataset, --epochs, --out: needed"),
        (["--preset", "hsa-200ep", "--set", "lr"], "--set lr: write field=value"),
    ],
)
def test_a_wrong_command_names_the_remedy(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_file_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("architecture: resnet18")
    with pytest.raises(ValueError, match=r"mine.yaml, field architecture: unknown; did you mean arch"):
        read_preset(str(path))
    path.write_text("image_size:")
    with pytest.raises(ValueError, match=r"mine.yaml, field image_size: Input should be a valid integer"):
        read_preset(str(path))
    path.write_text("- a")
    with pytest.raises(ValueError, match=r"mine.yaml: a preset is a mapping of arch, dataset"):
        read_preset(str(path))


def test_options_go_over_the_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "arch: resnet18-w8-s2\ndataset: digits\n"
        "settings: {method: moco, epochs: 9, batch: 32, queue: 48, augment: digits, knn_every: 0}\n"
    )
    arguments = ["--preset", str(tmp_path / "mine.yaml"), "--epochs", "1", "--limit", "64"]
    done = CliRunner().invoke(app, [*arguments, "--set", "lr=0.01", "--out", str(tmp_path / "out.pth")])
    assert done.exit_code == 0, done.output
    assert "64 images, 2 views each" in done.stdout
    assert "learning rate 0.01" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "gpu"], "device gpu: wanted is cpu, cuda, mps or cuda:N"),
        (["--device", "cpu:0"], "device cpu:0: wanted is cpu, cuda, mps or cuda:N"),
        (["--device", "cuda:²"], "device cuda:²: not usable here (Invalid device string"),
        (["--out", "/tmp"], "/tmp: is a folder; name a file"),
        (["--out", "x.safetensors"], "x.safetensors: name the .pth file"),
        (["--set", "weights=[0, 0]", "--set", "method=hsa"], "at least one of (own, neighbour)"),
        (["--set", "levels=[3, 3]", "--set", "method=hsa"], "name each stage once"),
        (["--set", "method=os.path"], "method os.path: has no class Method"),
        (["--set", "method=.moco"], "no such method"),
        (["--set", "crops=[40"], "--set crops=[40: not YAML (line 1"),
        (["--tensorboard", "/dev/null/tb"], "/dev/null/tb"),
        (["--device", "cuda:99"], "device cuda:99: torch sees"),
        (["--arch", "pixels"], "arch pixels: has no stages to train"),
        (["--arch", "resnet81"], "resnet81"),
        (["--dataset", "digitz"], "digitz"),
        (["--set", "lrr=1"], "did you mean lr"),
        (["--set", "method=mocco"], "did you mean moco"),
        (
            ["--set", "levels=[4]", "--set", "method=hsa"],
            r"levels [4]: the backbone's earlier stages are 1 to 3",
        ),
        (
            ["--set", "crops=[40]", "--set", "method=hsa"],
            "crops [40]: must be smaller than the full view (32 px)",
        ),
        (["--set", "method=my_lab.nowhere"], "my_lab.nowhere"),
        (["--out", "/dev/null/x.pth"], "/dev/null: cannot be written to"),
    ],
)
def test_what_cannot_be_is_refused_before_work_begins(
    options: list[str], message: str, tmp_path: Path
) -> None:
    base = ["--method", "moco", "--arch", "resnet18-w8-s2", "--dataset", "digits", "--epochs", "1"]
    base += ["--limit", "64", "--out", str(tmp_path / "x.pth"), "--set", "batch=16", "--set", "queue=32"]
    done = CliRunner().invoke(app, [*base, *(["--method", ""] if "method" in str(options) else []), *options])
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_same_command_again_does_nothing_and_another_is_refused(tmp_path: Path) -> None:
    arguments = ["--method", "moco", "--arch", "resnet18-w8-s2", "--dataset", "digits", "--epochs", "1"]
    arguments += ["--limit", "64", "--set", "batch=16", "--set", "queue=32", "--set", "augment=digits"]
    arguments += ["--out", str(tmp_path / "x.pth")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    written = (tmp_path / "x.pth").read_bytes()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0
    assert "holds this training already" in again.stderr
    other = CliRunner().invoke(app, [*arguments, "--seed", "1"])
    assert other.exit_code == 2
    assert "holds another pretraining" in other.stderr
    assert (tmp_path / "x.pth").read_bytes() == written
