"""A frozen trunk over many pictures: it takes batches without waiting for its device, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hsa_bench.core.context import Context, unheard
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView, Normalise
from hsa_bench.core.features.carry import Arriving, fetched, moved
from hsa_bench.core.features.decode_ahead import BATCH, decoded
from hsa_bench.core.models.compiled import CompiledForward
from hsa_bench.core.models.layers import LAST, watched
from hsa_bench.core.models.precision import COMPILED, Precision, computing_in

UNDERWAY = 2
"""Batches whose features may still be computed on a device while the next is given to it."""


@dataclass(frozen=True)
class Pending:
    """Features of one batch, which the device may still be computing."""

    arriving: Mapping[str, Arriving]

    def features(self) -> dict[str, Tensor]:
        """Wait for them: by name of the layer, [B, D], float32, on the CPU.

        Raises:
            ValueError: The trunk's own are NaN or infinite for some images.
        """
        found = {name: one.tensor() for name, one in self.arriving.items()}
        refuse_nan(found[LAST])
        return found


class FrozenTrunk:
    """A module in eval mode with what it takes to feed it: several can be fed from the same batches.

    Args:
        module: [B, 3, H, W] to [B, D]; it is moved to the device. `evaluating` restores its mode.
        normalise: Of the weights' card; applied on the device.
        device: Where it computes.
        precision: Number format; not "auto".
        layers: Names of those whose features come with the trunk's own.
        compile: Whether torch.compile may serve where it moves features by no more than float32's rounding.
            Not where layers are read.
        say: Called with a line where it does not serve.

    Raises:
        ValueError: Layers of a network that `precision` wants compiled.
    """

    def __init__(
        self,
        module: nn.Module,
        normalise: Normalise | None,
        device: str,
        precision: Precision = "float32",
        layers: Collection[str] = (),
        compile: bool = False,
        say: Callable[[str], None] = unheard,
    ) -> None:
        self.module = module.to(device)
        self.normalise = normalise
        self.device = torch.device(device)
        self.precision = precision
        self.layers = frozenset(layers)
        self.dtype = next((p.dtype for p in module.parameters()), torch.float32)
        if self.device.type == "cuda":
            _weights_channels_last(module)
        self.run = self._runner(compile, say)

    def _runner(self, compile: bool, say: Callable[[str], None]) -> Callable[[Tensor], Tensor]:
        must = self.precision == COMPILED
        if must and self.layers:
            raise ValueError(f"layers are read without torch.compile: precision=bfloat16, not {COMPILED}")
        if compile and self.layers:
            say("layers are read without torch.compile, the same numbers but for rounding")
        if not must and (not compile or self.layers or self.precision == "bfloat16"):
            return self.module
        return CompiledForward(self.module, BATCH, not must, say)

    def __call__(self, pictures: Tensor) -> Pending:
        """Start on a batch, uint8 [B, H, W, 3], and return at once."""
        return Pending({name: fetched(found) for name, found in self.computed(pictures).items()})

    def computed(self, pictures: Tensor) -> dict[str, Tensor]:
        """Features of a batch by layer, [B, D], float32 on the device: no gradients, not looked at for NaN.

        Args:
            pictures: uint8 [B, H, W, 3], or already normalised [B, 3, H, W]; on the CPU or on the device.
        """
        self.module.eval()
        pictures = moved(pictures, self.device)
        parts: list[dict[str, Tensor]] = []
        # No hook stays between two batches: the same module may be compiled in another number format.
        with (
            torch.no_grad(),
            computing_in(self.precision, self.device),
            watched(self.module, self.layers) as found,
        ):
            if pictures.dtype == torch.uint8:
                assert self.normalise is not None, "pixels want a normalisation"
                pictures = self.normalise.batch(pictures)
            # Channels last is a third faster on CPU; set here, so that it does not depend on who collated.
            x = pictures.to(self.dtype, memory_format=torch.channels_last)
            for part in x.split(BATCH):  # in bounded memory
                last = self.run(part)
                parts.append({name: features.float() for name, features in {LAST: last, **found}.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def checked(self, x: Tensor) -> Tensor:
        """The trunk's own features of a batch as `computed` takes it, [B, D], float32 on the device.

        Raises:
            ValueError: Some are NaN or infinite; to know, it waits for the device.
        """
        found = self.computed(x)[LAST]
        refuse_nan(found)
        return found


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Restore a module's mode after a block in which it is frozen."""
    was = module.training
    try:
        yield
    finally:
        module.train(was)


def refuse_nan(features: Tensor) -> None:
    """Refuse features, [B, D], of which some are no numbers; on a device this waits for them.

    Raises:
        ValueError: With the number of images.
    """
    bad = int((~torch.isfinite(features).all(1)).sum())
    if bad:
        raise ValueError(f"{bad} of {len(features)} images give NaN or infinite features")


def frozen_forward(
    module: nn.Module,
    x: Tensor,
    device: str,
    precision: Precision = "float32",
    normalise: Normalise | None = None,
) -> Tensor:
    """Features of one batch, [B, D], float32 on `device`: eval mode, no gradients.

    Args:
        module: Is left in eval mode, on the device.
        x: Normalised images, [B, 3, H, W]; or uint8 [B, H, W, 3], to be normalised on the device.
        device: Where it computes.
        precision: Number format; not "auto".
        normalise: Of the weights' card.

    Raises:
        ValueError: The module gives NaN or infinite features.
    """
    return FrozenTrunk(module, normalise, device, precision).checked(x)


def batches(
    module: nn.Module,
    images: ImageSet,
    rows: Sequence[int],
    view: CentreView,
    ctx: Context,
    precision: Precision = "float32",
) -> Iterator[Tensor]:
    """Features of some images, [B, D] on the CPU, in their order; the module is left in its mode.

    Threads decode and crop the next batches while the trunk computes one.

    Raises:
        ValueError: The module gives NaN or infinite features.
    """
    with evaluating(module):
        trunk = FrozenTrunk(module, view.normalise, ctx.device, precision, compile=ctx.compile, say=ctx.say)
        cuda = trunk.device.type == "cuda"
        underway: deque[Pending] = deque()
        for pictures in decoded(images, rows, view, ctx.workers, cuda, BATCH):
            underway.append(trunk(pictures))
            if len(underway) > (UNDERWAY if cuda else 0):
                yield underway.popleft().features()[LAST]
        while underway:
            yield underway.popleft().features()[LAST]


def _weights_channels_last(module: nn.Module) -> None:
    """Lay convolutions' weights out as their input is, so that no pass does it anew; the values stay."""
    for part in module.modules():
        if type(part) is nn.Conv2d:
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
