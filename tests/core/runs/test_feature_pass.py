"""Feature passes: what is planned of runs, and what becomes of backbones that fail in one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from my_lab.counted_digits import LOG

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.features.extract import extract_wanted
from hsa_bench.core.models.network_print import network_print
from hsa_bench.core.results.feature_pass import shared_features
from hsa_bench.core.runs import runner
from hsa_bench.core.runs import share_features as sharing
from hsa_bench.core.runs.execute import Bench
from hsa_bench.core.runs.feature_pass import FeaturePass, in_order, plan_passes
from hsa_bench.core.runs.order import Order
from hsa_bench.core.runs.plan import ChosenTask, LoadedBackbone, Plan, default_task, make_plan
from hsa_bench.core.runs.share_features import share_features
from hsa_bench.core.runs.time_limit import TimeIsUp

DATA = "my_lab.counted_digits"
ARCH = "resnet18-w8-cifar"
LIMIT = 40
"""Images of each split."""


@pytest.fixture
def decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "decoded.txt"
    log.touch()
    monkeypatch.setenv(LOG, str(log))
    return log


@pytest.fixture(scope="module")
def loaded() -> list[LoadedBackbone]:
    requests = [BackboneRequest(label=f"random {i}", arch=ARCH, init=i) for i in range(3)]
    found = [LoadedBackbone(request, open_backbone(request)) for request in requests]
    assert all(one.backbone.print for one in found)  # computed once for all tests
    return found


@pytest.fixture
def opened(loaded: Sequence[LoadedBackbone], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the backbones that a pass opens; these are not built anew."""
    of, names = {one.request: one.backbone for one in loaded}, list[str]()

    def opening(request: BackboneRequest) -> object:
        names.append(request.label)
        return of[request] if request in of else open_backbone(request)

    monkeypatch.setattr(sharing, "open_backbone", opening)
    return names


def planned(
    names: Sequence[str], backbones: Sequence[LoadedBackbone], bench: Bench, seeds: Sequence[int] = (0,)
) -> Plan:
    modules = [f"eval_tasks.{name.partition('-instdisc')[0].replace('-', '_')}" for name in names]
    tasks = [ChosenTask(m, default_task(m, n)) for m, n in zip(modules, names, strict=True)]
    return make_plan(tasks, backbones, DATA, seeds, LIMIT, bench.ctx)


def passes_of(plan: Plan, bench: Bench) -> tuple[FeaturePass, ...]:
    return plan_passes(plan.runs, plan.backbones, bench.ctx, pytest.fail)


def test_runs_that_share_nothing_such_as_a_pretraining_are_passed_over_without_a_word(
    bench: Bench, loaded: list[LoadedBackbone], decoded: Path
) -> None:
    pretrain = replace(default_task("pretrain.task", "pretrain"), batch=16, queue=32)
    runs = make_plan([ChosenTask("pretrain.task", pretrain)], loaded, DATA, [0], None, bench.ctx).runs

    assert len(runs) == len(loaded)
    assert plan_passes(runs, (), bench.ctx, pytest.fail) == ()


def test_tasks_that_see_the_same_share_a_pass_with_the_union_of_their_layers(
    bench: Bench, loaded: list[LoadedBackbone], opened: list[str], decoded: Path
) -> None:
    plan = planned(["knn", "logistic", "linear-cached", "layers", "linear"], loaded, bench, seeds=(0, 1))

    [one] = passes_of(plan, bench)

    assert one.title == "feature pass: 3 backbones, counted-digits at 32 px, 80 images decoded once"
    assert one.state == "to do"
    assert [run.spec.task for run in one.runs] == ["knn"] * 3 + ["layers"] * 3 + ["linear"] * 3
    again = Order.model_validate_json(json.dumps(Order(features=one).model_dump(mode="json"))).features
    assert again is not None and again.model_dump(mode="json") == one.model_dump(mode="json")
    made = share_features(one, bench)
    assert made.images == 80 and made.backbones == ("random 0", "random 1", "random 2")
    assert len(rows := decoded.read_text().split()) == len(set(rows)) == 80
    # Of each backbone train and test, six layers each with its own, and what `linear` holds out.
    assert len(list((bench.ctx.cache / "features").glob("*.npy"))) == 3 * (2 * 6 + 1)
    assert passes_of(plan, bench)[0].state == "done"
    assert shared_features(bench.store.out) == ([made], [])


