"""What the loop asks of a pretraining method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from hsa_bench.core import registry
from hsa_bench.core.errors import PretrainingError
from pretrain.encoder import Encoder
from pretrain.settings import METHODS, Settings


class Contrastive(nn.Module, ABC):
    """An encoder in training, and a loss from views: two of each picture, unless the method says more."""

    queued: ClassVar[bool] = False
    """Whether it compares with a queue of earlier keys, whose length must fit batch and training set, and
    has keys normalised in `bn_groups`."""

    @classmethod
    def keys(cls, settings: Settings) -> int:
        """Return how many keys each picture gives the queue in one visit, where there is a queue."""
        return 1

    def __init__(self, encoder: Encoder, settings: Settings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings

    @property
    def pairs(self) -> bool:
        """Whether an item comes with two views of a mined neighbour as well."""
        return False

    @property
    def crops(self) -> tuple[int, ...]:
        """Sides, px, of the small crops an item comes with as well."""
        return ()

    @property
    def views(self) -> float:
        """Forward passes of the trunk an image in this epoch, query and key branch together."""
        return 2.0

    @property
    def mining_trunk(self) -> nn.Module:
        """Whose features find neighbours."""
        return self.encoder.trunk

    def weighs_neighbours(self, epoch: int) -> bool:
        """Tell whether mined neighbours have weight in an epoch, counted from 0."""
        return False

    def begin(self, epoch: int) -> None:
        """Called before each epoch, counted from 0."""

    @abstractmethod
    def forward(self, views: list[Tensor]) -> dict[str, Tensor]:
        """The `loss` of one step, and further figures to watch.

        With several processes, each has its part of the batch, and the mean of their losses is the loss.

        Args:
            views: Two of the pictures; with `pairs`, two of their neighbours; then the small crops. Each
                [N, 3, H, W].
        """

    def after_step(self) -> None:
        """Called when the optimiser has stepped."""


def method_class(name: str) -> Any:
    """Find the class of a method, by its file's name or a dotted path.

    Raises:
        PretrainingError: The module has none.
    """
    method = getattr(registry.load(METHODS, name), "Method", None)
    if not (isinstance(method, type) and issubclass(method, Contrastive)):
        raise PretrainingError(f"method {name}: has no class Method(Contrastive)")
    return method
