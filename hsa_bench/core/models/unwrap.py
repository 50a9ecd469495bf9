"""The network inside what libraries put around it: data parallelism, compilation, averaging of weights."""

from __future__ import annotations

from torch import nn

from hsa_bench.core.models.own_code import of_library

_WITHIN = ("_orig_mod", "_original_module", "_fsdp_wrapped_module", "module", "ema", "ema_model")
"""Where torch.compile, Fabric, FSDP, DataParallel and averaged models keep what they wrap, in this order."""


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the innermost network; a wrapper of the user's own stays, for its forward may do more."""
    while (inner := _within(module)) is not None:
        module = inner
    return module


def _within(module: nn.Module) -> nn.Module | None:
    """What a library's wrapper holds, if all its parameters are in there."""
    if not of_library(type(module).__module__):
        return None
    all_of_it = {id(p) for p in module.parameters()}
    for name in _WITHIN:
        inner = getattr(module, name, None)
        if isinstance(inner, nn.Module) and inner is not module:
            return inner if {id(p) for p in inner.parameters()} == all_of_it else None
    return None
