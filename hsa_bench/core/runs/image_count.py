"""How many pictures pass through a backbone while a task runs, copies of it included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass
class Passes:
    """A count that goes on while the block runs."""

    images: int = 0


@contextmanager
def counted(module: nn.Module) -> Iterator[Passes]:
    """Count the pictures in every forward pass of a module and of copies made of it inside the block.

    Args:
        module: Takes a batch [B, ...] first. It computes as before and has no hook left afterwards.
    """
    passes = Passes()

    def count(_: nn.Module, inputs: tuple[Any, ...], __: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            passes.images += len(inputs[0])

    hook = module.register_forward_hook(count)
    try:
        yield passes
    finally:
        hook.remove()
