from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.network_print import differ, network_print
from hsa_bench.core.models.probe import pictures


@pytest.fixture(scope="module")
def nets() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {
            "resnet": build("resnet18-w16"),
            "vit": timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=0).eval(),
        }


@pytest.mark.parametrize("name", ["resnet", "vit"])
@pytest.mark.usefixtures("one_thread")
def test_how_and_where_a_network_computes_leaves_its_print(name: str, nets: dict[str, nn.Module]) -> None:
    net = nets[name]
    first = network_print(net)
    torch.set_num_threads(2)
    again = network_print(copy.deepcopy(net).train().to(memory_format=torch.channels_last))
    in_double = network_print(copy.deepcopy(net).double())
    with torch.autocast("cpu", torch.bfloat16):
        beside_autocast = network_print(net)
    assert first
    assert not any(differ(first, other) for other in (again, in_double, beside_autocast))


def _pool(net: nn.Module) -> None:
    net.global_pool = "avg"  # type: ignore[assignment]


def _eps(net: nn.Module) -> None:
    net.norm.eps = 1.0  # type: ignore[union-attr, assignment]


def _activation(net: nn.Module) -> None:
    for block in net.blocks:  # type: ignore[union-attr]
        block.mlp.act = nn.ReLU()


def _one_feature(net: nn.Module) -> None:
    net.register_forward_hook(lambda m, i, o: torch.cat([o[:, :-1], 0 * o[:, -1:]], 1))


def _scaled(net: nn.Module) -> None:
    net.register_forward_hook(lambda m, i, o: o * 1.01)


@pytest.mark.parametrize("change", [_pool, _eps, _activation, _one_feature, _scaled])
def test_a_network_that_does_something_else_has_another(
    change: Callable[[nn.Module], None], nets: dict[str, nn.Module]
) -> None:
    other = copy.deepcopy(nets["vit"])
    change(other)
    assert differ(network_print(nets["vit"]), network_print(other))


def test_half_precision_has_room_for_its_rounding_and_no_more(nets: dict[str, nn.Module]) -> None:
    half = copy.deepcopy(nets["vit"]).bfloat16()
    assert not differ(network_print(half), network_print(nets["vit"]))
    _pool(half)
    assert differ(network_print(half), network_print(nets["vit"]))


class Odd(nn.Module):
    def __init__(self, does: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.does = does

    def forward(self, x: Tensor) -> Tensor:
        return self.does(x.mean((2, 3)))


def test_features_that_are_no_numbers_break_nothing() -> None:
    nan = network_print(Odd(lambda x: torch.cat([x, torch.full((len(x), 1), torch.nan)], 1)))
    inf = network_print(Odd(lambda x: torch.cat([x, torch.full((len(x), 1), torch.inf)], 1)))
    number = network_print(Odd(lambda x: torch.cat([x, torch.zeros(len(x), 1)], 1)))
    assert not differ(nan, nan)
    assert differ(nan, number)
    assert differ(number, inf)
    assert not differ(
        network_print(Odd(lambda x: x * torch.nan)), network_print(Odd(lambda x: x * torch.nan))
    )


def test_constant_random_and_failing_networks_break_nothing() -> None:
    zero = network_print(Odd(torch.zeros_like))
    assert not differ(zero, zero)
    assert differ(zero, network_print(Odd(torch.ones_like)))
    assert not differ(*(network_print(Odd(lambda x: x + torch.randn_like(x))) for _ in range(2)))
    assert network_print(Odd(lambda x: x[:, 99])) == ""


def test_a_missing_or_foreign_print_decides_nothing() -> None:
    own = network_print(Odd(lambda x: x))
    assert own
    for other in ("", "9;64;1;AAAA", "1;64;1;!", "1;64", own[:-9]):
        assert not differ(own, other)
        assert not differ(other, own)


def test_the_pictures_are_the_ones_they_were() -> None:
    found = pictures(64)
    assert found.shape == (4, 3, 64, 64)
    np.testing.assert_allclose(
        [found[0, 0, 0, 0], found[1, 2, 31, 63], found.mean(), found.std()], EXPECTED, rtol=1e-5
    )


EXPECTED = [1.0680543, 0.0583184, 0.3711567, 0.979345]
