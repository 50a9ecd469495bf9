"""`NAME=value` as the user types it, and values in YAML's notation. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.label import shown
from hsa_bench.core.input.yaml_text import parse_yaml


def split_pair(text: str, option: str, example: str) -> tuple[str, str]:
    """Split `NAME=value`; the value may be empty.

    Args:
        text: As the user wrote it.
        option: For the message, e.g. "--set".
        example: For the message: what to write.

    Raises:
        UsageError: There is no name, or no "=".
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"{option} {text}: write {example}")
    return name, value


def parse_settings(texts: Iterable[str], example: str) -> dict[str, Any]:
    """Parse the `NAME=value` texts of `--set`, each value in YAML's notation.

    Raises:
        UsageError: Another form, or a value that is not YAML.
    """
    settings = {}
    for text in texts:
        name, value = split_pair(text, "--set", example)
        settings[name] = parse_yaml(value, f"--set {shown(text)[1:-1]}")
    return settings
