"""A branching ablation's file: what it becomes, which mistakes are named, how long equal compute lasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hsa_bench import reproduce
from hsa_bench.core.errors import UsageError
from hsa_bench.core.results.result import Budget, Source, TaskResult
from hsa_bench.core.results.store import Store
from hsa_bench.suite.branching import Branching
from hsa_bench.suite.read_ablation import read_ablation
from hsa_bench.suite.start_states import lay_out_states
from tests.reports.report_folder import result
from tests.support.command import call

SMALL = Path(__file__).with_name("branching.yaml")
STATES = Path("states/start-{seed}.state.pth")


def branching(name: str = str(SMALL)) -> Branching:
    ablation = read_ablation(name, trusted=True)
    assert isinstance(ablation, Branching)
    return ablation


def cost(label: str, flops: float, epochs: int = 1) -> TaskResult:
    budget = Budget(
        method="m", dataset="d", epochs=epochs, images=1, views=2.0, seconds=1.0, seed=0, flops=flops
    )
    return result(label, "knn", source=Source(path="p", format="hsa_bench", budget=budget))


def test_the_start_keeps_its_state_and_is_measured() -> None:
    job = branching().start_job()
    assert job.pretrain.backbones == {
        "start": {
            "method": "moco",
            "epochs": 2,
            "schedule": "constant",
            "until_purity": 100,
            "keep_state": True,
        }
    }
    assert job.pretrain.seeds == (0, 1)
    assert job.tasks == ("knn",)
    assert job.pairs == ()


def test_all_branches_start_from_the_state_of_their_seed_and_differ_in_what_the_file_states() -> None:
    job = branching().branch_job(STATES)
    common = {"epochs": 1, "schedule": "step", "warmup": 0, "refresh": 1, "start_from": str(STATES)}
    rows = job.pretrain.backbones
    assert list(rows) == ["start", "moco", "hsa-views", "hsa-one-level"]
    assert {**rows["hsa-one-level"], "weights": [1, 0]} == rows["hsa-views"]
    assert all(common.items() <= own.items() for row, own in rows.items() if row != "start")
    assert [pair.label for pair in job.pairs] == ["because of neighbours"]  # the other's row is not there yet


def test_equal_compute_is_by_counted_flops_and_adds_rows_beside_their_branch() -> None:
    ablation = branching()
    longer = ablation.longer_epochs([cost("moco", 8.0, epochs=4), cost("hsa-one-level", 7.0)])
    assert longer == {"moco": 4}  # 7 / 2, rounded to even
    job = ablation.branch_job(STATES, longer)
    assert list(job.pretrain.backbones) == ["start", "moco", "moco-longer", "hsa-views", "hsa-one-level"]
    assert job.pretrain.backbones["moco-longer"] == {**job.pretrain.backbones["moco"], "epochs": 4}
    assert job.baseline == ("moco", "moco-longer")
    assert len(job.pairs) == 2
    before = ablation.branch_job(STATES).pretrain.backbones
    assert before.items() <= job.pretrain.backbones.items()  # so that what is on file is taken up


def test_equal_compute_is_what_the_branch_has_cost_whatever_epochs_its_file_states() -> None:
    """`set` may give it other epochs, or its purity may end it, by seed."""
    first, second = (cost("hsa-one-level", flops, epochs=5) for flops in (60.0, 80.0))
    moco = cost("moco", 8.0, epochs=4)
    assert branching().longer_epochs([moco, first, second]) == {"moco": 35}  # the mean, 70, by 2 an epoch


def test_equal_compute_is_an_epoch_at_least() -> None:
    assert branching().longer_epochs([cost("moco", 8.0), cost("hsa-one-level", 1.0)]) == {"moco": 1}


def test_compute_that_is_not_known_ends_it() -> None:
    with pytest.raises(UsageError, match="longer: hsa-one-level has cost nothing"):
        branching().longer_epochs([cost("moco", 8.0)])
    with pytest.raises(UsageError, match="longer: moco has cost nothing"):
        branching().longer_epochs([cost("moco", 0.0), cost("hsa-one-level", 8.0)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "tree"}, "field kind: write branching, or leave it out .*; not 'tree'"),
        ({"kind": None}, "field kind: write branching"),
        ({"branches": {}}, "field branches"),
        (
            {"branches": {"moco": {"method": "moco", "start_from": "a"}}},
            r"branches\.moco\.start_from: leave it out",
        ),
        ({"start": {"method": "moco", "keep_state": False}}, r"start\.keep_state: leave it out"),
        ({"shared": {"seeds": [0]}}, r"shared\.seeds: leave it out"),
        ({"shared_by_branches": {"init": "a.pth"}}, r"shared_by_branches\.init: leave it out"),
        ({"longer": {"like": "byol", "methods": ["moco"]}}, "longer: byol is no row of branches"),
        ({"longer": {"like": "moco", "methods": ["moco"], "seeds": [0]}}, r"field longer\.seeds"),
        ({"pairs": [{"label": "a", "row": "hsa", "less": "moco"}]}, "pairs, a: hsa is no row"),
        ({"pairs": [{"label": "a", "row": "moco", "less": "moco"}]}, "moco less itself answers nothing"),
        ({"branches": {"random": {}}, "longer": None, "pairs": []}, "random is the name of a control"),
        ({"branches": {"start": {}}, "longer": None, "pairs": []}, "two rows would be called start"),
        ({"branhces": {}}, "field branhces: unknown; did you mean branches"),
        ({"seeds": [0, 0]}, "field seeds"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    fields = yaml.safe_load(SMALL.read_text()) | change
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(UsageError, match=message):
        read_ablation(str(tmp_path / "wrong.yaml"), trusted=True)


def test_a_branch_that_would_have_a_longer_ones_name_is_refused(tmp_path: Path) -> None:
    fields = yaml.safe_load(SMALL.read_text())
    fields["branches"]["moco-longer"] = {"method": "moco"}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(UsageError, match="two rows would be called moco-longer"):
        read_ablation(str(tmp_path / "wrong.yaml"), trusted=True)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("dataset", {"dataset": "evil.x"}),
        (
            r"branches\.moco\.method",
            {"branches": {"moco": {"method": "evil.x", "epochs": 1}}, "longer": None, "pairs": []},
        ),
        (r"start\.method", {"start": {"method": "evil.x"}}),
        (r"shared_by_branches\.method", {"shared_by_branches": {"method": "evil.x", "epochs": 1}}),
    ],
)
def test_code_in_it_is_refused_where_the_file_is_not_trusted(
    tmp_path: Path, field: str, change: dict[str, Any]
) -> None:
    fields = yaml.safe_load(SMALL.read_text()) | {"dataset": "digits"} | change
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump(fields))
    with pytest.raises(UsageError, match=rf"theirs\.yaml, field {field}: .* is Python code"):
        read_ablation(str(tmp_path / "theirs.yaml"))
    assert read_ablation(str(tmp_path / "theirs.yaml"), trusted=True).title


def start(seed: int, **more: Any) -> TaskResult:
    return result(
        "start", "pretrain", seed=seed, **{"artefacts": {"state": f"kept-{seed}.state.pth"}, **more}
    )


def test_states_stand_under_names_that_have_the_seed(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    starts = [start(0), start(3)]
    for one in starts:
        store.put(one)
        place = store.path("start", "pretrain", one.spec.key).with_name(one.artefacts["state"])
        place.write_text(f"state of {one.spec.seed}")
    for _ in range(2):  # the second time they are there
        named, lost = lay_out_states((0, 3), starts, store, tmp_path / "states")
        assert not lost
        assert [Path(str(named).replace("{seed}", s)).read_text() for s in "03"] == [
            "state of 0",
            "state of 3",
        ]


def test_what_failed_is_in_a_report_where_equal_compute_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "final")
    for one in (start(0), start(1)):
        store.put(one)
        store.path("start", "pretrain", one.spec.key).with_name(one.artefacts["state"]).touch()
    failed = {"status": "failed", "metrics": {}, "failure": {"kind": "exception", "message": "loss is nan"}}
    store.put(result("hsa-one-level", "pretrain", **failed))
    monkeypatch.setattr(reproduce, "_run", lambda *_: False)  # all that could be done is on file
    done = call(reproduce.app, SMALL, "--out", tmp_path, "--trust-preset")
    assert done.returncode == 2
    assert "longer: hsa-one-level has cost nothing" in done.stderr
    assert "loss is nan" in (tmp_path / "final/report.md").read_text()


def test_a_start_that_failed_or_is_missing_is_named(tmp_path: Path) -> None:
    failed = start(0, status="failed", metrics={}, failure={"kind": "killed", "message": "out of memory"})
    store = Store(tmp_path)
    assert lay_out_states((0,), [failed], store, tmp_path)[1] == (
        "start, seed 0, has not come to its end (out of memory)"
    )
    assert "start, seed 1, has not" in lay_out_states((1,), [failed], store, tmp_path)[1]


def test_the_cifar_ablation_states_its_one_difference() -> None:
    rows = branching("cifar10-branch").branch_job(STATES, {"moco": 61}).pretrain.backbones
    assert list(rows) == ["start", "moco", "moco-longer", "hsa-views", "hsa-one-level", "hsa"]
    assert apart(rows["hsa-views"], rows["hsa-one-level"]) == ["weights"]
    assert apart(rows["hsa"], rows["hsa-one-level"]) == ["levels"]
    assert apart(rows["moco"], rows["moco-longer"]) == ["epochs"]


def apart(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
