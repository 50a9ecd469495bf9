"""Named architectures of any family, from files with their own names: the features are timm's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor

from hsa_bench.core.checkpoints import load
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.own_names import by_own_names
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build, places
from hsa_bench.core.models.backbone import Backbone, weights_hash

State = dict[str, Tensor]
R18 = "resnet18-w8-cifar"

FAMILIES = {
    "convnext_atto": 64,
    "convnextv2_atto": 64,
    "mambaout_femto": 64,
    "vgg11_bn": 64,
    "efficientnet_b0": 64,
    "mobilenetv3_small_050": 64,
    "swin_tiny_patch4_window7_224": 224,
    "regnety_002": 64,
    "deit_tiny_distilled_patch16_224": 224,
    "levit_128s": 224,
    "maxvit_pico_rw_256": 256,
}
"""A model of timm, and the side of a picture it takes."""

QUICK = ("convnext_atto", "efficientnet_b0")


def opened(path: Path, **said: Any) -> Backbone:
    return open_backbone(BackboneRequest(label="mine", path=str(path), **said))


def drawn(net: torch.nn.Module) -> torch.nn.Module:
    """The network with statistics and norms that are not all 0 and 1."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for name, tensor in net.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.1)
            elif name.endswith(("running_var", "norm.weight")):
                tensor.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize(
    "arch", [pytest.param(a, marks=[] if a in QUICK else [pytest.mark.long]) for a in FAMILIES]
)
def test_features_of_a_file_are_timms_own(arch: str, tmp_path: Path) -> None:
    net = drawn(timm.create_model(arch))
    torch.save(net.state_dict(), tmp_path / "f.pth")
    x = torch.randn(2, 3, FAMILIES[arch], FAMILIES[arch], generator=torch.Generator().manual_seed(0))

    found = opened(tmp_path / "f.pth", arch=arch)

    with torch.inference_mode():
        expected = net.forward_head(net.forward_features(x), pre_logits=True)
        torch.testing.assert_close(found.module(x), expected)
    assert (found.arch, found.dim) == (arch, expected.shape[1])
    assert found.source.coverage is not None
    assert found.source.coverage.matched == found.source.coverage.total
    assert "ImageNet's mean and deviation" in found.source.assumed


@pytest.mark.parametrize("arch", ["vgg11_bn", "mambaout_femto", "levit_128s"])
def test_of_a_file_with_classifier_just_that_is_left_out(arch: str) -> None:
    """By names alone, without memory: `pre_logits` of VGG and `head.norm` stay."""
    with torch.device("meta"):
        full = timm.create_model(arch).state_dict()
    wanted = places(arch)

    found = by_own_names({"state_dict": full}, arch, wanted)

    assert found is not None
    assert set(found.state) == set(wanted)
    assert 0 < len(found.dropped) < 20


@pytest.mark.parametrize(
    "arch",
    [
        "mobilenet_v3_small",
        *(pytest.param(a, marks=pytest.mark.long) for a in ("regnet_y_400mf", "vgg11_bn")),
    ],
)
def test_features_of_torchvisions_models_are_what_their_classifier_is_given(
    arch: str, tmp_path: Path
) -> None:
    net = drawn(torchvision.models.get_model(arch, weights=None))
    torch.save(net.state_dict(), tmp_path / "f.pth")
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    last = [part for part in net.modules() if isinstance(part, torch.nn.Linear)][-1]
    given: list[Tensor] = []
    last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))

    found = opened(tmp_path / "f.pth", arch=f"torchvision:{arch}")

    with torch.inference_mode():
        net(x)
        torch.testing.assert_close(found.module(x), given[0])
    assert found.arch == f"torchvision:{arch}"


def test_a_file_of_the_other_library_is_told_by_its_names(tmp_path: Path) -> None:
    torch.save(torchvision.models.get_model("efficientnet_b0", weights=None).state_dict(), tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="give --arch torchvision:efficientnet_b0"):
        opened(tmp_path / "g.pth", arch="efficientnet_b0")


@pytest.fixture(scope="module")
def convnext() -> State:
    return timm.create_model("convnext_atto").state_dict()


def wrapped(prefix: str) -> Callable[[State], dict[str, Any]]:
    return lambda state: {"state_dict": {f"{prefix}{k}": v for k, v in state.items()}, "epoch": 3}


