"""JSON of anybody's, read so that no number, text or nesting in it can harm whoever works with it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hsa_bench.core.errors import UnreadableResult

LARGEST = 256 * 2**20
"""Bytes of a file that is read; ours are a few MB at most."""
DEEPEST = 50
"""Levels of lists and mappings within each other."""
WHOLE = 2**63
"""Whole numbers are smaller, so that every table takes them."""
NUMBER = 1e100
"""Other numbers are smaller, so that their squares are finite."""


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file of which nothing is known.

    Args:
        path: The file.
        what: What it should be, e.g. "a result file of hsa_bench".

    Raises:
        UnreadableResult: It cannot be read, is no JSON, or holds what no record does: numbers that are not
            finite or enormous, text that is no Unicode, dozens of levels. The message names the file.
    """
    try:
        if path.exists() and not path.is_file():
            raise UnreadableResult(f"{path}: not {what} (it is no file)")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UnreadableResult(f"{path}: not {what} (larger than {LARGEST // 2**20} MiB)")
        payload = json.loads(content)
        odd = next(_odd(payload, ""), "")
    except OSError as error:
        raise UnreadableResult(f"{path}: cannot be read ({error.strerror or error})") from error
    except RecursionError as error:
        raise UnreadableResult(f"{path}: not {what} (nested too deep)") from error
    except UnreadableResult:
        raise
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise UnreadableResult(f"{path}: not {what} ({first_line(error)})") from error
    if odd:
        raise UnreadableResult(f"{path}: not {what} ({odd})")
    return payload


def first_line(error: BaseException) -> str:
    """Return what an error says, on one line that is not long."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


def _odd(value: Any, place: str, depth: int = 0) -> Iterator[str]:
    """Say what of a value no record holds, and where."""
    if depth > DEEPEST:
        yield f"{place[:60]}… is nested deeper than {DEEPEST} levels"
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _odd_leaf(name, f"a name in {place or 'it'}")
            yield from _odd(part, f"{place}.{name}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _odd(part, f"{place}.{i}", depth + 1)
    else:
        yield from _odd_leaf(value, place)


def _odd_leaf(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            yield f"{place} holds half a character"
    elif isinstance(value, float):
        if not (math.isfinite(value) and abs(value) < NUMBER):
            yield f"{place} is {value}"
    elif isinstance(value, int) and abs(value) >= WHOLE:
        yield f"{place} is a whole number beyond 2**63"
