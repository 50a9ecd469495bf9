"""A module as it is taken for measuring: its trunk, what trying it showed, and its behaviour."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.as_trunk import as_trunk
from hsa_bench.core.models.backbone import has_stages
from hsa_bench.core.models.behaviour import behaviour
from hsa_bench.core.models.probe import computed, pictures, probe, shadow
from hsa_bench.core.models.user_module import feature_dim, is_own


@dataclass(frozen=True)
class Taken:
    """A trunk whose architecture no name fixes."""

    module: nn.Module
    dim: int
    side: int
    """Of the pictures that it was tried on, px."""
    behaviour: str


def take(module: nn.Module, name: str, head: str = "", asked: int = 0) -> Taken:
    """Take a module of one's own as a trunk.

    Args:
        module: On the CPU, in eval mode; it may be changed.
        name: What it is called in a message.
        head: What becomes of a classifier: "drop" or "keep"; empty to refuse one that is not known for sure.
        asked: Side of the pictures that are going to be measured, px; 0 if that is not known.

    Raises:
        UsageError: It gives no features, ends in a classifier, or its stages are not what it says.
    """
    trunk = as_trunk(module, name, head, asked)
    found = probe(trunk, name, asked)
    _check_stages(trunk, name, found.side)
    return Taken(trunk, found.dim, found.side, behaviour(trunk))


def take_by_name(module: nn.Module, arch: str, head: str = "", asked: int = 0) -> Taken:
    """Take what was built for the name of an architecture: the table's as it is, one's own as `take` does.

    Raises:
        UsageError: As `take`; or a head is named for an architecture that has none.
    """
    if is_own(arch):
        return take(module, arch, head, asked)
    if head:
        raise UsageError(f"--head {head}: {arch} has no classifier; that is for modules of one's own")
    if type(module).__module__.startswith("hsa_bench."):
        return Taken(module, feature_dim(module, arch), 0, "")
    found = probe(module, arch, asked)
    return Taken(module, found.dim, found.side, "")


def _check_stages(module: nn.Module, name: str, side: int) -> None:
    """Refuse a method `stages` that does not give the maps that `stage_dims` states.

    Raises:
        UsageError: With what it gives.
    """
    if not has_stages(module):
        if callable(getattr(type(module), "stages", None)) or hasattr(module, "stage_dims"):
            raise UsageError(
                f"{name}: a module with a method stages(x) needs stage_dims too, the channels of each stage, "
                "e.g. (64, 128), and the other way round"
            )
        return
    dims: tuple[int, ...] = tuple(module.stage_dims)  # type: ignore[arg-type]  # seen above
    try:
        maps = computed(_Stages(shadow(module)), pictures(side, 2))
    except Exception as error:  # of a module of one's own
        raise UsageError(f"{name}: its stages(x) fails on [2, 3, {side}, {side}] ({error})") from error
    given = [tuple(m.shape) if isinstance(m, Tensor) else type(m).__name__ for m in maps]
    if [shape[1] if len(shape) == 4 else 0 for shape in given] != [*dims]:
        raise UsageError(
            f"{name}: its stages(x) gives {given} for [2, 3, {side}, {side}]; wanted are maps [B, C, H, W] "
            f"of the channels that stage_dims states, {dims}"
        )


class _Stages(nn.Module):
    """A trunk's stages in place of its features."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.trunk.stages(x))  # type: ignore[operator]  # a method