WRAPPINGS: dict[str, Callable[[State], dict[str, Any]]] = {
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {}},
    "net in a mapping": lambda s: {"checkpoint": {"net": s}},
    "module": wrapped("module."),
    "compiled": wrapped("_orig_mod."),
    "both": wrapped("module._orig_mod."),
    "one prefix": wrapped("net.trunk."),
    "averaged": lambda s: {"n_averaged": torch.tensor(3), **{f"module.{k}": v for k, v in s.items()}},
    "with its average": lambda s: {"state_dict": s, "state_dict_ema": {k: v + 1 for k, v in s.items()}},
    "average alone": lambda s: {"model_ema": s},
    "moco": lambda s: {
        "arch": "x",
        "state_dict": {
            **{f"module.encoder_q.{k}": v for k, v in s.items()},
            **{f"module.encoder_k.{k}": v + 1 for k, v in s.items()},
            "module.queue": torch.ones(2, 2),
        },
    },
    "lightning": lambda s: {
        "pytorch-lightning_version": "2.0",
        "global_step": 1,
        "state_dict": {**{f"model.{k}": v for k, v in s.items()}, "projector.weight": torch.ones(2, 2)},
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_usual_wrappings_change_nothing(wrapping: str, convnext: State, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[wrapping](convnext), tmp_path / "f.pth")
    twin = timm.create_model("convnext_atto", num_classes=0)
    twin.load_state_dict({k: v for k, v in convnext.items() if not k.startswith("head.fc.")})

    assert opened(tmp_path / "f.pth", arch="convnext_atto").weights == weights_hash(twin)


@pytest.mark.parametrize("branch", ["ema", "state_dict_ema"])
def test_the_average_is_taken_where_it_is_asked_for(branch: str, convnext: State, tmp_path: Path) -> None:
    torch.save(WRAPPINGS["with its average"](convnext), tmp_path / "f.pth")

    averaged = opened(tmp_path / "f.pth", arch="convnext_atto", branch=branch)

    assert averaged.weights != opened(tmp_path / "f.pth", arch="convnext_atto").weights
    with pytest.raises(CheckpointError, match="--branch nonsense: not in this file, which has state_dict"):
        opened(tmp_path / "f.pth", arch="convnext_atto", branch="nonsense")


def test_two_networks_of_those_names_are_a_question(convnext: State, tmp_path: Path) -> None:
    two = {f"{side}.{k}": v + i for i, side in enumerate(("left", "right")) for k, v in convnext.items()}
    torch.save(two, tmp_path / "f.pth")

    with pytest.raises(CheckpointError, match=r"2 networks by the names.*left, right; choose with --branch"):
        opened(tmp_path / "f.pth", arch="convnext_atto")

    left, right = (opened(tmp_path / "f.pth", arch="convnext_atto", branch=b) for b in ("left", "right"))
    assert left.weights != right.weights
    assert (left.source.branch, left.source.format) == ("left", "named")


@pytest.mark.parametrize(
    ("arch", "head"),
    [(R18, "linear"), (R18, "last_linear"), ("vit_w32x2_patch8_32", "my_head"), ("convnext_atto", "linear")],
)
def test_a_head_beside_a_whole_trunk_is_named_and_dropped_by_an_option(
    arch: str, head: str, tmp_path: Path
) -> None:
    state = build(arch, 1).state_dict()
    torch.save(
        {**state, f"{head}.weight": torch.ones(2, 2), f"{head}.bias": torch.ones(2)}, tmp_path / "f.pth"
    )
    named = arch if arch == "convnext_atto" else ""

    with pytest.raises(CheckpointError, match=rf"{head}\.weight.*`--drop {head}\.`") as refusal:
        opened(tmp_path / "f.pth", arch=named)
    assert "incomplete" not in str(refusal.value)

    found = opened(tmp_path / "f.pth", arch=named, drop=(f"{head}.",))
    assert found.weights == weights_hash(build(arch, 1))
    assert found.source.coverage is not None
    assert f"{head}.weight" in found.source.coverage.dropped


def test_a_drop_of_the_trunk_or_of_nothing_is_refused(tmp_path: Path) -> None:
    torch.save({**build(R18).state_dict(), "linear.weight": torch.ones(2, 2)}, tmp_path / "f.pth")

    with pytest.raises(CheckpointError, match=r"--drop layer1\.: layer1.* is part of"):
        opened(tmp_path / "f.pth", drop=("layer1.",))
    with pytest.raises(CheckpointError, match=r"--drop liner\.: nothing beside the trunk begins so"):
        opened(tmp_path / "f.pth", drop=("liner.",))


def test_blocks_that_the_network_has_not_are_no_head(tmp_path: Path) -> None:
    state = {**build(R18).state_dict(), "layer1.0.se.weight": torch.ones(2, 2)}
    torch.save(state, tmp_path / "f.pth")

    with pytest.raises(CheckpointError, match=r"layer1\.0\.se\.weight") as refusal:
        opened(tmp_path / "f.pth")

    assert "--drop" not in str(refusal.value) and "incomplete" not in str(refusal.value)


def test_a_file_is_called_incomplete_only_where_it_is(tmp_path: Path) -> None:
    state = build(R18).state_dict()
    del state["layer3.0.conv1.weight"]
    torch.save(state, tmp_path / "f.pth")

    with pytest.raises(CheckpointError, match=r"incomplete"):
        opened(tmp_path / "f.pth")


@pytest.mark.parametrize("option", ["hf-resnet", "lightly", "prefix"])
def test_no_option_is_advised_with_which_the_file_does_not_load(option: str, tmp_path: Path) -> None:
    torch.save(timm.create_model("convnext_atto").state_dict(), tmp_path / "f.pth")

    with pytest.raises(CheckpointError) as refusal:
        opened(tmp_path / "f.pth", arch="convnext_femto")

    assert f"loads with `--format {option}" not in str(refusal.value)
    assert "100 %" not in str(refusal.value) and "100%" not in str(refusal.value)


def test_a_vit_of_maes_fine_tuning_averages_and_then_normalises(tmp_path: Path) -> None:
    net = drawn(
        timm.models.vision_transformer.VisionTransformer(
            img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=1, global_pool="avg",
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), num_classes=10,
        )
    )  # fmt: skip
    torch.save({"model": net.state_dict()}, tmp_path / "f.pth")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    found = opened(tmp_path / "f.pth")

    with torch.inference_mode():
        expected = net.forward_head(net.forward_features(x), pre_logits=True)
        torch.testing.assert_close(found.module(x), expected)
    assert (found.arch, found.card.tokens) == ("vit_w64x2_patch8_32-fcnorm", "mean")
    with pytest.raises(CheckpointError, match="a norm for the patches' mean alone"):
        opened(tmp_path / "f.pth", card={"tokens": "cls"})


