from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import load_file

from eval_tasks import coco, voc
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.models.architectures import SamePool, build
from hsa_bench.core.models.infer_arch import infer_arch
from hsa_bench.core.models.vit_names import usual_heads, vit_name, with_heads


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "vit_small_patch16_224"])
def test_features_are_timms_class_token(arch: str) -> None:
    net = timm.create_model(arch, num_classes=0).eval()
    trunk = build(arch)
    trunk.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(trunk(x), net(x))


def test_registers_and_layer_scale_are_timms() -> None:
    net = timm.create_model("vit_small_patch14_reg4_dinov2", num_classes=0, img_size=56).eval()
    trunk = build("vit_small_patch14_56-ls-reg4")
    trunk.load_state_dict(net.state_dict())
    x = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(trunk(x), net(x))


@pytest.mark.parametrize(
    "arch",
    [
        "vit_tiny_patch16_224",
        "vit_w64x3_patch8_32",
        "vit_large_patch14_518-ls-reg4",
        "vit_w64x2_patch4_32-mlp96",
        "vit_w96x2_patch14_56-ls-swiglu",
    ],
)
def test_a_vits_architecture_is_read_off_the_shapes(arch: str) -> None:
    with torch.device("meta"):
        assert infer_arch(build(arch).state_dict()) == arch


def test_tokens_are_pooled_as_the_card_says() -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    nets = {t: build("vit_w32x2_patch8_32", 0, t) for t in ("cls", "mean", "cls+mean")}  # type: ignore[arg-type]
    with torch.inference_mode():
        cls, mean, both = (net(x) for net in nets.values())
        tokens = nets["cls"].forward_features(x)  # type: ignore[operator]
    torch.testing.assert_close(cls, tokens[:, 0])
    torch.testing.assert_close(mean, tokens[:, 1:].mean(1))
    torch.testing.assert_close(both, torch.cat([cls, mean], 1))
    assert [net.dim for net in nets.values()] == [32, 32, 64]


def test_another_number_of_heads_is_another_network() -> None:
    one, other = build("vit_w96x2_patch8_32"), build("vit_w96x2_patch8_32-h6")
    other.load_state_dict(one.state_dict())
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert not torch.allclose(one(x), other(x))
    assert with_heads("vit_small_patch16_224", 12) == "vit_small_patch16_224-h12"
    assert with_heads("vit_small_patch16_224-h12-ls", 6) == "vit_small_patch16_224-ls"
    assert (usual_heads(384), vit_name(384, 12, 16, 224)) == (6, "vit_small_patch16_224")


def test_any_picture_size_is_taken_and_a_dino_resamples_as_dino() -> None:
    plain, dino = build("vit_w32x2_patch8_32"), build("vit_w32x2_patch8_32-dinopos")
    dino.load_state_dict(plain.state_dict())
    same, other = torch.ones(1, 3, 32, 32), torch.randn(1, 3, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(plain(same), dino(same))
        assert not torch.allclose(plain(other), dino(other), atol=1e-4)
        grid = plain.pos_embed[:, 1:].view(1, 4, 4, 32).permute(0, 3, 1, 2)  # type: ignore[index, union-attr]
        wanted = torch.nn.functional.interpolate(grid, scale_factor=6.1 / 4, mode="bicubic")
        x = torch.zeros(1, 6, 6, 32)
        found = dino._pos_embed(x)[:, 1:]  # type: ignore[operator]
        torch.testing.assert_close(found, wanted.permute(0, 2, 3, 1).flatten(1, 2))


def test_detection_refuses_a_vit_with_the_reason() -> None:
    backbone = open_backbone(BackboneRequest(label="x", arch="vit_w32x2_patch8_32"))
    for task in (*voc.TASKS, *coco.TASKS):
        assert "vision transformer" in task.unsupported(backbone)


def test_same_pooling_is_tensorflows() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6)
    # TensorFlow pads 0 before and 1 behind: windows begin at 0, 2, 4.
    wanted = torch.stack([x[0, 0, r : r + 3, c : c + 3].max() for r in (0, 2, 4) for c in (0, 2, 4)]).view(
        3, 3
    )
    assert torch.equal(SamePool()(x)[0, 0], wanted)
    assert not torch.equal(torch.nn.functional.max_pool2d(x, 3, 2, 1)[0, 0], wanted)


def test_token_pooling_of_a_resnet_is_refused() -> None:
    with pytest.raises(ValueError, match="no vision transformer"):
        build("resnet18", tokens="mean")


def test_a_card_on_the_command_line_goes_over_the_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from safetensors.torch import save_file

    save_file(build("vit_w32x2_patch8_32", 1).state_dict(), tmp_path / "v.safetensors")
    assert load_file(tmp_path / "v.safetensors")
    path, card = str(tmp_path / "v.safetensors"), {"tokens": "cls+mean", "mean": (0.5, 0.5, 0.5)}
    found = open_backbone(BackboneRequest(label="x", path=path, card=card))
    assert found.dim == 64
    assert found.card.as_dict()["tokens"] == "cls+mean"
    assert found.id.card["mean"] == [0.5, 0.5, 0.5]
    plain = open_backbone(BackboneRequest(label="x", path=path))
    assert plain.weights == found.weights
    assert plain.id != found.id
