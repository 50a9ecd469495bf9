"""What a pretraining noted, in a reader's words: curves over its epochs, and the last point of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hsa_bench.core.results.curve import Curve
from hsa_bench.core.results.metric import Better, Metric

RATE = "learning rate"

TITLES = {"rank": "effective rank", "knn": "kNN top-1"}
UNITS = {"purity": "%", "knn": "%"}
MEANINGS = {
    "purity": "how many of the mined neighbours are of the same class, which training does not know",
    "spread": "of the features; towards 0 they have collapsed",
    "rank": "of the features; towards 1 they have collapsed",
    "knn": "accuracy on a fixed tenth of the training images, by the labels of the others",
}
BETTER: dict[str, Better] = {"knn": "higher"}
"""The only one that ranks: losses of different methods are different quantities."""


def described(noted: Mapping[str, Sequence[float]], epochs: int, every: int) -> tuple[Curve, ...]:
    """Describe the curves of a pretraining.

    Args:
        noted: Points by name; parts of a level's loss are called `loss/stage3/own`.
        epochs: Of the training.
        every: Epochs between two looks at the features; a curve with fewer points is of looks.
    """
    looks = tuple(float(e) for e in range(1, epochs + 1) if every and (e % every == 0 or e == epochs))
    return tuple(
        Curve(
            name=name,
            title=TITLES.get(name, name.replace("/", ", ")),
            unit=UNITS.get(name, ""),
            meaning=MEANINGS.get(name, ""),
            values=tuple(values),
            along="epoch" if len(values) in (epochs, len(looks)) else "",
            at=looks if len(values) == len(looks) != epochs else (),
            better=BETTER.get(name, ""),
            detail=name.count("/") > 1 or name == RATE,
        )
        for name, values in noted.items()
        if values
    )


def ends(curves: Sequence[Curve]) -> tuple[Metric, ...]:
    """Return the last point of each curve, the parts of losses and the learning rate aside."""
    return tuple(
        Metric(
            name=curve.name, title=curve.title, unit=curve.unit, value=curve.values[-1], better=curve.better
        )
        for curve in curves
        if not curve.detail
    )
