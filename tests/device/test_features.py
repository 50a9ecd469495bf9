from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.data.views import View, eval_view
from hsa_bench.core.features.extract import extract
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import layer_names

Figure = Callable[..., None]
Difference = Callable[[Tensor, Tensor], float]

CARDS = {
    "plain": {},
    "BGR": {
        "channels": "BGR",
        "value_range": 255.0,
        "mean": (103.5, 116.3, 123.7),
        "std": (57.4, 57.1, 58.4),
    },
}


def features(backbone: Backbone, data: Classification, ctx: Context, precision: str, view: View) -> Tensor:
    return extract(backbone, data.train, view, ctx, precision).rows()  # type: ignore[arg-type]  # of our names


@pytest.mark.parametrize("arch", ["resnet", "vit"])
def test_features_in_float32_are_the_cpus(
    arch: str, tiny: bool, data: Classification, here: Context, there: Context, figure: Figure,
    difference: Difference,
) -> None:  # fmt: skip
    names = {
        "resnet": ("resnet50", "resnet18-w8-s2"),
        "vit": ("vit_small_patch16_224", "vit_w32x2_patch8_32"),
    }
    backbone = open_backbone(BackboneRequest(label="x", arch=names[arch][tiny]))
    view = View(32, 32) if tiny else View(224, 224)
    pair = [features(backbone, data, ctx, "float32", view) for ctx in (here, there)]
    figure("largest difference over the feature's norm", difference(*pair), at_most=1e-4)


@pytest.mark.parametrize("card", CARDS)
def test_every_card_is_the_same_on_the_device(
    card: Literal["plain", "BGR"], tiny: bool, data: Classification, here: Context, there: Context,
    figure: Figure, difference: Difference,
) -> None:  # fmt: skip
    request = BackboneRequest(label="x", arch="resnet18-w8-s2", card=CARDS[card])
    pair = [features(open_backbone(request), data, c, "float32", View(24, 28)) for c in (here, there)]
    figure("largest difference over the feature's norm", difference(*pair), at_most=1e-4)


def test_features_in_bfloat16_are_near(
    backbone: Backbone, data: Classification, here: Context, there: Context, figure: Figure,
    difference: Difference,
) -> None:  # fmt: skip
    exact = features(backbone, data, here, "float32", eval_view(data))
    near = features(backbone, data, there, "bfloat16", eval_view(data))
    figure("largest difference over the feature's norm", difference(exact, near), at_most=0.05)


def test_features_of_every_layer_are_the_cpus(
    backbone: Backbone, data: Classification, here: Context, there: Context, figure: Figure,
    difference: Difference,
) -> None:  # fmt: skip
    names = layer_names(backbone.module)
    few = data.train.subset(range(12))
    for name in names:
        order = (name, *names)
        pair = [
            extract(backbone, few, eval_view(data), ctx, "float32", layers=order).rows()
            for ctx in (here, there)
        ]
        figure(f"{name}: largest difference over its norm", difference(*pair), at_most=1e-4)


def test_a_second_pass_gives_the_same_bits(
    backbone: Backbone, data: Classification, there: Context, tiny: bool
) -> None:
    again = replace(there, cache=there.cache / "again")
    pair = [features(backbone, data, ctx, "float32", eval_view(data)) for ctx in (there, again)]
    assert torch.equal(*pair)


def test_tf32_is_another_number_format(
    on_gpu: bool, tiny: bool, backbone: Backbone, data: Classification, there: Context, figure: Figure,
    difference: Difference,
) -> None:  # fmt: skip
    if not on_gpu:
        pytest.skip("needs a GPU: TF32")
    exact, near = (features(backbone, data, there, name, eval_view(data)) for name in ("float32", "tf32"))
    assert not torch.equal(exact, near)
    figure("largest difference over the feature's norm", difference(exact, near), at_most=0.01)


def test_float32_means_float32(device: str, figure: Figure, difference: Difference, tiny: bool) -> None:
    """TF32 keeps ten bits of a product's factors: it would differ by 1e-3 or so."""
    from hsa_bench.core.features.forward import frozen_forward

    side, g = (64, 8) if tiny else (512, 64), torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(side[0], 32)
    convolution = torch.nn.Sequential(torch.nn.Conv2d(3, side[1], 3), torch.nn.Flatten())
    pictures = torch.randn(4, 3, 16, 16, generator=g)
    for name, module, x in (
        (
            "product",
            torch.nn.Sequential(torch.nn.Flatten(), linear),
            torch.randn(8, side[0], 1, 1, generator=g),
        ),
        ("convolution", convolution, pictures),
    ):
        with torch.no_grad():
            exact = module.double()(x.double())
        found = frozen_forward(module.float(), x, device, "float32")
        figure(f"{name}: largest difference over its norm", difference(exact, found), at_most=1e-5)
