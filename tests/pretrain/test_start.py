"""A training that starts from the whole state of another, or from a checkpoint's weights."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View
from hsa_bench.core.errors import PretrainingError, UsageError
from hsa_bench.core.features.image_hashes import image_hashes
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.seed import forked
from pretrain.carry_over import carry_over
from pretrain.export import finish, holds_training
from pretrain.kept_state import by_place, place, read_state_file, state_of, state_path
from pretrain.loop import Training
from pretrain.optim.schedule import rate
from pretrain.settings import Settings
from pretrain.start import Start, built, open_start

ARCH = "resnet18-w8-s2"
MOCO = Settings(method="moco", epochs=2, batch=16, queue=20, augment="digits", knn_every=0, k=3, dim=16)
HSA = replace(MOCO, method="hsa")
LIKE_MOCO = replace(HSA, neighbours=False, mix=False, levels=())
SIMCLR = replace(MOCO, method="simclr")


IMAGES = open_dataset("digits", Path()).limited(32).train


def opened(state: Path, seed: int = 0) -> Start:
    return open_start({"start_from": str(state)}, BackboneRequest(label="x", init=seed))


def training(
    settings: Settings, ctx: Context, start: Start | None = None, seed: int = 0, **more: Any
) -> Training:
    """A training as the command makes it, from a whole state or from random weights."""
    begin = start or open_start({}, BackboneRequest(label="x", arch=ARCH, init=seed))
    settings = replace(settings, start_from=begin.state.hash if begin.state else "")
    return Training(settings, begin.backbone, IMAGES, View(32, 32), seed, ctx, **{"counting": False, **more})


def kept(
    settings: Settings, ctx: Context, folder: Path, name: str = "first", **more: Any
) -> tuple[Training, Path]:
    """A training that is over, and the file of its whole state."""
    done = training(replace(settings, keep_state=True), ctx, **more)
    out = folder / f"{name}.pth"
    finish(done, "digits", out, folder / f"{name}.resume")
    return done, state_path(out)


def kept_for_all(make: pytest.TempPathFactory, settings: Settings, name: str, **more: Any) -> Kept:
    folder = make.mktemp(name)
    live, path = kept(settings, Context(data_root=folder, cache=folder), folder, name, **more)
    return Kept(live, path, opened(path))


@dataclass(frozen=True)
class Kept:
    """A training that is over, for all tests of this file; they leave it as it is."""

    live: Training
    path: Path
    """Of its whole state."""
    start: Start
    """The same, opened once."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """By MoCo."""
    return kept_for_all(tmp_path_factory, MOCO, "first", counting=True)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """By MoCo too, of another seed."""
    return kept_for_all(tmp_path_factory, replace(MOCO, epochs=1), "other", seed=1)


@pytest.fixture(scope="module")
def three_levels(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """By HSA."""
    return kept_for_all(tmp_path_factory, replace(HSA, levels=(2, 3), epochs=1), "levels")


@pytest.fixture
def state(first: Kept, tmp_path: Path) -> Path:
    """The whole state of the first training, for this test alone, beside its checkpoint."""
    for file in ("first.pth", "first.state.pth"):
        shutil.copy(first.path.with_name(file), tmp_path)
    return tmp_path / "first.state.pth"


def velocities(work: Training) -> dict[str, Tensor]:
    return dict(state_of(work.method, work.optimiser, "sgd").momentum)


def assert_same(one: Training, other: Training) -> None:
    """Bit by bit: weights, statistics, queues with their pointers, momentum."""
    for ours, theirs in (
        (by_place(one.method), by_place(other.method)),
        (velocities(one), velocities(other)),
    ):
        assert ours.keys() == theirs.keys()
        for at, tensor in ours.items():
            assert torch.equal(tensor, theirs[at]), at


def go_on_by_hand(live: Training, like: Training) -> None:
    """Step a training that is over through the batches and rates of another."""
    method, optimiser, settings = live.method, live.optimiser, like.settings
    loader = like._batches(range(settings.epochs))
    for epoch in range(settings.epochs):
        for step in range(like.steps):
            for group in optimiser.param_groups:
                group["lr"] = rate(settings, epoch, step, like.steps)
            views = next(loader)
            with forked(like.seed, "step", epoch, step):
                method(views)["loss"].backward()
            optimiser.step()
            optimiser.zero_grad()
            method.after_step()


def test_moco_from_mocos_state_goes_on_as_by_hand(ctx: Context, tmp_path: Path) -> None:
    live, state = kept(replace(MOCO, epochs=1), ctx, tmp_path)
    assert int(live.method.queue.pointer) == 32 % 20 > 0
    started = training(replace(MOCO, epochs=1), ctx, opened(state), seed=5)
    go_on_by_hand(live, started)
    started.run(tmp_path / "resume")
    assert_same(started, live)
    assert int(started.method.queue.pointer) == 2 * 32 % 20
    assert started.progress.epoch == 1
    assert len(started.progress.curves["loss"]) == 1


def test_hsa_without_its_parts_goes_on_from_moco_as_moco_does(
    first: Kept, ctx: Context, tmp_path: Path
) -> None:
    trained = [training(replace(s, epochs=1), ctx, first.start) for s in (MOCO, LIKE_MOCO)]
    for number, work in enumerate(trained):
        work.run(tmp_path / f"{number}")
    assert_same(*trained)


def test_hsa_from_moco_takes_the_last_stage_and_draws_the_rest_anew(first: Kept, ctx: Context) -> None:
    started, fresh = training(HSA, ctx, first.start, seed=7), training(HSA, ctx, seed=7)
    theirs, ours, usual = (by_place(work.method) for work in (first.live, started, fresh))
    for at, tensor in ours.items():
        assert torch.equal(tensor, theirs.get(at, usual[at])), at
    new = {at for at in ours if at not in theirs}
    assert {at.rpartition(".stage3")[0] for at in new} == {"encoder.heads", "key_encoder.heads", "queues"}
    momentum = velocities(started)
    assert momentum.keys() == {
        n for n in ours if n.startswith("encoder.") and n in velocities_of_all(started)
    }
    for at, velocity in momentum.items():
        assert torch.equal(velocity, velocities(first.live).get(at, torch.zeros_like(velocity))), at
    assert any(v.any() for v in momentum.values())
    [said] = started.started
    assert said == (
        "taken: encoder.trunk, encoder.heads.stage4, key_encoder.trunk, key_encoder.heads.stage4, "
        "queues.stage4, momentum; new: encoder.heads.stage3, key_encoder.heads.stage3, queues.stage3"
    )
    trunks = {weights_hash(work.method.encoder.trunk) for work in (first.live, started)}
    keys = {weights_hash(work.method.key_encoder.trunk) for work in (first.live, started)}
    assert (len(trunks), len(keys), len(trunks & keys)) == (1, 1, 0)


def velocities_of_all(work: Training) -> set[str]:
    levels = work.method.encoder.levels
    return {place(n, levels) for n, p in work.method.named_parameters() if p.requires_grad}


def test_moco_from_hsa_takes_the_last_of_its_queues(three_levels: Kept, ctx: Context) -> None:
    theirs, ours = three_levels.live.method, (started := training(MOCO, ctx, three_levels.start)).method
    assert torch.equal(ours.queue.keys, theirs.queues[2].keys)
    assert torch.equal(ours.queue.pointer, theirs.queues[2].pointer)
    assert weights_hash(ours.encoder.heads[0]) == weights_hash(theirs.encoder.heads[2])
    assert (
        "left out: encoder.heads.stage2, encoder.heads.stage3, key_encoder.heads.stage2" in started.started[0]
    )


def test_levels_are_found_by_stage_and_not_by_number(three_levels: Kept, ctx: Context) -> None:
    theirs = three_levels.live.method
    ours = training(replace(HSA, levels=(3,)), ctx, three_levels.start).method
    assert weights_hash(ours.encoder.heads[0]) == weights_hash(theirs.encoder.heads[1])
    assert torch.equal(ours.queues[0].keys, theirs.queues[1].keys)


def test_a_state_without_key_encoder_gives_a_copy_of_its_encoder(ctx: Context, tmp_path: Path) -> None:
    live, state = kept(replace(SIMCLR, epochs=1), ctx, tmp_path)
    started = training(HSA, ctx, opened(state))
    assert weights_hash(started.method.encoder.trunk) == weights_hash(live.method.encoder.trunk)
    assert weights_hash(started.method.key_encoder) == weights_hash(started.method.encoder)
    assert not any(p.requires_grad for p in started.method.key_encoder.parameters())
    assert "copied from the encoder: key_encoder.trunk, key_encoder.heads.stage4" in started.started[0]


@pytest.mark.long
def test_momentum_of_another_optimiser_is_not_taken(ctx: Context, tmp_path: Path) -> None:
    _, state = kept(replace(SIMCLR, epochs=1, optimiser="lars"), ctx, tmp_path)
    started = training(MOCO, ctx, opened(state))
    assert velocities(started) == {}
    assert "; new: queues.stage4, momentum" in started.started[0]


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"dim": 8}, r"encoder\.heads\.stage4 does not fit.*dim, head_layers and head_bn"),
        ({"head_layers": 3}, r"encoder\.heads\.stage4 does not fit"),
        ({"head_bn": "hidden"}, r"encoder\.heads\.stage4 does not fit"),
        ({"queue": 21}, r"queues\.stage4 does not fit: its keys is 16 x 20 in the file and 16 x 21.*queue"),
    ],
)
def test_parts_that_do_not_fit_are_named(changed: dict[str, Any], part: str, first: Kept) -> None:
    with pytest.raises(UsageError, match=rf"start_from \S+first\.state\.pth: {part}"):
        first.start.check(replace(HSA, **changed))


def test_a_training_refuses_parts_that_do_not_fit(first: Kept, ctx: Context) -> None:
    with pytest.raises(PretrainingError, match=r"encoder\.heads\.stage4 does not fit"):
        training(replace(MOCO, dim=8), ctx, first.start)


def test_the_state_is_plain_tensors_and_a_checkpoint_too(first: Kept) -> None:
    live = first.live
    held = torch.load(first.path, weights_only=True)
    assert held["settings"]["method"] == "moco"
    assert held["curves"] == live.progress.curves
    assert held["budget"]["epochs"] == 2
    assert first.start.state is not None
    assert first.start.state.hash == state_of(live.method, live.optimiser, "sgd").hash
    as_backbone = open_backbone(BackboneRequest(label="x", path=str(first.path)))
    assert as_backbone.weights == weights_hash(live.method.encoder.trunk)


def test_a_start_is_known_by_its_tensors_and_not_by_its_place(first: Kept, tmp_path: Path) -> None:
    elsewhere, changed = tmp_path / "elsewhere.pth", tmp_path / "changed.pth"
    shutil.copy(first.path, elsewhere)
    known = first.start.settings["start_from"]
    assert known == opened(elsewhere).settings["start_from"]
    held = torch.load(first.path, weights_only=True)
    held["whole_state"]["tensors"]["queues.stage4.keys"][0, 0] += 1
    torch.save(held, changed)
    after_a_key = read_state_file(changed).hash
    held["whole_state"]["momentum"].popitem()
    torch.save(held, changed)
    assert len({known, after_a_key, read_state_file(changed).hash}) == 3


def test_another_start_is_another_training(first: Kept, other: Kept, ctx: Context, tmp_path: Path) -> None:
    settings, out = replace(MOCO, epochs=1), tmp_path / "out.pth"
    work = training(settings, ctx, first.start)
    work.run(tmp_path / "resume")
    others = [training(settings, ctx, start) for start in (other.start, None)]
    for begun, what in zip(
        others, (r"other start_from \(\w+, now \w+\), weights", r"start_from \(\w+, now \)"), strict=True
    ):
        with pytest.raises(PretrainingError, match=what):
            begun.run(tmp_path / "resume")
    finish(work, "digits", out, tmp_path / "resume")
    assert holds_training(work, out)
    for begun in others:
        with pytest.raises(PretrainingError, match="holds another pretraining"):
            holds_training(begun, out)


@pytest.mark.long
def test_a_started_training_goes_on_after_a_stop(first: Kept, ctx: Context, tmp_path: Path) -> None:
    undisturbed = training(HSA, ctx, first.start)
    undisturbed.run(tmp_path / "a")
    stopped = training(HSA, ctx, first.start)
    saved = stopped.resumable.save

    def then_stop(path: Path, progress: Any) -> None:
        saved(path, progress)
        raise KeyboardInterrupt

    object.__setattr__(stopped.resumable, "save", then_stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(tmp_path / "b")
    resumed = training(HSA, ctx, first.start)
    resumed.run(tmp_path / "b")
    assert_same(resumed, undisturbed)


def test_it_says_what_it_started_from_and_what_that_had_cost(
    first: Kept, ctx: Context, tmp_path: Path
) -> None:
    said: list[str] = []
    settings = replace(MOCO, epochs=1, keep_state=True)
    work = training(settings, replace(ctx, say=said.append), first.start, counting=True)
    spent = finish(work, "digits", tmp_path / "second.pth", tmp_path / "resume")
    assert spent is not None
    before = first.live.progress.flops
    assert spent.start == (
        f"the whole state of first.state.pth ({work.settings.start_from[:12]}): moco, 2 epochs of digits, "
        f"64 images, {before:.3g} FLOPs"
    )
    assert spent.flops == pytest.approx(before / 2)  # its own alone
    assert said[0] == f"starts from {spent.start}; {work.started[0]}"
    assert work.started[0] in spent.notes
    after = training(replace(MOCO, epochs=1), ctx, opened(tmp_path / "second.state.pth"))
    spent = finish(after, "digits", tmp_path / "third.pth", tmp_path / "resume")
    assert spent is not None
    assert "FLOPs, after the whole state of first.state.pth" in spent.start
    reopened = open_backbone(BackboneRequest(label="x", path=str(tmp_path / "third.pth")))
    assert reopened.source.budget == spent


@pytest.mark.long
def test_pictures_of_the_start_count_as_seen(first: Kept, ctx: Context, tmp_path: Path) -> None:
    work = training(replace(MOCO, epochs=1), ctx, first.start)
    work.images = open_dataset("digits", Path()).limited(48).train
    work.steps = len(work.images) // 16
    finish(work, "digits", tmp_path / "out.pth", tmp_path / "resume")
    seen = open_backbone(BackboneRequest(label="x", path=str(tmp_path / "out.pth"))).seen
    assert seen is not None
    for images in (IMAGES, work.images):
        assert set(image_hashes(images, ctx).tolist()) <= set(seen.tolist())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("missing", "no such file"),
        ("empty", "empty"),
        ("cut", "damaged"),
        ("exported", "trunk alone"),
        ("pickle", "refused, nothing of it was run"),
        ("list", "no mapping"),
        ("nan", "NaN"),
        ("arch", "is of arch resnet18-w8-s2, and this training of resnet18-w8-cifar"),
    ],
)
def test_what_is_no_state_is_refused_by_name(content: str, what: str, first: Kept, tmp_path: Path) -> None:
    path, whole = tmp_path / "start.pth", first.path.read_bytes()
    held: dict[str, Any] = {}
    if content in {"pickle", "list", "nan"}:
        held = torch.load(first.path, weights_only=True)
    if content == "empty":
        path.write_bytes(b"")
    elif content == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif content == "exported":
        shutil.copy(first.path.with_name("first.pth"), path)
    elif content == "pickle":
        torch.save({**held, "more": Evil(tmp_path / "ran")}, path)
    elif content == "list":
        torch.save({**held, "whole_state": {"tensors": [1]}}, path)
    elif content == "nan":
        held["whole_state"]["tensors"]["queues.stage4.keys"][0, 0] = torch.nan
        torch.save(held, path)
    elif content == "arch":
        shutil.copy(first.path, path)
    arch = "resnet18-w8-cifar" if content == "arch" else ARCH
    with pytest.raises(UsageError, match=rf"--start-from \S+start\.pth: .*{what}"):
        open_start(
            {"start_from": str(path)}, BackboneRequest(label="x", arch=arch), {"start_from": "--start-from"}
        )
    assert not (tmp_path / "ran").exists()


class Evil:
    """Its pickle writes a file when it is read carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_changed_state_is_refused_before_it_is_trained_on(first: Kept, state: Path, ctx: Context) -> None:
    source = first.start.backbone.source.model_copy(update={"path": str(state)})
    start = replace(first.start, backbone=replace(first.start.backbone, source=source))
    training(MOCO, ctx, start)
    held = torch.load(state, weights_only=True)
    held["whole_state"]["tensors"]["queues.stage4.keys"][0, 0] += 1
    torch.save(held, state)
    with pytest.raises(PretrainingError, match="has changed since the training was planned"):
        training(MOCO, ctx, start)


