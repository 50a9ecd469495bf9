"""A user's own architecture: `--arch my_lab.nets:build`, any function that gives a module."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hsa_bench.core.errors import UsageError
from hsa_bench.core.named_code import is_function
from hsa_bench.core.registry import imported, own_code
from hsa_bench.core.seed import forked

PROBED = (64, 224)
"""Sides of the pictures that a module is tried on, px: some take one size alone."""


def is_own(arch: str) -> bool:
    """Whether an architecture is named `package.module:function`."""
    return is_function(arch)


def build_own(arch: str, seed: int) -> nn.Module:
    """What the user's function gives, with torch's generator seeded.

    It maps [B, 3, H, W] to [B, D]. Where it also has `stages(x)`, a list of [B, C, H, W], and `stage_dims`,
    detection and per-layer tasks use them.

    Raises:
        UsageError: Not to be imported or called, or no module of that kind.
    """
    name, _, function = arch.partition(":")
    maker: Any = getattr(imported(name, f"--arch {arch}"), function, None)
    if not callable(maker):
        there = "a thing that cannot be called" if maker is not None else f"in {name} nothing by that name"
        raise UsageError(f"--arch {arch}: cannot be imported; there is {there}")
    with forked(seed, "init", arch), own_code(f"--arch {arch}: {function}() without arguments fails"):
        module = maker()
    if not isinstance(module, nn.Module):
        raise UsageError(f"--arch {arch}: gave a {type(module).__name__}, not a torch.nn.Module")
    if hasattr(module, "stages") != hasattr(module, "stage_dims"):
        raise UsageError(f"--arch {arch}: a module with stages needs stage_dims too, and the other way round")
    feature_dim(module, arch)
    return module.eval()


def feature_dim(module: nn.Module, arch: str) -> int:
    """Length of a module's features, found by trying it.

    Raises:
        UsageError: It does not give [B, D].
    """
    known = getattr(module, "dim", None)
    if isinstance(known, int):
        return known
    was, tried = module.training, []
    for side in PROBED:
        try:
            with torch.inference_mode():
                found = module.eval()(torch.zeros(2, 3, side, side))
        except (RuntimeError, AssertionError, ValueError) as error:
            tried.append(f"{side} px: {str(error)[:100]}")
            continue
        finally:
            module.train(was)
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        if not isinstance(shape, tuple) or len(shape) != 2 or shape[0] != 2:
            raise UsageError(f"{arch}: gives {shape} for [2, 3, {side}, {side}]; wanted is [2, D]")
        return int(shape[1])
    raise UsageError(f"{arch}: fails on a picture ({'; '.join(tried)})")
