"""A trunk's tensors out of a file, all or none: by its format, or by the architecture's own names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType

from torch import Tensor, nn

from hsa_bench.core.checkpoints.choose_arch import choose_arch
from hsa_bench.core.checkpoints.layout import Converted, Payload
from hsa_bench.core.checkpoints.match import Match, few, match
from hsa_bench.core.checkpoints.own_names import by_own_names
from hsa_bench.core.checkpoints.recognise import advice, by_name, name_of, recognise, refuse_ambiguous
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError, HsaBenchError, Mismatch, UsageError
from hsa_bench.core.models.architectures import build, in_table, places
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.named_models import TORCHVISION, plain_name
from hsa_bench.core.models.preprocess import overridden
from hsa_bench.core.models.user_module import is_own

OWN_NAMES = "named"
"""Stands for a format where the file has none and the named architecture's own names were found in it."""


@dataclass(frozen=True)
class Taken:
    """Tensors that fill an architecture, every one of them in its place."""

    converted: Converted
    arch: str
    form: str
    """Name of the format."""
    matched: Match
    module: nn.Module | None = None
    """A module of one's own, already built."""


@dataclass(frozen=True)
class _Wanted:
    arch: str
    places: Mapping[str, Tensor]
    module: nn.Module | None = None


def take_trunk(payload: Payload, request: BackboneRequest) -> Taken:
    """Find the trunk that was asked for.

    The format that recognises the file reads it. Where an architecture is named and the format does not
    fill it, or none recognises the file, the architecture's own names are looked for.

    Args:
        payload: The file.
        request: What the user says of it.

    Raises:
        ValueError: Of unknown format, or tensors and architecture do not fit; the message says what to do.
    """
    form, near, refusal = _by_format(payload, request)
    wanted = _wanted(request, near)
    if near is not None:
        found = _tried(payload, request, near, form, wanted)
        if isinstance(found, Taken):
            return found
        refusal = found
    if request.arch and (own := by_own_names(payload, wanted.arch, wanted.places, near, request.branch)):
        found = _tried(payload, request, own, form, wanted)
        if isinstance(found, Taken):
            return found
        refusal = found if near is None or found.share == 1 else refusal
    elif near is None and (other := _namesake(payload, wanted.arch)):
        raise UsageError(f"holds no tensor by the names of {wanted.arch}: give --arch {other}")
    assert refusal is not None
    raise refusal


def _by_format(
    payload: Payload, request: BackboneRequest
) -> tuple[ModuleType | None, Converted | None, ValueError | None]:
    """The file's format and what it takes; where an architecture is named, perhaps a refusal instead."""
    if request.file_format:
        form = by_name(request.file_format)
        return form, _converted(form, payload, request.branch), None
    try:
        form = recognise(payload, request.arch)
    except UsageError as refusal:
        if not request.arch:
            raise
        return None, None, refusal
    refuse_ambiguous(form, payload, {*request.card, *(["arch"] if request.arch else [])})
    try:
        return form, _converted(form, payload, request.branch), None
    except UsageError as refusal:
        if not request.arch:
            raise
        return form, None, refusal


def _tried(
    payload: Payload, request: BackboneRequest, found: Converted, form: ModuleType | None, wanted: _Wanted
) -> Taken | Mismatch:
    taken = _without(found, request.drop, wanted)
    seen = match(wanted.places, taken.state)
    if seen.complete:
        return Taken(taken, wanted.arch, name_of(form) if form else OWN_NAMES, seen, wanted.module)
    return _mismatch(payload, request, taken, form, wanted, seen)


def _wanted(request: BackboneRequest, near: Converted | None) -> _Wanted:
    arch = choose_arch(near, request.arch) if near is not None else plain_name(request.arch)
    if is_own(arch):
        module = build(arch)
        return _Wanted(arch, module.state_dict(), module)
    tokens = overridden(near.card, request.card).tokens if near is not None else ""
    return _Wanted(arch, places(arch, tokens))


