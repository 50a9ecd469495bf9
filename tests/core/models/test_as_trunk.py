from __future__ import annotations

import collections
from itertools import pairwise
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.probe import pictures, stated_sides
from hsa_bench.notebook import from_module

pytestmark = pytest.mark.filterwarnings("ignore:.*(init_weights|DataParallel|dynamo|_compile).*")


def features(module: nn.Module, side: int = 64, **how: Any) -> tuple[Tensor, Tensor]:
    """Of two pictures: through the backbone made of a module, and the pictures."""
    backbone = from_module(module, "mine", **how)
    x = pictures(side, 2)
    with torch.no_grad():
        found = backbone.module(x)
    assert found.shape == (2, backbone.dim)
    return found, x


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("resnet18", 64),
        ("vit_tiny_patch16_224", 224),
        ("deit_tiny_distilled_patch16_224", 224),
        ("convnext_atto", 64),
        ("mobilenetv3_small_050", 64),
        ("efficientnet_b0", 64),
        ("regnetx_002", 64),
        ("mambaout_femto", 64),
    ],
)
def test_models_of_timm_give_timms_own_features(name: str, side: int) -> None:
    more = {"depth": 1} if "vit" in name or "deit" in name else {}
    net = timm.create_model(name, **more).eval()
    found, x = features(net, side)
    with torch.no_grad():
        expected = net.forward_head(net.forward_features(x), pre_logits=True)
    assert found.shape[1] != 1000
    torch.testing.assert_close(found, expected)


def test_a_model_of_timm_has_one_key_with_and_without_its_classifier() -> None:
    net = timm.create_model("convnext_atto").eval()
    bare = timm.create_model("convnext_atto", num_classes=0).eval()
    bare.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("head.fc")})
    net.default_cfg = bare.default_cfg
    one, other = from_module(net, "mine"), from_module(bare, "mine")
    assert one.weights == other.weights
    assert one.dim == other.dim == 320


@pytest.mark.parametrize(
    ("name", "node", "side"),
    [
        ("mobilenet_v2", "flatten", 64),
        ("mobilenet_v3_small", "classifier.1", 64),
        ("convnext_tiny", "classifier.1", 64),
        ("regnet_y_400mf", "flatten", 64),
        ("shufflenet_v2_x0_5", "mean", 64),
        ("squeezenet1_1", "features", 64),
    ],
)
def test_models_of_torchvision_give_what_goes_into_their_last_layer(name: str, node: str, side: int) -> None:
    net = torchvision.models.get_model(name, weights=None).eval()
    found, x = features(net, side)
    with torch.no_grad():
        expected = create_feature_extractor(net, [node])(x)[node]
    if name == "squeezenet1_1":
        expected = expected.mean((2, 3))
    torch.testing.assert_close(found, expected)


def test_a_classifier_of_torchvision_that_was_taken_off_is_not_taken_off_twice() -> None:
    net = torchvision.models.mobilenet_v3_small(weights=None)
    net.classifier[-1] = nn.Identity()
    assert from_module(net, "mine").dim == 1024


