"""Encoders under torch.compile: the same step, and a training without where compiling fails."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor

from hsa_bench.core.context import Context
from pretrain.compiled import CompiledEncoders
from pretrain.encoder import Encoder
from pretrain.loop import Training
from pretrain.settings import Settings
from tests.pretrain.test_loop import SMALL, training

HSA = replace(SMALL, method="hsa", crops=(24,), knn_every=0, precision="64-true")


def views() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(16, 3, side, side, dtype=torch.float64, generator=draw) for side in (32,) * 4 + (24,)]


def compiled(
    ctx: Context, said: list[str], backend: Any, wanted: bool = True, settings: Settings = HSA
) -> Training:
    work = training(settings, ctx)
    work.counting = False
    for module in work.method.modules():
        if isinstance(module, Encoder):
            module.joined = True
    work.compiled = CompiledEncoders(work.method, wanted, said.append, backend)
    return work


def state_after(work: Training, steps: int = 2) -> dict[str, Tensor]:
    given = views() if work.settings.method == "hsa" else views()[:2]
    for step in range(steps):
        work._step(9, step, iter([given] * work.settings.accumulate))
    return copy.deepcopy(work.method.state_dict())


def fails_at(run: int) -> Any:
    """A compiler that gives up when it is asked that often."""
    asked: list[int] = []

    def backend(graph: Any, _: Any) -> Any:
        asked.append(1)
        if len(asked) == run:
            raise RuntimeError("no compiler here\nand a long trace")
        return graph.forward

    return backend


def without(said: list[str]) -> bool:
    return len(said) == 1 and said[0] == (
        "the encoders cannot be compiled (RuntimeError: no compiler here); the training does without"
    )


def test_where_a_program_fails_a_step_is_undone_and_done_without(ctx: Context) -> None:
    said: list[str] = []
    expected = state_after(compiled(ctx, said, "", wanted=False))
    work = compiled(ctx, said, "", wanted=False)
    for module in work.method.modules():
        if isinstance(module, Encoder):
            module.compiled = partial(_runs_then_fails, module)

    found = state_after(work)

    assert without(said)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def _runs_then_fails(encoder: Encoder, pictures: Tensor) -> list[Tensor]:
    encoder.embed(pictures)
    raise RuntimeError("no compiler here\nand a long trace")


@pytest.mark.long
@pytest.mark.parametrize("run", [1, 3])
def test_where_compiling_fails_a_step_is_undone_and_done_without(run: int, ctx: Context) -> None:
    torch._dynamo.reset()
    said: list[str] = []
    expected = state_after(compiled(ctx, said, "", wanted=False))

    found = state_after(compiled(ctx, said, fails_at(run)))

    assert without(said)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def traced(graph: Any, _: Any) -> Any:
    """A compiler that makes torch's program of a step and leaves it as it is."""
    return graph.forward


@pytest.mark.long
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_compiled_symmetric_step_is_the_same(accumulate: int, ctx: Context) -> None:
    torch._dynamo.reset()
    said: list[str] = []
    settings = replace(
        SMALL,
        method="moco",
        symmetric=True,
        queue=80,
        accumulate=accumulate,
        bn_groups=2,
        precision="64-true",
    )
    expected = state_after(compiled(ctx, said, "", wanted=False, settings=settings))
    work = compiled(ctx, said, traced, settings=settings)

    found = state_after(work)

    assert (said, work.compiled.worked) == ([], True)
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_a_fault_of_the_step_itself_is_raised(ctx: Context) -> None:
    work = compiled(ctx, [], fails_at(0))

    def fault(given: list[Tensor]) -> NoReturn:
        raise ValueError("of the method")

    work.method.forward = fault  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="of the method"):
        state_after(work)


def test_operations_are_counted_without_it(ctx: Context) -> None:
    work = compiled(ctx, [], fails_at(0))
    plain = compiled(ctx, [], "", wanted=False)
    for each in (work, plain):
        each.counting = True
        each._step(9, 0, iter([views()]))
    assert work.progress.step_flops == plain.progress.step_flops > 0
    assert not work.compiled.worked
    assert all(module.compiled for module in work.method.modules() if isinstance(module, Encoder))


@pytest.mark.long
def test_a_compiled_step_is_the_same(ctx: Context) -> None:
    torch._dynamo.reset()
    said: list[str] = []
    expected = state_after(compiled(ctx, said, "", wanted=False))
    work = compiled(ctx, said, "inductor")

    found = state_after(work)

    assert (said, work.compiled.worked) == ([], True)
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )
