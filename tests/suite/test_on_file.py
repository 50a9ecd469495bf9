from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.results.result import Failure
from hsa_bench.core.results.store import Store
from hsa_bench.core.runs.execute import Bench, execute, record
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Run, default_task, make_plan
from hsa_bench.core.runs.provenance import provenance
from hsa_bench.suite.on_file import clear_the_way, on_file, what_is_taken_up


def planned(label: str, method: str, bench: Bench, seed: int = 0) -> Run:
    task = replace(
        default_task("pretrain.task", "pretrain"),
        **{"method": method, "epochs": 1, "batch": 16, "queue": 32, "augment": "digits", "knn_every": 0},
        keep_state=True,
    )
    request = BackboneRequest(label=label, arch="resnet18-w8-s2", init=seed)
    backbones = [LoadedBackbone(request, open_backbone(request))]
    chosen = [ChosenTask("pretrain.task", task)]
    return make_plan(chosen, backbones, "digits", (seed,), 64, bench.ctx).runs[0]


def bench_in(out: Path) -> Bench:
    # one root for all, so that the digits are painted once
    return Bench(Store(out), Context(data_root=Path("data"), cache=out / "cache"), provenance("pytest"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with pretrainings of moco and simclr."""
    out = tmp_path_factory.mktemp("trained")
    bench = bench_in(out)
    for method in "moco", "simclr":
        assert execute(planned(method, method, bench), bench).status == "ok"
    return out


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Bench:
    shutil.copytree(trained, tmp_path / "out")
    return bench_in(tmp_path / "out")


def checkpoint(run: Run, bench: Bench) -> Path:
    return bench.store.path(run.label, "pretrain", run.spec.key).with_suffix(".pth")


def test_a_checkpoint_that_is_as_its_record_says_need_not_be_made_again(copied: Bench) -> None:
    run = planned("moco", "moco", copied)
    assert on_file(run, copied) is not None
    assert list(clear_the_way([run], copied)) == []
    assert list(what_is_taken_up([run], [], copied)) == ["1 of 1 runs are on file and are re-used"]


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 0x40
    path.write_bytes(held)


def _write_over(path: Path) -> None:
    path.write_text("half a fi")


def _other_weights(path: Path) -> None:
    held = torch.load(path, weights_only=True)
    held["state_dict"]["conv1.weight"] += 1
    torch.save(held, path)


def _other_method(path: Path) -> None:
    folder = path.parents[2] / "simclr" / "pretrain"
    [other] = (file for file in folder.iterdir() if file.suffixes == path.suffixes)
    shutil.copy(other, path)


def _foreign(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True)["state_dict"], path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_remove, ".pth is gone; moco is pretrained again"),
        (_cut, "; set aside as "),
        (_flip, "; set aside as "),
        (_write_over, "damaged ("),
        (_other_weights, "holds other weights than were pretrained; set aside as "),
        (_other_method, "holds another pretraining, with method simclr, not moco; set aside as "),
        (_foreign, "; set aside as "),
    ],
)
def test_one_that_is_gone_damaged_or_anothers_is_set_aside_and_made_again(
    damage: Callable[[Path], None], said: str, copied: Bench
) -> None:
    run = planned("moco", "moco", copied)
    path = checkpoint(run, copied)
    damage(path)
    assert on_file(run, copied) is None
    [sentence] = clear_the_way([run], copied)
    assert said in sentence
    assert str(path) in sentence
    assert sentence.endswith("; moco is pretrained again")
    assert not path.exists()
    assert path.with_name(f"{path.name}.broken").exists() == (damage is not _remove)
    assert list(clear_the_way([run], copied)) == [f"{path} is gone; moco is pretrained again"]


def _broken_queue(path: Path) -> None:
    held = torch.load(path, weights_only=True)
    held["whole_state"]["tensors"]["queues.stage4.keys"][0, 0] = torch.nan
    torch.save(held, path)


def _another_queue(path: Path) -> None:
    held = torch.load(path, weights_only=True)
    held["whole_state"]["tensors"]["queues.stage4.keys"][0, 0] += 1
    torch.save(held, path)


def _exported(path: Path) -> None:
    shutil.copy(path.with_name(path.name.replace(".state", "")), path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_remove, ".state.pth is gone; moco is pretrained again"),
        (_cut, "damaged ("),
        (_write_over, "damaged ("),
        (_other_weights, ".state.pth holds other weights than were pretrained; set aside as "),
        (_other_method, ".state.pth holds another pretraining, with method simclr, not moco; set aside as "),
        (_broken_queue, "NaN"),
        (_another_queue, ".state.pth holds another state than was kept; set aside as "),
        (_exported, "its trunk alone"),
    ],
)
def test_the_whole_state_that_branches_start_from_is_held_to_its_record_too(
    damage: Callable[[Path], None], said: str, copied: Bench
) -> None:
    run = planned("moco", "moco", copied)
    path = checkpoint(run, copied).with_suffix(".state.pth")
    assert on_file(run, copied) is not None
    damage(path)
    assert on_file(run, copied) is None
    [sentence] = clear_the_way([run], copied)
    assert said in sentence
    assert str(path) in sentence
    assert path.with_name(f"{path.name}.broken").exists() == (damage is not _remove)
    assert checkpoint(run, copied).exists()


def test_a_record_of_an_older_version_without_a_hash_of_weights_is_taken(copied: Bench) -> None:
    run = planned("moco", "moco", copied)
    result = on_file(run, copied)
    assert result is not None
    older = {name: value for name, value in result.effective.items() if name != "weights"}
    copied.store.put(result.model_copy(update={"effective": older}))
    assert on_file(run, copied) is not None


def test_what_failed_before_is_said(copied: Bench) -> None:
    run, other = planned("hsa", "hsa", copied), planned("moco", "moco", copied)
    copied.store.put(record(run, copied, "failed", failure=Failure(kind="killed", message="x")))
    assert list(what_is_taken_up([run, other], [run], copied)) == [
        "1 of 2 runs are on file and are re-used",
        "1 of 2 runs failed before and are tried again",
    ]
