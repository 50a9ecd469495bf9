"""Checkpoints that this suite's own pretraining writes.

Recognised by `format: hsa_bench/1`. Nothing is dropped; architecture, card, budget and the hashes of the
pictures it was pretrained on stand in the file.
"""

from __future__ import annotations

from collections.abc import Mapping

from hsa_bench.core.checkpoints.layout import Converted, Payload
from hsa_bench.core.checkpoints.stated import from_header, read_stated

BRANCHES: dict[str, str] = {"query": ""}
MARK = "hsa_bench/1"


def matches(payload: Payload) -> bool:
    """Whether the file says so itself."""
    return payload.get("format") == MARK


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the file at its word; the loader still matches every tensor."""
    stated = read_stated(payload)
    return Converted(
        state=stated.state_dict,
        branch="query",
        arch=stated.arch,
        card=stated.card,
        card_stated=True,
        budget=stated.budget,
        image_hashes=stated.image_hashes,
    )


def with_metadata(state: Payload, metadata: Mapping[str, str]) -> Payload:
    """A safetensors file as a payload: our own as its `.pth` twin, any other as its tensors alone."""
    if metadata.get("format") != MARK:
        return state
    about = from_header(metadata, frozenset({"format", "arch", "data"}))
    return Payload({**about, "state_dict": dict(state)}, state.beside, state.container)
