"""Checkpoints that this suite's own pretraining writes.

Recognised by `format: hsa_bench/1`. Nothing is dropped; architecture, card, budget and the hashes of the
pictures it was pretrained on stand in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import Tensor

from hsa_bench.core.checkpoints.layout import Converted, Payload, tensors
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Budget

BRANCHES: dict[str, str] = {"query": ""}
MARK = "hsa_bench/1"


def matches(payload: Payload) -> bool:
    """Whether the file says so itself."""
    return payload.get("format") == MARK


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the file at its word; the loader still matches every tensor."""
    hashes = payload.get("image_hashes")
    return Converted(
        state=tensors(payload["state_dict"]),
        branch="query",
        arch=payload["arch"],
        card=Preprocess(**payload["card"]),
        budget=Budget(**payload["budget"]),
        image_hashes=hashes if isinstance(hashes, Tensor) else None,
    )


def with_metadata(state: Payload, metadata: Mapping[str, str]) -> Payload:
    """A safetensors file as a payload: our own as its `.pth` twin, any other as its tensors alone."""
    if metadata.get("format") != MARK:
        return state
    about = {
        name: value if name in {"format", "arch", "data"} else json.loads(value)
        for name, value in metadata.items()
    }
    return Payload({**about, "state_dict": dict(state)}, state.beside, state.container)
