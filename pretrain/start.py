"""What a training starts from: random weights, a checkpoint's (`init`), or a whole state (`start_from`).

People name a file; settings, keys and records have the hash of what is in it, so that the same file elsewhere
is the same start, and a changed one another.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsa_bench.core.checkpoints.model_source import is_published
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import HsaBenchError, PretrainingError, UsageError
from hsa_bench.core.input.user_path import user_path
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.named_models import plain_name
from hsa_bench.core.results.result import Budget
from hsa_bench.core.seed import forked
from pretrain.carry_over import carry_over
from pretrain.contrastive import Contrastive, method_class
from pretrain.kept_state import KeptState, read_state_file, stated_arch
from pretrain.settings import Settings

FILES = INIT, START = "init", "start_from"
"""Settings that name a file."""

SEED = "{seed}"
"""Stands in a file's name for the seed of the pretraining."""

SHOWN_DIGITS = 12
LONGEST = 200
"""Letters of what a start itself started from."""


@dataclass(frozen=True)
class Start:
    """A network to train on, and the settings with hashes in place of files."""

    request: BackboneRequest
    backbone: Backbone
    settings: dict[str, Any]
    said: str = ""
    """How its file was named, e.g. "--start-from moco.state.pth"; empty for random weights."""
    state: KeptState | None = None

    def check(self, settings: Settings) -> None:
        """Refuse a whole state that the training cannot take up, before any work.

        Raises:
            UsageError: It names the part that does not fit.
        """
        if self.state is not None:
            try:
                carry_over(self.state, built(settings, self.backbone, self.request.init))
            except PretrainingError as error:
                raise UsageError(f"{self.said}: {error}") from error


def open_start(
    given: Mapping[str, Any], request: BackboneRequest, named: Mapping[str, str] | None = None
) -> Start:
    """Open what a training starts from.

    Args:
        given: Settings by field, as people write them; `init` or `start_from` names a file.
        request: Of random weights; its architecture may be empty where a file tells it.
        named: How each of the two fields is called where it was given, for messages.

    Raises:
        UsageError: The file is missing, damaged, of another kind or architecture, or both fields are given.
    """
    asked = [field for field in (INIT, START) if given.get(field)]
    if not asked:
        return Start(request, open_backbone(request), dict(given))
    said = [(named or {}).get(field, field) for field in asked]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(said)}: give one of them; a whole state has its weights too")
    [field], text = asked, given[asked[0]]
    if not isinstance(text, str):
        raise UsageError(f"{said[0]}: write the path of a file, not {text!r}")
    whole = f"{said[0]} {text}"
    try:
        request = request.model_copy(update={"path": _path(text.replace(SEED, str(request.init)))})
        state = read_state_file(Path(request.path)) if field == START else None
        stated = (
            state.arch if state else "" if is_published(request.path) else stated_arch(Path(request.path))
        )
        _check_arch(stated, request.arch)
        backbone = open_backbone(request)
    except (HsaBenchError, ValueError) as error:
        raise UsageError(f"{whole}: {error}") from error
    settings = {**given, field: backbone.weights if state is None else state.hash}
    return Start(request, backbone, settings, whole, state)


def built(settings: Settings, backbone: Backbone, seed: int) -> Contrastive:
    """Build a method over a copy of the backbone; what is random in it is drawn from the seed."""
    build = method_class(settings.method)
    with forked(seed, "method"):
        method: Contrastive = build(copy.deepcopy(backbone.module), settings)
    return method


def checked_state(settings: Settings, backbone: Backbone) -> KeptState | None:
    """Return the state that a training starts from, as its backbone's file has it; None without one.

    Raises:
        PretrainingError: The file is not what the settings state.
    """
    if settings.init and settings.init != backbone.weights:
        raise PretrainingError(f"init: the weights of {backbone.source.path} are not those that it states")
    if not settings.start_from:
        return None
    path = Path(backbone.source.path)
    state = read_state_file(path)
    if state.hash != settings.start_from:
        raise PretrainingError(f"{path}: has changed since the training was planned")
    return state


def in_words(settings: Settings, backbone: Backbone) -> str:
    """Say what a training starts from, with what that cost; empty for random weights."""
    source, mark = backbone.source, settings.start_from or settings.init
    if not mark:
        return ""
    kind = "the whole state" if settings.start_from else "the weights"
    name = source.path if is_published(source.path) else Path(source.path).name
    cost = f": {_cost(source.budget)}" if source.budget else ""
    return f"{kind} of {name[:LONGEST]} ({mark[:SHOWN_DIGITS]}){cost}"[: LONGEST + 90]


def _cost(budget: Budget) -> str:
    spent = f"{budget.method}, {budget.epochs:,} epochs of {budget.dataset}, {budget.images:,} images"
    spent += f", {budget.flops:.3g} FLOPs" if budget.flops else ""
    return f"{spent}, after {budget.start}" if budget.start else spent


def _path(text: str) -> str:
    """Return a file's path as it is from any folder; the name of a published model as it is."""
    return text if is_published(text) else str(user_path(text).absolute())


def _check_arch(stated: str, asked: str) -> None:
    """Refuse a file of ours that states another architecture than is trained; strides show in no tensor."""
    if stated and asked and plain_name(stated) != plain_name(asked):
        raise UsageError(f"is of arch {stated}, and this training of {asked}; choose one of them")
