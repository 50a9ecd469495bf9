"""Settings with some fields changed, refused with a suggestion where a field or value does not fit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from pydantic import ValidationError

S = TypeVar("S")


def changed(settings: S, changes: Mapping[str, Any], what: str) -> S:
    """A copy of a settings dataclass with some fields changed.

    Args:
        settings: A frozen pydantic dataclass.
        changes: Values by field name.
        what: Whose settings they are, for the message.

    Raises:
        ValueError: It has no such field, or the field does not take that value.
    """
    known = [field.name for field in fields(settings) if field.name != "name"]  # type: ignore[arg-type]  # a settings dataclass
    for name in changes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known
            raise ValueError(f"{what}.{name}: no such setting; did you mean {', '.join(near)}?")
    try:
        return replace(settings, **changes)  # type: ignore[type-var]  # a settings dataclass
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{what}.{name}: {reason}, not {first['input']!r}") from error