def test_positions_are_resampled_for_pictures_of_another_size() -> None:
    net = build("deit_tiny_patch16_224")
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 192)


@pytest.mark.parametrize("change", ["float", "half", "large", "one missing", "all missing", "a row"])
def test_counters_of_batch_norm_load_whatever_they_are(change: str, tmp_path: Path) -> None:
    state, name = dict(build(R18, 2).state_dict()), "bn1.num_batches_tracked"
    counters = [key for key in state if key.endswith("num_batches_tracked")]
    changed: dict[str, Callable[[Tensor], Tensor]] = {
        "float": lambda t: t.float() + 0.5,
        "half": lambda t: (t + 10**6).half(),
        "large": lambda t: t.double() + 1e300,
        "a row": lambda t: t.reshape(1),
    }
    if change in changed:
        state |= {key: changed[change](state[key]) for key in counters}
    else:
        state = {
            k: v for k, v in state.items() if k != name and (change == "one missing" or k not in counters)
        }
    torch.save(state, tmp_path / "f.pth")

    found = opened(tmp_path / "f.pth")

    assert found.weights == weights_hash(build(R18, 2))
    assert any("counters" in text for text in found.source.assumed) == ("missing" in change)


def test_a_whole_network_in_half_precision_loads_its_counters_too(tmp_path: Path) -> None:
    torch.save({k: v.half() for k, v in build(R18, 2).state_dict().items()}, tmp_path / "f.pth")

    assert opened(tmp_path / "f.pth").dim == 64


