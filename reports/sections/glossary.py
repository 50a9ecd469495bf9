"""What the main metrics are, in a reader's words."""

from __future__ import annotations

from reports.run_folder.grid import Grid
from reports.writing.table import code

METRICS = {
    "top1": "the share of test images whose first guess is right",
    "mean_per_class": "the share of each class's test images that are right, averaged over classes",
    "bbox/AP": "the average precision over box overlaps .50 to .95",
    "logistic": "the top-1 of a logistic regression, averaged over several small numbers of images per class",
    "svm": "the top-1 of linear SVMs, averaged over several small numbers of images per class",
    "mAP": "the average precision of each class of image, averaged over classes",
    "oracle_mAP": "the average precision of each class of image, averaged over classes, with penalties "
    "chosen on the test images, as its paper does",
    "nmi": "how much k-means clusters and classes tell of each other (a diagnostic, not tested)",
}


def glossary(grid: Grid) -> str:
    """A sentence on the main metrics of these columns; empty where all go without saying."""
    used = dict.fromkeys(r.main_metric for column in grid.columns for r in grid.in_column(column))
    said = [f"{code(metric)} is {METRICS[metric]}" for metric in METRICS if metric in used]
    return f"{', '.join(said)}." if said else ""