def _converted(form: ModuleType, payload: Payload, branch: str) -> Converted:
    known = getattr(form, "BRANCHES", None)
    if branch and known is not None and branch not in known:
        raise UsageError(f"--branch {branch}: {name_of(form)} has {', '.join(known) or 'one network alone'}")
    try:
        return form.convert(payload, branch)
    except CheckpointError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error) if _plain(error) else f"{type(error).__name__}: {error}"
        raise UsageError(
            f"not loaded as {name_of(form)}: {reason}. {advice(payload, but=name_of(form))}"
        ) from error


def _plain(error: Exception) -> bool:
    """Return whether an error's message is meant for the user as it is."""
    return isinstance(error, HsaBenchError) or type(error) is ValueError


def _without(found: Converted, drop: Iterable[str], wanted: _Wanted) -> Converted:
    """Leave out what the user names beside the trunk.

    Raises:
        UsageError: The trunk needs it, or there is no such tensor.
    """
    state, left = dict(found.state), []
    for start in drop:
        names = [name for name in state if name.startswith(start)]
        if needed := [name for name in names if name in wanted.places]:
            raise UsageError(f"--drop {start}: {few(needed)} is part of {wanted.arch}")
        if not names and not any(start in key for key in found.dropped):
            raise UsageError(f"--drop {start}: nothing beside the trunk begins so")
        left += names
        state = {name: tensor for name, tensor in state.items() if name not in names}
    return replace(found, state=state, dropped=(*found.dropped, *left))


def _mismatch(
    payload: Payload,
    request: BackboneRequest,
    taken: Converted,
    form: ModuleType | None,
    wanted: _Wanted,
    seen: Match,
) -> Mismatch:
    how = f"read as {name_of(form)}" if form else "read by the architecture's own names"
    remedy = _remedy(payload, request, taken, name_of(form) if form else "", wanted, seen)
    return Mismatch(f"{how} into {wanted.arch}: {seen}. {remedy}", seen.share)


def _remedy(
    payload: Payload, request: BackboneRequest, taken: Converted, form: str, wanted: _Wanted, seen: Match
) -> str:
    heads = _beside(seen, wanted)
    if heads:
        options = " ".join(f"--drop {head}" for head in heads)
        return f"All of the trunk is there, and beside it {few(seen.extra)}: `{options}` leaves them out"
    shapes = inferred(taken.state)
    if request.arch and shapes and shapes != wanted.arch and _fits(shapes, taken.state):
        return f"The tensors are of {shapes}: leave --arch out, or give --arch {shapes}"
    if request.arch and (other := _namesake(payload, wanted.arch)):
        return f"The tensors have the names of another library's: give --arch {other}"
    if better := advice(payload, wanted.arch if request.arch else "", but=form, beyond=seen.share):
        return f"Check --arch and --format. {better}"
    if seen.missing and not seen.extra and not seen.unlike:
        return "No format finds more of the trunk in it: the file is incomplete; save all of its tensors"
    return "The file is of another network: give the --arch that has just these tensors"


def _beside(seen: Match, wanted: _Wanted) -> tuple[str, ...]:
    """First parts of names that stand beside a whole trunk; none where they stand within it."""
    inside = {name.partition(".")[0] for name in wanted.places}
    tops = dict.fromkeys(name.partition(".")[0] for name in seen.extra)
    if seen.missing or seen.unlike or not tops or inside & set(tops):
        return ()
    return tuple(f"{top}." if any(n.startswith(f"{top}.") for n in seen.extra) else top for top in tops)


def _fits(arch: str, state: Mapping[str, Tensor]) -> bool:
    try:
        return match(places(arch), state).complete
    except ValueError:
        return False


def _namesake(payload: Payload, arch: str) -> str:
    """Torchvision's model of the same name as timm's, or the other way round, if the file is of that."""
    bare = arch.removeprefix(TORCHVISION)
    other = bare if arch != bare else f"{TORCHVISION}{arch}"
    try:
        wanted = places(other) if in_table(other) else {}
        found = by_own_names(payload, other, wanted) if wanted else None
    except ValueError:
        return ""
    return other if found and match(wanted, found.state).complete else ""
