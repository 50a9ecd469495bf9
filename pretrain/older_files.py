"""Files of earlier versions: pretraining's version, and settings that were added since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pretrain.settings import Settings

VERSION = 3
"""Raised when the same settings give other weights."""

UNSTATED = 2
"""Version of pretraining of files that state none."""

LATER = frozenset(
    {
        "augment_on",
        "ema_share",
        "init",
        "keep_state",
        "knn_k",
        "knn_of",
        "knn_temperature",
        "mutual",
        "start_from",
        "symmetric",
        "until_purity",
        "warmup_steps",
    }
)
"""Settings that older files do not state; their defaults are what was done before."""


def as_now(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Add to the settings that a file states the defaults of those that were added since."""
    usual = Settings()
    return {**{name: getattr(usual, name) for name in LATER}, **stated}
