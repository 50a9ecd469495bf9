"""Pickles of arrays (Detectron2's `.pkl`), by an unpickler that knows builtin containers and numpy alone."""

from __future__ import annotations

import pickle
from typing import IO, Any

from hsa_bench.core.checkpoints.reading.newer_pickle import Listed, in_latin1
from hsa_bench.core.checkpoints.reading.pickle_scan import scan
from hsa_bench.core.errors import ForbiddenClass, UnsafePickle

ARRAYS = {
    "collections.OrderedDict",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "numpy._core.multiarray.scalar",
}
"""All that such a pickle may name beside the builtins below."""

BUILTINS = {"dict", "list", "tuple", "set", "frozenset", "int", "float", "complex", "bool", "str", "bytes"}


class _Arrays(Listed):
    def find_class(self, module: str, name: str) -> Any:
        """Look a name up where Python has it, which knows Python 2's names too."""
        if f"{module}.{name}" == "_codecs.encode":
            return in_latin1
        allowed = f"{module}.{name}" in ARRAYS or (module in {"builtins", "__builtin__"} and name in BUILTINS)
        if not allowed:
            raise ForbiddenClass(f"{module}.{name}")
        return pickle._Unpickler.find_class(self, module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise ForbiddenClass("a reference to something outside the file")


def read_arrays(file: IO[bytes]) -> Any:
    """What a pickle of plain values and numpy arrays holds.

    Raises:
        ForbiddenClass: It names anything else; nothing of it has run.
        UnsafePickle: It is damaged, or made to exhaust memory or time.
    """
    scan(file)
    file.seek(0)
    try:
        return _Arrays(file, encoding="latin1").load()  # Python 2's strings, as in the Caffe models
    except (ForbiddenClass, UnsafePickle):
        raise
    except Exception as error:
        raise UnsafePickle(f"its pickle is damaged ({str(error)[:100]})") from error
