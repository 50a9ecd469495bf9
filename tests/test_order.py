from __future__ import annotations

from pathlib import Path

import pytest

from tests.order import LONG, long_first

HERE = Path(__file__).parent


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_every_test_stays_once_and_every_process_begins_with_long_files(processes: int) -> None:
    names = [f"core/test_{i}.py" for i in range(40)] + [name for name in LONG for _ in range(3)]

    ordered = long_first([(i, name) for i, name in enumerate(names)], lambda t: HERE / t[1], processes)

    assert sorted(ordered) == list(enumerate(names))
    starts = [ordered[k * len(ordered) // processes][1] for k in range(processes)]
    assert set(starts) <= set(LONG)


def test_the_long_files_are_there() -> None:
    assert [name for name in LONG if not (HERE / name).is_file()] == []
