"""Which checkpoint format a file has; where none fits, which is nearest and what to try."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from contextlib import suppress
from types import ModuleType

from hsa_bench.core import registry
from hsa_bench.core.checkpoints.choose_arch import choose_arch
from hsa_bench.core.checkpoints.find_trunks import find_trunks, flat
from hsa_bench.core.checkpoints.layout import CLASSIFIERS, Ambiguous, Payload, split
from hsa_bench.core.checkpoints.match import Match, few, match
from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import places

FORMATS = "hsa_bench.core.checkpoints.formats"


def formats() -> dict[str, ModuleType]:
    """All formats by name."""
    return {name: by_name(name) for name in registry.files(FORMATS)}


def by_name(name: str) -> ModuleType:
    """One format, of this suite or by dotted path.

    Raises:
        UsageError: No such format.
    """
    if "." in name:
        return registry.load(FORMATS, name)
    if name not in registry.files(FORMATS):
        raise UsageError(f"--format {name}: unknown; there are {', '.join(registry.files(FORMATS))}")
    return importlib.import_module(f"{FORMATS}.{name.replace('-', '_')}")


def name_of(form: ModuleType) -> str:
    """Name of a format, as `--format` takes it."""
    return form.__name__.rsplit(".", 1)[1].replace("_", "-")


def recognise(payload: Payload, asked: str = "") -> ModuleType:
    """The one format that matches; generic ones are asked only where no other does.

    Args:
        payload: The file.
        asked: The user's `--arch`, for the advice.

    Raises:
        UsageError: None or several do.
    """
    forms = formats()
    found = {name: form for name, form in forms.items() if _matches(form, payload)}
    special = {name: form for name, form in found.items() if not getattr(form, "GENERIC", False)}
    if len(left := special or found) == 1:
        return next(iter(left.values()))
    if left:
        raise UsageError(f"could be any of {', '.join(left)}; choose with --format")
    keys = few([str(key)[:60] for key in payload])
    by_name = "" if asked else " A model of timm or torchvision is read by its name: --arch NAME."
    raise UsageError(
        f"no known format (its keys: {keys}). {advice(payload, asked)}{by_name} Known are {', '.join(forms)}"
    )


def _matches(form: ModuleType, payload: Payload) -> bool:
    try:
        return bool(form.matches(payload))
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError):
        return False  # an entry of a kind that the format has not


def refuse_ambiguous(form: ModuleType, payload: Payload, given: Collection[str]) -> None:
    """Ask for a choice where the same names stand in files that differ in what no name shows.

    Args:
        form: The format that was recognised, not asked for.
        payload: The file.
        given: Fields of the card that the user gave; "arch" where that was given.

    Raises:
        UsageError: It can be read in several ways; the message names each with the option that chooses it.
    """
    ask = getattr(form, "ambiguity", None)
    found: Ambiguous | None = None
    with suppress(KeyError, IndexError, TypeError, RuntimeError):  # tensors of no network, refused later
        found = ask(payload) if ask else None
    if found is None or found.decided_by <= set(given):
        return
    choices = "; ".join(f"`{reading.option}` ({reading.meaning})" for reading in found.readings)
    raise UsageError(
        f"holds {found.what}, which can be read in {len(found.readings)} ways: {choices}. Choose one; "
        "`python -m hsa_bench.inspect … --probe` then tries what fits"
    )


def advice(payload: Payload, arch: str = "", but: str = "", beyond: float = 0.0) -> str:
    """What to try: options with which the file loads whole, or the format that comes nearest; else empty.

    Args:
        payload: The file.
        arch: Architecture asked for, if any.
        but: Format that was tried.
        beyond: Share of the trunk's tensors that it found; only what finds more is named.
    """
    tried = [(f"--format prefix --branch {p.rstrip('.') or '.'}", n, m) for p, n, m in _trunks(payload, arch)]
    for name, form in formats().items():
        if name not in {but, "prefix"} and (seen := _score(form, payload, arch)):
            tried.append((f"--format {name}", "", seen))
    whole = [(option, named) for option, named, seen in tried if seen.complete]
    if whole:
        return " ".join(
            f"{named or 'All of a trunk'} loads with `{option}`." for option, named in whole[:WHOLE]
        )
    near = max(tried, key=lambda one: one[2].share, default=None)
    if near and near[2].share > beyond:
        option, _, seen = near
        return f"`{option}` comes nearest and does not load either: {seen.brief}."
    return "" if beyond else "No ResNet or ViT by torchvision's or timm's names is in it."


WHOLE = 3
"""Options that load a file which are named."""


def _trunks(payload: Payload, arch: str) -> list[tuple[str, str, Match]]:
    """Prefix, architecture and match of the trunks that stand in the file."""
    state = flat(payload)
    found = []
    for prefix, named in find_trunks(state).items():
        with suppress(ValueError, RuntimeError):  # shapes of no network that can be built
            seen = match(places(arch or named), split(state, prefix, CLASSIFIERS)[0])
            found.append((prefix, named, seen))
    return found


def _score(form: ModuleType, payload: Payload, arch: str) -> Match | None:
    """What a format finds of a trunk."""
    try:
        found = form.convert(payload)
        return match(places(choose_arch(found, arch)), found.state)
    except Exception:  # a format tried on what it is not made for
        return None
