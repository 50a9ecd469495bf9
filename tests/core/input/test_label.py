from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.label import MOST_BYTES, fault_of, valid
from hsa_bench.core.results.store import Store
from hsa_bench.suite.make_job import make_job
from hsa_bench.suite.options import parse_checkpoint
from hsa_bench.suite.read_ablation import read_ablation

WRONG = [
    "", ".", "..", "../escaped", "../../../escaped", "/tmp/escaped", "a/b", "a/", "a\\b", "..\\..\\x",
    "a\0b", "a\nb", "a\tb", "\x1b[31mred", "a\u202eb", "a\u2028b", " a", "a ", "\u00a0", "\udcff", "a\udcffb",
    "x" * 101, "é" * 51, "x" * 300, "=1+1", '=HYPERLINK("http://x.example")', "@SUM(1)",
    "+cmd|' /C calc'!A0", "-2+3", "\uff1d1+1",
]  # fmt: skip
RIGHT = [
    "mine",
    "moco v2 (800 epochs)",
    "a=b",
    "Größe",
    "骨干",
    "x" * 100,
    "a..b",
    "..a",
    "2+3",
    "epoch=9-step=500",
]


@pytest.mark.parametrize("label", WRONG)
def test_a_wrong_name_is_refused_wherever_it_comes_from(label: str, tmp_path: Path) -> None:
    assert fault_of(label)
    with pytest.raises(ValidationError, match="the name"):
        BackboneRequest(label=label, path="a.pth")
    with pytest.raises(UsageError, match=r"field checkpoints\.0\.label: the name"):
        make_job("", {"checkpoints": [{"label": label, "path": "a.pth"}]}, [])
    with pytest.raises(UsageError, match=r"field pretrain\.backbones"):
        make_job("", {"dataset": "digits", "pretrain": {"arch": "resnet18", "backbones": {label: {}}}}, [])
    with pytest.raises(UsageError, match="--checkpoint"):
        parse_checkpoint(f"{label}=a.pth")


@pytest.mark.parametrize("label", WRONG)
def test_evaluate_refuses_it_before_it_makes_a_folder(label: str, tmp_path: Path) -> None:
    from hsa_bench import evaluate

    with pytest.raises(UsageError, match="label"):
        evaluate("mine.pth", "knn", label=label, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("label", RIGHT)
def test_a_usual_name_is_taken(label: str) -> None:
    assert fault_of(label) == ""
    assert valid(label) == label
    assert BackboneRequest(label=label).label == label


@pytest.mark.parametrize("text", [*WRONG, "x" * 300 + "y"])
def test_a_name_is_made_of_any_text_and_different_ones_of_different_texts(text: str) -> None:
    made = valid(text)
    assert fault_of(made) == "", made
    assert len(made.encode()) <= MOST_BYTES
    assert len({valid(one) for one in (*WRONG, "x" * 300 + "y")}) == len(WRONG) + 1


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/tmp/x", "a/b", "a\\b", "a\0"])
def test_a_store_has_no_path_outside_its_results(name: str, tmp_path: Path) -> None:
    for parts in ((name, "knn", "k"), ("a", name, "k"), ("a", "knn", name)):
        with pytest.raises(UsageError, match="the name"):
            Store(tmp_path).path(*parts)


@pytest.mark.parametrize("row", ["../x", "=1", "random", "pixels", "x" * 95])
def test_rows_of_an_ablation_are_names_with_what_is_added_to_them(row: str, tmp_path: Path) -> None:
    text = Path("tests/suite/ablation.yaml").read_text(encoding="utf-8")
    (tmp_path / "a.yaml").write_text(text.replace("hsa", f'"{row}"'), encoding="utf-8")
    with pytest.raises(UsageError, match=r"a\.yaml, field "):
        read_ablation(str(tmp_path / "a.yaml"))


def test_a_file_that_is_there_may_stand_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("epoch=9-step=500.ckpt").touch()
    found = parse_checkpoint("epoch=9-step=500.ckpt")
    assert (found.label, found.path) == ("epoch=9-step=500", str(tmp_path / "epoch=9-step=500.ckpt"))
    named = parse_checkpoint("mine=epoch=9-step=500.ckpt")
    assert (named.label, named.path) == ("mine", str(tmp_path / "epoch=9-step=500.ckpt"))
    Path("=odd.pth").touch()
    assert fault_of(parse_checkpoint("=odd.pth").label) == ""


def test_a_path_that_is_no_text_is_refused() -> None:
    for path in ("\udcff.pth", "hf:lab/\udcff", "a\0.pth"):
        with pytest.raises(UsageError, match=r"not UTF-8|NUL"):
            parse_checkpoint(f"x={path}")


def test_a_home_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"~nobody-here/x\.pth: nobody's home"):
        parse_checkpoint("x=~nobody-here/x.pth")