def test_init_gives_all_encoders_the_weights_of_a_file(
    first: Kept, other: Kept, ctx: Context, tmp_path: Path
) -> None:
    file, another = first.path.with_name("first.pth"), other.path.with_name("other.pth")
    begin, elsewhere = (
        open_start({**asdict(HSA), "epochs": 1, "init": str(f)}, BackboneRequest(label="x", arch=ARCH))
        for f in (file, another)
    )
    assert begin.settings["init"] != elsewhere.settings["init"]
    settings = Settings(**begin.settings)
    work = Training(settings, begin.backbone, IMAGES, View(32, 32), 0, ctx, counting=False)
    usual = training(HSA, ctx)
    for name, tensor in torch.load(file, weights_only=True)["state_dict"].items():
        for encoder in (work.method.encoder, work.method.key_encoder):
            assert torch.equal(encoder.trunk.state_dict()[name], tensor), name
    assert weights_hash(work.method.encoder.heads) == weights_hash(usual.method.encoder.heads)
    assert all(p.requires_grad for p in work.method.encoder.parameters())
    spent = finish(work, "digits", tmp_path / "out.pth", tmp_path / "resume")
    assert spent is not None
    assert spent.start.startswith(f"the weights of first.pth ({work.backbone.weights[:12]}): moco, 2 epochs")
    with pytest.raises(PretrainingError, match="holds another pretraining"):
        holds_training(usual, tmp_path / "out.pth")


