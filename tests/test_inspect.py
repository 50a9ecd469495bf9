from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.inspect import app
from hsa_bench.suite.card_probe import probe, verdict

RESNET, VIT = "resnet18-w8-cifar", "vit_w64x2_patch8_32"


def said(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def moco(tmp_path: Path) -> Path:
    state = build(RESNET, 1).state_dict()
    held = {f"module.encoder_{b}.{k}": v for b in "qk" for k, v in state.items()}
    torch.save(
        {"arch": "resnet18", "state_dict": {**held, "module.queue": torch.ones(3)}}, tmp_path / "m.pth"
    )
    return tmp_path / "m.pth"


def test_it_says_what_a_checkpoint_is(moco: Path) -> None:
    told = said(moco, "--branch", "key", "--card", "std=0.228,0.224,0.225")
    for part in ("moco", "key", RESNET, "120 of 120", weights_hash(build(RESNET, 1)), "0.228", "121 keys"):
        assert part in told
    assert "encoder_q.conv1.weight" in told
    assert told.count("\n") < said(moco, "--all").count("\n")


def test_a_refusal_ends_with_code_2_and_the_command_to_try(tmp_path: Path) -> None:
    torch.save({"a": {f"b.{k}": v for k, v in build(RESNET).state_dict().items()}}, tmp_path / "x.pth")
    assert "--format prefix --branch a.b" in said(tmp_path / "x.pth", code=2)
    assert "--card wrong" in said(tmp_path / "x.pth", "--format", "prefix", "--card", "wrong=3", code=2)
    assert "prefix" in said("--formats")


def test_a_file_that_lacks_a_tensor_is_called_incomplete_and_nothing_worse_is_proposed(
    tmp_path: Path,
) -> None:
    state = build(RESNET).state_dict()
    del state["layer3.1.bn2.weight"]
    torch.save(state, tmp_path / "x.pth")
    told = said(tmp_path / "x.pth", code=2)
    assert "Missing: layer3.1.bn2.weight" in told
    assert "the file is incomplete" in told
    assert "--format" not in told


def test_what_does_not_fit_the_one_file_is_refused(moco: Path, tmp_path: Path) -> None:
    kept = moco.read_bytes()
    assert "end its name with .safetensors" in said(moco, "--export", moco, code=2)
    assert "end its name with .safetensors" in said(moco, "--export", tmp_path / "x.foo", code=2)
    (tmp_path / "x.safetensors").write_bytes(b"precious")
    assert "would be lost" in said(moco, "--export", tmp_path / "x.safetensors", code=2)
    assert (tmp_path / "x.safetensors").read_bytes() == b"precious"
    assert moco.read_bytes() == kept
    assert "there is one file here" in said(moco, "--card", "mine.channels=BGR", code=2)
    assert "numbers as in mean=0.5,0.5,0.5" in said(moco, "--card", "mean=0.5,a,b", code=2)
    assert "write three numbers" in said(moco, "--card", "mean=0.5", code=2)
    assert "0.5, 0.5, 0.5" in said(moco, "--card", "mean=[0.5,0.5,0.5]")


def test_an_exported_resnet_is_torchvisions_and_detectron2s(moco: Path, tmp_path: Path) -> None:
    state = build("resnet18", 2).state_dict()
    save_file(state, tmp_path / "r.safetensors")
    said(tmp_path / "r.safetensors", "--export", tmp_path / "out.safetensors")
    net = torchvision.models.resnet18()
    missing, extra = net.load_state_dict(load_file(tmp_path / "out.safetensors"), strict=False)
    assert (set(missing), extra) == ({"fc.weight", "fc.bias"}, [])
    said(tmp_path / "r.safetensors", "--export", tmp_path / "out.pkl")
    held = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert held["matching_heuristics"] is True
    assert held["model"]["res2.0.conv1.norm.weight"].shape == (64,)
    for out in ("out.safetensors", "out.pkl"):
        assert open_backbone(BackboneRequest(label="x", path=str(tmp_path / out))).weights == weights_hash(
            build("resnet18", 2)
        )
    assert "Detectron2's names go into a .pkl" in said(
        moco, "--export", tmp_path / "o.pkl", "--names", "timm", code=2
    )


def test_an_exported_vit_gives_the_same_features_in_torchvision(tmp_path: Path) -> None:
    trunk = build(VIT, 3)
    torch.save(trunk.state_dict(), tmp_path / "v.pth")
    said(tmp_path / "v.pth", "--export", tmp_path / "tv.safetensors", "--names", "torchvision")
    said(tmp_path / "v.pth", "--export", tmp_path / "timm.safetensors")
    net = torchvision.models.VisionTransformer(32, 8, 2, 1, 64, 256).eval()
    net.heads = torch.nn.Identity()
    net.load_state_dict(load_file(tmp_path / "tv.safetensors"), strict=True)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(net(x), trunk(x))
    for out in ("tv", "timm"):
        assert open_backbone(
            BackboneRequest(label="x", path=str(tmp_path / f"{out}.safetensors"))
        ).weights == weights_hash(trunk)
    assert "ViTs have timm's" in said(tmp_path / "v.pth", "--export", tmp_path / "v.pkl", code=2)


def test_a_probe_finds_the_card_on_training_images_alone(tmp_path: Path) -> None:
    """A deviation of 1,000 makes all pictures alike to a network with biases; any real card does better."""
    trunk = build(RESNET, 1)
    with torch.no_grad():
        trunk.bn1.bias += 1  # type: ignore[union-attr, operator]
    save_file(trunk.state_dict(), tmp_path / "t.safetensors")
    data = open_dataset("digits", tmp_path)
    hidden = SimpleNamespace(  # without a test split
        train=data.train,
        classes=data.classes,
        image_size=data.image_size,
        resize=data.resize,
        limited=lambda n: SimpleNamespace(train=data.limited(n).train),
    )
    request = BackboneRequest(label="x", path=str(tmp_path / "t.safetensors"), card={"std": (1e3, 1e3, 1e3)})
    ctx = Context(tmp_path, tmp_path / "cache")
    found = probe(request, hidden, ctx)  # type: ignore[arg-type]  # as much as it may see
    assert found[0].name == "as loaded"
    assert [one.top1 for one in found[1:]] == sorted((one.top1 for one in found[1:]), reverse=True)
    assert any(one.name.startswith("structure") for one in found)
    best = found[1]
    assert best.top1 > found[0].top1
    assert best.p < 0.05
    assert f"consider {best.flags}" in verdict(found)


def test_the_probe_is_part_of_the_command(moco: Path) -> None:
    told = said(moco, "--probe")
    assert "training images of digits" in told
    assert "card in force" in told
