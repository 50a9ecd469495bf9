"""The ablation's command on a small budget: equal trials, the best of each, one comparison, resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.presets import presets_in
from hsa_bench.core.results.result import Budget, Source, TaskResult
from hsa_bench.core.runs.plan import default_task
from hsa_bench.reproduce import app
from hsa_bench.suite.ablation import (
    Ablation,
    chosen,
    final_job,
    flops_per_epoch,
    trials,
    tuning_job,
)
from hsa_bench.suite.ablation_file import LONGER
from hsa_bench.suite.branching import Branching
from hsa_bench.suite.choose_tasks import choose_tasks, with_settings
from hsa_bench.suite.job import Job
from hsa_bench.suite.make_job import make_job
from hsa_bench.suite.read_ablation import ABLATIONS, read_ablation
from reports.run_folder.collected import collect
from reports.run_folder.grid import lay_out
from reports.statistics.comparison import compare
from reports.statistics.difference import Difference
from tests.reports.report_folder import result
from tests.support.command import Done, call

ROOT = Path(__file__).parents[2]

SMALL = Path(__file__).with_name("ablation.yaml")


def tuned(name: str, trusted: bool = False) -> Ablation:
    ablation = read_ablation(name, trusted)
    assert isinstance(ablation, Ablation)
    return ablation


def command(out: Path, ablation: Path | str = SMALL) -> Done:
    return call(app, ablation, "--out", out, "--trust-preset")


@pytest.mark.long
def test_it_tunes_chooses_compares_and_takes_up_what_is_there(tmp_path: Path) -> None:
    done = command(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    tuned, final = collect(tmp_path / "tuning"), collect(tmp_path / "final")
    judged = {r.label: r.values["top1"] for r in tuned.results if r.spec.task == "knn"}
    assert len(judged) == 4
    best = json.loads((tmp_path / "chosen.json").read_text())
    for row, settings in best.items():
        own = {label: top1 for label, top1 in judged.items() if label.startswith(f"{row} ")}
        assert own[f"{row} lr {settings['lr']:g} T 0.2"] == max(own.values())

    pretrained = [r for r in final.results if r.spec.task == "pretrain"]
    assert sorted((r.label, r.spec.seed) for r in pretrained) == [
        ("hsa", 0), ("moco", 0), ("moco", 1), ("moco-longer", 0),
    ]  # fmt: skip
    for one in pretrained:
        assert one.spec.settings["lr"] == best[one.label.removesuffix(LONGER)]["lr"]
    flops = {r.label: r.source.budget.flops for r in final.results if r.source.budget}
    assert flops["moco"] < flops["hsa"]
    assert flops["moco-longer"] == pytest.approx(
        flops["hsa"], rel=0.3
    )  # whole epochs, of which there are few

    grid = lay_out(final)
    found = compare(final, grid, ["moco", "moco-longer"])
    assert isinstance(found.at("hsa", "moco-longer", "knn"), Difference)
    text = (tmp_path / "final" / "report.md").read_text()
    assert "Chosen learning rates and temperatures, by trials of 1 epochs: moco" in text
    for row in ("moco (baseline)", "hsa", "moco-longer", "random", "pixels"):
        assert f"\n| {row} |" in text

    again = command(tmp_path)
    assert again.returncode == 0
    assert "[1/" not in again.stdout  # nothing is run twice


def test_tuning_never_sees_the_test_pictures_and_gives_every_method_as_much() -> None:
    ablation = tuned("cifar10")
    job = tuning_job(ablation)
    assert job.dataset == "cifar10-10k-held-out" != ablation.dataset
    by_row = [trial.row for trial in trials(ablation)]
    assert {by_row.count(row) for row in ablation.methods} == {6}
    assert {own["method"] for own in job.pretrain.backbones.values()} == {"simclr", "moco", "hsa"}
    assert len(job.pretrain.backbones) == 24


def judged(label: str, top1: float) -> TaskResult:
    return result(label, "knn", metrics={"top1": top1})


def test_the_best_trial_is_taken_and_of_equal_ones_the_first() -> None:
    ablation = tuned(str(SMALL), trusted=True)
    names = [trial.label for trial in trials(ablation)]
    best = chosen(ablation, [judged(n, v) for n, v in zip(names, (10.0, 20.0, 30.0, 30.0), strict=True)])
    assert {row: trial.lr for row, trial in best.items()} == {"moco": 0.05, "hsa": 0.01}


def test_a_lost_trial_stops_the_choice_as_methods_would_not_be_tuned_alike() -> None:
    ablation = tuned(str(SMALL), trusted=True)
    with pytest.raises(UsageError, match=r"tuning: hsa lr 0\.05 T 0\.2 has no number"):
        chosen(ablation, [judged(trial.label, 10.0) for trial in trials(ablation)[:-1]])


def test_equal_compute_is_by_flops() -> None:
    ablation = tuned(str(SMALL), trusted=True)
    best = chosen(ablation, [judged(trial.label, 10.0) for trial in trials(ablation)])
    job = final_job(ablation, best, {"moco": 2.0, "hsa": 7.0}, "tuned")
    assert job.pretrain.backbones["moco-longer"]["epochs"] == 7
    assert job.pretrain.backbones["moco"]["seeds"] == (0, 1)
    assert "tuned" in job.notes
    assert job.baseline == ("moco", "moco-longer")
    assert flops_per_epoch(ablation, []) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seeds: {moco: [0]}", "seeds: hsa has none"),
        ("longer: {like: byol, methods: [moco]}", "byol is no row of methods"),
        ("tunning: 3", "field tunning"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, line: str, message: str) -> None:
    text = "\n".join(
        row for row in SMALL.read_text().splitlines() if row.split(":")[0] != line.split(":", maxsplit=1)[0]
    )
    (tmp_path / "wrong.yaml").write_text(f"{text}\n{line}\n")
    with pytest.raises(UsageError, match=message):
        read_ablation(str(tmp_path / "wrong.yaml"), trusted=True)


def test_an_unknown_name_ends_with_2_and_those_there_are(tmp_path: Path) -> None:
    done = command(tmp_path / "out", "cifar11")
    assert done.returncode == 2
    assert "ablation cifar11: did you mean cifar10" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_exploratory_row_has_the_settings_of_the_comparison_but_the_epochs() -> None:
    ablation = tuned("cifar10")
    row = make_job(str(ROOT / "docs/results/cifar10-exploratory.yaml"), {}, [])
    assert (row.dataset, row.tasks, row.settings) == (
        ablation.dataset,
        ablation.tasks,
        dict(ablation.settings),
    )
    assert row.pretrain.arch == ablation.arch
    assert row.pretrain.settings == {**ablation.shared, "epochs": 30}
    (own,) = row.pretrain.backbones.values()
    assert {name: own.pop(name) for name in ablation.methods["hsa"]} == ablation.methods["hsa"]
    assert own["lr"] in ablation.tuning.lr and own["temperature"] in ablation.tuning.temperature


def jobs_of(name: str) -> list[Job]:
    ablation = read_ablation(name)
    if isinstance(ablation, Branching):
        return [
            ablation.start_job(),
            ablation.branch_job(Path("a.state.pth"), ablation.longer_epochs(costs(ablation))),
        ]
    best = chosen(ablation, [judged_by(ablation.tuning.judge, trial.label) for trial in trials(ablation)])
    final = final_job(ablation, best, dict.fromkeys(ablation.methods, 1.0), "tuned")
    return [tuning_job(ablation), final]


@pytest.mark.parametrize("name", list(presets_in(ABLATIONS)))
def test_every_ablation_that_ships_is_jobs_whose_settings_exist(name: str) -> None:
    for job in jobs_of(name):
        choose_tasks(job.tasks, job.settings, job.image_size)
        for own in job.pretrain.backbones.values():
            settings = {**job.pretrain.settings, **own}
            settings.pop("seeds", None)
            with_settings(default_task("pretrain.task", "pretrain"), settings)


def costs(ablation: Branching) -> list[TaskResult]:
    budget = Budget(method="m", dataset="d", epochs=1, images=1, views=2.0, seconds=1.0, seed=0, flops=1.0)
    source = Source(path="p", format="hsa_bench", budget=budget)
    return [result(row, "knn", source=source) for row in ablation.branches]


def judged_by(task: str, label: str) -> TaskResult:
    return result(label, task, metrics={"top1": 50.0})
