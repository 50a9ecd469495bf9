"""What a checkpoint of this suite says of itself, as one record: each wrong field is named and refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BeforeValidator, ConfigDict, ValidationError
from torch import Tensor

from hsa_bench.core.checkpoints.layout import tensors
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.input.settings import explain
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.result import Budget

MOST_LETTERS = 300
"""Of a text that goes into tables and reports."""


def check_text(value: str) -> str:
    """The text, if it can stand in a table.

    Raises:
        ValueError: It is too long, or holds what cannot be printed.
    """
    if len(value) > MOST_LETTERS or not value.isprintable():
        raise ValueError(f"is no name: at most {MOST_LETTERS} letters that can be printed")
    return value


def _spent(budget: Budget) -> Budget:
    for name in ("method", "dataset", "device", "start"):
        try:
            check_text(getattr(budget, name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    for name in ("epochs", "images", "views", "seconds", "seed", "flops"):
        number = getattr(budget, name)
        if not math.isfinite(number) or number < 0 or number >= 2**63:
            raise ValueError(f"{name}: {number} is no count and no time")
    return budget


def _weights(value: Any) -> dict[str, Tensor]:
    if not isinstance(value, Mapping) or not (found := tensors(value)):
        raise ValueError("is no mapping of names to tensors")
    return found


def _hashes(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype is not torch.int64 or value.ndim != 1:
        raise ValueError("is no row of whole numbers of 64 bits")
    return value.sort().values


class Stated(Record):
    """The file's own word for its trunk; the loader still matches every tensor."""

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)

    arch: Any = ""
    """A name to look up; `choose_arch` takes it or not, because the user's `--arch` goes over it."""
    state_dict: Annotated[dict[str, Any], BeforeValidator(_weights)]
    card: Preprocess
    budget: Annotated[Budget, AfterValidator(_spent)]
    image_hashes: Annotated[Any, BeforeValidator(_hashes)] = None
    """Of the pictures it was pretrained on, [N], sorted; None where the file has none."""


def read_stated(payload: Mapping[str, Any]) -> Stated:
    """What the file states.

    Raises:
        CheckpointError: A field is missing or wrong; the message names it, but not the file.
    """
    try:
        return Stated.model_validate({k: v for k, v in payload.items() if k in Stated.model_fields})
    except ValidationError as error:
        fault = explain(error)
        raise CheckpointError(f"field {fault.field}: {fault.reason}{given(fault.value)}") from error


def from_header(metadata: Mapping[str, str], plain: frozenset[str]) -> dict[str, Any]:
    """The fields in a safetensors header, where all but plain texts are JSON.

    Raises:
        CheckpointError: A field is no JSON, or too deep for any.
    """
    fields: dict[str, Any] = {}
    for name, text in metadata.items():
        try:
            fields[name] = text if name in plain else json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"field {name} of its header: is no JSON ({str(error)[:80]})") from error
    return fields


def given(value: Any) -> str:
    """A plain value in a few letters; nothing for tensors and for what is long."""
    if isinstance(value, str | int | float | bool | None):
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
        return f", not {text[:60]}"
    return f", not a {type(value).__name__}"
