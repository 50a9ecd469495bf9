"""Broken pictures: those read late are named before a training, and mending one loses no training."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from eval_tasks import selftrain, semisup
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data import manifest
from hsa_bench.core.data.image_set import label_subset
from hsa_bench.core.data.loading import order
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.results.result import DataId, TaskResult
from hsa_bench.core.runs.execute import Bench, execute
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Run, make_plan
from hsa_bench.core.runs.task import Task
from hsa_bench.core.runs.training import noted_beside, training_on
from pretrain.settings import Settings
from pretrain.task import Pretrain

REQUEST = BackboneRequest(label="random", arch="resnet18-w8")
COUNT = 10
"""Training pictures of each of two classes."""

SEMISUP = replace(semisup.TASKS[1], fraction=0.5, steps=3, batch=4, rates=((0.01, 0.2),), image_size=16)
SELFTRAIN = replace(selftrain.TASKS[1], fraction=0.5, steps=3, batch=4, rates=((0.01, 0.2),), image_size=16)
PRETRAIN = Pretrain(
    **{**vars(Settings()), "method": "simclr", "epochs": 3, "batch": 16, "image_size": 16, "knn_every": 0}
)
"""Without looks: the pixels they are read against would be decoded, and found broken, before training."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(manifest, "_kept_in", None)
    rng = np.random.default_rng(0)
    for split, count in (("train", COUNT), ("test", 4)):
        for label in ("ant", "bee"):
            (tmp_path / "insects" / split / label).mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(noise).save(tmp_path / "insects" / split / label / f"{i}.png")
    time.sleep(0.06)  # until the times of the files are settled
    return tmp_path / "insects"


def planned(task: Task, module: str, folder: Path, bench: Bench) -> Run:
    """As a new process would plan it."""
    open_dataset.cache_clear()
    chosen, backbone = ChosenTask(module, task), LoadedBackbone(REQUEST, open_backbone(REQUEST))
    plan = make_plan([chosen], [backbone], f"imagefolder:{folder}", [0], None, bench.ctx)
    assert not plan.blocked, plan.blocked
    return plan.runs[0]


def done(task: Task, module: str, folder: Path, bench: Bench) -> TaskResult:
    return execute(planned(task, module, folder, bench), bench)


def watched(bench: Bench) -> tuple[Bench, list[str]]:
    """A bench, and all that its progress bars say."""
    said: list[str] = []
    heard = replace(bench.ctx, progress=lambda text, done, total: said.append(text))
    return replace(bench, ctx=heard), said


def cut(path: Path) -> bytes:
    """Truncate a picture, and return what it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    time.sleep(0.06)
    return whole


def mend(path: Path, whole: bytes) -> None:
    path.write_bytes(whole)
    time.sleep(0.06)


def late(split: str, seed: int = 0) -> str:
    """A picture without a label in training, or one of the test's."""
    if split == "test":
        return "test/bee/2.png"
    labelled = label_subset(np.repeat([0, 1], COUNT), 0.5, seed)
    row = next(i for i in range(2 * COUNT) if i not in labelled)
    return f"train/{'ant' if row < COUNT else 'bee'}/{row % COUNT}.png"


@pytest.mark.parametrize(
    ("task", "module", "split"),
    [
        (SEMISUP, "eval_tasks.semisup", "test"),
        (SELFTRAIN, "eval_tasks.selftrain", "test"),
        (SELFTRAIN, "eval_tasks.selftrain", "train"),
        (PRETRAIN, "pretrain.task", "test"),
    ],
)
def test_what_is_read_after_a_training_is_decoded_before_it(
    task: Task, module: str, split: str, folder: Path, bench: Bench
) -> None:
    broken = folder / late(split)
    whole = cut(broken)
    heard, said = watched(bench)
    failed = done(task, module, folder, heard)
    assert failed.failure is not None
    assert f"{broken}: cannot be read as an image" in failed.failure.message
    assert {text.partition(" ")[0] for text in said} == {"decoding"}  # nothing was trained

    mend(broken, whole)
    said.clear()
    result = done(task, module, folder, heard)
    assert result.status == "ok"
    looked_at = "test pictures" if split == "test" else "training pictures"
    assert sum(text == f"decoding {looked_at}" for text in said) <= 2  # the one batch with the mended picture


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_the_message_is_one_sentence_whoever_decodes(folder: Path, bench: Bench) -> None:
    broken = folder / late("train")
    cut(broken)
    loaders = replace(bench, ctx=replace(bench.ctx, workers=1))
    failed = done(replace(PRETRAIN, epochs=9), "pretrain.task", folder, loaders)
    assert failed.failure is not None
    assert failed.failure.message.startswith(f"BrokenPicture: {broken}: cannot be read as an image")
    assert "Traceback" not in failed.failure.message


def unread(epochs: int) -> int:
    """A training picture that the first epochs leave out and the next one visits."""
    visits = [set(order(2 * COUNT, 0, epoch)[:16]) for epoch in range(epochs + 1)]
    return min(visits[epochs] - set.union(*visits[:epochs]))


def weights(result: TaskResult, bench: Bench) -> dict[str, Any]:
    path = bench.store.path(result.label, result.spec.task, result.spec.key).parent
    return torch.load(path / result.artefacts["checkpoint"], weights_only=True)["state_dict"]


def test_a_training_goes_on_once_broken_pictures_are_mended(
    folder: Path, bench: Bench, tmp_path: Path
) -> None:
    row = unread(1)
    broken = folder / f"train/{'ant' if row < COUNT else 'bee'}/{row % COUNT}.png"
    whole = cut(broken)
    failed = done(PRETRAIN, "pretrain.task", folder, bench)
    assert failed.failure is not None and str(broken) in failed.failure.message
    (resume,) = bench.store.out.rglob("*.part")
    assert torch.load(resume, weights_only=True)["progress"]["epoch"] == 1

    mend(broken, whole)
    Image.new("RGB", (16, 16)).save(folder / late("test"))
    heard, said = watched(bench)
    run = planned(PRETRAIN, "pretrain.task", folder, heard)
    assert run.spec.key != failed.spec.key
    result = execute(run, heard)
    assert result.status == "ok"
    assert any("epoch 2" in text for text in said) and not any("epoch 1" in text for text in said)
    assert not list(bench.store.out.rglob("*.part")) and not list(bench.store.out.rglob("*.reads"))

    undisturbed = replace(bench, store=type(bench.store)(tmp_path / "other"))
    expected = done(PRETRAIN, "pretrain.task", folder, undisturbed)
    assert expected.spec.key == result.spec.key
    ours, theirs = weights(result, bench), weights(expected, undisturbed)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_scratch_files_stand_until_a_learnt_picture_changes(folder: Path, bench: Bench, ctx: Context) -> None:
    run = planned(SEMISUP, "eval_tasks.semisup", folder, bench)

    def scratch_after(change: str) -> bool:
        if change:
            Image.new("RGB", (16, 16), len(change)).save(folder / change)
            time.sleep(0.06)
        open_dataset.cache_clear()
        data = open_dataset(run.dataset, Path())
        spec = run.spec.model_copy(update={"data": DataId(name=data.name, fingerprint=data.fingerprint())})
        with training_on(data, spec, ctx) as there:
            found = there.scratch("x").exists()
            there.scratch("x").write_bytes(b"")
            assert noted_beside(there.scratches).exists()
        return found

    assert [scratch_after(change) for change in ("", "", "test/ant/0.png", "train/ant/0.png", "")] == [
        False,
        True,
        True,
        False,
        True,
    ]
