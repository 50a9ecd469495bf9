from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.models.infer_arch import infer_arch
from hsa_bench.core.results.result import Budget

ARCH = "resnet18-w16-cifar"


@pytest.fixture(scope="module")
def trunk() -> dict[str, Tensor]:
    return build(ARCH, seed=5).state_dict()


def own(state: dict[str, Tensor]) -> dict[str, object]:
    budget = Budget(method="moco", dataset="digits", epochs=1, images=2, views=2, seconds=1.0, seed=0)
    card = {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "channels": "RGB", "value_range": 1.0}
    return {
        "format": "hsa_bench/1",
        "arch": ARCH,
        "state_dict": state,
        "card": card,
        "budget": budget.model_dump(),
    }


def moco(state: dict[str, Tensor]) -> dict[str, object]:
    query = {f"module.encoder_q.{k}": v for k, v in state.items()}
    head = {f"module.encoder_q.fc.{i}.weight": torch.ones(2, 2) for i in (0, 2)}
    keys = {f"module.encoder_k.{k}": v + 1 for k, v in state.items()}
    queue = {"module.queue": torch.ones(4, 8), "module.queue_ptr": torch.zeros(1)}
    return {
        "epoch": 200,
        "arch": "resnet50",
        "state_dict": {**query, **head, **keys, **queue},
        "optimizer": {},
    }


def torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "fc.weight": torch.ones(10, 128), "fc.bias": torch.ones(10)}


def timm(state: dict[str, Tensor]) -> dict[str, object]:
    return {"state_dict": {f"module.{k}": v for k, v in torchvision(state).items()}, "epoch": 3}


WRITERS = {"own": own, "moco": moco, "torchvision": torchvision, "timm": timm}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_trunk_that_comes_out_is_the_one_that_went_in(
    kind: str, trunk: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(WRITERS[kind](trunk), tmp_path / "file.pth")
    backbone = open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "file.pth")))
    assert backbone.weights == weights_hash(build(ARCH, seed=5))
    assert backbone.arch == ARCH
    assert backbone.source.coverage is not None
    assert backbone.source.coverage.matched == backbone.source.coverage.total == len(trunk)


def test_moco_drops_head_key_encoder_and_queue_by_rule(trunk: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(moco(trunk), tmp_path / "file.pth")
    source = open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "file.pth"))).source
    assert source.branch == "query"
    assert source.coverage is not None
    assert len(source.coverage.dropped) == 2 + len(trunk) + 2


def test_safetensors_are_read(trunk: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(trunk, tmp_path / "file.safetensors")
    assert open_backbone(
        BackboneRequest(label="mine", path=str(tmp_path / "file.safetensors"))
    ).weights == weights_hash(build(ARCH, seed=5))


def test_this_suites_files_carry_card_and_budget(trunk: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(own(trunk), tmp_path / "file.pth")
    backbone = open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "file.pth")))
    assert backbone.card.mean == (0.5, 0.5, 0.5)
    assert backbone.source.budget is not None
    assert backbone.source.budget.method == "moco"


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("damage", ["missing", "extra", "shape", "renamed"])
def test_one_wrong_tensor_refuses_the_file(
    kind: str, damage: str, trunk: dict[str, Tensor], tmp_path: Path
) -> None:
    state = dict(trunk)
    tensor = state.pop("layer3.0.conv1.weight")
    if damage == "extra":
        state |= {"layer3.0.conv1.weight": tensor, "layer3.0.conv9.weight": tensor}
    if damage == "shape":
        state["layer3.0.conv1.weight"] = tensor[:-1]
    if damage == "renamed":
        state["layer3.0.convl.weight"] = tensor
    torch.save(WRITERS[kind](state), tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match=r"layer3\.0\.conv") as refusal:
        open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "file.pth")))
    assert "file.pth" in str(refusal.value)
    assert "nothing was loaded" in str(refusal.value)


def test_an_architecture_the_tensors_do_not_fit_is_refused(trunk: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(trunk, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match="Wrong shape: conv1"):
        open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "file.pth"), arch="resnet18"))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, I am text", "is a text file"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\x1f\x8b\x08 compressed", "is compressed"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x00\x01\x02\xff\xfe", "is no checkpoint"),
        (b"PK\x03\x04 broken archive", "cut off"),
        (b"\x80\x04no pickle", "damaged"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00{}", "damaged"),
    ],
)
def test_files_that_are_no_checkpoints_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "bad.pth")))
    with pytest.raises(CheckpointError, match="no such file"):
        open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "absent.pth")))


def test_a_pickle_with_code_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, "evil.pth")
    with pytest.raises(CheckpointError, match="more than tensors"):
        open_backbone(BackboneRequest(label="mine", path=str(Path("evil.pth"))))
    assert not Path("executed").exists()


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(3)}, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match=r"no known format \(its keys: weights\).*moco.*torchvision"):
        open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "file.pth")))


@pytest.mark.parametrize(
    "arch",
    ["resnet18", "resnet34", "resnet50", "resnet101", "resnet18-w16", "resnet18-cifar", "resnet50-w32-cifar"],
)
def test_the_architecture_is_read_off_the_shapes(arch: str) -> None:
    assert infer_arch(build(arch).state_dict()) == arch


@pytest.mark.parametrize("arch", ["resnet26d", "resnet50d"])
def test_other_resnets_ask_for_their_name(arch: str) -> None:
    with pytest.raises(ValueError, match="--arch"):
        infer_arch(build(arch).state_dict())
