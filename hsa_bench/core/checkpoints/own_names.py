"""The tensors of a named architecture, found in any file by the architecture's own names for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from hsa_bench.core.checkpoints.layout import Converted, tensors, without_compile
from hsa_bench.core.checkpoints.match import COUNTER
from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.named_models import classifier_names

DEEPEST = 4
"""Levels of mappings that are looked through."""

CHOICES = 6
"""Places that a message names."""


@dataclass(frozen=True)
class Place:
    """Where in a file a network of these names stands."""

    path: str
    """Of the mapping, with dots: `state_dict`; empty for the file's top."""
    prefix: str
    """Of the names in it: `module.encoder_q.`."""
    state: Mapping[str, Tensor]
    share: float
    """Of the architecture's tensors, those whose names are there."""

    @property
    def name(self) -> str:
        """As `--branch` takes it."""
        return f"{self.path}.{self.prefix}".strip(".") or "."

    @property
    def averaged(self) -> bool:
        """Whether the path says that it is a moving average."""
        return "ema" in self.path.lower()


def by_own_names(
    payload: Mapping[str, Any],
    arch: str,
    wanted: Mapping[str, Tensor],
    near: Converted | None = None,
    branch: str = "",
) -> Converted | None:
    """The named architecture's tensors where the file has all of their names; else where it has most.

    Wrappers' prefixes and mappings of any name may stand before them. The classifier goes if the
    architecture itself says what it is called; nothing that the architecture needs is ever left out.

    Args:
        payload: The file.
        arch: Name of the architecture.
        wanted: Its tensors, with or without memory.
        near: What the file's format takes, if it has a known one: which of several networks, and the card.
        branch: The user's: `ema`, or the path and prefix of one; empty for the only one.

    Returns:
        None where no tensor of the file has such a name.

    Raises:
        UsageError: Several such networks are there, and nothing says which.
    """
    found = _preferred(_places(payload, wanted), near, branch)
    if not found:
        return None
    whole = [place for place in found if place.share == 1]
    if len({frozenset(map(id, _under(place).values())) for place in whole}) > 1:
        names = ", ".join(place.name for place in whole[:CHOICES])
        raise UsageError(
            f"{len(whole)} networks by the names of {arch} are in it: {names}; choose with --branch"
        )
    return _taken(whole[0] if whole else max(found, key=lambda place: place.share), arch, wanted, near)


def _preferred(found: list[Place], near: Converted | None, branch: str) -> list[Place]:
    """The places that format and user leave to choose from."""
    if near is not None:
        of_format = {id(tensor) for tensor in near.state.values()}
        same = [p for p in found if of_format & {id(t) for t in _under(p).values()}]
        found = same or found
    elif branch and branch not in {"ema", "model"}:
        there = [place for place in found if place.name == branch.strip(".") or branch == place.name]
        if found and not there:
            names = ", ".join(place.name for place in found[:CHOICES])
            raise UsageError(f"--branch {branch}: not in this file, which has {names}")
        return there
    wanted = [place for place in found if place.averaged == (branch == "ema")]
    return wanted or ([] if branch == "ema" else found)


def _places(payload: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> list[Place]:
    needed = [name for name in wanted if not name.endswith(COUNTER)]
    known = set(needed)
    found = []
    for path, held in _mappings(payload):
        state = without_compile(tensors(held))
        counts: Counter[str] = Counter()
        for key in state:
            parts = key.split(".")
            for i in range(len(parts)):
                if ".".join(parts[i:]) in known:
                    counts[".".join(parts[:i])] += 1
        for start, count in counts.most_common(CHOICES):
            found.append(Place(path, f"{start}." if start else "", state, count / len(needed)))
    return found


def _mappings(
    held: Mapping[str, Any], path: str = "", depth: int = DEEPEST
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, held
    if depth > 0:
        for name, inner in held.items():
            if isinstance(inner, Mapping):
                yield from _mappings(inner, f"{path}.{name}" if path else str(name), depth - 1)


def _under(place: Place) -> dict[str, Tensor]:
    return {
        key.removeprefix(place.prefix): tensor
        for key, tensor in place.state.items()
        if key.startswith(place.prefix)
    }


def _taken(place: Place, arch: str, wanted: Mapping[str, Tensor], near: Converted | None) -> Converted:
    heads = classifier_names(arch) or ("\0",)
    trunk, dropped = {}, [key for key in place.state if not key.startswith(place.prefix)]
    for name, tensor in _under(place).items():
        if name in wanted or not name.startswith(heads):
            trunk[name] = tensor
        else:
            dropped.append(place.prefix + name)
    if near is not None:
        return replace(near, state=trunk, dropped=tuple(dropped), arch=arch)
    return Converted(trunk, tuple(dropped), "" if place.name == "." else place.name, arch)
