"""Read a checkpoint file without running anything in it, in bounded memory and time.

Archives of torch.save are mapped, not read: tensors come from disk where they are used. Nothing is loaded
but tensors, arrays, plain values, and the few harmless classes below; no option loosens this.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hsa_bench.core.checkpoints.reading.archive_check import check_archive
from hsa_bench.core.checkpoints.reading.file_kind import Kind, explain, kind_of
from hsa_bench.core.checkpoints.reading.newer_pickle import PROTOCOL, read_newer
from hsa_bench.core.checkpoints.reading.pickle_scan import Seen, scan
from hsa_bench.core.checkpoints.reading.plain_pickle import read_arrays
from hsa_bench.core.errors import CheckpointError, ForbiddenClass, ReadError

LEGACY_PICKLES = 5
"""Pickles at the head of a file that torch before 1.6 wrote: mark, version, system, objects, storages."""

BESIDE = ("config.json", "preprocessor_config.json", "args.json")
"""Small files beside a checkpoint that tell what its tensors do not."""

BESIDE_BYTES = 2**20

HARMLESS: tuple[Any, ...] = (
    argparse.Namespace,
    collections.defaultdict,
    dict,
    pathlib.PosixPath,
)
"""Classes known from real checkpoints (DINO's args) that can do no harm."""

ARRAYS: tuple[Any, ...] = (
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdgUSO"),
    *(
        (function, f"{module}.{name}")
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, function in (
            ("scalar", np.float64(0).__reduce__()[0]),
            ("_reconstruct", np.zeros(1).__reduce__()[0]),
        )
    ),
)
"""What numpy's numbers and arrays are made of, as long as `newer_pickle` looks at what they say."""


class Payload(dict[str, Any]):
    """A checkpoint as it was read: what the file holds, and what stands beside it."""

    def __init__(
        self, held: Mapping[str, Any], beside: Mapping[str, Any] | None = None, container: str = "torch"
    ) -> None:
        super().__init__(held)
        self.beside = beside or {}
        """Contents of the `BESIDE` files, by name; the error of one that cannot be read."""
        self.container = container
        """What wrote the file: "torch", "safetensors" or "pickle"."""

    def told(self, name: str) -> Mapping[str, Any] | None:
        """What a small file beside the checkpoint says; None where there is none.

        Raises:
            CheckpointError: It is there and cannot be read, so that what it says would be passed over.
        """
        held = self.beside.get(name)
        if isinstance(held, str):
            raise CheckpointError(f"{name} beside it {held}; mend it, or move it away")
        return held


def safe_read(path: Path) -> Payload:
    """What a file holds.

    Args:
        path: An archive of torch.save (old or new), a safetensors file, or a pickle of numpy arrays.

    Raises:
        ReadError: It is none of these, damaged, or holds more than tensors and plain values.
    """
    kind = kind_of(path)
    reader = _READERS.get(kind)
    if reader is None:
        raise ReadError(explain(kind, path))
    try:
        held = reader(path)
    except ForbiddenClass as error:
        raise ReadError(_forbidden(str(error), path)) from error
    except ReadError:
        raise
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = _forbidden(named[1], path) if named else f"damaged ({str(error)[:100]})"
        raise ReadError(reason) from error
    except Exception as error:  # whatever a damaged file makes of its reader
        raise ReadError(f"damaged ({type(error).__name__}: {str(error)[:100]})") from error
    if not isinstance(held, Mapping):
        raise ReadError(f"holds a {type(held).__name__}, not a dict of tensors")
    _check_claims(held)
    about = {str(name): value for name, value in held.items()}
    return Payload(about, _beside(path), kind.container)


def read_metadata(path: Path) -> Mapping[str, str]:
    """The texts in a safetensors file's header; none for other files."""
    if kind_of(path) is not Kind.SAFETENSORS:
        return {}
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def _safetensors(path: Path) -> Any:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    except SafetensorError as error:
        raise ReadError(f"damaged ({str(error)[:100]})") from error


def _archive(path: Path) -> Any:
    if not _is_torchs(check_archive(path)):
        return read_newer(path, _by_path())
    with torch.serialization.safe_globals(list(HARMLESS)):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _legacy(path: Path) -> Any:
    with path.open("rb") as file:
        seen = [scan(file) for _ in range(LEGACY_PICKLES)]
    if not all(map(_is_torchs, seen)):
        return read_newer(path, _by_path())
    with torch.serialization.safe_globals(list(HARMLESS)):
        return torch.load(path, map_location="cpu", weights_only=True)


def _is_torchs(seen: Seen) -> bool:
    """Whether a pickle is one for torch's own safe reader."""
    return seen.protocol <= PROTOCOL and not seen.arrays


def _by_path() -> dict[str, Any]:
    """The harmless classes and functions by the dotted names that pickles have for them."""
    named = [
        one[::-1] if isinstance(one, tuple) else (f"{one.__module__}.{one.__name__}", one)
        for one in (*HARMLESS, *ARRAYS)
    ]
    return dict(named)


def _pickle(path: Path) -> Any:
    with path.open("rb") as file:
        return read_arrays(file)


_READERS: dict[Kind, Callable[[Path], Any]] = {
    Kind.SAFETENSORS: _safetensors,
    Kind.ARCHIVE: _archive,
    Kind.LEGACY: _legacy,
    Kind.PICKLE: _pickle,
}


def _check_claims(held: Any) -> None:
    """Refuse tensors that claim more than is stored for them, and would fill memory when they are copied."""
    seen: set[int] = set()
    todo = [held]
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value
        elif isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized:
            claimed = value.numel() * value.element_size()
            if claimed > value.untyped_storage().nbytes():
                raise ReadError(f"damaged: a tensor claims {claimed:,} bytes, more than are stored for it")


def _beside(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in BESIDE:
        place = path.with_name(name)
        try:
            if not place.is_file():
                continue
            if place.stat().st_size > BESIDE_BYTES:
                found[name] = f"is longer than {BESIDE_BYTES:,} bytes"
                continue
            held = json.loads(place.read_text(encoding="utf-8"))
            found[name] = held if isinstance(held, dict) else f"holds a {type(held).__name__}, no fields"
        except (OSError, ValueError, RecursionError) as error:
            found[name] = f"cannot be read as JSON ({str(error)[:80]})"
    return found


def _forbidden(name: str, path: Path) -> str:
    out = path.with_suffix(".tensors.pth").name
    loaded = (
        f"import pickle, torch; held = pickle.load(open({path.name!r}, 'rb'))"
        if path.suffix == ".pkl"
        else f"import torch; held = torch.load({path.name!r}, map_location='cpu', weights_only=False)"
    )
    return (
        f"refused, nothing of it was run: it holds {name}, more than tensors and plain values. "
        "Where you trust its origin, convert it in a place that may be harmed:\n"
        f"    {loaded}  # runs what the file says\n"
        "    held = held.state_dict() if hasattr(held, 'state_dict') else held\n"
        "    def plain(v): return {k: plain(x) for k, x in v.items() if isinstance(x, (dict, str, int)) "
        "or hasattr(x, 'dtype')} if isinstance(v, dict) else v\n"
        f"    torch.save(plain(held), {out!r})"
    )


def hashes(stream: IO[bytes]) -> dict[str, str]:
    """SHA-256 and MD5 of a whole file, in one pass, as `sha256sum` and `md5sum` print them."""
    import hashlib

    kinds = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    while block := stream.read(2**20):
        for kind in kinds.values():
            kind.update(block)
    return {name: kind.hexdigest() for name, kind in kinds.items()}
