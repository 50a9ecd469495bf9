"""Write `checkpoint_layouts.json`: how files that frameworks wrote are built, from a folder of such files.

    python tests/golden/make_checkpoint_layouts.py FOLDER ORIGINS.json

`ORIGINS.json` says by file name what wrote it. A layout has the plain entries at the top, and for each place
with tensors the trunks in it (prefix, naming, architecture) and all other tensors with kind and shape. The
tests build files of the same layout around trunks that they know.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.checkpoints.reading.safe_read import Payload, safe_read
from hsa_bench.core.models.architectures import blank, build
from tests.golden.trunk_namings import NAMINGS

HERE = Path(__file__).with_name("checkpoint_layouts.json")

ARCHS = {
    "resnet18": "resnet18-w16",
    "resnet50": "resnet50-w16",
    "vit_tiny_patch16_224": "vit_w96x12_patch16_64",
    "vit_small_patch14_518-ls": "vit_w96x12_patch14_70-ls",
    "vit_small_patch14_518-ls-reg4": "vit_w96x12_patch14_70-ls-reg4",
    "vit_w96x2_patch8_32": "vit_w96x2_patch8_32",
    "vit_small_patch14_224-ls": "vit_w96x12_patch14_70-ls",
    "vit_w96x2_patch8_32-ls": "vit_w96x2_patch8_32-ls",
    "vit_w96x2_patch8_32-ls-reg4": "vit_w96x2_patch8_32-ls-reg4",
}
"""Architectures that a layout is compared with, and narrow ones with the same names for the tests."""

SKIPPED = ("optimizer", "opt_state_dict", "optimizer_states", "loops", "contrast", "amp", "scaler")
"""Entries whose tensors are no network's."""


def layout(payload: Payload) -> dict[str, Any]:
    """How a file is built."""
    places: dict[str, dict[str, Any]] = {}
    _collect(payload, "", places)
    plain = {k: _plain(v) for k, v in payload.items() if not _is_tensor(v)}
    plain = {k: v for k, v in plain.items() if not any(p.split("/")[0] == k for p in places)}
    return {"container": payload.container, "plain": plain, "places": places}


def _collect(held: Mapping[str, Any], path: str, places: dict[str, dict[str, Any]]) -> None:
    own = {k: v for k, v in held.items() if _is_tensor(v)}
    if own:
        places[path] = _place(own)
    for name, inner in held.items():
        if isinstance(inner, Mapping) and name not in SKIPPED:
            _collect(inner, f"{path}/{name}" if path else str(name), places)


def _place(state: dict[str, Any]) -> dict[str, Any]:
    trunks, rest = [], dict(state)
    numpy = all(isinstance(v, np.ndarray) for v in state.values())
    for arch, naming, names in _options():
        first = names[0]
        for prefix in [key.removesuffix(first) for key in list(rest) if key.endswith(first)]:
            if all(prefix + name in rest for name in names):
                small = arch.startswith("resnet") and rest[prefix + first].shape[-1] == 3
                trunks.append([prefix, naming, arch, "-cifar" if small else ""])
                for name in names:
                    del rest[prefix + name]
    others = {k: [str(v.dtype).removeprefix("torch."), list(v.shape)] for k, v in rest.items()}
    return {"numpy": numpy, "trunks": trunks, "others": others}


@lru_cache
def _options() -> list[tuple[str, str, list[str]]]:
    """Names of the tensors of every architecture in every naming, the longest first."""
    options = [
        (arch, naming, list(rename(dict(blank(arch).state_dict()))))
        for arch in ARCHS
        for naming, rename in NAMINGS.items()
    ]
    return sorted(options, key=lambda option: -len(option[2]))


@lru_cache
def trunk(arch: str, seed: int) -> Mapping[str, Tensor]:
    """Tensors of a known trunk; not to be changed."""
    return build(arch, seed).state_dict()


def rebuilt(entry: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[str, int]]]:
    """A file of the same layout around known trunks.

    Returns:
        The payload; and for each trunk in it, by "place:prefix", its narrow architecture and seed.
    """
    payload: dict[str, Any] = {name: _restored(value) for name, value in entry["plain"].items()}
    known: dict[str, tuple[str, int]] = {}
    for path, place in entry["places"].items():
        inner = payload
        for name in path.split("/") if path else ():
            inner = inner.setdefault(name, {})
        for prefix, naming, arch, stem in place["trunks"]:
            narrow, seed = ARCHS[arch] + stem, len(known)
            known[f"{path}:{prefix}"] = narrow, seed
            state = NAMINGS[naming](dict(trunk(narrow, seed)))
            inner |= {prefix + name: tensor for name, tensor in state.items()}
        for name, (dtype, shape) in place["others"].items():
            inner[name] = torch.zeros([min(n, 4) for n in shape], dtype=getattr(torch, dtype))
        if place["numpy"]:
            inner |= {k: v.numpy() for k, v in inner.items() if isinstance(v, Tensor)}
    return payload, known


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str | None):
        return value
    return {"kind": type(value).__name__}


def _restored(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {"Namespace": argparse.Namespace(lr=0.1), "list": [], "tuple": ()}.get(value["kind"], {})


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def main(folder: Path, origins: Path) -> None:
    """Read every file that has an origin."""
    said = json.loads(origins.read_text())
    found = {name: {"origin": said[name], **layout(safe_read(folder / name))} for name in sorted(said)}
    HERE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
