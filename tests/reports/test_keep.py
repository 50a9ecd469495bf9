"""What `reports keep` may replace: a report that was kept before, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsa_bench.core.errors import UsageError
from reports.keep import keep_report


@pytest.mark.parametrize("place", ["run", "run/results", "above", "file", "link"])
def test_nothing_but_a_kept_report_is_replaced(place: str, tmp_path: Path) -> None:
    result = tmp_path / "run" / "results" / "mine" / "knn" / "0123456789abcdef.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    kept = tmp_path if place == "above" else tmp_path / place

    with pytest.raises(UsageError, match="give another"):
        keep_report(tmp_path / "run", kept)

    assert result.read_text() == "{}" and (tmp_path / "file").read_text() == "mine"
