"""Batch norm over equal parts of the global batch, whichever processes hold them; on CPU and GPU.

Parts smaller than the batch keep a query from recognising its key by shared statistics (MoCo,
arXiv:1911.05722, sec. 3.3); one part for all processes is SimCLR's global batch norm (arXiv:2002.05709, sec.
2.2). torch's SyncBatchNorm knows the latter alone, and refuses CPU tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hsa_bench.core.processes import mean_over_neighbours, world

SMALL = 2**22
"""Most numbers in a part for which a GPU normalises all parts at once. That costs two more copies of the
batch and few kernels; one by one costs a kernel a part, worth it for large parts. Estimated, 6 bytes a number
at 2.5 TB/s against 10 us to start a kernel; not measured."""


class GroupedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose training statistics are taken over each of several equal parts of the global batch.

    The global batch is that of all processes, in their order, and a part is a run of consecutive samples of
    it: part g of 4 over 8 samples holds samples 2g and 2g + 1. Parameters, buffers and evaluation are the
    ordinary layer's; the running statistics follow the mean over the parts.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features)
        self.groups = groups
        self.calls = 1
        """Number of equal batches that the input holds one after the other; see `several_calls`."""
        self.at_once: bool | None = None
        """Whether all parts are normalised side by side, equal but for rounding; None: on devices other than
        the CPU, in parts of up to `SMALL` numbers."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Maps and vectors alike."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, …] to the same shape; the parts must fit the processes and N the parts.

        Raises:
            ValueError: They do not.
        """
        if not self.training:
            return super().forward(input)
        if world() > self.groups:
            if world() % self.groups:
                raise ValueError(f"{world()} processes cannot share {self.groups} equal parts for batch norm")
            return self._across(input, world() // self.groups)
        parts = self.groups // world()
        if self.groups % world() or len(input) % (self.calls * parts):
            raise ValueError(
                f"a batch of {len(input) // self.calls} on each of {world()} processes cannot be split into "
                f"{self.groups} equal parts for batch norm"
            )
        if parts == self.calls == 1:
            return super().forward(input)
        return (
            self._at_once(input, parts) if self._takes_at_once(input, parts) else self._within(input, parts)
        )

    def _takes_at_once(self, input: Tensor, parts: int) -> bool:
        if self.at_once is not None:
            return self.at_once
        return input.device.type != "cpu" and input.numel() <= SMALL * parts * self.calls

    def _within(self, input: Tensor, parts: int) -> Tensor:
        """Normalise one part after the other."""
        normed: list[Tensor] = []
        for batch in input.chunk(self.calls):
            mean, var, momentum = self._running(1)
            means, variances = mean.repeat(parts, 1), var.repeat(parts, 1)  # [parts, C]
            normed += [
                F.batch_norm(part, means[i], variances[i], self.weight, self.bias, True, momentum, self.eps)
                for i, part in enumerate(batch.chunk(parts))
            ]
            mean.copy_(means.mean(0))
            var.copy_(variances.mean(0))
        return torch.cat(normed)

    def _at_once(self, input: Tensor, parts: int) -> Tensor:
        """Normalise all parts of all calls side by side, as channels of one smaller batch."""
        every = self.calls * parts
        side = input.movedim(1, -1).unflatten(0, (every, -1))  # [P, n, …, C], channels last as they lie
        wide = side.movedim(0, -2).flatten(-2).movedim(-1, 1)  # [n, P C, …]
        means, variances = self.weight.new_zeros(2, every * self.num_features)
        normed = F.batch_norm(
            wide, means, variances, self.weight.repeat(every), self.bias.repeat(every), True, 1.0, self.eps
        )
        self._follow(*(x.view(self.calls, parts, -1).mean(1) for x in (means, variances)))
        back = normed.movedim(1, -1).unflatten(-1, (every, -1)).movedim(-2, 0)  # [P, n, …, C]
        return back.flatten(0, 1).movedim(-1, 1)

    def _across(self, input: Tensor, share: int) -> Tensor:
        """One part held by `share` processes."""
        x = input.float() if input.dtype in {torch.bfloat16, torch.float16} else input
        x = x.unflatten(0, (self.calls, -1))  # [calls, n, C, …]
        over = [1, *range(3, x.ndim)]
        shape = [self.calls, 1, -1, *[1] * (x.ndim - 3)]
        mean = mean_over_neighbours(x.mean(over), share)  # [calls, C]
        centred = x - mean.view(shape)
        var = mean_over_neighbours(centred.square().mean(over), share)
        count = share * x[0].numel() // x.shape[2]
        self._follow(mean.detach(), var.detach() * count / (count - 1))
        scale = self.weight * (var + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape[1:])).flatten(0, 1).to(input.dtype)

    @torch.no_grad()
    def _follow(self, means: Tensor, variances: Tensor) -> None:
        """Update the running statistics by those of each call, [calls, C], one after the other."""
        mean, var, momentum = self._running(self.calls)
        for its_mean, its_var in zip(means, variances, strict=True):
            mean.lerp_(its_mean.to(mean.dtype), momentum)
            var.lerp_(its_var.to(var.dtype), momentum)

    def _running(self, calls: int) -> tuple[Tensor, Tensor, float]:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(calls)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        return self.running_mean, self.running_var, self.momentum


def joinable(module: nn.Module) -> bool:
    """Tell whether every batch norm below `module` can treat joined batches as separate ones."""
    norms = (norm for norm in module.modules() if isinstance(norm, _BatchNorm))
    return all(isinstance(norm, GroupedBatchNorm) or not norm.training for norm in norms)


@contextmanager
def several_calls(module: nn.Module, calls: int) -> Iterator[None]:
    """Let the grouped batch norms below `module` treat a batch as `calls` equal ones, one after the other.

    Each is normalised by its own statistics, and the running ones are updated by one after the other.
    """
    norms = [norm for norm in module.modules() if isinstance(norm, GroupedBatchNorm)]
    for norm in norms:
        norm.calls = calls
    try:
        yield
    finally:
        for norm in norms:
            norm.calls = 1


def group_batch_norm(module: nn.Module, groups: int) -> None:
    """Replace every batch-norm layer below `module`, in place; names, values and what is trained stay."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            grouped = GroupedBatchNorm(child.num_features, groups)
            grouped.load_state_dict(child.state_dict())
            for own, other in zip(grouped.parameters(), child.parameters(), strict=True):
                own.requires_grad_(other.requires_grad)
            setattr(module, name, grouped.train(child.training))
        else:
            group_batch_norm(child, groups)
