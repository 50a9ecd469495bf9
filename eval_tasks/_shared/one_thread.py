"""scikit-learn's numbers, the same bit for bit: sums over threads depend on who is first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """A block in which BLAS and OpenMP have one thread each."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

    with threadpool_limits(limits=1):
        yield
