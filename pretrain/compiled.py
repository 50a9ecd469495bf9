"""Encoders whose forward pass is compiled by torch, or not where that fails."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from hsa_bench.core.processes import rank
from hsa_bench.core.results.sound import first_line
from pretrain.encoder import Encoder

T = TypeVar("T")


@dataclass
class CompiledEncoders:
    """The encoders of a method, compiled if wanted, which changes rounding alone."""

    method: nn.Module
    wanted: bool
    say: Callable[[str], None]
    """Called by the first process, where compiling fails."""
    backend: str | Callable[..., Any] = "inductor"
    """Backend of torch.compile."""
    worked: bool = field(init=False, default=False)
    """Whether a step has been computed by compiled encoders."""

    def __post_init__(self) -> None:
        if self.wanted:
            for encoder in self._encoders:
                # A program for each shape: full views, several in one pass, small crops.
                encoder.compiled = torch.compile(encoder.embed, backend=self.backend, dynamic=False)

    def trying(self, work: Callable[[], T]) -> T:
        """Do a step's forward and backward pass; where compiling fails, undo it and repeat it uncompiled.

        Args:
            work: Does both passes, from a state without gradients.
        """
        if self.worked or not any(encoder.compiled for encoder in self._encoders):
            return work()
        before = copy.deepcopy(self.method.state_dict())  # statistics and queues, that a step changes
        try:
            done = work()
        except Exception as error:  # of torch's compiler, of a C++ compiler, of Triton: anything
            for encoder in self._encoders:
                encoder.compiled = None
            self.method.load_state_dict(before)
            self.method.zero_grad()
            if rank() == 0:
                self.say(f"the encoders cannot be compiled ({_cause(error)}); the training does without")
            return work()
        self.worked = True
        return done

    @contextmanager
    def left_out(self, enabled: bool) -> Iterator[None]:
        """Run a block with the encoders uncompiled, so that its operations can be counted one by one."""
        if not enabled:
            yield
            return
        before = [encoder.compiled for encoder in self._encoders]
        for encoder in self._encoders:
            encoder.compiled = None
        try:
            yield
        finally:
            for encoder, compiled in zip(self._encoders, before, strict=True):
                encoder.compiled = compiled

    @property
    def _encoders(self) -> list[Encoder]:
        return [module for module in self.method.modules() if isinstance(module, Encoder)]


def _cause(error: BaseException) -> str:
    """Describe the innermost error, which torch's compiler wraps in its own."""
    while (within := getattr(error, "inner_exception", None) or error.__cause__) is not None:
        error = within
    return f"{type(error).__name__}: {first_line(error)}"
