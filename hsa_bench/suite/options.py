"""The small grammars of the command's options: `NAME=value`, `task.field=value`, `word` or `NAME=word`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.bounds import SEEDS
from hsa_bench.core.input.label import fault_of, shown, valid
from hsa_bench.core.input.name_value import parse_settings, split_pair
from hsa_bench.core.input.settings import explain
from hsa_bench.core.input.user_path import user_path

NAMED = re.compile(r"(timm|torchvision|hf):\S+|[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""Backbones by name instead of a file."""


def words(given: Any) -> Any:
    """Return the parts of a text between commas; anything else as it is."""
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    return given


def parse_checkpoint(text: str) -> BackboneRequest:
    """Parse `NAME=PATH`, where the path may also be timm:NAME and the like, or `package.module:function`.

    A file that is there may stand alone, whatever its name holds, as in epoch=9-step=500.ckpt; the backbone
    is then called as the file.

    Raises:
        UsageError: Another form.
    """
    example = "NAME=PATH, for example mine=runs/mine.pth"
    if is_file(text):
        return BackboneRequest(label=valid(Path(text).stem), path=str(user_path(text).absolute()))
    label, path = split_pair(text, "--checkpoint", example)
    if not path:
        raise UsageError(f"--checkpoint {text}: write {example}")
    if fault := fault_of(label):
        raise UsageError(f"--checkpoint {text}: the name {shown(label)} {fault}; write {example}")
    return BackboneRequest(label=label, path=whole_path(path))


def whole_path(path: str) -> str:
    """Return a file's path as it is from any folder, with a home for `~`; a model's name as it is."""
    place = user_path(path)  # a name is no path, but text as well
    return path if not path or is_name(path) else str(place.absolute())


def is_file(text: str) -> bool:
    """Return whether this is the path of a file that is there."""
    try:
        return user_path(text).is_file()
    except (OSError, UsageError):  # too long for a name, or nobody's home
        return False


def parse_drop(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Parse `PREFIX` or `NAME=PREFIX` of tensors to leave out, by backbone; "" stands for all of them.

    Raises:
        UsageError: An empty one, which would leave out everything.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, prefix = text.partition("=")
        name, prefix = (name, prefix) if equals else ("", text)
        if not prefix.strip():
            raise UsageError(f"--drop {text}: write how the names begin, for example linear. or mine=linear.")
        found[name] = (*found.get(name, ()), prefix.strip())
    return found


def is_name(path: str) -> bool:
    """Return whether this names a published model or a function, and not a file that is there."""
    return bool(NAMED.fullmatch(path)) and not os.path.exists(path)  # which takes any text, however long


def parse_task_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Parse `task.field=value` pairs; values are in YAML's notation.

    Raises:
        UsageError: Another form.
    """
    example = "task.field=value, for example linear.epochs=50"
    settings = parse_settings(texts, example)
    if wrong := [name for name in settings if "." not in name]:
        raise UsageError(f"--set {wrong[0]}={settings[wrong[0]]}: write {example}")
    return settings


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """Parse whole numbers between commas.

    Raises:
        UsageError: Something else.
    """
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {shown(text)[1:-1]}: write whole numbers, for example 0,1,2") from None
    return checked_seeds(numbers, f"{option} {shown(text)[1:-1]}")


def parse_pretraining_seeds(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Parse `NAME=0,1`, the pretraining seeds of a name's files.

    Raises:
        UsageError: Another form.
    """
    example = "NAME=0,1: a seed for each file of that name, in their order"
    pairs = (split_pair(text, "--pretrain-seed", example) for text in texts)
    return {name: parse_numbers(seeds, f"--pretrain-seed {name}") for name, seeds in pairs}


def checked_seeds(seeds: Sequence[int], source: str) -> tuple[int, ...]:
    """Return seeds as they are: at least one, each once, none below 0.

    Raises:
        UsageError: They are not so; the message begins with `source`.
    """
    try:
        return SEEDS.validate_python(tuple(seeds))
    except ValidationError as error:
        raise UsageError(f"{source}: {explain(error).reason}") from error


def by_name(text: str) -> dict[str, str]:
    """Parse `NAME=word,NAME=word`; empty for one word that is meant for all."""
    return dict(part.strip().rpartition("=")[::2] for part in text.split(",")) if "=" in text else {}


def word_for(label: str, text: str) -> str:
    """Return what `word`, or `NAME=word,NAME=word`, says of one backbone."""
    return by_name(text).get(label, "") if "=" in text else text
