"""The whole report of a made-up run, against files that a person has looked at."""

from pathlib import Path

import pytest

from reports.report import write_report
from tests.golden.make_report_golden import GOLDEN, excerpts


@pytest.fixture(scope="module")
def found(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    report = write_report(demo_run, tmp_path_factory.mktemp("golden") / "report.md")
    seen = f"../{demo_run.parent.name}/{demo_run.name}/"  # the run folder, as seen from there
    return {name: text.replace(seen, "") for name, text in excerpts(report).items()}


@pytest.mark.parametrize("name", ["report.md", "page.txt", "results.tex", "results.csv", "statistics.csv"])
def test_the_report_is_as_it_was_looked_at(found: dict[str, str], name: str) -> None:
    """Where the change is meant: python -m tests.golden.make_report_golden, and look at the difference."""
    assert found[name].splitlines() == (GOLDEN / name).read_text().splitlines()
