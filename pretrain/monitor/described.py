"""What a pretraining noted, in a reader's words: curves over its epochs, and the last point of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hsa_bench.core.results.curve import Curve, Level
from hsa_bench.core.results.metric import Better, Metric

RATE = "learning rate"
PURITY, LOOKED, PIXELS = "purity", "purity_looked", "purity_pixels"
"""Of mined neighbours; of those among the features that a look takes; of bare pixels'."""
PAIRED = "mutual"

TITLES = {
    "rank": "effective rank",
    "knn": "kNN top-1",
    LOOKED: "purity at looks",
    PIXELS: "purity of bare pixels",
    PAIRED: "in a mutual pair",
}
UNITS = {PURITY: "%", LOOKED: "%", PIXELS: "%", PAIRED: "%", "knn": "%"}
MEANINGS = {
    LOOKED: "how many of the nearest others among the features looked at are of the same class, whether the "
    "method mines any or not",
    PIXELS: "the same of the pictures' own pixels, mined once before training",
    PAIRED: "how many pictures are among the neighbours of one of their own; the others are paired with "
    "themselves",
    PURITY: "how many of the mined neighbours are of the same class, which training does not know",
    "spread": "of the features; towards 0 they have collapsed",
    "rank": "of the features; towards 1 they have collapsed",
    "knn": "accuracy on a fixed tenth of the training images, by the labels of the others",
}
BETTER: dict[str, Better] = {"knn": "higher"}
"""The only one that ranks: losses of different methods are different quantities."""
BESIDE = {PURITY: PIXELS, LOOKED: PIXELS}
"""A curve, and the constant one that it has to lie above to mean anything."""


def described(
    noted: Mapping[str, Sequence[float]], epochs: int, every: int, knn: str = ""
) -> tuple[Curve, ...]:
    """Describe the curves of a pretraining.

    Args:
        noted: Points by name; parts of a level's loss are called `loss/stage3/own`.
        epochs: That the training took.
        every: Epochs between two looks at the features; a curve with fewer points is of looks.
        knn: How the looks' kNN is taken, where not as usual.
    """
    looks = tuple(float(e) for e in range(1, epochs + 1) if every and (e % every == 0 or e == epochs))
    return tuple(
        Curve(
            name=name,
            title=TITLES.get(name, name.replace("/", ", ")),
            unit=UNITS.get(name, ""),
            meaning=MEANINGS.get(name, "") + (f"; {knn}" if name == "knn" and knn else ""),
            values=tuple(values),
            along="epoch" if len(values) in (epochs, len(looks)) else "",
            at=looks if len(values) == len(looks) != epochs else (),
            better=BETTER.get(name, ""),
            detail=name.count("/") > 1 or name in {RATE, PIXELS},
            beside=_beside(noted, name),
        )
        for name, values in noted.items()
        if values
    )


def _beside(noted: Mapping[str, Sequence[float]], name: str) -> Level | None:
    other = "" if name == LOOKED and PAIRED in noted else BESIDE.get(name, "")  # pixels' are mutual ones then
    return Level(title=TITLES[other], value=noted[other][-1]) if noted.get(other) else None


def ends(curves: Sequence[Curve]) -> tuple[Metric, ...]:
    """Return the last point of each curve, the parts of losses and the learning rate aside."""
    return tuple(
        Metric(
            name=curve.name, title=curve.title, unit=curve.unit, value=curve.values[-1], better=curve.better
        )
        for curve in curves
        if not curve.detail or curve.name == PIXELS
    )
