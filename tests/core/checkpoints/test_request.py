from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import weights_hash


def hub(folder: Path, repository: str, files: dict[str, Path]) -> None:
    """A cache of huggingface_hub as it lies on disk, for use offline."""
    base = folder / ("models--" + repository.replace("/", "--"))
    snapshot = base / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("abc")
    for name, path in files.items():
        os.link(path, snapshot / name)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def test_a_model_of_timm_comes_from_the_cache(offline: Path) -> None:
    net = build("resnet18", 4).state_dict()
    save_file({**net, "fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)}, offline / "w")
    hub(offline / "hub", "timm/resnet18.a1_in1k", {"model.safetensors": offline / "w"})
    found = open_backbone(BackboneRequest(label="x", path="timm:resnet18.a1_in1k"))
    assert found.weights == weights_hash(build("resnet18", 4))
    assert (found.source.path, found.arch) == ("timm:resnet18.a1_in1k", "resnet18")
    assert open_backbone(BackboneRequest(label="x", path="timm:resnet18")).weights == found.weights


def test_a_model_of_hugging_face_comes_with_its_card(offline: Path) -> None:
    from tests.golden.trunk_namings import NAMINGS

    state = NAMINGS["hf-resnet"](dict(build("resnet18-w16", 4).state_dict()))
    save_file({f"resnet.{k}": v.contiguous() for k, v in state.items()}, offline / "w")
    (offline / "c").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    hub(
        offline / "hub",
        "lab/net",
        {"model.safetensors": offline / "w", "preprocessor_config.json": offline / "c"},
    )
    found = open_backbone(BackboneRequest(label="x", path="hf:lab/net"))
    assert found.weights == weights_hash(build("resnet18-w16", 4))
    assert found.card.mean == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="no weights to be had in lab/other"):
        open_backbone(BackboneRequest(label="x", path="hf:lab/other"))


@pytest.mark.parametrize("path", ["hf:lab/net", "timm:resnet18.a1_in1k"])
def test_without_a_network_the_hub_is_asked_once_and_the_remedy_said(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    start = perf_counter()
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9 cannot be reached .*--checkpoint NAME=FILE"):
        open_backbone(BackboneRequest(label="x", path=path))
    assert perf_counter() - start < 15


def test_a_model_of_torchvision_comes_from_the_cache(offline: Path) -> None:
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    place = offline / "torch" / "hub" / "checkpoints" / Path(weights.url).name
    place.parent.mkdir(parents=True)
    torch.save(torchvision.models.resnet18().state_dict(), place)
    found = open_backbone(BackboneRequest(label="x", path="torchvision:resnet18.IMAGENET1K_V1"))
    assert found.source.coverage is not None
    assert found.source.coverage.matched == 120
    assert found.card.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("timm:resnt18", "timm has no such model"),
        ("torchvision:resnet19", "no such model or weights"),
        ("torchvision:resnet18.V9", "no such model or weights"),
        ("hf:nonsense", "write hf:ORG/NAME"),
    ],
)
def test_a_model_that_is_not_published_is_named(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_backbone(BackboneRequest(label="x", path=path))


def test_a_module_of_ones_own_is_measured_as_it_is_or_filled_from_a_file(tmp_path: Path) -> None:
    from my_lab.nets import build as own

    whole = open_backbone(BackboneRequest(label="x", path="my_lab.nets:build"))
    assert whole.weights == weights_hash(own())
    assert (whole.dim, whole.source.format) == (12, "module")
    assert whole.trunk is not None
    state = {f"encoder.{k}": v + 1 for k, v in own().state_dict().items()}
    torch.save({"state_dict": {**state, "head.weight": torch.ones(2)}}, tmp_path / "f.pth")
    filled = open_backbone(
        BackboneRequest(
            label="x",
            path=str(tmp_path / "f.pth"),
            arch="my_lab.nets:build",
            file_format="prefix",
            branch="state_dict.encoder",
        )
    )
    assert filled.source.coverage is not None
    assert filled.source.coverage.matched == 4
    assert filled.weights != whole.weights


def test_the_twin_of_a_module_of_ones_own_has_other_weights() -> None:
    twins = [
        open_backbone(BackboneRequest(label="x", arch="my_lab.nets:build", init=i)).weights for i in (0, 1, 0)
    ]
    whole = open_backbone(BackboneRequest(label="x", path="my_lab.nets:build")).weights
    assert twins[0] == twins[2] != twins[1]
    assert whole not in twins


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("my_lab.nets:maps", r"gives \(2, 4, 62, 62\)"),
        ("my_lab.nets:number", "gave a int, not a"),
        ("my_lab.nets:absent", "cannot be imported"),
        ("no_such_lab:build", "cannot be imported"),
    ],
)
def test_a_module_that_gives_no_features_is_refused(arch: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_backbone(BackboneRequest(label="x", path=arch))


def test_a_twin_pools_its_tokens_alike() -> None:
    card = {"tokens": "cls+mean"}
    found = open_backbone(BackboneRequest(label="x", arch="vit_w32x2_patch8_32", card=card))
    assert found.dim == 64
    with pytest.raises((CheckpointError, ValueError), match="no vision transformer"):
        open_backbone(BackboneRequest(label="x", arch="resnet18-w8", card=card))


def test_the_request_says_what_becomes_of_a_classifier() -> None:
    own = BackboneRequest(label="x", path="my_lab.nets:classifier")
    with pytest.raises(ValueError, match=r"my_lab.nets:classifier: ends in 1, a classifier.*--head drop"):
        open_backbone(own)
    assert open_backbone(own.model_copy(update={"head": "drop"})).dim == 12
    assert open_backbone(own.model_copy(update={"head": "keep"})).dim == 10
    twin = BackboneRequest(label="x", arch="my_lab.nets:classifier", head="drop", init=1)
    assert open_backbone(twin).dim == 12
    with pytest.raises(ValueError, match="has no classifier"):
        open_backbone(BackboneRequest(label="x", arch="resnet18-w8", head="drop"))


def test_a_wrapped_module_of_ones_own_is_filled_and_measured_as_the_bare_one(tmp_path: Path) -> None:
    from my_lab.nets import build as own

    bare, wrapped = (
        open_backbone(BackboneRequest(label="x", path=f"my_lab.nets:{name}"))
        for name in ("build", "parallel")
    )
    assert (bare.weights, bare.behaviour) == (wrapped.weights, wrapped.behaviour)
    assert bare.behaviour
    torch.save({"state_dict": {f"module.{k}": v for k, v in own().state_dict().items()}}, tmp_path / "f.pth")
    how = {"arch": "my_lab.nets:parallel", "file_format": "prefix", "branch": "state_dict.module"}
    filled = open_backbone(BackboneRequest(label="x", path=str(tmp_path / "f.pth"), **how))
    assert filled.weights == bare.weights


def test_only_ones_own_architecture_has_its_code_in_the_key() -> None:
    for arch in ("resnet18-w8", "vit_w32x2_patch8_32", "pixels", "mobilenetv3_small_050"):
        assert open_backbone(BackboneRequest(label="x", arch=arch)).behaviour == ""
    assert open_backbone(BackboneRequest(label="x", arch="my_lab.nets:build")).behaviour
