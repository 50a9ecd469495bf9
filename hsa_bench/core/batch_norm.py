"""Batch norm over parts of a batch, which keeps a query from recognising its key by shared statistics."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GroupedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose training statistics are taken over each of several equal parts of the batch.

    Part g holds the samples g, g + groups, g + 2 groups … . Parameters, buffers and evaluation are the
    ordinary layer's; the running statistics follow the mean over the parts.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features)
        self.groups = groups

    def _check_input_dim(self, input: Tensor) -> None:
        """Maps and vectors alike."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, …] to the same shape; N must be a multiple of the parts."""
        if not self.training or self.groups == 1:
            return super().forward(input)
        n, channels = input.shape[:2]
        if n % self.groups:
            raise ValueError(f"a batch of {n} cannot be split into {self.groups} equal parts for batch norm")
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        mean, var = self.running_mean.repeat(self.groups), self.running_var.repeat(self.groups)
        weight, bias = self.weight.repeat(self.groups), self.bias.repeat(self.groups)
        parts = input.reshape(n // self.groups, self.groups * channels, *input.shape[2:])
        output = F.batch_norm(parts, mean, var, weight, bias, True, self.momentum, self.eps)
        with torch.no_grad():
            self.running_mean.copy_(mean.view(self.groups, channels).mean(0))
            self.running_var.copy_(var.view(self.groups, channels).mean(0))
        return output.reshape(input.shape)


def group_batch_norm(module: nn.Module, groups: int) -> None:
    """Replace every batch-norm layer below `module`, in place; names and values stay."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            grouped = GroupedBatchNorm(child.num_features, groups)
            grouped.load_state_dict(child.state_dict())
            setattr(module, name, grouped.train(child.training))
        else:
            group_batch_norm(child, groups)
