"""A demo's results folder, for tests of the report."""

from pathlib import Path

import pytest

from tests.reports.report_folder import demo


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once; for tests that leave it as it is."""
    return demo(tmp_path_factory.mktemp("demo") / "run")
