"""What a network does that its tensors do not show: classes, plain attributes, the code of its own classes.

Two networks of the same tensors and printed structure may differ in their `forward` or in a flag. For an
architecture that no name of the table fixes, a digest of these is part of the key. It is the same on every
device, in every number format, in train and in eval mode, in every process: it holds no addresses, no
absolute paths and nothing of the source of torch, timm and the like (`own_code.LIBRARIES`).
"""

from __future__ import annotations

import enum
import functools
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hsa_bench.core.digest import digest
from hsa_bench.core.models.own_code import code_text, defined_in, is_generated, is_own, names_in, of_library

MOVED = {
    "hsa_bench.core.models.architectures.ResNetTrunk": "hsa_bench.core.architectures.ResNetTrunk",
    "hsa_bench.core.models.architectures.Pixels": "hsa_bench.core.architectures.Pixels",
    "hsa_bench.core.models.vit.ViTTrunk": "hsa_bench.core.vit.ViTTrunk",
}
"""Classes of ours that have moved, by the path under which they stand in the keys of results."""

IDLE = frozenset(
    {
        "_compile_kwargs",
        "_compiled_call_impl",
        "_fabric",
        "_is_hf_initialized",
        "_trainer",
        "_model_args",
        "_traits",
        "default_cfg",
    }
    | {"feature_info", "fused_attn", "grad_checkpointing", "pretrained_cfg"}
    | {"gradient_checkpointing", "use_checkpoint", "use_checkpointing", "use_fused_attn"}
)
"""Attributes that change no number: how attention is computed, what training keeps, where weights lie."""

_MARKS = ("_ddp", "_dynamo", "_fsdp", "_is_fsdp", "_is_torch", "_torchdynamo")
"""What wrappers write onto the network that they hold, by how its name begins."""

_TORCHS = frozenset(vars(nn.Module()))
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|meta)(:\d+)?")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def behaviour(module: nn.Module) -> str:
    """Digest what a module does beside its tensors, 16 digits. To be taken before the module has computed."""
    return digest(_Description(module).text)


def class_path(kind: type) -> str:
    """Return a class's dotted name, as it stands in keys."""
    path = f"{kind.__module__}.{kind.__qualname__}"
    return MOVED.get(path, path)


def without_addresses(text: str) -> str:
    """Return a text less the places in memory that Python prints for functions."""
    return _ADDRESS.sub("", text)