def test_views_that_differ_are_passes_of_their_own(
    bench: Bench, loaded: list[LoadedBackbone], decoded: Path
) -> None:
    plan = planned(["knn", "knn-instdisc"], loaded, bench)  # both crop alone: nothing is resized
    assert len(passes_of(plan, bench)) == 1

    tasks = [
        ChosenTask("eval_tasks.knn", replace(default_task("eval_tasks.knn", name), image_size=24))
        for name in ("knn", "knn-instdisc")
    ]
    plan = make_plan(tasks, loaded, DATA, (0,), None, bench.ctx)
    assert [one.view for one in passes_of(plan, bench)] == ["at 24 px, bicubic", "at 24 px, bilinear"]


def test_one_backbone_alone_needs_none_under_whatever_names(
    bench: Bench, loaded: list[LoadedBackbone], decoded: Path
) -> None:
    [first, *_] = loaded
    other = first.request.model_copy(update={"label": "the same"})
    twice = [first, LoadedBackbone(other, replace(first.backbone, label="the same"))]

    assert passes_of(planned(["knn", "layers"], twice, bench), bench) == ()


def test_a_pass_is_done_before_the_first_run_that_reads_it(
    bench: Bench, loaded: list[LoadedBackbone], decoded: Path
) -> None:
    plan = planned(["knn"], loaded[:2], bench)
    other = make_plan(
        [ChosenTask("my_lab.my_eval", default_task("my_lab.my_eval", "norm"))],
        loaded[:2], DATA, (0,), None, bench.ctx,
    )  # fmt: skip
    runs = (*other.runs, *plan.runs)

    passes = plan_passes(runs, plan.backbones, bench.ctx, print)

    assert list(in_order(runs, passes)) == [*other.runs, passes[0], *plan.runs]


def test_it_makes_what_the_runs_would_and_only_what_is_missing(
    bench: Bench, loaded: list[LoadedBackbone], opened: list[str], decoded: Path, tmp_path: Path
) -> None:
    alone = replace(bench, ctx=replace(bench.ctx, cache=tmp_path / "alone"))
    plan = planned(["knn"], loaded, bench)
    task = plan.runs[0].task()
    data = task.data(DATA, bench.ctx)
    for one in loaded:
        for want in task.wants(one.backbone, data, LIMIT):
            extract_wanted(one.backbone, want, alone.ctx)
            if one is loaded[0]:
                extract_wanted(one.backbone, want, bench.ctx)

    [one] = passes_of(plan, bench)
    assert one.state == "to do, 1 of them on file" and one.labels == ("random 1", "random 2")
    made = share_features(one, bench)

    assert made.backbones == ("random 1", "random 2")
    found, expected = (
        {path.name: path.read_bytes() for path in (cache / "features").glob("*.npy")}
        for cache in (bench.ctx.cache, alone.ctx.cache)
    )
    assert found == expected and len(found) == 6


