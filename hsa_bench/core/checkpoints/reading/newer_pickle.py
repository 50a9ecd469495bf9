"""Files that torch's own safe reader does not take: of pickle protocol 3 and above, or with numpy's arrays.

Tensors, plain values and the harmless classes of `safe_read`, no more: each name in the file is looked up in
a list, and what is not on it ends the reading before anything is called. Nor is a file's word taken for how
numpy's kinds of numbers lie in memory, as torch's reader does: numbers would become addresses.
"""

from __future__ import annotations

import argparse
import collections
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

from hsa_bench.core.errors import ForbiddenClass, UnsafePickle

PROTOCOL = 2
"""The newest that torch's own safe reader takes whole."""

FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
_REBUILT = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")


def in_latin1(text: str, encoding: str) -> bytes:
    """Bytes as pickles below protocol 3 have them."""
    if encoding != "latin1":
        raise ForbiddenClass(f"_codecs.encode by {encoding[:20]}")
    return text.encode("latin1")


_PLAIN: Mapping[str, Any] = {
    "_codecs.encode": in_latin1,
    **{f"builtins.{kind.__name__}": kind for kind in (set, frozenset, complex)},
    **{f"{module}.numeric._frombuffer": FROM_BUFFER for module in ("numpy.core", "numpy._core")},
    "collections.OrderedDict": collections.OrderedDict,
    "torch.Size": torch.Size,
    "torch.device": torch.device,
    **{f"torch._utils.{name}": getattr(torch._utils, name) for name in _REBUILT},
    **{
        f"torch.{name}": kind
        for name, kind in vars(torch).items()
        if isinstance(kind, torch.dtype | torch.layout | torch.memory_format)
    },
}


def read_newer(path: Path, harmless: Mapping[str, Any]) -> Any:
    """What a file holds, an archive or from before 1.6; its pickles must have been scanned.

    Args:
        path: The file.
        harmless: Classes and functions by dotted name that it may hold beside tensors and plain values.

    Raises:
        ForbiddenClass: It names anything else; nothing of it has run.
        UnsafePickle: It is damaged.
    """
    allowed = {**_PLAIN, **harmless}

    class Guarded(Listed):
        names = allowed

    guard = SimpleNamespace(
        __name__="pickle", Unpickler=Guarded, load=lambda f, **more: Guarded(f, **more).load()
    )
    try:
        return torch.load(
            path, map_location="cpu", weights_only=False, pickle_module=guard, mmap=_is_archive(path)
        )
    except (UnsafePickle, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes of its reader
        raise UnsafePickle(f"its pickle is damaged ({type(error).__name__}: {str(error)[:100]})") from error


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _check_kind(kind: np.dtype[Any], state: Any) -> None:
    """Refuse a state that says more than numpy would of a kind of numbers, byte order and unit apart.

    Raises:
        UnsafePickle: With it, an array of plain bytes could pass for one of Python's objects.
    """
    usual = kind.__reduce__()[2]  # version, byte order, parts and sizes
    if not isinstance(state, tuple) or state[2:8] != usual[2:8]:
        raise UnsafePickle("its pickle changes how a kind of numbers lies in memory, which numpy never does")


class Listed(pickle._Unpickler):
    """Python's own unpickler, in Python, so that what it does can be held to a list."""

    names: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up, by its whole path."""
        if (found := self.names.get(f"{module}.{name}")) is None:
            raise ForbiddenClass(f"{module}.{name}")
        return found

    def load_build(self) -> None:
        """Give an object its state, for the kinds alone whose state is plain."""
        state, made = self.stack.pop(), self.stack[-1]  # type: ignore[attr-defined]  # Python's own unpickler
        plain = isinstance(state, dict) and all(isinstance(name, str) for name in state)
        if type(made) is collections.OrderedDict:
            return  # the versions of modules, which no one here reads
        if type(made) is argparse.Namespace and plain:
            made.__dict__.update(state)
        elif isinstance(made, np.dtype):
            _check_kind(made, state)
            made.__setstate__(state)  # type: ignore[attr-defined]  # as numpy pickles it
        elif type(made) is np.ndarray:
            made.__setstate__(state)
        else:
            raise ForbiddenClass(f"the state of a {type(made).__module__}.{type(made).__name__}")

    def _refuse(self) -> None:
        raise UnsafePickle("its pickle calls up extensions, which no file of tensors does")

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.EXT1[0]: _refuse,
        pickle.EXT2[0]: _refuse,
        pickle.EXT4[0]: _refuse,
        pickle.INST[0]: _refuse,
        pickle.OBJ[0]: _refuse,
    }
