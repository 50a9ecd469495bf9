from __future__ import annotations

import pytest
import timm
import torch
import torchvision

from hsa_bench.core.models.architectures import Pixels, ResNetTrunk, build


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_features_equal_torchvisions_after_pooling(arch: str) -> None:
    net = torchvision.models.get_model(arch, weights=None).eval()
    trunk = build(arch)
    trunk.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("fc.")})
    net.fc = torch.nn.Identity()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(trunk(x), net(x))


def test_features_equal_timms_after_pooling() -> None:
    net = timm.create_model("resnet26d", num_classes=0).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = net(x)
    torch.testing.assert_close(ResNetTrunk(net).eval()(x), expected)


def test_a_narrow_trunk_has_the_stage_widths_of_its_name() -> None:
    trunk = build("resnet18-w16")
    assert trunk.stage_dims == (16, 32, 64, 128)
    assert trunk.dim == 128


def test_a_small_image_stem_keeps_the_resolution() -> None:
    for arch, side in (("resnet18-w16-cifar", 32), ("resnet18-w16-s2", 16)):
        maps = build(arch).stages(torch.zeros(1, 3, 32, 32))
        assert [m.shape[-1] for m in maps] == [side, side // 2, side // 4, side // 8]


def test_the_seed_alone_decides_the_weights() -> None:
    torch.manual_seed(1)
    first = build("resnet18-w16", seed=3).state_dict()
    torch.manual_seed(2)
    again, other = build("resnet18-w16", seed=3).state_dict(), build("resnet18-w16", seed=4).state_dict()
    assert torch.equal(first["layer1.0.conv1.weight"], again["layer1.0.conv1.weight"])
    assert not torch.equal(first["layer1.0.conv1.weight"], other["layer1.0.conv1.weight"])


def test_an_unknown_architecture_suggests_one() -> None:
    with pytest.raises(ValueError, match="resnet50"):
        build("resnt50")


def test_pixels_are_the_picture_itself_up_to_32_px() -> None:
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(Pixels()(x), x.flatten(1))
    assert Pixels()(torch.rand(2, 3, 224, 224)).shape == (2, Pixels.dim)
