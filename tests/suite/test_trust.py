"""Files of others that name Python code: refused by name, imported only where the user says so by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.presets import presets_in
from hsa_bench.core.registry import load
from hsa_bench.reproduce import app as reproduce
from hsa_bench.run import app as run
from hsa_bench.suite.make_job import make_job, presets
from hsa_bench.suite.read_ablation import ABLATIONS, read_ablation
from pretrain.__main__ import app as pretrain
from pretrain.preset import presets as pretraining_presets
from pretrain.preset import read_preset
from tests.support.command import call

EVIL = "raise SystemExit(open('ran', 'w').close())"
MINE = {"dataset": "digits", "tasks": ["knn"], "checkpoints": [{"label": "a", "path": "a.pth"}]}
PRETRAIN = {"arch": "resnet18-w8-s2", "backbones": {"a": {"method": "moco"}}}
ABLATION = yaml.safe_load(Path("tests/suite/ablation.yaml").read_text(encoding="utf-8")) | {
    "dataset": "digits", "tuned_on": "digits",
}  # fmt: skip

CASES: list[tuple[str, dict[str, object]]] = [
    ("arch", {**MINE, "arch": "evil:net"}),
    ("arch", {**MINE, "arch": "a=evil.deep:net"}),
    ("arch", {"dataset": "digits", "arch": "os:abort"}),
    ("tasks", {**MINE, "tasks": ["knn", "evil.x"]}),
    ("dataset", {**MINE, "dataset": "evil.x"}),
    ("file_format", {**MINE, "file_format": "evil.x"}),
    ("file_format", {**MINE, "file_format": "a=evil.x"}),
    (r"checkpoints\.0\.path", {**MINE, "checkpoints": [{"label": "a", "path": "evil:net"}]}),
    (r"checkpoints\.0\.arch", {**MINE, "checkpoints": [{"label": "a", "path": "a", "arch": "evil:net"}]}),
    (
        r"checkpoints\.0\.file_format",
        {**MINE, "checkpoints": [{"label": "a", "path": "a", "file_format": "e.x"}]},
    ),
    (r"pretrain\.arch", {**MINE, "pretrain": {**PRETRAIN, "arch": "evil:net"}}),
    (
        r"pretrain\.backbones\.a\.method",
        {**MINE, "pretrain": {**PRETRAIN, "backbones": {"a": {"method": "evil.x"}}}},
    ),
    (r"pretrain\.settings\.method", {**MINE, "pretrain": {**PRETRAIN, "settings": {"method": "evil.x"}}}),
    (r"set\.pretrain\.method", {**MINE, "pretrain": PRETRAIN, "set": {"pretrain.method": "evil.x"}}),
    (r"set\.transfer\.dataset", {**MINE, "tasks": ["transfer"], "set": {"transfer.dataset": "evil.x"}}),
]


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, the current one, whose module `evil` leaves a file when it is imported."""
    (tmp_path / "evil").mkdir()
    for name in ("__init__", "x", "deep"):
        (tmp_path / "evil" / f"{name}.py").write_text(EVIL, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "evil"]:
        del sys.modules[name]


def written(folder: Path, content: object) -> str:
    (folder / "theirs.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(folder / "theirs.yaml")


@pytest.mark.parametrize(("field", "content"), CASES)
def test_a_preset_that_names_code_is_refused_by_field(
    field: str, content: dict[str, object], evil: Path
) -> None:
    path = written(evil, content)
    with pytest.raises(UsageError, match=rf"theirs\.yaml, field {field}: .* is Python code.*--trust-preset"):
        make_job(path, {}, [])
    with pytest.raises(UsageError, match="is Python code"):
        make_job(path, {"arch": "resnet18", "dataset": "digits", "tasks": ("knn",)}, [])
    assert make_job(path, {}, [], trusted=True).preset == path
    assert not (evil / "ran").exists()


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("arch", {"arch": "evil:net"}),
        ("dataset", {"dataset": "evil.x"}),
        ("tuned_on", {"tuned_on": "evil.x"}),
        ("tasks", {"tasks": ["evil.x"]}),
        (r"tuning\.judge", {"tuning": {**ABLATION["tuning"], "judge": "evil.x"}}),
        (r"shared\.method", {"shared": {**ABLATION["shared"], "method": "evil.x"}}),
        (r"methods\.moco\.method", {"methods": {**ABLATION["methods"], "moco": {"method": "evil.x"}}}),
        (r"set\.transfer\.dataset", {"set": {"transfer.dataset": "evil.x"}}),
    ],
)
def test_an_ablation_that_names_code_is_refused_by_field(
    field: str, change: dict[str, object], evil: Path
) -> None:
    path = written(evil, {**ABLATION, **change})
    with pytest.raises(UsageError, match=rf"theirs\.yaml, field {field}: .* is Python code"):
        read_ablation(path)
    assert read_ablation(path, trusted=True).title