def test_a_seed_in_the_name_and_both_files_at_once(first: Kept, tmp_path: Path) -> None:
    shutil.copy(first.path, tmp_path / "run-3.state.pth")
    named = {"start_from": str(tmp_path / "run-{seed}.state.pth")}
    assert open_start(named, BackboneRequest(label="x", arch=ARCH, init=3)).settings["start_from"]
    with pytest.raises(UsageError, match=r"run-4\.state\.pth"):
        open_start(named, BackboneRequest(label="x", arch=ARCH, init=4))
    with pytest.raises(UsageError, match="init and start_from: give one of them"):
        open_start({**named, "init": "x"}, BackboneRequest(label="x", arch=ARCH))


def test_the_network_comes_from_the_file_where_it_is_not_said(first: Kept) -> None:
    assert not first.start.request.arch
    assert first.start.backbone.arch == ARCH


def test_without_its_state_a_finished_training_is_not_complete(
    state: Path, other: Kept, ctx: Context, tmp_path: Path
) -> None:
    work, out = training(replace(MOCO, keep_state=True), ctx), tmp_path / "first.pth"
    assert holds_training(work, out)
    state.unlink()
    with pytest.raises(PretrainingError, match=r"is there already, but not first\.state\.pth"):
        holds_training(work, out)
    shutil.copy(other.path, tmp_path / "new.state.pth")
    with pytest.raises(PretrainingError, match=r"new\.state\.pth: holds another pretraining"):
        holds_training(work, tmp_path / "new.pth")


def test_all_of_a_state_is_taken_by_the_same_method(first: Kept) -> None:
    work = first.live
    method = built(replace(MOCO, keep_state=True), work.backbone, 9)
    told = carry_over(state_of(work.method, work.optimiser, "sgd"), method)
    assert (told.new, told.left, told.copied) == ((), (), ())
    assert weights_hash(method) == weights_hash(work.method)


@pytest.mark.long
def test_a_disk_without_room_for_the_state_keeps_the_training(
    ctx: Context, small_disk: Path, tmp_path: Path
) -> None:
    work, resume = training(replace(MOCO, epochs=1, keep_state=True), ctx), tmp_path / "resume"
    with pytest.raises(
        PretrainingError, match=r"first\.state\.pth.*is over and kept in \S+resume: make room"
    ):
        finish(work, "digits", small_disk / "first.pth", resume)
    assert list(small_disk.iterdir()) == []
    finish(training(replace(MOCO, epochs=1, keep_state=True), ctx), "digits", tmp_path / "first.pth", resume)
    assert (
        read_state_file(tmp_path / "first.state.pth").hash
        == state_of(work.method, work.optimiser, "sgd").hash
    )
