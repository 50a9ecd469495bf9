"""Grouped batch norm in few operations, and over several batches in one call: the same numbers."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hsa_bench.core.models import batch_norm
from hsa_bench.core.models.batch_norm import GroupedBatchNorm, several_calls

SHAPES = [(24, 5), (24, 5, 3, 4)]


def layer(groups: int, at_once: bool | None) -> GroupedBatchNorm:
    made = GroupedBatchNorm(5, groups).double().train()
    made.at_once = at_once
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        made.weight.uniform_(0.5, 2, generator=draw)
        made.bias.uniform_(-1, 1, generator=draw)
        made.running_mean.uniform_(-1, 1, generator=draw)  # type: ignore[union-attr]
    return made


def batch(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    x = 3 + 2 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.to(memory_format=torch.channels_last) if x.ndim == 4 else x


def outcome(made: GroupedBatchNorm, given: list[Tensor], joined: bool) -> dict[str, Tensor]:
    """Outputs, gradients and buffers after the batches, one call each or all in one."""
    inputs = [x.clone(memory_format=torch.preserve_format).requires_grad_() for x in given]
    if joined:
        with several_calls(made, len(inputs)):
            out = made(torch.cat(inputs))
    else:
        out = torch.cat([made(x) for x in inputs])
    assert out.is_contiguous(memory_format=torch.channels_last) or out.ndim == 2
    towards = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(9))
    (out * towards).sum().backward()
    gradients = {f"gradient {i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    weights = {f"gradient of {name}": p.grad for name, p in made.named_parameters() if p.grad is not None}
    assert (len(gradients), len(weights)) == (len(inputs), 2)
    return {"out": out.detach(), **gradients, **weights, **dict(made.named_buffers())}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4, 12])
@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_joined_batch_has_the_numbers_of_separate_calls(
    shape: tuple[int, ...], groups: int, calls: int, at_once: bool
) -> None:
    given = [batch(shape, seed) for seed in range(calls)]

    expected = outcome(layer(groups, False), given, joined=False)
    found = outcome(layer(groups, at_once), given, joined=True)

    assert int(found["num_batches_tracked"]) == calls
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-10, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("calls", [1, 3])
def test_the_operations_do_not_grow_with_the_parts(calls: int) -> None:
    counts = {}
    for groups in (2, 12):
        made, x = layer(groups, True), torch.cat([batch(SHAPES[1])] * calls).requires_grad_()
        with Operations() as operations, several_calls(made, calls):
            made(x).sum().backward()
        counts[groups] = operations.counts

    assert counts[2] == counts[12]


class Operations(TorchDispatchMode):
    """Counts what would be a kernel, or a view, on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # torch's
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("groups", [1, 4])
def test_statistics_of_bfloat16_maps_are_float32(groups: int) -> None:
    x = (100 + batch(SHAPES[1])).bfloat16()
    expected = outcome(layer(groups, False), [x.double()] * 2, joined=False)
    made = layer(groups, True).float()

    with several_calls(made, 2):
        out = made(torch.cat([x, x]))

    assert (out.dtype, made.running_mean.dtype) == (torch.bfloat16, torch.float32)  # type: ignore[union-attr]
    torch.testing.assert_close(made.running_mean, expected["running_mean"].float(), rtol=1e-5, atol=0)
    torch.testing.assert_close(made.running_var, expected["running_var"].float(), rtol=1e-4, atol=0)
    assert (out.double() - expected["out"]).abs().max() < 2e-2  # eight bits of a number up to 5


def test_only_other_devices_than_the_cpu_take_small_parts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = layer(4, None)
    assert not made._takes_at_once(torch.zeros(8, 5, 4, 4), 4)
    assert made._takes_at_once(torch.zeros(8, 5, 4, 4, device="meta"), 4)
    monkeypatch.setattr(batch_norm, "SMALL", 159)
    assert not made._takes_at_once(torch.zeros(8, 5, 4, 4, device="meta"), 4)


def test_calls_that_cannot_be_split_evenly_are_refused_and_forgotten() -> None:
    made = layer(4, True)
    with pytest.raises(ValueError, match="batch of 6 on each"), several_calls(made, 2):
        made(torch.zeros(12, 5))
    assert made.calls == 1
