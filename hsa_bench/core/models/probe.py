"""Trying a module on pictures: which size it takes, and how long its features are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hsa_bench.core.errors import UsageError
from hsa_bench.core.seed import forked

SIDES = (64, 224)
"""Sides of the pictures that a module is tried on, px, where it states none."""

_STATED = ("img_size", "image_size", "input_size")
_SHORTEST, _LONGEST = 8, 2048


@dataclass(frozen=True)
class Probed:
    """What a module gave."""

    dim: int
    """Length of its features."""
    side: int
    """Of the pictures that it took, px."""


def pictures(side: int, count: int = 4) -> Tensor:
    """Fixed normalised pictures, [count, 3, side, side]: squares of four sizes, unlike each other.

    By numpy's legacy generator, whose draws never change (NEP 19).
    """
    draw, total = np.random.RandomState(0), np.zeros((count, 3, side, side))
    for cells in (1, 4, 16, 64):
        grid = draw.standard_normal((count, 3, cells, cells))
        at = np.arange(side) * cells // side
        total += grid[:, :, at][:, :, :, at] / 2
    return torch.from_numpy(total).float()


def stated_sides(module: nn.Module) -> list[int]:
    """Sides of square pictures that a module, its patch embedding or its configuration names, px."""
    inner = [part for part in module.children() if len(list(module.children())) == 1]  # what one wraps
    holders: list[Any] = []
    for part in (module, *inner):
        holders += [part, getattr(part, "patch_embed", None), getattr(part, "config", None)]
        for name in ("pretrained_cfg", "default_cfg"):
            holders.append(getattr(part, name, None))
    found = [_side(holder, name) for holder in holders if holder is not None for name in _STATED]
    return list(dict.fromkeys(side for side in found if _SHORTEST <= side <= _LONGEST))


def dtype_of(module: nn.Module) -> torch.dtype:
    """Number format that a module computes in: that of its first parameter, else of its first buffer."""
    tensors = (*module.parameters(), *module.buffers())
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def shadow(module: nn.Module) -> nn.Module:
    """A copy on the CPU, in eval mode, to compute with: what it counts or keeps is lost with it.

    It shares the parameters where these are on the CPU. A module that cannot be copied is given back.
    """
    local = all(t.device.type == "cpu" for t in (*module.parameters(), *module.buffers()))
    shared = {id(p): p for p in module.parameters()} if local else {}
    try:
        copied = copy.deepcopy(module, shared).cpu().eval()
    except Exception:  # of the module's own making
        return module.cpu().eval()
    for part in copied.modules():
        for key, hook in [*part._forward_hooks.items()]:
            if _defined_in(hook).startswith("hsa_bench."):  # what counts or watches the original
                del part._forward_hooks[key]
    return copied


def _defined_in(hook: Any) -> str:
    return str(getattr(getattr(hook, "func", hook), "__module__", ""))


def computed(module: nn.Module, x: Tensor) -> Any:
    """What a module on the CPU gives for a batch: in its own number format, nothing else switched on."""
    with torch.no_grad(), torch.autocast("cpu", enabled=False), forked(0, "probe"):
        return module(x.to(dtype_of(module)))


def probe(module: nn.Module, name: str, asked: int = 0) -> Probed:
    """Find the length of a module's features by trying it; the module is left as it is.

    Args:
        module: [B, 3, H, W] to [B, D].
        name: What it is called in a message.
        asked: Side of the pictures that are going to be measured, px; 0 if that is not known. Then come
            the size that the module states itself, and `SIDES`.

    Raises:
        UsageError: It fails, or does not give [B, D]; the message says what to do.
    """
    copied, tried = shadow(module), []
    for side in dict.fromkeys((*([asked] if asked else []), *stated_sides(module), *SIDES)):
        try:
            found = computed(copied, pictures(side, 2))
        except Exception as error:  # whatever a network of one's own raises
            said = str(error).strip() or type(error).__name__
            tried.append(f"{side} px: {said.splitlines()[0][:100]}")
            continue
        return Probed(_length(found, name, side), side)
    raise UsageError(
        f"{name}: fails on a picture ({'; '.join(tried)}); where it takes another size, give --image-size"
    )


def size_fault(module: nn.Module, side: int) -> str:
    """Why a module takes no pictures of a size; empty where it does, as trunks of this suite do."""
    if type(module).__module__.startswith("hsa_bench."):
        return ""
    try:
        computed(shadow(module), pictures(side, 2))
    except Exception as error:  # whatever a network of one's own raises
        return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return ""


def _length(found: Any, name: str, side: int) -> int:
    """Length of features, [2, D].

    Raises:
        UsageError: They have another form.
    """
    if isinstance(found, Tensor):
        if found.ndim == 2 and len(found) == 2 and found.shape[1]:
            return int(found.shape[1])
        form, remedy = f"{tuple(found.shape)}", "pool or flatten it in the module's forward"
    elif isinstance(found, Mapping):
        names = [str(key) for key in found]
        form = f"a mapping ({type(found).__name__}) of {', '.join(names)}"
        remedy = (
            f'wrap it in a module whose forward returns one of them, e.g. `return self.net(x)["{names[-1]}"]`'
        )
        remedy += "; logits are no features" if "logits" in names else ""
    elif isinstance(found, list | tuple):
        forms = [str(tuple(x.shape)) if isinstance(x, Tensor) else type(x).__name__ for x in found]
        form = f"a {type(found).__name__} of {', '.join(forms) or 'nothing'}"
        remedy = "wrap it in a module whose forward returns one of them, e.g. `return self.net(x)[0]`"
    else:
        form, remedy = f"a {type(found).__name__}", "its forward must return one tensor"
    raise UsageError(f"{name}: gives {form} for [2, 3, {side}, {side}]; wanted is [2, D]: {remedy}")


def _side(holder: Any, name: str) -> int:
    stated = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
    if isinstance(stated, list | tuple) and stated and stated[-1] == stated[-2:][0]:
        stated = stated[-1]
    return stated if isinstance(stated, int) else 0
