"""The preprocessing a set of weights expects: a checkpoint's card, which no recipe overrides."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Preprocess:
    """How pixels become input."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Per channel, in units of the value range, in RGB order whatever `channels` says."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channels: Literal["RGB", "BGR"] = "RGB"
    """Order in which the network takes its channels."""
    value_range: float = 1.0
    """Pixels run from 0 to this before mean and std are applied: 1 or 255."""

    def as_dict(self) -> dict[str, Any]:
        """For the key and the report."""
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "channels": self.channels,
            "value_range": self.value_range,
        }