def test_where_not_all_fit_at_once_they_come_in_rounds(
    bench: Bench,
    loaded: list[LoadedBackbone],
    opened: list[str],
    decoded: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [one] = passes_of(planned(["knn"], loaded, bench), bench)
    need = sharing.bytes_of(loaded[0].backbone.module, [""], loaded[0].backbone.dim)
    monkeypatch.setattr(sharing, "room", lambda _: 2 * need)

    made = share_features(one, bench)

    assert made.rounds == 2 and made.images == 2 * 80
    assert made.backbones == ("random 0", "random 1", "random 2")
    assert len(opened) == 3  # the one that did not fit is not opened twice


def test_one_that_is_not_the_planned_one_is_left_out_with_a_word(
    bench: Bench, loaded: list[LoadedBackbone], opened: list[str], decoded: Path
) -> None:
    [one] = passes_of(planned(["knn"], loaded, bench), bench)
    other = BackboneRequest(label="random 1", arch=ARCH, init=7)
    runs = [
        run.model_copy(update={"backbone": other}) if run.label == "random 1" else run for run in one.runs
    ]
    said: list[str] = []
    heard = replace(bench, ctx=replace(bench.ctx, say=said.append))

    made = share_features(one.model_copy(update={"runs": tuple(runs)}), heard)

    assert (made.backbones, made.left_out) == (("random 0", "random 2"), ("random 1",))
    [text] = said
    assert "random 1 is left out" in text and "weights have changed" in text


def test_one_that_moves_its_weights_leaves_no_features(
    bench: Bench, loaded: list[LoadedBackbone], opened: list[str], decoded: Path
) -> None:
    [one] = passes_of(planned(["knn"], loaded, bench), bench)
    trunk = loaded[1].backbone.module
    before = network_print(trunk)

    def move(*_: object) -> None:
        next(trunk.parameters()).data.add_(1)

    hook = trunk.register_forward_hook(move)
    kept = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    try:
        made = share_features(one, bench)
    finally:
        hook.remove()
        trunk.load_state_dict(kept)

    assert network_print(trunk) == before
    assert made.left_out == ("random 1",)
    assert len(list((bench.ctx.cache / "features").glob("*.npy"))) == 4


def test_a_task_that_cannot_tell_what_it_wants_shares_nothing_and_says_so(
    bench: Bench, loaded: list[LoadedBackbone], decoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(["knn", "linear-cached"], loaded[:2], bench)

    def wants(*_: object) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr(type(default_task("eval_tasks.knn", "knn")), "wants", wants)
    said: list[str] = []

    [one] = plan_passes(plan.runs, plan.backbones, bench.ctx, said.append)

    assert {run.spec.task for run in one.runs} == {"linear-cached"}
    assert said == [f"random {i} knn: shares no features, as KeyError: 'no such thing'" for i in range(2)]


class Slow:
    """Stands for a worker process that never ends its pass."""

    limits: ClassVar[list[float | None]] = []
    stopped = False

    def say(self, order: dict[str, Any]) -> None:
        assert order["features"] and not order["run"]

    def events(self, limit: float | None, quiet: object) -> Iterator[dict[str, Any]]:
        self.limits.append(limit)
        yield {"event": "progress", "description": "features", "done": 0, "total": 2}
        raise TimeIsUp("no end")

    def stop(self) -> None:
        self.stopped = True


def test_a_pass_has_the_time_of_its_backbones_and_costs_no_run_where_that_is_over(
    bench: Bench, loaded: list[LoadedBackbone], decoded: Path
) -> None:
    [one] = passes_of(planned(["knn"], loaded, bench), bench)
    said, seen, slow = list[str](), list[object](), Slow()
    worker = runner.Worker(replace(bench, timeout=10.0), said.append, slow)  # type: ignore[arg-type]

    worker.share(one, lambda order, *told: seen.append((order, *told)))

    assert slow.limits == [30.0] and slow.stopped and worker.process is None
    assert seen == [(one, "features", 0, 2)]
    assert said == [f"{one.title}: no end; the runs make their features one by one"]


def test_a_picture_that_cannot_be_decoded_ends_the_pass(
    bench: Bench, loaded: list[LoadedBackbone], opened: list[str], decoded: Path
) -> None:
    [one] = passes_of(planned(["knn"], loaded, bench), bench)
    decoded.unlink()
    decoded.mkdir()  # where the pictures write

    with pytest.raises(IsADirectoryError):
        share_features(one, bench)

    assert shared_features(bench.store.out) == ([], [])
