"""One wording for a name that is not known: the near ones, else those there are. Free of torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NEAR, LISTED = 3, 60
"""Names that are suggested, and known names that are listed in full where none is near."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean a, b?" if a known name is near or begins alike, else "there are a, b, c"."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=NEAR) or [k for k in names if _begins_alike(name, k)]
    if near:
        return f"did you mean {', '.join(near[:NEAR])}?"
    if len(names) > LISTED:
        return f"there are {len(names):,}, for example {', '.join(names[:NEAR])}"
    return f"there are {', '.join(names)}"


def _begins_alike(name: str, other: str) -> bool:
    short, long = sorted((name, other), key=len)
    return len(short) >= 3 and long.startswith(short)
