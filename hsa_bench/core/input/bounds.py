"""Numbers with the bounds within which they can work, for fields of settings and jobs. Free of torch."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

MOST_SIDE = 8192
"""Pixels; one picture of that side is 0.8 GB of numbers."""
MOST = 2**31 - 1
"""Of any whole number: what libraries in C take."""

MOST_WORKERS = 1024
"""Loader processes."""
LARGEST = 1e30
"""Of any number, far within what 32 bits hold (3e38): squares and products must not overflow at once."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=0, le=MOST_SIDE)]
"""Of a crop, px; 0 leaves it to the data set."""
Shown = Annotated[int, Field(ge=1, le=MOST_SIDE)]
"""Side of a picture, a view or an anchor, px."""
Width = Annotated[int, Field(ge=1, le=2**16)]
"""Numbers side by side in a layer."""
Depth = Annotated[int, Field(ge=0, le=1000)]
"""Layers one after the other."""
Many = Annotated[int, Field(ge=1, le=2**24)]
"""Things held at once: pictures of a batch, keys, regions."""
Rate = Annotated[float, Field(gt=0, le=1e6)]
"""Of learning; beyond, the first step leaves the numbers that 32 bits hold."""
RateOrNone = Annotated[float, Field(ge=0, le=1e6)]
"""The same, or 0 for what does not learn."""
Decay = Annotated[float, Field(ge=0, le=1e4)]
"""Of weights."""
Deviation = Annotated[float, Field(ge=0, le=1e3)]
"""Standard deviation of weights before training."""
Limit = Annotated[int, Field(ge=1, le=MOST)]
"""Images to draw."""


def beyond(value: Any) -> str:
    """Return why a setting's value, or one within it, is out of all bounds; empty if none is."""
    if isinstance(value, list | tuple):
        return next(filter(None, map(beyond, value)), "")
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if isinstance(value, float) and abs(value) > LARGEST:
        return f"{value:g} is beyond {LARGEST:g}, which cannot be computed with"
    if isinstance(value, int) and abs(value) > MOST:
        return f"a whole number beyond {MOST:,}, which cannot be computed with"
    return ""


def distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Return seeds as they are, at least one, each once.

    Raises:
        ValueError: There are none, or one stands there twice.
    """
    if not seeds:
        raise ValueError("there is none; name at least one, for example 0")
    if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise ValueError(f"{twice[0]} stands there twice; a second run with it would be the first one")
    return seeds


Seeds = Annotated[tuple[Seed, ...], AfterValidator(distinct)]
"""Of several runs of the same."""
SEEDS: TypeAdapter[tuple[int, ...]] = TypeAdapter(Seeds)
