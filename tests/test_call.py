from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

import hsa_bench
from eval_tasks._finetune.finetune import with_head
from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.notebook import from_module
from reports.run_folder.collected import collect
from reports.run_folder.grid import lay_out


class Tiny(nn.Module):
    """A user's own network: 8 features, batch norm and dropout inside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.norm(self.conv(x)).relu().mean((2, 3)))


def test_a_module_and_its_checkpoint_share_key_and_number(tmp_path: Path) -> None:
    net = torchvision.models.resnet18(weights=None)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    by_module = hsa_bench.evaluate(net, "knn", "digits", limit=60, out=tmp_path / "a")
    by_file = hsa_bench.evaluate(tmp_path / "net.pth", ["knn"], "digits", limit=60, out=tmp_path / "b")
    assert list(by_module["key"]) == list(by_file["key"])
    assert list(by_module["value"]) == list(by_file["value"])
    assert {"top1", "top5"} <= set(by_module["metric"])


@pytest.mark.parametrize("change", ["pooling", "stride"])
def test_a_resnet_with_other_strides_is_measured_as_it_is(change: str, tmp_path: Path) -> None:
    net = torchvision.models.resnet18(weights=None).eval()
    net.conv1 = nn.Conv2d(3, 64, 3, stride=1 if change == "pooling" else 2, padding=1, bias=False)
    if change == "stride":
        net.maxpool = nn.Identity()
    backbone = from_module(net, "mine")
    assert backbone.arch.startswith(
        "torchvision.models.resnet.ResNet-"
    )  # not resnet18-cifar, which it looks like
    net.fc = nn.Identity()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(backbone.module(x), net(x))


def test_our_own_trunks_and_other_resnets_are_taken(tmp_path: Path) -> None:
    assert from_module(build("resnet18-w16-cifar"), "mine").arch == "resnet18-w16-cifar"
    assert "ResNetTrunk-" in from_module(build("resnet18-w16-s2"), "mine").arch
    assert from_module(torchvision.models.wide_resnet50_2(weights=None), "mine").dim == 2048


def test_a_training_loop_gets_its_network_back_as_it_was(tmp_path: Path) -> None:
    net = Tiny().train()
    before = weights_hash(net)
    frame = hsa_bench.evaluate(net, "knn", "digits", limit=40, out=tmp_path, **{"knn.k": 5})
    assert net.training
    assert weights_hash(net) == before
    assert frame["value"].between(0, 100).all()


def test_the_same_call_reuses_its_result_and_a_changed_setting_does_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Tiny()
    first = hsa_bench.evaluate(net, "knn", "digits", limit=40, out=tmp_path)
    again = hsa_bench.evaluate(net, "knn", "digits", limit=40, out=tmp_path)
    other = hsa_bench.evaluate(net, "knn", "digits", limit=40, out=tmp_path, **{"knn.k": 3})
    grey = hsa_bench.evaluate(
        net, "knn", "digits", limit=40, out=tmp_path, card=Preprocess(mean=(0, 0, 0), std=(1, 1, 1))
    )
    assert list(first["started"]) == list(again["started"])
    assert len({*first["key"], *other["key"], *grey["key"]}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": "knnn"}, "did you mean knn"),
        ({"dataset": "digitz"}, "did you mean digits"),
        ({"knn.k": "many"}, r"knn\.k"),
    ],
)
def test_wrong_usage_is_a_value_error_with_the_remedy(
    arguments: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        hsa_bench.evaluate(Tiny(), **{"tasks": "knn", "dataset": "digits", "out": tmp_path, **arguments})


def test_a_module_without_flat_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"wanted is \[2, D\]"):
        hsa_bench.evaluate(nn.Conv2d(3, 4, 3), "knn", "digits", out=tmp_path)


def _of_a_library(forward: str) -> nn.Module:
    """A network whose code stands in no key, as that of a library."""
    space: dict[str, type] = {"__name__": "timm.of_a_test", "nn": nn}  # type: ignore[dict-item]
    exec(f"class Net(nn.Module):\n    def forward(self, x):\n        return {forward}", space)
    return space["Net"]()


def test_a_result_of_another_network_under_the_same_key_is_computed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mean, other = _of_a_library("x.mean((2, 3))"), _of_a_library("x[:, :, :3, :3].flatten(1)")
    first = hsa_bench.evaluate(mean, "knn", "digits", limit=60, out=tmp_path)
    assert not capsys.readouterr().err
    then = hsa_bench.evaluate(other, "knn", "digits", limit=60, out=tmp_path)
    said = capsys.readouterr().err
    assert list(first["key"]) == list(then["key"])
    assert list(first["value"]) != list(then["value"])
    assert "the result on file is of another network" in said
    assert "of another network of the same key" in said  # its features
    alone = hsa_bench.evaluate(other, "knn", "digits", limit=60, out=tmp_path / "alone")
    assert list(alone["value"]) == list(then["value"])
    assert len(list(tmp_path.glob("results/**/*.broken"))) == 1
    again = hsa_bench.evaluate(other, "knn", "digits", limit=60, out=tmp_path)
    assert list(again["started"]) == list(then["started"])


def test_a_result_of_an_older_version_has_no_print_and_is_used(tmp_path: Path) -> None:
    net = Tiny()
    first = hsa_bench.evaluate(net, "knn", "digits", limit=60, out=tmp_path)
    (path,) = tmp_path.glob("results/*/*/*.json")
    said = json.loads(path.read_text())
    assert said.pop("network_print")
    path.write_text(json.dumps(said))
    again = hsa_bench.evaluate(net, "knn", "digits", limit=60, out=tmp_path)
    assert list(again["started"]) == list(first["started"])


def test_an_edited_forward_has_another_key(tmp_path: Path) -> None:
    class Other(Tiny):
        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x)).relu().amax((2, 3))

    for name in ("__name__", "__qualname__", "__module__"):
        setattr(Other, name, getattr(Tiny, name))
    one, other = Tiny(), Other()
    other.load_state_dict(one.state_dict())
    ids = [from_module(net, "mine").id for net in (one, other)]
    assert ids[0].arch == ids[1].arch
    assert ids[0].weights == ids[1].weights
    assert ids[0].behaviour != ids[1].behaviour


def test_a_name_is_of_one_network_unless_each_states_its_pretraining_seed(tmp_path: Path) -> None:
    first, second = (build("resnet18-w8-cifar", seed=seed) for seed in (1, 2))
    facts = {"tasks": "knn", "limit": 50, "out": tmp_path, "label": "mine"}
    hsa_bench.evaluate(first, pretraining_seed=1, **facts)

    with pytest.raises(ValueError, match=r"label mine: .* another label; .*pretraining_seed=1"):
        hsa_bench.evaluate(second, **facts)
    with pytest.raises(ValueError, match="label mine"):
        hsa_bench.evaluate(second, pretraining_seed=1, **facts)
    hsa_bench.evaluate(second, pretraining_seed=2, **facts)
    assert lay_out(collect(tmp_path)).rows == ("mine",)

    hsa_bench.evaluate(first, "knn", limit=50, out=tmp_path)
    hsa_bench.evaluate(second, "knn", limit=50, out=tmp_path)
    assert len(lay_out(collect(tmp_path)).rows) == 3


class Square(nn.Module):
    """Takes pictures of one size alone."""

    side = 40

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == self.side, f"{x.shape[-1]} px is not {self.side}"
        return x.mean((2, 3))


def test_a_module_of_one_size_is_measured_at_that_size_and_refused_at_others(tmp_path: Path) -> None:
    frame = hsa_bench.evaluate(Square(), "knn", "digits", limit=40, image_size=40, out=tmp_path)
    assert frame["value"].between(0, 100).all()
    net = Square()
    net.image_size = 40
    with pytest.raises(ValueError, match=r"takes no pictures of 32 px.*40 px: give --image-size 40"):
        hsa_bench.evaluate(net, "knn", "digits", limit=40, out=tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_modules_in_any_number_format_are_measured_and_fine_tuned(dtype: torch.dtype, tmp_path: Path) -> None:
    net = Tiny().to(dtype)
    frame = hsa_bench.evaluate(net, "knn", "digits", limit=40, out=tmp_path)
    assert frame["value"].between(0, 100).all()
    with_head(from_module(net, "mine"), 2)(torch.randn(2, 3, 32, 32)).sum().backward()


@pytest.mark.parametrize("label", ["random", "pixels", "../x", "", None, 3])
def test_a_label_that_is_no_name_of_a_backbone_is_refused(label: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label "):
        hsa_bench.evaluate(nn.Flatten(), "knn", "digits", label=label, out=tmp_path / "out")

    assert not (tmp_path / "out").exists()
