"""Division as CUDA does it, on the CPU: a plain divisor becomes a factor, its rounded reciprocal."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class CudaDivision(TorchDispatchMode):
    """Imitates it while a block runs."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket in (torch.ops.aten.div, torch.ops.aten.div_) and not kwargs:
            x, divisor = args
            if not isinstance(divisor, torch.Tensor):
                reciprocal = torch.tensor(1.0) / torch.tensor(float(divisor))
                return x.mul_(reciprocal) if func.overloadpacket is torch.ops.aten.div_ else x * reciprocal
        return func(*args, **(kwargs or {}))
