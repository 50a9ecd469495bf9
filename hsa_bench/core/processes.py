"""What several processes compute together; alone, each of these does nothing (torch.distributed)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from hsa_bench.core.tf32 import no_tf32

T = TypeVar("T")

_ALONE: ContextVar[bool] = ContextVar("alone", default=False)

PATIENCE = timedelta(days=7)
"""How long a process waits for the others: the first one may be busy alone."""


def join(device: str) -> str:
    """Join the processes that torchrun started, if it did; float32 is float32 from then on.

    Args:
        device: "cpu" or "cuda"; with several processes each takes the GPU of its local rank.

    Returns:
        This process's device.
    """
    no_tf32()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return device
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    return device


def leave() -> None:
    """Part from the other processes, if there are any."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def world() -> int:
    """How many processes there are."""
    joined = dist.is_available() and dist.is_initialized() and not _ALONE.get()
    return dist.get_world_size() if joined else 1


@contextmanager
def alone() -> Iterator[None]:
    """Run a block as if there were no other process, while the others wait elsewhere."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def rank() -> int:
    """Which one this is, from 0."""
    return dist.get_rank() if world() > 1 else 0


def own_part(whole: Tensor) -> Tensor:
    """This process's part of a tensor that all hold: the r-th of equal, consecutive parts."""
    return whole.chunk(world())[rank()]


@torch.no_grad()
def gathered(part: Tensor) -> Tensor:
    """The parts of all processes, [n, …] each, in their order: [world x n, …]. Without gradient."""
    if world() == 1:
        return part
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world())]
    dist.all_gather(parts, part.contiguous())
    return torch.cat(parts)


def gathered_arrays(part: NDArray[Any]) -> NDArray[Any]:
    """As `gathered`, for arrays that may differ in length between processes."""
    if world() == 1:
        return part
    parts: list[Any] = [None] * world()
    dist.all_gather_object(parts, part)
    return np.concatenate(parts)


def gathered_lists(part: list[T]) -> list[T]:
    """The lists of all processes, in their order, as one."""
    if world() == 1:
        return part
    parts: list[Any] = [None] * world()
    dist.all_gather_object(parts, part)
    return [item for one in parts for item in one]


def own_range(count: int) -> range:
    """This process's consecutive share of `count` things; shares differ by one at most."""
    return range(count * rank() // world(), count * (rank() + 1) // world())


def gathered_shares(part: Tensor, count: int) -> Tensor:
    """All `count` rows from the shares of `own_range`, in order; padding travels and is cut off again."""
    if world() == 1:
        return part
    most = -(-count // world())
    padded = part.new_zeros(most, *part.shape[1:])
    padded[: len(part)] = part
    shares = [len(range(count * r // world(), count * (r + 1) // world())) for r in range(world())]
    parts = zip(gathered(padded).split(most), shares, strict=True)
    return torch.cat([share[:rows] for share, rows in parts])


@contextmanager
def together() -> Iterator[None]:
    """Run a block in every process and meet afterwards; if one failed, all raise and none waits for ever.

    Raises:
        RuntimeError: Another process failed; its own error is raised as it is.
    """
    failure = ""
    try:
        yield
    except Exception as error:
        failure = f"process {rank()}: {type(error).__name__}: {error}"
        raise
    finally:
        failures = [failure]
        if world() > 1:
            failures *= world()
            dist.all_gather_object(failures, failure)
    if any(failures):
        raise RuntimeError(next(filter(None, failures)))


def from_first(value: Any) -> Any:
    """The first process's value, to all of them."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gathered_with_gradient(part: Tensor) -> Tensor:
    """As `gathered`; each process's part gets the gradient of every process's loss."""
    return part if world() == 1 else _Gather.apply(part)


@torch.no_grad()
def mean_of_all(x: Tensor) -> Tensor:
    """Mean over all processes, without gradient."""
    return x if world() == 1 else _mean(x, world())


def mean_over_neighbours(x: Tensor, share: int) -> Tensor:
    """Mean over each `share` consecutive processes, e.g. 0 and 1, 2 and 3. Gradients flow to all of them."""
    return x if share == 1 else _Mean.apply(x, share)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give all processes the mean of their gradients; one that has none counts as 0.

    They lie in memory as the parameters do: of another layout, torch's fused optimisers refuse them on a GPU,
    and on the CPU move other weights by them without a word.
    """
    if world() == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    whole = torch.cat([p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in trained])
    dist.all_reduce(whole)
    parts = whole.div_(world()).split([p.numel() for p in trained])
    for parameter, gradient in zip(trained, parts, strict=True):
        parameter.grad = torch.empty_like(parameter).copy_(gradient.view_as(parameter))


@torch.no_grad()
def average_statistics(module: nn.Module) -> None:
    """Give all processes the mean of their batch norms' running statistics.

    These are linear in each batch's statistics, so averaging once is averaging after every step.
    """
    if world() == 1:
        return
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            dist.all_reduce(buffer)
            buffer.div_(world())


@cache
def _neighbours(share: int, processes: int) -> Any:
    """The group of `share` consecutive processes that this one is in; all processes must ask alike."""
    groups = [dist.new_group(list(range(i, i + share))) for i in range(0, processes, share)]
    return groups[rank() // share]


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: int) -> Tensor:
        ctx.share = share
        return _mean(x, share)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        return _mean(grad[0], ctx.share), None


def _mean(x: Tensor, share: int) -> Tensor:
    total = x.contiguous().clone()
    dist.all_reduce(total, group=_neighbours(share, world()))
    return total / share


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return gathered(part)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        total = grad[0].contiguous().clone()
        dist.all_reduce(total)
        return own_part(total)
