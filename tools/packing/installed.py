"""What is installed on a node, as its `pip list` says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from packaging.utils import canonicalize_name

Installed = Mapping[str, str]
"""Version by canonical name; "" where it is not known."""


def installed_in(text: str) -> dict[str, str]:
    """Versions by name, of what `pip list`, `pip list --format=json`, `pip freeze` or `conda list` prints."""
    if text.lstrip().startswith("["):
        return {canonicalize_name(row["name"]): str(row["version"]) for row in json.loads(text)}
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:(?:===?|@|\s)\s*(\S+).*)?$", line.partition("#")[0])
        if words and words[1].lower() != "package":
            found[canonicalize_name(words[1])] = words[2] or ""
    return found