def wrapped(name: str, net: nn.Module) -> nn.Module:
    if name == "compiled":
        import lightning_fabric.wrappers  # noqa: F401 (it notes on the network how it was compiled)

        return torch.compile(net)  # type: ignore[return-value]
    if name == "parallel":
        return nn.DataParallel(net)
    if name == "averaged":
        return torch.optim.swa_utils.AveragedModel(net)
    if name == "fabric":
        from lightning_fabric import Fabric

        return Fabric(accelerator="cpu", devices=1).setup(net)
    return nn.DataParallel(torch.compile(nn.DataParallel(net)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["compiled", "parallel", "averaged", "fabric", "thrice"])
def test_a_wrapped_network_is_the_network(name: str) -> None:
    net = torchvision.models.resnet18(weights=None).eval() if name == "parallel" else Own("features").eval()
    expected, found = from_module(net, "mine"), from_module(wrapped(name, net), "mine")
    assert found.id == expected.id
    assert found.dim == (512 if name == "parallel" else 8)


class Own(nn.Module):
    """A network of one's own around another."""

    def __init__(self, form: str = "plain") -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(8, 7)
        self.form = form

    def forward(self, x: Tensor) -> Any:
        features = self.net(x)
        logits = self.fc(features) if self.form != "functional" else None
        if self.form == "functional":
            return nn.functional.linear(features, self.fc.weight)
        return {
            "plain": logits,
            "softmax": logits.softmax(1),
            "features": features,
            "tuple": (features, logits),
            "list": [features, logits],
            "mapping": collections.OrderedDict(logits=logits, hidden=features),
            "none": None,
            "maps": x,
        }[self.form]


@pytest.mark.parametrize("form", ["plain", "softmax"])
def test_what_else_ends_in_a_classifier_is_refused_with_the_choices(form: str) -> None:
    with pytest.raises(UsageError, match=r'Own: ends in fc.*--head drop \(evaluate: head="drop"\).*keep'):
        from_module(Own(form), "mine")


def test_the_weights_of_a_classifier_alone_are_seen_too() -> None:
    net = Own("functional")
    with pytest.raises(UsageError, match="ends in fc"):
        from_module(net, "mine")


def test_the_user_decides_what_becomes_of_it() -> None:
    net = Own().eval()
    x = pictures(64, 2)
    kept, _ = features(net, head="keep")
    dropped, _ = features(net, head="drop")
    torch.testing.assert_close(kept, net(x))
    torch.testing.assert_close(dropped, net.net(x))
    assert from_module(net, "mine", head="keep").id != from_module(net, "mine", head="drop").id
    with pytest.raises(UsageError, match="write drop or keep"):
        from_module(net, "mine", head="loose")
    with pytest.raises(UsageError, match="ends in no classifier"):
        from_module(Own("features"), "mine", head="drop")


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Flatten(), nn.LazyLinear(1000)),
        nn.Sequential(torchvision.models.resnet18(weights=None), nn.Identity()),
        nn.Sequential(nn.Conv2d(3, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ],
    ids=["by width", "within another", "convolution"],
)
def test_classifiers_are_seen_wherever_they_are(net: nn.Module) -> None:
    net(torch.zeros(2, 3, 64, 64))
    with pytest.raises(UsageError, match="are logits"):
        from_module(net, "mine")


