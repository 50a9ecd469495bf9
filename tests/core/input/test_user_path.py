"""Paths that no system takes are refused by name."""

from __future__ import annotations

import pytest

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.user_path import user_path


@pytest.mark.parametrize("path", ["x" * 256, "é" * 128, "x/" * 2048 + "x"])
def test_a_path_longer_than_systems_take_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="longer than systems take; shorten it"):
        user_path(path)


@pytest.mark.parametrize("path", ["x" * 255, "x/" * 2047 + "x", "", "/"])
def test_a_path_that_systems_take_stays_as_it_is(path: str) -> None:
    assert str(user_path(path)) in {path, "."}
