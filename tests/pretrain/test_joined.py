"""Queries, and keys, of one shape in one pass of their encoder: the numbers of a pass for each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.batch_norm import GroupedBatchNorm
from hsa_bench.core.seed import forked
from pretrain.contrastive import Contrastive, method_class
from pretrain.encoder import Encoder
from pretrain.heads import Projection
from pretrain.settings import Settings

CASES: dict[str, dict[str, Any]] = {
    "moco": {"method": "moco"},
    "moco, symmetric": {"method": "moco", "symmetric": True, "queue": 24},
    "simclr": {"method": "simclr", "head_bn": "all"},
    "hsa": {"method": "hsa", "levels": (2, 3), "crops": (24, 24, 16)},
    "hsa, four parts": {"method": "hsa", "bn_groups": 4},
    "hsa, one part": {"method": "hsa", "bn_groups": 1},
    "hsa without neighbours": {"method": "hsa", "neighbours": False, "levels": (3,)},
    "hsa without mixing": {"method": "hsa", "mix": False},
    "hsa, own view alone": {"method": "hsa", "mix": False, "neighbours": False, "crops": (16,)},
}


def made(joined: bool, **changes: Any) -> Contrastive:
    settings = Settings(
        **{"batch": 8, "queue": 16, "bn_groups": 2, "levels": (), "head_bn": "hidden", **changes}
    )
    with forked(0):
        method: Contrastive = method_class(settings.method)(build("resnet18-w8-s2"), settings)
    for module in method.modules():
        if isinstance(module, Encoder):
            module.joined = joined
        elif isinstance(module, GroupedBatchNorm):
            module.at_once = joined
    method.begin(199)
    return method.double().train().to(memory_format=torch.channels_last)


def views(method: Contrastive) -> list[Tensor]:
    draw = torch.Generator().manual_seed(3)
    sides = [32] * (4 if method.pairs else 2) + [*method.crops]
    return [torch.randn(8, 3, side, side, dtype=torch.float64, generator=draw) for side in sides]


def passes(method: nn.Module) -> list[int]:
    """How often the encoders of a method are called, as it happens."""
    calls: list[int] = []
    for module in method.modules():
        if isinstance(module, Encoder):
            module.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    return calls


SAMPLE = ("simclr", "moco, symmetric", "hsa", "hsa without neighbours")


@pytest.mark.parametrize(
    "case", [*SAMPLE, *(pytest.param(case, marks=pytest.mark.long) for case in CASES if case not in SAMPLE)]
)
def test_two_steps_have_the_same_losses_gradients_and_statistics(case: str) -> None:
    apart, joined = made(False, **CASES[case]), made(True, **CASES[case])
    separate, together = passes(apart), passes(joined)
    for step in range(2):
        found = []
        for method in (apart, joined):
            with forked(step, "step"):
                parts = method(views(method))
                after = torch.rand(())
            parts["loss"].backward()
            found.append({**parts, "drawn": after})
        for name, value in found[0].items():
            torch.testing.assert_close(found[1][name], value, rtol=1e-10, atol=1e-12)
    for name, tensor in apart.state_dict().items():
        torch.testing.assert_close(joined.state_dict()[name], tensor, rtol=1e-10, atol=1e-10)
    for one, other in zip(apart.parameters(), joined.parameters(), strict=True):
        if one.grad is None:
            assert other.grad is None
            continue
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-8, atol=1e-10)
    assert sum(separate) == sum(together)
    assert (len(together) < len(separate)) == (case not in {"moco", "hsa, own view alone"})


def test_hsa_takes_two_passes_where_it_took_five() -> None:
    method = made(True, method="hsa")
    calls = passes(method)
    method(views(method))
    assert calls == [24, 16]


def test_a_cpu_goes_on_as_it_did() -> None:
    method = made(False, method="hsa")
    for module in method.modules():
        if isinstance(module, Encoder):
            module.joined = None
    calls = passes(method)
    method(views(method))
    assert calls == [8] * 5


def test_plain_batch_norm_sees_each_batch_by_itself() -> None:
    encoder = Encoder(build("resnet18-w8-s2"), (), Projection(16)).train()
    encoder.joined = True
    calls = passes(encoder)
    encoder.each([torch.zeros(4, 3, 32, 32)] * 2)
    assert calls == [4, 4]
    encoder.eval().each([torch.zeros(4, 3, 32, 32)] * 2)
    assert calls == [4, 4, 8]
