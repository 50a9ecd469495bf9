"""A detector of torchvision's parts that trains in seconds."""

from __future__ import annotations

from typing import Any

PARTS: dict[str, Any] = {
    "engine": "torchvision",
    "batch": 2,
    "precise_batches": 0,
    "pyramid_dim": 8,
    "rpn_candidates": (20, 20),
    "proposals": (10, 10),
    "roi_batch": 8,
    "box_dim": 8,
}
"""Settings of a detection task."""
