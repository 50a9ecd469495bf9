"""Published models by name instead of a file: `timm:NAME`, `torchvision:NAME[.WEIGHTS]`, `hf:ORG/NAME`.

They are fetched as files (or found in the caches of huggingface_hub and torch.hub, also offline) and then
loaded and checked like any other.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsa_bench.core.errors import UsageError

SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
BESIDE = ("config.json", "preprocessor_config.json")


PATIENCE = 10.0
"""Seconds for a first word of the hub, and for each silence of a download."""


@dataclass(frozen=True)
class Published:
    """A model's file and what its publisher says of it."""

    path: Path
    arch: str = ""
    file_format: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)


def is_published(name: str) -> bool:
    """Whether this is a model's name and no file's."""
    return name.partition(":")[0] in _SOURCES and ":" in name


def published(name: str) -> Published:
    """The file of a published model, fetched if no cache has it.

    Raises:
        UsageError: No such model, or not to be had; the message says what to do.
    """
    source, _, model = name.partition(":")
    return _SOURCES[source](model)


def _timm(name: str) -> Published:
    import timm

    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.', maxsplit=1)[0]}*")[:3]
        raise UsageError(f"timm:{name}: timm has no such model; {_near(near)}")
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise UsageError(f"timm:{name}: timm has no weights of that tag ({error})") from error
    if config is None or not config.hf_hub_id:
        raise UsageError(
            f"timm:{name}: timm publishes no weights of it as a file; name others, as in timm:NAME.TAG"
        )
    repository = config.hf_hub_id + (name if config.hf_hub_id.endswith("/") else "")
    if config.hf_hub_id.endswith("/") and "." not in name and config.tag:
        repository = f"{config.hf_hub_id}{name}.{config.tag}"
    path = _from_hub(f"timm:{name}", repository, "")
    arch = name.split(".", maxsplit=1)[0]
    return Published(path, arch if _keeps_name(arch) else "", card={"mean": config.mean, "std": config.std})


def _keeps_name(arch: str) -> bool:
    """Whether the architecture is timm's own; plain ResNets and ViTs are told by shapes, as for files."""
    from hsa_bench.core.models.vit_names import is_vit

    plain = {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}
    return not (arch in plain or is_vit(arch) or (arch.startswith("vit_") and "dinov2" in arch))


def _torchvision(name: str) -> Published:
    import torch
    import torchvision

    model, _, tag = name.partition(".")
    try:
        all_weights = torchvision.models.get_model_weights(model)
        weights = all_weights[tag] if tag else all_weights.DEFAULT
    except (ValueError, KeyError) as error:
        raise UsageError(f"torchvision:{name}: no such model or weights ({error})") from error
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)
        try:
            torch.hub.download_url_to_file(weights.url, str(path), hash_prefix=path.stem.rsplit("-")[-1])
        except (OSError, RuntimeError) as error:
            raise UsageError(f"torchvision:{name}: cannot be fetched ({error}); put it at {path}") from error
        finally:
            socket.setdefaulttimeout(before)
    preset = weights.transforms()
    arch = "" if model.startswith("vit_") or model in _PLAIN else model
    return Published(path, arch, card={"mean": preset.mean, "std": preset.std})


_PLAIN = {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}


def _hf(name: str) -> Published:
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1:
        raise UsageError(f"hf:{name}: write hf:ORG/NAME, or hf:ORG/NAME@REVISION")
    return Published(_from_hub(f"hf:{name}", repository, revision))


def _from_hub(name: str, repository: str, revision: str) -> Path:
    """The weights of a repository, safetensors where there are, with the small files beside them."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    fault = _unreachable()

    def fetch(file: str) -> Path:
        # Asked for each file, the hub's own retries would take a minute and a half.
        local = bool(fault)
        return Path(hf_hub_download(repository, file, revision=revision or None, local_files_only=local))

    unreachable = (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError)
    for file in BESIDE:
        try:
            fetch(file)
        except (EntryNotFoundError, *unreachable):
            continue  # the card then says what was assumed
    reasons = []
    for file in (SAFETENSORS, PICKLED):
        try:
            return fetch(file)
        except (EntryNotFoundError, *unreachable) as error:
            reasons.append(f"{file}: {str(error).splitlines()[0][:150]}")
    if fault:
        raise UsageError(
            f"{name}: not in this machine's cache, and {fault}. Run it again with a network; or fetch "
            f"{repository} elsewhere and name its file, --checkpoint NAME=FILE"
        )
    raise UsageError(f"{name}: no weights to be had in {repository} ({'; '.join(reasons)})")


def _unreachable() -> str:
    """Return why the hub cannot be asked, found by one try; empty if it can."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]  # it is documented there

    if constants.HF_HUB_OFFLINE:
        return ""  # as the user has it: each file is looked up in the cache alone
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception as error:  # of whichever library the hub's client is built on
        return f"{constants.ENDPOINT} cannot be reached ({str(error)[:100] or type(error).__name__})"
    return ""


def _near(names: list[str]) -> str:
    return f"did you mean {', '.join(names)}?" if names else "timm.list_models() names them"


_SOURCES: dict[str, Callable[[str], Published]] = {"timm": _timm, "torchvision": _torchvision, "hf": _hf}
