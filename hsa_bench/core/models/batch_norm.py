"""Batch norm over equal parts of the global batch, whichever processes hold them; on CPU and GPU.

Parts smaller than the batch keep a query from recognising its key by shared statistics (MoCo,
arXiv:1911.05722, sec. 3.3); one part for all processes is SimCLR's global batch norm (arXiv:2002.05709, sec.
2.2). torch's SyncBatchNorm knows the latter alone, and refuses CPU tensors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsa_bench.core.processes import mean_over_neighbours, world


class GroupedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose training statistics are taken over each of several equal parts of the global batch.

    The global batch is that of all processes, in their order, and a part is a run of consecutive samples of
    it: part g of 4 over 8 samples holds samples 2g and 2g + 1. Parameters, buffers and evaluation are the
    ordinary layer's; the running statistics follow the mean over the parts.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features)
        self.groups = groups

    def _check_input_dim(self, input: Tensor) -> None:
        """Maps and vectors alike."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, …] to the same shape; the parts must fit the processes and N the parts.

        Raises:
            ValueError: They do not.
        """
        if not self.training or self.groups == world():
            return super().forward(input)
        if world() > self.groups:
            if world() % self.groups:
                raise ValueError(f"{world()} processes cannot share {self.groups} equal parts for batch norm")
            return self._across(input, world() // self.groups)
        if self.groups % world() or len(input) % (self.groups // world()):
            raise ValueError(
                f"a batch of {len(input)} on each of {world()} processes cannot be split into {self.groups} "
                "equal parts for batch norm"
            )
        return self._within(input, self.groups // world())

    def _within(self, input: Tensor, parts: int) -> Tensor:
        mean, var, momentum = self._running()
        means, variances = mean.repeat(parts, 1), var.repeat(parts, 1)  # [parts, C]
        normed = [
            F.batch_norm(part, means[i], variances[i], self.weight, self.bias, True, momentum, self.eps)
            for i, part in enumerate(input.chunk(parts))
        ]
        mean.copy_(means.mean(0))
        var.copy_(variances.mean(0))
        return torch.cat(normed)

    def _across(self, input: Tensor, share: int) -> Tensor:
        """One part held by `share` processes."""
        x = input.float() if input.dtype in {torch.bfloat16, torch.float16} else input
        over = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        mean = mean_over_neighbours(x.mean(over), share)
        centred = x - mean.view(shape)
        var = mean_over_neighbours(centred.square().mean(over), share)
        running_mean, running_var, momentum = self._running()
        count = share * x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(var.to(running_var.dtype) * count / (count - 1), momentum)
        scale = self.weight * (var + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)

    def _running(self) -> tuple[Tensor, Tensor, float]:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        return self.running_mean, self.running_var, self.momentum


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
