"""Described rows of numbers: a quantity over a training, and an accuracy over a grid of settings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from hsa_bench.core.results.metric import Better, Described, Value
from hsa_bench.core.results.record import Record

Along = Literal["", "epoch", "step", "iteration", "place"]
"""What a curve's points are counted in; "place" for a sorted row, which is no course in time."""


class Level(Record):
    """A constant that a curve is read against."""

    title: str
    value: Value
    """In the curve's unit."""


class Curve(Described):
    """A quantity again and again: over a training, or largest first."""

    values: tuple[Value, ...]
    along: Along = ""
    """What the points are counted in; empty: only their order is known."""
    at: tuple[Value, ...] = ()
    """Where each point stands; empty: at 1, 2, 3 ..."""
    better: Better = ""
    """Which values are better, where trainings may be ranked by it."""
    detail: bool = False
    """Whether it is a part of another curve, or a setting, which figures leave out."""
    beside: Level | None = None
    """What it has to lie above to mean anything, which figures draw across it."""

    @property
    def x(self) -> tuple[float, ...]:
        """Where each point stands."""
        return self.at or tuple(float(i) for i in range(1, len(self.values) + 1))

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if self.at and len(self.at) != len(self.values):
            raise ValueError(f"the curve {self.name} has {len(self.values)} values at {len(self.at)} places")
        return self


class Sweep(Described):
    """What every point of a grid of settings gave."""

    settings: tuple[str, ...]
    """The settings in a reader's words."""
    points: tuple[tuple[Value, ...], ...]
    """Values of the settings, in their order, and last what they gave."""
    own: tuple[Value, ...]
    """The settings whose number is reported."""
    chosen: bool
    """Whether this sweep chose them; else they are the recipe's."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(len(point) != len(self.settings) + 1 for point in self.points):
            raise ValueError(f"the sweep {self.name}: a point is {len(self.settings)} settings and a value")
        if len(self.own) != len(self.settings):
            raise ValueError(f"the sweep {self.name}: own needs {len(self.settings)} settings")
        return self
