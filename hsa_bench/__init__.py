"""Transfer evaluation of self-supervised vision backbones."""

from __future__ import annotations

from typing import Any

from hsa_bench.version import __version__

__all__ = ["__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    """Load `evaluate`, and torch with it, only when it is asked for."""
    if name == "evaluate":
        from hsa_bench.notebook import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
