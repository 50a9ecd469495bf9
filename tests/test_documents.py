"""What the documents quote of a kept report stands in it, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/*.md")])
QUOTED = [
    ("README.md", ["docs/example/report.md"]),
    (
        "docs/results/cifar10.md",
        ["docs/results/cifar10/report.md", "docs/results/cifar10-exploratory/report.md"],
    ),
]
DIFFERENCE = re.compile(r"[+−]\d+\.\d \[[^\]]+\]")


@pytest.mark.parametrize(("document", "reports"), QUOTED)
def test_numbers_are_those_of_the_reports(document: str, reports: list[str]) -> None:
    text, found = (ROOT / document).read_text(), "".join((ROOT / report).read_text() for report in reports)
    found = re.sub(r"\[([^\[\]]*)\]\(#[^)]*\)", r"\1", found)
    rows = [line for line in text.splitlines() if re.match(r"\| [\w-]+( \(baseline\))? \| [\d*]", line)]
    assert rows
    for quoted in (*rows, *DIFFERENCE.findall(text)):
        assert quoted in found, f"{document}: {quoted}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", document.read_text())
    for target in targets:
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tests_that_hold_a_promise_are_there(document: Path) -> None:
    known = {path.name for path in ROOT.glob("tests/**/test_*.py")}
    for named in re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", document.read_text()):
        assert (ROOT / named).exists() if "/" in named else named in known, named
    for named in re.findall(r"`(tests/[\w/.]+)`", document.read_text()):
        assert (ROOT / named).exists(), named