@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("arch", {"arch": "evil:net"}),
        ("dataset", {"dataset": "evil.x"}),
        (r"settings\.method", {"settings": {"method": "evil.x"}}),
    ],
)
def test_a_preset_of_pretraining_that_names_code_is_refused_by_field(
    field: str, content: dict[str, object], evil: Path
) -> None:
    path = written(evil, content)
    with pytest.raises(UsageError, match=rf"theirs\.yaml, field {field}: .* is Python code"):
        read_preset(path)
    assert read_preset(path, trusted=True)


def test_the_commands_refuse_and_the_option_by_hand_allows(evil: Path) -> None:
    theirs = str(evil / "theirs.yaml")
    for app, content, arguments in (
        (run, {**MINE, "tasks": ["evil.x"]}, ("--preset", theirs, "--dry-run")),
        (reproduce, {**ABLATION, "tasks": ["evil.x"]}, (theirs,)),
        (pretrain, {"dataset": "evil.x"}, ("--preset", theirs, "--method", "moco", "--epochs", 1)),
    ):
        written(evil, content)
        done = call(app, *arguments, "--out", "out", cwd=evil)
        assert done.returncode == 2 and "is Python code" in done.stderr, done.stderr
        assert not (evil / "ran").exists()
    trusted = written(evil, {**MINE, "tasks": ["evil.x"]})
    done = call(run, "--preset", trusted, "--trust-preset", "--dry-run", "--out", "out", cwd=evil)
    assert done.returncode == 2 and "evil.x: cannot be imported (SystemExit" in done.stderr
    assert (evil / "ran").exists()


def test_names_that_are_typed_by_hand_stay_as_they_are(evil: Path) -> None:
    path = written(evil, MINE)
    job = make_job(path, {"arch": "evil:net", "tasks": ("evil.x",), "dataset": "evil.x"}, [])
    assert (job.arch, job.tasks, job.dataset) == ("evil:net", ("evil.x",), "evil.x")


def test_what_ships_names_no_code_and_plain_data_is_no_code(tmp_path: Path) -> None:
    for name in presets():
        make_job(name, {"arch": "resnet18"}, [])
    for name in presets_in(ABLATIONS):
        read_ablation(name)
    for name in pretraining_presets():
        read_preset(name)
    plain = {
        "dataset": "imagefolder:photos",
        "title": "v1.2 of lab.nets:build",
        "tasks": ["semisup"],
        "set": {"semisup.subset": "lists.train", "coco.root": "my.data", "voc.test": "a.b"},
        "checkpoints": [
            {"label": "a", "path": "model.pth"},
            {"label": "b", "path": "timm:resnet50"},
            {"label": "c", "path": "~/nets/c.d"},
            {"label": "d", "path": "/nets/d:e.pth"},
        ],
    }
    requests = make_job(written(tmp_path, plain), {}, []).requests()
    assert [r.path for r in requests[1:]] == ["timm:resnet50", str(Path.home() / "nets/c.d"), "/nets/d:e.pth"]


@pytest.mark.parametrize("name", ["../x", "a..b", ".x", "x.", "a.b-c", "/etc.x", "a\0.b"])
def test_what_is_no_dotted_name_is_not_imported(name: str) -> None:
    with pytest.raises(UsageError, match="not found"):
        load("eval_tasks", name)


def test_a_module_that_ends_the_process_when_it_is_imported_is_refused(evil: Path) -> None:
    with pytest.raises(UsageError, match=r"evil\.x: cannot be imported \(SystemExit"):
        load("eval_tasks", "evil.x")


@pytest.mark.parametrize("path", ["sys:exit", "sys:path", "os:nothing", "os:getcwd", "nowhere.at_all:build"])
def test_a_function_that_gives_no_module_is_one_sentence(path: str, tmp_path: Path) -> None:
    done = call(run, "--checkpoint", f"x={path}", "--dataset", "digits", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(f"error: --arch {path}: ") and done.stderr.count("\n") == 1
