"""Text is read and written as UTF-8 in any locale: no place leaves it to the machine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for package in ("hsa_bench", "pretrain", "eval_tasks", "reports")
    for path in (ROOT / package).rglob("*.py")
]


def unstated(text: str) -> Iterator[str]:
    """Calls that read or write text without naming its encoding, by line."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        of_a_path = isinstance(node.func, ast.Attribute)
        named = {keyword.arg for keyword in node.keywords}
        modes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        binary = any("b" in mode for mode in modes if len(mode) <= 3) or not all(
            set(mode) <= set("rwaxbt+") for mode in modes
        )
        value = getattr(node.func, "value", None)
        owner = getattr(value, "id", "") or getattr(value, "attr", "")
        text_file = (
            (name in {"read_text", "write_text"} and of_a_path)
            or (
                name in {"open", "fdopen"}
                and not binary
                and owner not in {"os", "Image", "scalars", "archive"}
            )
            or (name == "fdopen" and not binary)
        )
        piped = name in {"run", "Popen", "check_output"} and named & {"text", "universal_newlines"}
        if (text_file or piped) and "encoding" not in named and "**" not in named:
            yield f"{node.lineno}: {ast.unparse(node)[:80]}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("path.read_text()", 1),
        ("path.read_text(encoding='utf-8')", 0),
        ("path.write_text(text)", 1),
        ("write_text(path, text)", 0),  # ours
        ("open(path)", 1),
        ("open(path, 'w')", 1),
        ("open(path, 'rb')", 0),
        ("path.open('a')", 1),
        ("path.open('rb')", 0),
        ("os.fdopen(1, 'w', buffering=1)", 1),
        ("os.fdopen(1, 'wb')", 0),
        ("os.open(path, flags)", 0),
        ("Image.open(path)", 0),
        ("subprocess.run(line, text=True)", 1),
        ("subprocess.run(line)", 0),
    ],
)
def test_the_scan_sees_what_leaves_it_to_the_machine(text: str, found: int) -> None:
    assert len(list(unstated(text))) == found


def test_every_text_states_its_encoding() -> None:
    places = [
        f"{p.relative_to(ROOT)}:{place}" for p in SOURCES for place in unstated(p.read_text(encoding="utf-8"))
    ]
    assert not places, "\n".join(places)
