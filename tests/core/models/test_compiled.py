from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from eval_tasks import knn, layers
from eval_tasks._shared.frozen import FrozenTask
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import Normalise
from hsa_bench.core.errors import UsageError
from hsa_bench.core.features.forward import FrozenTrunk
from hsa_bench.core.models import compiled, precision
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.compiled import CompiledForward
from hsa_bench.core.models.layers import LAST
from hsa_bench.core.models.precision import COMPILED, chosen
from hsa_bench.core.models.preprocess import IMAGENET
from hsa_bench.core.runs import worker
from hsa_bench.core.runs.image_count import counted
from hsa_bench.core.runs.provenance import provenance
from hsa_bench.suite.open_bench import open_bench


class Small(nn.Module):
    """[B, 3, H, W] to [B, D]."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(3, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean((2, 3))).relu()


def no_compiler(*_: object) -> Callable[..., object]:
    raise RuntimeError("no C++ compiler\nand many more lines")


@pytest.fixture(autouse=True)
def _nothing_stays_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def say_nothing(text: str) -> None:
    raise AssertionError(text)


def traced(module: nn.Module, batch: int = 8) -> CompiledForward:
    """Through torch's tracing and guards, without a C++ compiler."""
    return CompiledForward(module.eval(), batch, True, say_nothing, backend="eager")


def test_a_batch_that_is_not_full_is_filled_up_and_only_its_own_part_taken_and_counted() -> None:
    module, x = Small(), torch.randn(5, 3, 6, 6)
    sizes: list[int] = []
    module.fc.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    fast = traced(module)
    with torch.no_grad(), counted(module) as passes:
        found = fast(x)
        again = torch.cat([fast(x[:2]), fast(x[2:])])
    assert torch.allclose(found, module(x), rtol=1e-5)
    assert torch.equal(found, again)
    assert passes.images == 10
    assert set(sizes[:3]) == {8}
    assert "forward" not in module.__dict__


@pytest.mark.parametrize("backend", [no_compiler, "not-a-backend"])
def test_where_compiling_fails_it_is_said_once_and_the_features_are_those_without(
    backend: str | Callable[..., object],
) -> None:
    module, x = Small(), torch.randn(4, 3, 6, 6)
    said: list[str] = []
    fast = CompiledForward(module, 4, True, said.append, backend)
    with torch.no_grad():
        for _ in range(3):
            assert torch.equal(fast(x), module(x))
    assert len(said) == 1
    assert "torch.compile fails" in said[0]
    assert "\n" not in said[0]
    with pytest.raises(ValueError, match="run without --compile"):
        CompiledForward(module, 4, False, say_nothing, backend)(x)
    assert "forward" not in module.__dict__


def test_more_networks_of_one_class_are_compiled_than_torch_would_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []

    def counting(graph: Callable[..., object], _: object) -> Callable[..., object]:
        made.append(graph)
        return graph

    def compute(outputs: int) -> None:
        with torch.no_grad():
            CompiledForward(Small(outputs), 2, False, say_nothing, counting)(torch.randn(2, 3, 4, 4))

    for outputs in range(4, 16):
        compute(outputs)
    assert len(made) == 12  # torch's own limit is 8
    monkeypatch.setattr(compiled, "NETWORKS", 12)
    with pytest.raises(ValueError, match=r"torch\.compile fails"):
        compute(99)


def test_what_the_network_itself_raises_is_raised_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        CompiledForward(Small(), 4, True, say_nothing, backend="eager")(torch.randn(4, 5, 6, 6))


@pytest.mark.parametrize(("has", "expected"), [(True, COMPILED), (False, "float32")])
def test_compiling_is_a_precision_of_its_own_in_bfloat16_alone(
    has: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: has)
    assert chosen("auto", "cpu", compile=True) == expected
    assert chosen("bfloat16", "cpu", compile=True) == COMPILED
    assert chosen("float32", "cpu", compile=True) == "float32"
    assert chosen(COMPILED, "cpu") == COMPILED


def test_tasks_that_read_layers_are_not_compiled(ctx: Context) -> None:
    data, ctx = open_dataset("digits", Path()), replace(ctx, compile=True)

    def resolved(task: FrozenTask, asked: precision.Precision) -> str:
        return replace(task, precision=asked).resolved(data, ctx).precision

    assert resolved(knn.TASKS[0], "bfloat16") == COMPILED
    assert resolved(layers.TASKS[0], "bfloat16") == "bfloat16"
    with pytest.raises(UsageError, match=rf"layers.precision={COMPILED}"):
        resolved(layers.TASKS[0], COMPILED)


def test_layers_are_read_without_compiling_and_a_line_says_so() -> None:
    trunk, pixels = build("resnet18-w4-cifar"), torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    said: list[str] = []
    fed = FrozenTrunk(trunk, Normalise(IMAGENET), "cpu", "float32", ("stem",), True, said.append)
    assert fed.run is trunk
    assert fed(pixels).features().keys() == {LAST, "stem"}
    assert said == ["layers are read without torch.compile, the same numbers but for rounding"]
    with pytest.raises(ValueError, match="layers are read without"):
        FrozenTrunk(trunk, Normalise(IMAGENET), "cpu", COMPILED, ("stem",))


@pytest.mark.processes
def test_the_option_reaches_the_worker(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, tmp_path, "cpu", compile=True)
    assert bench.ctx.compile
    setup = {
        "out": str(tmp_path), "data_root": str(tmp_path), "cache": str(tmp_path), "device": "cpu",
        "workers": 0, "compile": bench.ctx.compile, "provenance": provenance().model_dump(),
    }  # fmt: skip
    assert worker._bench(setup, io.StringIO()).ctx.compile


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU wants a C++ compiler (g++)")
@pytest.mark.filterwarnings("ignore")  # of torch's compiler
@pytest.mark.parametrize("arch", ["resnet18-w4-cifar", "vit_w32x2_patch8_32-h2"])
def test_a_compiled_trunk_gives_the_same_features_but_for_rounding(arch: str) -> None:
    torch.manual_seed(0)
    module = build(arch).eval()
    pixels = torch.randint(0, 256, (20, 32, 32, 3), dtype=torch.uint8)

    def features(compile: bool, say: Callable[[str], None]) -> Tensor:
        fed = FrozenTrunk(module, Normalise(IMAGENET), "cpu", "float32", compile=compile, say=say)
        return fed(pixels).features()[LAST]

    plain, fast = features(False, say_nothing), features(True, say_nothing)
    assert float(((fast - plain).norm(dim=1) / plain.norm(dim=1)).max()) < 1e-5
