"""A user's own architecture: `--arch my_lab.nets:build`, any function that gives a module."""

from __future__ import annotations

from typing import Any

from torch import nn

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.named_code import is_own_path
from hsa_bench.core.models.probe import probe
from hsa_bench.core.models.unwrap import unwrapped
from hsa_bench.core.registry import imported, own_code
from hsa_bench.core.seed import forked


def is_own(arch: str) -> bool:
    """Whether an architecture is named `package.module:function`."""
    return is_own_path(arch)


def build_own(arch: str, seed: int) -> nn.Module:
    """What the user's function gives, with torch's generator seeded; unwrapped, as files name its tensors.

    It maps [B, 3, H, W] to [B, D]; see `take` for what becomes of a classifier. Where it also has
    `stages(x)`, a list of [B, C, H, W], and `stage_dims`, detection and per-layer tasks use them.

    Raises:
        UsageError: Not to be imported or called, or no module.
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
    return unwrapped(module).cpu().eval()


def feature_dim(module: nn.Module, arch: str, asked: int = 0) -> int:
    """Length of a module's features: what a trunk of this suite states, found by trying another; see `probe`.

    Raises:
        UsageError: It does not give [B, D].
    """
    known = getattr(module, "dim", None)
    ours = type(module).__module__.startswith("hsa_bench.")
    return known if ours and isinstance(known, int) else probe(module, arch, asked).dim
