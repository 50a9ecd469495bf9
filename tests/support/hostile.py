"""Records of results in which every text is a stranger's, whatever fields the records have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

MARK = "evil"
TEXTS = (
    "![evil](../secret.png)",
    "![evil](https://evil.example/t.png)",
    "![evil](/etc/secret.png)",
    "[evil](javascript:alert(1))",
    "[evil]: https://evil.example",
    "<script>evil()</script>",
    "<img src=x onerror=evil()>",
    "<https://evil.example>",
    "</details><h1>evil",
    "&lt;evil&gt; &amp;",
    "`evil` ``` evil",
    "```\nevil\n```",
    "~~evil~~ ~evil~",
    "*evil* **evil** _evil_ __evil__",
    "# evil",
    "- evil",
    "12. evil",
    "> evil",
    "---",
    "evil\n===",
    "evil | evil \\| evil \\\\| evil",
    "evil \\",
    "evil!",
    "$\\evil{x$ $$evil$$",
    "\\input{evil} % & # ^ ~ \\write18{evil}",
    "[evil] *evil",
    "=HYPERLINK(\"http://evil.example\")",
    "+cmd|' /C evil'!A0",
    "-2+3+evil",
    "@SUM(evil)",
    "\t=evil",
    "[red]evil[/red] [/] [link=https://evil.example]x[/link]",
    "\x1b[31mevil\x1b]8;;https://evil.example\x07\x9bm\x00",
    "\u202eevil\u2066",
    "_evil",
    "{evil} {0} {{ evil }} {% evil %} %s",
    "evil " * 60,
)  # fmt: skip


def as_name(text: str) -> str:
    """Make of a text what is still the name of a folder."""
    return text.replace("/", "∕").replace("\\", "∖").replace("\0", "")[:80]


def filled(model: type[BaseModel], text: Iterator[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fill every field of a record with the next text, as far as its kind allows; what is given stays."""
    return {
        name: given[name] if name in given else _value(field.annotation, text, field.metadata)
        for name, field in model.model_fields.items()
    }


def _value(kind: Any, text: Iterator[str], metadata: Any = ()) -> Any:
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        made = _value(inside[0], text, inside[1:])
    elif origin in {Union, UnionType}:
        made = _value(next(one for one in inside if one is not NoneType), text, metadata)
    elif origin is Literal:
        made = inside[0]
    elif origin is tuple:
        made = (_value(inside[0], text),)
    elif origin is dict:
        made = {next(text): _value(inside[1], text)}
    elif kind is Any:
        made = {next(text): [next(text), {next(text): next(text)}]}
    elif kind is str:
        made = as_name(next(text)) if "pattern" in repr(metadata) else next(text)
    elif issubclass(kind, BaseModel):
        made = filled(kind, text, {})
    else:
        made = {bool: True, int: 1, float: 1.0}[kind]
    return made
