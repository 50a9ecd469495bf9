from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hsa_bench.core.models.architectures import build
from hsa_bench.core.seed import forked
from pretrain.methods.hsa import Method
from pretrain.settings import Settings


def method(**changes: Any) -> Method:
    chosen = {"levels": (), "head_bn": "hidden", **changes}
    with forked(0):
        return Method(
            build("resnet18-w16-s2"), Settings(method="hsa", batch=8, queue=16, bn_groups=2, **chosen)
        )


def views(count: int, crops: tuple[int, ...] = ()) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    sides = [32] * count + list(crops)
    return [torch.randn(8, 3, side, side, generator=draw) for side in sides]


@pytest.mark.parametrize(
    ("switches", "given", "parts"),
    [
        ({}, 4, ["own", "neighbour", "mixed"]),
        ({"mix": False}, 4, ["own", "neighbour"]),
        ({"neighbours": False}, 2, ["own", "mixed"]),
        ({"neighbours": False, "mix": False}, 2, ["own"]),
        ({"crops": (24, 16)}, 4, ["own", "neighbour", "mixed", "crop1", "crop2"]),
        ({"levels": (2, 3), "crops": (16,)}, 4, ["own", "neighbour", "mixed", "crop1"]),
    ],
)
def test_each_part_is_one_switch_and_the_loss_is_the_mean_of_the_parts_present(
    switches: dict[str, Any], given: int, parts: list[str]
) -> None:
    made = method(**switches)
    made.begin(199)
    found = made(views(given, made.crops))
    for stage in made.encoder.levels:
        terms = {name: value for name, value in found.items() if name.startswith(f"loss/stage{stage}/")}
        assert [name.split("/")[-1] for name in terms] == parts
        torch.testing.assert_close(found[f"loss/stage{stage}"], torch.stack(list(terms.values())).mean())
    levels = torch.stack([found[f"loss/stage{stage}"] for stage in made.encoder.levels])
    torch.testing.assert_close(found["loss"].detach(), levels.sum())
    assert made.views == given + len(made.crops) + made.settings.mix


def test_level_weights_weigh_the_levels() -> None:
    made = method(levels=(3,), level_weights=(0.25,))
    found = made(views(4))
    expected = 0.25 * found["loss/stage3"] + found["loss/stage4"]
    torch.testing.assert_close(found["loss"].detach(), expected)


def test_only_the_anchors_keys_are_enqueued() -> None:
    made, given = method(), views(4)
    with forked(1):
        made(given)
    fed = made.queues[0].keys[:, :8].clone()
    other = method()
    with forked(1):
        other([given[0], given[1], given[3], given[2]])  # the neighbour's views exchanged
    assert torch.equal(other.queues[0].keys[:, :8], fed)


def test_mixing_may_wait_for_the_warm_up() -> None:
    made = method(gate_mix=True)
    made.begin(0)
    assert "loss/stage4/mixed" not in made(views(4))
    assert made.views == 4
    made.begin(199)
    assert made.views == 5
    assert "loss/stage4/mixed" in made(views(4))


def test_without_neighbours_a_picture_is_mixed_with_the_one_before_it() -> None:
    made = method(neighbours=False)
    mixed: list[Tensor] = []
    made.encoder.register_forward_hook(lambda _, given, __: mixed.append(given[0]))
    [x_q, x_k] = views(2)
    with forked(3):
        made([x_q, x_k])
    assert torch.equal(mixed[0], x_q)
    pasted = mixed[1] != x_q
    assert torch.equal(mixed[1][pasted], x_q.roll(1, 0)[pasted])
    assert pasted.any()


def test_the_key_encoder_gets_no_gradient_and_follows_after_the_step() -> None:
    made = method(ema=0.75)
    before = [p.clone() for p in made.key_encoder.parameters()]
    made(views(4))["loss"].backward()
    assert all(p.grad is None for p in made.key_encoder.parameters())
    with torch.no_grad():
        for p in made.encoder.parameters():
            p.add_(1)
    made.after_step()
    for was, now in zip(before, made.key_encoder.parameters(), strict=True):
        torch.testing.assert_close(now, was + 0.25)
