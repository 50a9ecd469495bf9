"""The code of functions and classes that are no library's, as text that is the same on every machine."""

from __future__ import annotations

import inspect
import sys
import textwrap
import tokenize
from dataclasses import is_dataclass
from pathlib import Path
from types import CodeType, FunctionType

LIBRARIES = frozenset(
    {
        "accelerate",
        "builtins",
        "deepspeed",
        "eval_tasks",
        "hsa_bench",
        "lightning",
        "lightning_fabric",
        "numpy",
        "pretrain",
        "pytorch_lightning",
        "reports",
        "timm",
        "torch",
        "torchmetrics",
        "torchvision",
        "transformers",
    }
)
"""Packages whose classes stand in keys by name alone, beside those of Python itself: a new version of them
makes no key anew. A list and not the place of a file, so that installing a package changes no key."""

_PYTHON = frozenset(sys.stdlib_module_names) - {"test"}


def of_library(module: str | None) -> bool:
    """Return whether a module's code belongs to a library; what has no module is Python's own."""
    top = (module or "builtins").partition(".")[0]
    return top in LIBRARIES or (top in _PYTHON and _is_pythons_own(top))


def is_own(module: str | None) -> bool:
    """Return whether a module's code is the user's own: no library's, and not installed beside them."""
    if of_library(module):
        return False
    file = getattr(sys.modules.get(module or ""), "__file__", None) or ""
    return not {"site-packages", "dist-packages"} & set(Path(file).parts)


def defined_in(function: FunctionType) -> str:
    """Return the module that a function's code stands in; `functools.wraps` gives it another's name."""
    return str(function.__globals__.get("__name__", ""))


def is_generated(kind: type, member: object) -> bool:
    """Return whether a class's method was written by `dataclass`, otherwise in each version of Python."""
    return is_dataclass(kind) and isinstance(member, FunctionType) and "<string>" in code_files(member)


def code_files(function: FunctionType) -> set[str]:
    """Return the files of a function's code, and of what it wraps."""
    inner = inspect.unwrap(function)
    return {function.__code__.co_filename, inner.__code__.co_filename}


def code_text(code: CodeType) -> str:
    """Return the source of a function, less comments and blank lines; where there is none, its bytecode.

    A lambda is always told by its bytecode: several may stand on one line.
    """
    if code.co_name != "<lambda>":
        try:
            return _tidied(inspect.getsource(code))
        except (OSError, TypeError, SyntaxError, tokenize.TokenError):
            pass
    return _bytecode(code)


def names_in(code: CodeType) -> list[str]:
    """Return the names that a function and those defined within it look up outside, in alphabetical order."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= set(names_in(constant))
    return sorted(found)


def _is_pythons_own(top: str) -> bool:
    """Return whether this is Python's module and not a user's of the same name."""
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is None or ("site-packages" not in file and file.startswith((sys.prefix, sys.base_prefix)))


def _tidied(source: str) -> str:
    lines = (line.rstrip() for line in textwrap.dedent(source).splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def _bytecode(code: CodeType) -> str:
    parts = [code.co_code.hex(), *code.co_names, *code.co_freevars]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(_bytecode(constant))
        elif isinstance(constant, frozenset):
            parts.append(",".join(sorted(map(repr, constant))))
        else:
            parts.append(repr(constant))
    return "bytecode " + ";".join(parts)