@pytest.mark.filterwarnings("ignore:Validating sparse")
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(8, 3, 3, 3, device="meta"), "without values"),
        (torch.ones(8, 3, 3, 3).to_sparse(), "sparse"),
        (torch.ones(8, 3, 3, 3, dtype=torch.complex64), "complex64"),
        (torch.full((8, 3, 3, 3), float("nan")), "NaN or infinity"),
        (torch.ones(3), r"conv1 \(3,\)"),
    ],
)
def test_tensors_of_another_kind_are_named(tensor: Tensor, message: str, tmp_path: Path) -> None:
    torch.save({**build(R18).state_dict(), "conv1.weight": tensor}, tmp_path / "f.pth")

    with pytest.raises(CheckpointError, match=message) as refusal:
        opened(tmp_path / "f.pth")

    assert "conv1" in str(refusal.value)


def test_eight_bit_floats_are_read(tmp_path: Path) -> None:
    state = build(R18).state_dict()
    state["conv1.weight"] = state["conv1.weight"].to(torch.float8_e4m3fn)
    torch.save(state, tmp_path / "f.pth")

    assert opened(tmp_path / "f.pth").dim == 64


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.pth"
    torch.save(build(R18).state_dict(), path)
    read = load.take_trunk

    def meanwhile(*given: Any) -> Any:
        os.utime(path, ns=(1, 1))  # another process begins to write
        return read(*given)

    monkeypatch.setattr(load, "take_trunk", meanwhile)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        opened(path)


def test_links_and_what_is_no_file_are_told(tmp_path: Path) -> None:
    torch.save(build(R18).state_dict(), tmp_path / "f.pth")
    (tmp_path / "link.pth").symlink_to(tmp_path / "f.pth")
    (tmp_path / "gone.pth").symlink_to(tmp_path / "absent.pth")
    (tmp_path / "round.pth").symlink_to(tmp_path / "round.pth")
    os.mkfifo(tmp_path / "fifo.pth")
    (tmp_path / "config.json").symlink_to(tmp_path / "round.pth")

    assert opened(tmp_path / "link.pth").arch == R18
    for name, message in (
        ("gone", "no such file"),
        ("round", "no such file"),
        ("fifo", "is no regular file"),
    ):
        with pytest.raises(CheckpointError, match=rf"{name}\.pth: {message}"):
            opened(tmp_path / f"{name}.pth")


@pytest.mark.parametrize(
    "entry",
    [
        {"author": np.array(["a", "b"])},
        {"format": np.array([1, 2])},
        {"type": np.array(["a", "b"])},
        {"meta": {1: {2: {}}}, "state_dict": 3},
        {"state_dict": {1: torch.ones(2), (1, 2): torch.ones(2)}},
        {"student": torch.ones(2), "teacher": {"backbone.": 3}},
        {"classy_state_dict": {"base_model": []}},
        {"model": {"encoder.x": torch.ones(2)}, "contrast": None},
        {"state_dict": {"encoder_q.a": torch.ones(0), "encoder_k.a": torch.ones(())}, "arch": 3},
        {"f.0.weight": torch.ones(()), "f.3.0.conv1.weight": torch.ones(2), "g.0": torch.ones(2)},
        {"encoder.conv1.weight": torch.ones(()), "projector.weight": torch.ones(())},
        {"conv1.weight": torch.ones(()), "layer1.0.conv1.weight": torch.ones(())},
        {
            "patch_embed.proj.weight": torch.ones(()),
            "blocks.0.x": torch.ones(2),
            "pos_embed": torch.ones(1, 5),
        },
        {"stem.conv1.weight": torch.ones(()), "res2.0.x": torch.ones(2), "pixel_mean": torch.ones(3)},
        {"state_dict": {"fc.weight": torch.ones(()), "conv1.x": torch.ones(2), "layer1.0.x": torch.ones(2)}},
        {"arch": "r", "state_dict": {"backbone.conv1.w": torch.ones(2), "backbone.fc.0.bias": torch.ones(2)}},
        {
            "global_step": 1,
            "state_dict": {"backbone.conv1.weight": torch.ones(()), "classifier.weight": torch.ones(2)},
        },
    ],
)
def test_entries_of_odd_kinds_are_refused_in_words(entry: dict[str, Any], tmp_path: Path) -> None:
    torch.save(entry, tmp_path / "f.pth")

    with pytest.raises(CheckpointError, match=r"f\.pth: ") as refusal:
        opened(tmp_path / "f.pth")

    assert "Traceback" not in str(refusal.value) and "ambiguous" not in str(refusal.value)
