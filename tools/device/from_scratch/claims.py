"""What the five rows show, by the rule of docs/results/cifar10-device.md, committed before any run."""

from __future__ import annotations

from collections.abc import Mapping

from tools.device.row import Row

COUNT = 1.5
"""Points that count with one pretraining of each row."""
PURE = 40.0
"""Percent that the purity of the mining at the end of the warm-up must be above."""
JUDGE, BESIDE = "linear-cached", "knn"
"""Tasks: the one that decides, and the one that must not say the contrary."""
CLAIMS = {
    "sooner than MoCo v2": ("hsa", "moco"),
    "because of neighbours": ("hsa", "hsa-views"),
    "at equal compute": ("hsa", "moco-longer"),
}
"""What is claimed of HSA: the row, and the one that it is set against."""


def verdict(judged: float, beside: float, purity: float) -> str:
    """Say what a difference shows.

    Args:
        judged: Of the deciding task, points.
        beside: Of the other one.
        purity: Of the mining in force when neighbours began to count, percent.
    """
    if purity <= PURE:
        return "too short to tell"
    contrary = judged * beside < 0 and abs(beside) >= COUNT
    if abs(judged) < COUNT or contrary:
        return "not told apart"
    return "holds" if judged > 0 else "the contrary holds"


def claims(tested: Mapping[str, Mapping[str, float]], purity: float) -> list[Row]:
    """List what each claim came to.

    Args:
        tested: Percent of test by row, then by task.
        purity: As above.
    """
    found = [Row("purity when neighbours began to count", purity, "%", note=f"must be above {PURE:g} %")]
    for claim, (row, less) in CLAIMS.items():
        judged, beside = (tested[row][task] - tested[less][task] for task in (JUDGE, BESIDE))
        note = f"{row} less {less}: {JUDGE} {judged:+.1f}, {BESIDE} {beside:+.1f} points; {COUNT:g} count"
        found.append(Row(claim, verdict(judged, beside, purity), note=note))
    return found
