from __future__ import annotations

import copy
import functools
import importlib.util
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.models.behaviour import _Description, behaviour


@pytest.fixture(autouse=True)
def _no_module_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nets", types.ModuleType("nets"))


NET = '''
import functools
import enum
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

POOL = "mean"
TABLE = {"power": 2}

class Kind(enum.Enum):
    A = 1
    B = 2

@dataclass
class Config:
    scale: float = 1.0

class Pooler:
    def __call__(self, x):
        return x.mean((2, 3))

def pooled(x, eps=1e-6):
    return x.clamp(min=eps).mean((2, 3)) if POOL == "mean" else x.amax((2, 3))

def doubled(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args) * 2.0
    return inner

def scaler(by):
    def scale(x):
        return x * by
    return scale

class Base(nn.Module):
    """What it is."""
    power = 1

    def helper(self, x):
        return x ** self.power + TABLE["power"]

class Net(Base):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act = F.relu
        self.scale = scaler(3.0)
        self.pooler = Pooler()
        self.config = Config()
        self.kind = Kind.A
        self.last = lambda x: x + 1
        self.part = functools.partial(pooled, eps=0.1)
        self.loose = torch.tensor([0.5])
        self.names = {"b", "a"}
        self.register_buffer("rest", torch.tensor([0.25]), persistent=False)

    @doubled
    def forward(self, x):
        # one comment
        x = self.act(self.conv(x))

        return self.scale(self.part(x)) + self.helper(pooled(x))

def build():
    torch.manual_seed(0)
    return Net()
'''

CHANGES = {
    "forward": ("self.helper(pooled(x))", "self.helper(pooled(x)) * 2"),
    "helper of a base class": ("x ** self.power", "x * self.power"),
    "class attribute of a base": ("    power = 1", "    power = 2"),
    "function it calls": ("x.clamp(min=eps).mean", "x.clamp(min=eps).sum"),
    "default of a function": ("def pooled(x, eps=1e-6)", "def pooled(x, eps=1e-5)"),
    "constant it looks up": ('POOL = "mean"', 'POOL = "max"'),
    "table it looks up": ('TABLE = {"power": 2}', 'TABLE = {"power": 3}'),
    "decorator": ("* 2.0", "* 3.0"),
    "closure": ("scaler(3.0)", "scaler(4.0)"),
    "callable of one's own": ("return x.mean((2, 3))\n\ndef", "return x.sum((2, 3))\n\ndef"),
    "config": ("scale: float = 1.0", "scale: float = 2.0"),
    "enum": ("self.kind = Kind.A", "self.kind = Kind.B"),
    "function of torch": ("self.act = F.relu", "self.act = F.gelu"),
    "lambda": ("lambda x: x + 1", "lambda x: x + 2"),
    "partial": ("eps=0.1", "eps=0.2"),
    "tensor that is no buffer": ("torch.tensor([0.5])", "torch.tensor([0.75])"),
    "buffer that is not saved": ("torch.tensor([0.25])", "torch.tensor([0.75])"),
    "set": ('{"b", "a"}', '{"b", "c"}'),
}

SAME = {
    "comment": ("# one comment", "# another\n"),
    "docstring of a class": ("What it is", "What it was"),
    "a function that nothing calls": ("def build():", "def other(): return 1\n\ndef build():"),
    "lines moved": ("import functools", "\n\nimport functools"),
}


def made(tmp_path: Path, source: str) -> nn.Module:
    path = tmp_path / f"nets{abs(hash(source))}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("nets", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nets"] = module  # as the import statement does
    spec.loader.exec_module(module)
    return module.build()


def changed(names: tuple[str, str]) -> str:
    assert names[0] in NET
    return NET.replace(*names)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_forward_does_is_seen_though_tensors_and_print_stay(change: str, tmp_path: Path) -> None:
    one, other = made(tmp_path, NET), made(tmp_path, changed(CHANGES[change]))
    assert weights_hash(one) == weights_hash(other)
    assert behaviour(one) != behaviour(other)


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_number_is_not_seen(change: str, tmp_path: Path) -> None:
    assert behaviour(made(tmp_path, NET)) == behaviour(made(tmp_path, changed(SAME[change])))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto", "nets"])
def test_device_format_mode_and_copies_change_nothing(name: str, tmp_path: Path) -> None:
    net = made(tmp_path, NET) if name == "nets" else timm.create_model(name)
    expected = behaviour(net.eval())
    assert behaviour(copy.deepcopy(net).train()) == expected
    assert behaviour(copy.deepcopy(net).to(torch.bfloat16)) == expected
    assert behaviour(copy.deepcopy(net).to("meta" if name != "nets" else "cpu")) == expected
    assert behaviour(net.requires_grad_(False)) == expected
    if hasattr(net, "set_grad_checkpointing"):
        net.set_grad_checkpointing()
        assert behaviour(net) == expected