class _Description:
    """A walk over all that a module holds: a line for each submodule, and one for each class and function."""

    def __init__(self, module: nn.Module) -> None:
        self.code: dict[str, str] = {}
        """Of each own class and function, by name."""
        self.seen: dict[int, Any] = {}
        """Modules, classes and functions that were looked at, by id; kept, so that no other gets theirs."""
        self.within: set[int] = set()
        """What is being described just now."""
        self.held = {id(t) for t in (*module.parameters(), *module.buffers())}
        parts = [f"{name}={self.part(part)}" for name, part in self._fresh(module)]
        self.text = "\n".join([*parts, *(f"{name}:{self.code[name]}" for name in sorted(self.code))])

    def _fresh(self, module: nn.Module) -> list[tuple[str, nn.Module]]:
        found = [(name, part) for name, part in module.named_modules() if id(part) not in self.seen]
        self.seen |= {id(part): part for _, part in found}
        return found

    def part(self, part: nn.Module) -> str:
        """One submodule: class, attributes, hooks, and the buffers that no state dict holds."""
        said = [self.kind(type(part))]
        for name, value in sorted(vars(part).items()):
            if name not in _TORCHS | IDLE and not name.startswith(_MARKS) and (text := self.value(value)):
                said.append(f"{name}={text}")
        for hooks in _HOOKS:
            said += [f"{hooks}={self.value(hook)}" for hook in getattr(part, hooks, {}).values()]
        for name in sorted(getattr(part, "_non_persistent_buffers_set", ())):
            buffer = part._buffers.get(name)
            if buffer is not None:
                said.append(f"{name}={_bytes_of(_rounded(buffer))}")
        if isinstance(part, torch.jit.ScriptModule | torch.fx.GraphModule):
            said.append(str(part.code))
        return ";".join(said)

    def value(self, value: Any) -> str:
        """Any attribute; empty for what says nothing, such as a device."""
        if value is None or isinstance(value, bool | int | float | complex | bytes | range | slice):
            return repr(value.value if isinstance(value, enum.Enum) else value)
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, torch.device):
            return ""
        if isinstance(value, torch.dtype | re.Pattern):
            return str(value)
        if isinstance(value, PurePath):
            return repr(value.name)
        if isinstance(value, np.generic):
            return repr(value.item())
        if isinstance(value, np.ndarray):
            return _bytes_of(torch.from_numpy(value)) if value.dtype.kind in "biuf" else str(value.shape)
        if isinstance(value, Tensor):
            return "" if id(value) in self.held else _bytes_of(value)
        if isinstance(value, type):
            return self.kind(value)
        return self._nested(value)

    def _nested(self, value: Any) -> str:
        """What may hold itself."""
        if id(value) in self.within:
            return "itself"
        self.within.add(id(value))
        try:
            return self._holder(value)
        finally:
            self.within.remove(id(value))

    def _holder(self, value: Any) -> str:
        if isinstance(value, Mapping):
            inside = (f"{self.value(key)}={self.value(found)}" for key, found in value.items())
            return "{" + ",".join(sorted(inside)) + "}"
        if isinstance(value, list | tuple):
            return "(" + ",".join(map(self.value, value)) + ")"
        if isinstance(value, set | frozenset):
            return "{" + ",".join(sorted(map(self.value, value))) + "}"
        if isinstance(value, nn.Module):
            return self._module_aside(value)
        return self._callable(value) if callable(value) else self._object(value)

    def _module_aside(self, module: nn.Module) -> str:
        """A module that is no child, as in a plain list: its tensors are in no state dict."""
        parts = ",".join(f"{name}={self.part(part)}" for name, part in self._fresh(module))
        tensors = {name: t for name, t in module.state_dict().items() if id(t) not in self.held}
        return f"[{parts};{','.join(f'{name}={_bytes_of(t)}' for name, t in sorted(tensors.items()))}]"

    def _callable(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            return f"partial({self.value(value.func)},{self.value(value.args)},{self.value(value.keywords)})"
        if isinstance(value, MethodType):
            owner = value.__self__
            return self.value(value.__func__) + ("" if isinstance(owner, nn.Module) else self.value(owner))
        if isinstance(value, FunctionType):
            return self._function(value)
        if inner := getattr(value, "__wrapped__", None):  # functools.cache and the like
            return self.value(inner)
        if name := getattr(value, "__qualname__", ""):
            return f"{getattr(value, '__module__', None)}.{name}"
        return self._object(value)

    def _function(self, function: FunctionType) -> str:
        place = defined_in(function)
        name = f"{place}.{function.__qualname__}"
        if of_library(place):  # it may be a decorator of one's own function
            inner = getattr(function, "__wrapped__", None)
            return name if inner is None else f"{name}({self.value(inner)})"
        code = function.__code__
        given = [self.value(function.__defaults__), self.value(function.__kwdefaults__)]
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                given.append(f"{variable}={self.value(cell.cell_contents)}")
            except ValueError:  # not bound yet
                given.append(variable)
        if id(code) not in self.seen:
            self.seen[id(code)] = code
            self._note(name, code_text(code))
            if function.__name__ != "__init__":  # what that one uses is seen in what it left
                self._globals(function)
        return f"{name}({','.join(given)})"

    def _globals(self, function: FunctionType) -> None:
        """What a function looks up: constants, functions and classes of its own module, or of others."""
        names, around = names_in(function.__code__), function.__globals__
        for name in names:
            if isinstance(found := around.get(name), ModuleType):
                if is_own(found.__name__):
                    for inner in names:
                        self._constant(f"{found.__name__}.{inner}", vars(found).get(inner))
            elif name in around:
                self._constant(f"{around.get('__name__')}.{name}", found)

    def _constant(self, name: str, value: Any) -> None:
        if _is_plain(value) or (callable(value) and is_own(getattr(value, "__module__", None))):
            self._note(f"{name} is", self.value(value))

    def kind(self, kind: type) -> str:
        """A class by name; one's own with all members and bases, a library's with what was put into it."""
        path = class_path(kind)
        if id(kind) in self.seen:
            return path
        self.seen[id(kind)] = kind
        if of_library(kind.__module__):
            members = {name: member for base in reversed(kind.__mro__) for name, member in vars(base).items()}
            put = {
                name: m
                for name, m in members.items()
                if isinstance(m, FunctionType) and is_own(defined_in(m))
            }
            for name, member in sorted(put.items()):
                self._note(f"{path}.{name} is", self.value(member))
            return path
        said = [self.kind(base) for base in kind.__bases__]
        for name, member in sorted(vars(kind).items()):
            if not is_generated(kind, member) and (text := self._member(name, member)):
                said.append(f"{name}={text}")
        self._note(path, ";".join(said))
        return path

    def _member(self, name: str, member: Any) -> str:
        if isinstance(member, staticmethod | classmethod):
            return self.value(member.__func__)
        if isinstance(member, property):
            return self.value([member.fget, member.fset])
        if isinstance(member, functools.cached_property):
            return self.value(member.func)
        if name.startswith(("__", "_abc_")) and not isinstance(member, FunctionType):
            return ""
        return self.value(member) if callable(member) or _is_plain(member) else ""

    def _object(self, value: Any) -> str:
        """Another object: one's own by class and attributes; a library's by attributes where it is called."""
        if of_library(type(value).__module__) and not (callable(value) or isinstance(value, SimpleNamespace)):
            return ""
        inside = getattr(value, "__dict__", {})
        said = [f"{k}={text}" for k, v in sorted(inside.items()) if k not in IDLE and (text := self.value(v))]
        return f"{self.kind(type(value))}({','.join(said)})"

    def _note(self, name: str, text: str) -> None:
        known = self.code.get(name, "")
        if text not in known:
            self.code[name] = known + text


def _is_plain(value: Any) -> bool:
    """Whether it is a number, text, flag or None, or made of these alone."""
    if isinstance(value, list | tuple | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(k) and _is_plain(v) for k, v in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def _text(value: str) -> str:
    if _DEVICE.fullmatch(value):
        return ""
    return repr(without_addresses(PurePath(value).name if os.path.isabs(value) else value))


def _rounded(tensor: Tensor) -> Tensor:
    """A buffer as it is in every number format."""
    return tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor


def _bytes_of(tensor: Tensor) -> str:
    if tensor.is_meta or tensor.layout != torch.strided:
        return str(tuple(tensor.shape))
    host = tensor.detach().cpu().contiguous()
    data = host.reshape(-1).view(torch.uint8).numpy().tobytes()
    return f"{host.dtype}{tuple(host.shape)}{digest(data)}"
