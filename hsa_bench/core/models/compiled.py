"""A network's forward pass through torch.compile, which fuses what is computed between products."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from hsa_bench.core.results.sound import first_line

NETWORKS = 64
"""Most networks of one class that a process compiles."""


class CompiledForward:
    """A module's forward pass on batches of one size, compiled at the first; its hooks run as without it.

    A smaller batch is filled up to that size and its own part taken, so that one compilation serves all, and
    pictures get the same numbers wherever they stand.

    Args:
        module: [B, 3, H, W] to [B, D], each picture by itself. Nothing of it is changed.
        batch: Pictures that a full batch has.
        fall_back: Whether to compute as without torch.compile where that fails; else the failure is raised.
        say: Called with a line where it falls back.
        backend: torch.compile's.
    """

    def __init__(
        self,
        module: nn.Module,
        batch: int,
        fall_back: bool,
        say: Callable[[str], None],
        backend: str | Callable[..., Any] = "inductor",
    ) -> None:
        self.module = module
        self.batch = batch
        self.fall_back = fall_back
        self.say = say
        self.failed = False
        self._plain = module.forward
        self.backend = backend
        self._fast: Callable[[Tensor], Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the features of a batch, [B, D], on the device of the module and the batch.

        Raises:
            ValueError: It cannot be compiled, and `fall_back` is off.
        """
        if self.failed:
            return self.module(x)
        try:
            return self._hooked(x)
        except Exception as error:  # of the compiler's, or whatever a network of one's own raises
            why = first_line(error)[:200]
            if not self.fall_back:
                raise ValueError(f"torch.compile fails ({why}); run without --compile") from error
            self.failed = True
            features = self.module(x)  # raises what the network itself raises
            self.say(f"torch.compile fails ({why}): computed without it, the same numbers but for rounding")
            return features

    def _hooked(self, x: Tensor) -> Tensor:
        own = self.module.__dict__.get("forward")
        self.module.forward = self._padded
        try:
            return self.module(x)
        finally:
            del self.module.forward
            if own is not None:
                self.module.forward = own

    def _padded(self, x: Tensor) -> Tensor:
        full = x
        if len(x) < self.batch:
            rest = x.new_zeros((self.batch - len(x), *x.shape[1:])).to(memory_format=torch.channels_last)
            full = torch.cat([x, rest])
        with _many_networks(fail=not self.fall_back):
            if self._fast is not None:
                return self._fast(full)[: len(x)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the compiler's, e.g. that TF32 would be faster
                fast = torch.compile(self._plain, dynamic=False, backend=self.backend)
                features: Tensor = fast(full)
        self._fast = fast
        return features[: len(x)]


def _many_networks(fail: bool) -> AbstractContextManager[None]:
    """Let torch compile more networks of one class than 8, beyond which it would compute without a word.

    Args:
        fail: Whether it raises beyond `NETWORKS`.
    """
    import torch._dynamo.config as dynamo  # seconds, where nothing is compiled

    settings: dict[str, int | bool] = {"recompile_limit": NETWORKS, "fail_on_recompile_limit_hit": fail}
    if not hasattr(dynamo, "recompile_limit"):  # torch 2.4 and 2.5
        settings = {"cache_size_limit": NETWORKS, "fail_on_cache_limit_hit": fail}
    return dynamo.patch({name: value for name, value in settings.items() if hasattr(dynamo, name)})
