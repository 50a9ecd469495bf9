"""What stands at an axis, in a reader's words: metrics and curves with their units."""

from __future__ import annotations

import re

WORDS = {
    "top1": "top-1, %",
    "top5": "top-5, %",
    "knn": "kNN top-1, %",
    "knn_top1": "kNN top-1, %",
    "purity": "same class, %",
    "spread": "spread",
    "rank": "effective rank",
    "nmi": "NMI, %",
    "train_loss": "loss, nats",
    "published_top1": "top-1, %",
}

PERCENT = re.compile(
    r"top[15]|\bAP|_AP|accuracy|mIoU|mAP|per_class|logistic|svm|\bari\b", flags=re.IGNORECASE
)


def words(name: str) -> str:
    """A metric or curve as it stands in a title."""
    return name.replace("/", ", ").replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")


def axis(name: str) -> str:
    """A metric or curve as an axis label; results are in percent unless they are losses."""
    if name in WORDS:
        return WORDS[name]
    if name.startswith("loss"):
        return "loss"
    plain = name.replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")
    return f"{plain}, %" if PERCENT.search(name) else plain
