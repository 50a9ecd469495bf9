"""Names that stand for Python code: by hand they are imported, in a preset only where it is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.label import shown

TRUST = "--trust-preset"

PUBLISHERS = ("timm", "torchvision", "hf")
"""What stands before the colon of a published model, which is data and no code."""


def is_function(text: str) -> bool:
    """Return whether a text has the form `package.module:function`."""
    module, colon, function = text.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def is_module(text: str) -> bool:
    """Return whether a text has the form `package.module`, with a dot at least."""
    return "." in text and all(part.isidentifier() for part in text.split("."))


def is_own_path(path: str) -> bool:
    """Return whether a name is a function's, and no published model's."""
    return is_function(path) and path.partition(":")[0] not in PUBLISHERS


def in_fields(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (field, name) of the code that fields of a file name.

    Args:
        fields: Values by field, or by `task.field`; only fields that are imported from are looked at.
        prefix: What stands before a field's name in the file.
    """
    for name, value in fields.items():
        says = IMPORTED.get(name.rpartition(".")[2])
        texts = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
        for text in texts:
            if says is not None and isinstance(text, str) and says(text):
                yield prefix + name, text


def _names_module(text: str) -> bool:
    """Whether one of `module`, `module,module` and `NAME=module,NAME=module` is in a text."""
    return any(is_module(part.rpartition("=")[2].strip()) for part in text.split(","))


def _names_function(text: str) -> bool:
    return any(is_own_path(part.rpartition("=")[2].strip()) for part in text.split(","))


IMPORTED: dict[str, Callable[[str], bool]] = {
    "arch": _names_function,
    "path": is_own_path,
    "dataset": is_module,
    "tuned_on": is_module,
    "file_format": _names_module,
    "method": is_module,
    "tasks": _names_module,
    "judge": is_module,
}
"""Fields whose value may name code, and which of their values do."""


def refuse_code(source: str, found: Iterable[tuple[str, str]]) -> None:
    """Refuse a file that names Python code: what somebody else wrote would be run.

    Args:
        source: The file.
        found: Fields and the names in them.

    Raises:
        UsageError: It names some; the message says which field, what, and the option that allows it.
    """
    for field, word in found:
        raise UsageError(
            f"{source}, field {field}: {shown(word)} is Python code, which is imported and run; a preset may "
            f"name such only where you trust it: read it, then add {TRUST}, or name the code by hand"
        )