def test_the_folder_of_a_file_is_not_seen_and_its_name_is(tmp_path: Path) -> None:
    net = made(tmp_path, NET)
    found = []
    for path in ("/home/one/w.pth", "/data/w.pth", "/data/v.pth"):
        net.where, net.text = Path(path), path  # type: ignore[assignment]
        found.append(behaviour(net))
    assert found[0] == found[1] != found[2]


def _pool(net: nn.Module) -> None:
    net.global_pool = "avg"  # type: ignore[assignment]


def _hook(net: nn.Module) -> None:
    net.blocks[0].register_forward_hook(lambda m, i, o: o * 2)  # type: ignore[index, union-attr]


def _pre_hook(net: nn.Module) -> None:
    net.register_forward_pre_hook(lambda m, i: (i[0] * 2,))


def _patched(net: nn.Module) -> None:
    net.pool = types.MethodType(lambda self, x, *_: x.mean(1), net)


def _listed(net: nn.Module) -> None:
    net.more = [nn.Linear(2, 2)]  # type: ignore[assignment]


def _eps(net: nn.Module) -> None:
    net.norm.eps = 1e-3  # type: ignore[union-attr, assignment]


@pytest.mark.parametrize("change", [_pool, _hook, _pre_hook, _patched, _listed, _eps])
def test_a_model_of_timm_that_was_altered_is_another(change: Callable[[nn.Module], None]) -> None:
    net = timm.create_model("vit_tiny_patch16_224", depth=1, num_classes=0)
    other = copy.deepcopy(net)
    change(other)
    assert behaviour(net) != behaviour(other)


def test_a_method_put_into_a_class_of_a_library_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    before = behaviour(net)
    monkeypatch.setattr(nn.Flatten, "forward", lambda self, x: x.flatten(1) * 2)
    assert behaviour(net) != before


def test_the_source_of_libraries_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    before = behaviour(net)

    space = {"__name__": "torch.nn.modules.flatten"}
    exec("def forward(self, x):\n    return x.relu().flatten(1)", space)
    monkeypatch.setattr(nn.Flatten, "forward", space["forward"])
    assert behaviour(net) == before


def test_a_decorator_of_a_library_stands_by_name_and_what_it_wraps_by_its_code() -> None:
    def net(times: int) -> nn.Module:
        space: dict[str, type] = {"__name__": "mine", "nn": nn, "torch": torch}  # type: ignore[dict-item]
        body = f"    @torch.no_grad()\n    def forward(self, x):\n        return x.mean((2, 3)) * {times}"
        exec(f"class Net(nn.Module):\n{body}", space)
        return space["Net"]()

    assert behaviour(net(1)) == behaviour(net(1)) != behaviour(net(2))
    assert "decorate_context" not in _Description(net(1)).text.replace("decorate_context(", "")


def test_what_was_typed_at_a_prompt_is_told_by_its_bytecode() -> None:
    def at_prompt(body: str) -> nn.Module:
        space: dict[str, type] = {"__name__": "__main__", "nn": nn}  # type: ignore[dict-item]
        exec(f"class Net(nn.Module):\n    def forward(self, x):\n        return {body}", space)
        return space["Net"]()

    assert behaviour(at_prompt("x.mean((2, 3))")) == behaviour(at_prompt("x.mean((2, 3))"))
    assert behaviour(at_prompt("x.mean((2, 3))")) != behaviour(at_prompt("x.amax((2, 3))"))
    assert behaviour(at_prompt("x.mean((2, 3))")) != behaviour(at_prompt("x.mean((3, 2)) * 2"))


def test_a_thing_that_holds_itself_is_described(tmp_path: Path) -> None:
    net = made(tmp_path, NET)
    ring: list[object] = [1, net]
    ring.append(ring)
    net.ring = ring  # type: ignore[assignment]
    net.again = functools.partial(net.forward)  # type: ignore[assignment]
    assert behaviour(net) == behaviour(copy.deepcopy(net))


@pytest.mark.processes
def test_every_process_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NET)
    script = (
        "import nets; from hsa_bench.core.models.behaviour import behaviour; print(behaviour(nets.build()))"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": f"{tmp_path}:{os.getcwd()}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.strip() == behaviour(made(tmp_path, NET))