def test_a_layer_behind_a_whole_network_that_gives_fewer_numbers_is_a_classifier() -> None:
    trunk = nn.Sequential(nn.Conv2d(3, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = nn.Sequential(trunk, nn.Dropout(), nn.Linear(16, 7)).eval()
    for whole, last in ((net, "2"), (Around(net), r"net\.2")):
        with pytest.raises(UsageError, match=f"ends in {last}, a classifier by name, width or place"):
            from_module(whole, "mine")
    x = pictures(64, 2)
    torch.testing.assert_close(features(net, head="drop")[0], trunk(x))
    assert from_module(nn.Sequential(trunk, nn.Linear(16, 32)), "mine").dim == 32


class Around(nn.Module):
    """Another's network in a wrapper of one's own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        return self.net(x)


def test_a_classifier_is_seen_within_what_has_weights_beside_its_layers() -> None:
    net = timm.create_model("vit_tiny_patch16_224", depth=1)  # its tokens are weights of the whole

    with pytest.raises(UsageError, match=r"ends in net\.head, .*its 1,000 numbers are logits"):
        from_module(Around(net), "mine")
    assert (
        from_module(Around(timm.create_model("vit_tiny_patch16_224", depth=1, num_classes=0)), "x").dim == 192
    )


@pytest.mark.filterwarnings("ignore:.*torch.jit.*", "ignore:The .grad attribute")
def test_a_classifier_of_a_scripted_module_is_seen() -> None:
    net = torch.jit.script(torchvision.models.resnet18(weights=None).eval())

    with pytest.raises(UsageError, match="ends in fc, a classifier"):
        from_module(net, "mine")
    with pytest.raises(UsageError, match="cannot be dropped; give the module without it"):
        from_module(net, "mine", head="drop")


@pytest.mark.parametrize("name", ["out", "output", "pred", "probe", "clf", "fc_cls", "linear_probe", "score"])
def test_a_classifier_of_few_classes_is_told_by_its_name(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.add_module(name, nn.Linear(8, 5))

    with pytest.raises(UsageError, match=f"ends in {name}, a classifier by name"):
        from_module(net, "mine")


def test_probabilities_are_no_features() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LogSoftmax(1))
    with pytest.raises(UsageError, match="probabilities"):
        from_module(net, "mine")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("tuple", r"gives a tuple of \(2, 8\), \(2, 7\).*`return self.net\(x\)\[0\]`"),
        ("list", "gives a list of"),
        (
            "mapping",
            r'of logits, hidden.*`return self.net\(x\)\["hidden"\]`.*logits are no',
        ),
        ("none", "gives a NoneType"),
        ("maps", r"gives \(2, 3, 64, 64\)"),
    ],
)
def test_what_gives_no_single_tensor_is_refused_with_what_to_wrap(form: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_module(Own(form), "mine")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("own", [True, False])
def test_modules_of_any_number_format_are_taken(dtype: torch.dtype, own: bool) -> None:
    net = Own("features") if own else build("resnet18-w8")
    backbone = from_module(net.to(dtype), "mine")
    assert backbone.dim == (8 if own else 64)
    assert backbone.print
    assert own or backbone.arch == "resnet18-w8"


class Fixed(nn.Module):
    """Takes one size alone, and states none."""

    dim = 99

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == self.side, f"takes {self.side}"
        return self.conv(x).mean((2, 3))


def test_a_module_of_fixed_size_is_tried_on_the_size_asked_for() -> None:
    with pytest.raises(UsageError, match=r"64 px: takes 96; 224 px: takes 96.*--image-size"):
        from_module(Fixed(96), "mine")
    backbone = from_module(Fixed(96), "mine", image_size=96)
    assert (backbone.dim, backbone.side) == (8, 96)
    assert backbone.print.split(";")[1] == "96"


def test_a_size_that_a_module_states_is_tried_on() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=80, depth=1, num_classes=0)
    assert stated_sides(vit)[0] == 80
    assert from_module(vit, "mine").side == 80


class Stages(nn.Module):
    """A child called stages, as ConvNeXt has it; or a method."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x).mean((2, 3))


class Wrong(Own):
    stage_dims = (8, 9)

    def stages(self, x: Tensor) -> list[Tensor]:
        return [self.net[0](x)]


def test_a_child_called_stages_is_no_method() -> None:
    assert from_module(Stages(), "mine").trunk is None
    with pytest.raises(UsageError, match=r"its stages\(x\) gives.*\(8, 9\)"):
        from_module(Wrong("features"), "mine")
    net = Own("features")
    net.stage_dims = (8,)  # type: ignore[assignment]
    with pytest.raises(UsageError, match="needs stage_dims too"):
        from_module(net, "mine")


def test_trying_a_module_leaves_no_trace() -> None:
    class Counting(Own):
        seen = 0

        def forward(self, x: Tensor) -> Any:
            self.seen += 1
            return super().forward(x)

    backbone = from_module(Counting("features").train(), "mine")
    assert backbone.module.seen == 0
    assert backbone.print
    assert backbone.module.seen == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "net",
    [
        lambda: timm.create_model("vgg11_bn"),
        lambda: timm.create_model("swin_tiny_patch4_window7_224"),
        lambda: torchvision.models.vit_b_16(weights=None),
        lambda: torchvision.models.swin_t(weights=None),
        lambda: torchvision.models.densenet121(weights=None),
        lambda: torchvision.models.alexnet(weights=None),
        lambda: torchvision.models.maxvit_t(weights=None),
        lambda: torchvision.models.inception_v3(weights=None, init_weights=False),
    ],
)
def test_large_and_fixed_networks_give_features(net: Any) -> None:
    assert from_module(net(), "mine").dim in {512, 768, 1024, 2048, 4096}


class Maps(nn.Module):
    """Stages of one's own, as many as it has widths."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.stage_dims = dims
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in pairwise((3, *dims)))

    def stages(self, x: Tensor) -> list[Tensor]:
        maps = []
        for conv in self.convs:
            x = conv(x)
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)[-1].mean((2, 3))


def test_a_pyramid_needs_as_many_stages_as_it_has() -> None:
    from eval_tasks.coco import TASKS

    pyramid = next(task for task in TASKS if task.name == "coco-fpn-1x")
    said = pyramid.unsupported(from_module(Maps(4, 8, 12), "mine"))
    assert "has 3 stages, and the pyramid is built on stages 1, 2, 3, 4" in said
    assert "stages" not in pyramid.unsupported(from_module(Maps(4, 8, 12, 16), "mine"))
    assert "needs stages(x)" in pyramid.unsupported(from_module(Stages(), "mine"))
    crop = next(task for task in TASKS if task.name == "coco-c4-1x")
    assert "no bottleneck" in crop.unsupported(from_module(Maps(4, 8, 12, 16), "mine"))
