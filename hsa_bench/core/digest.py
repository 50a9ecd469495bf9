"""SHA-256 as hexadecimal digits, by which data, settings and files are told apart. Free of torch."""

from __future__ import annotations

import hashlib
import json
from typing import Any

WHOLE = 64
"""Digits of a digest that is not cut."""


def digest(*parts: bytes | str, length: int = 16) -> str:
    """Hash the parts as one text or file, one after the other.

    Args:
        parts: Text is hashed as UTF-8.
        length: Leading digits that are returned, at most `WHOLE`.
    """
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:length]


def digest_of(value: Any, length: int = 16) -> str:
    """Hash a value that JSON can write; the order of its keys does not matter."""
    return digest(json.dumps(value, sort_keys=True), length=length)
