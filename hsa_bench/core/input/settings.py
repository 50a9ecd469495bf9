"""Settings as records: changed with a check, compared with the usual ones, and refused in clear words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.bounds import beyond
from hsa_bench.core.input.label import shown
from hsa_bench.core.input.suggest import did_you_mean

S = TypeVar("S")
R = TypeVar("R", bound=BaseModel)

LONGEST = 100
"""Letters of a value or a name that a message shows."""


def changed(settings: S, changes: Mapping[str, Any], what: str) -> S:
    """Copy a settings dataclass with some fields changed.

    Args:
        settings: A frozen pydantic dataclass.
        changes: Values by field name.
        what: Whose settings they are, for the message.

    Raises:
        UsageError: It has no such field, or the field does not take that value.
    """
    known = [field.name for field in fields(settings) if field.name != "name"]  # type: ignore[arg-type]  # a settings dataclass
    for name in changes:
        if name not in known:
            raise UsageError(f"{what}.{name}: no such setting; {did_you_mean(name, known)}")
    try:
        result: S = replace(settings, **changes)  # type: ignore[type-var]  # a settings dataclass
    except ValidationError as error:
        fault = explain(error)
        given = f", not {shown_value(fault.value)}" if fault.field else ""
        raise UsageError(f"{what}.{fault.field or 'settings'}: {fault.reason}{given}") from error
    for name in changes:
        if reason := beyond(getattr(result, name)):
            raise UsageError(f"{what}.{name}: {reason}")
    return result


def validated(record: type[R], stated: Mapping[str, Any], source: str) -> R:
    """Make a record of what a file or a command states.

    Args:
        record: Its class.
        stated: Values by field name.
        source: Where they stand, for the message.

    Raises:
        UsageError: A field is unknown or of the wrong kind.
    """
    try:
        return record.model_validate(stated)
    except ValidationError as error:
        fault = explain(error, record.model_fields)
        raise UsageError(f"{source}, field {fault.field}: {fault.reason}") from error


def shown_value(value: Any) -> str:
    """Return a value as a message can show it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def departures(settings: object, usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings whose value is not the usual one, for example a recipe's, in its order."""
    return {
        name: getattr(settings, name) for name, value in usual.items() if getattr(settings, name) != value
    }


@dataclass(frozen=True)
class Fault:
    """The first thing that pydantic refused."""

    field: str
    """Path of names and indices with dots between; empty where the fault is of several fields together."""
    reason: str
    value: Any
    """As it was given."""


def explain(error: ValidationError, known: Iterable[str] = ()) -> Fault:
    """Say what pydantic refused first.

    Args:
        error: Pydantic's.
        known: Fields of the outermost record; near ones are suggested for an unknown field of it.
    """
    first = error.errors()[0]
    loc = [str(part) for part in first["loc"] if part != "[key]"]
    field = ".".join(part if part.isprintable() and len(part) <= LONGEST else shown(part) for part in loc)
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        reason = f"unknown; {did_you_mean(field, known)}" if known and len(first["loc"]) == 1 else "unknown"
    return Fault(field, reason, first["input"])
