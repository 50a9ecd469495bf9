"""YAML read strictly: no key twice, no surprising numbers, every fault in one sentence. Free of torch.

Plain text is read as YAML 1.2 reads it where 1.1 surprises: `1:30` and `2020-01-02` are text and no number of
seconds and no date, `010` is ten and not eight.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.label import shown

MOST_BYTES = 2**18
"""Of a file; the parser is slow, and 20 MB took it 16 s."""
MOST_VALUES = 20_000
"""In a file, with what aliases repeat."""
DEEPEST = 100
"""Brackets within brackets."""

INT, FLOAT, MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "merge"))
TIMESTAMP = "tag:yaml.org,2002:timestamp"
PLAIN_INT = re.compile(r"[-+]?(?:[0-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$")
PLAIN_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.inf|\.Inf|\.INF)$"
    r"|\.(?:nan|NaN|NAN)$"
)


class _Refused(Exception):
    """Something in a text that is refused: what, and in which line."""

    def __init__(self, what: str, node: Node) -> None:
        super().__init__(f"line {node.start_mark.line + 1}: {what}")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which takes plain data alone, and stricter."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, MappingNode):
            raise _Refused("a mapping is wanted", node)
        first: dict[Any, int] = {}
        for key, _ in node.value:
            name = key.value if key.tag == MERGE else self.construct_object(key, deep=True)
            if not isinstance(name, Hashable):
                raise _Refused("a key is a list or a mapping; write a word", key)
            line = key.start_mark.line + 1
            if name in first:
                raise _Refused(
                    f"the key {shown(str(name))} stands there twice, first in line {first[name]}", key
                )
            first[name] = line
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: ScalarNode) -> int:
        text = node.value.replace("_", "")
        if text.lstrip("+-").isdigit():
            return int(text)  # base ten, zeros before it or not
        return super().construct_yaml_int(node)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Return the safe loader's table of what plain text means, by first letter, without 1.1's surprises."""
    table = {
        letter: [(tag, rule) for tag, rule in rules if tag not in {INT, FLOAT, TIMESTAMP}]
        for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for letter in "+-.0123456789":
        table.setdefault(letter, []).extend([(FLOAT, PLAIN_FLOAT), (INT, PLAIN_INT)])
    return table


_Loader.yaml_implicit_resolvers = _resolvers()
_Loader.add_constructor(INT, _Loader.construct_yaml_int)


def read_yaml_file(path: Path) -> Any:
    """Read a file's one value.

    Raises:
        UsageError: It cannot be read, is no UTF-8 text, too large, or not YAML; the message names file and
            line.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MOST_BYTES else b""
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    if size > MOST_BYTES:
        raise UsageError(f"{path}: {size:,} bytes; a file of settings has at most {MOST_BYTES:,}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: not UTF-8 text (byte {content[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Any:
    """Read a text's one value: plain data, never an object.

    Args:
        text: In YAML.
        source: File or option, for the message.

    Raises:
        UsageError: Not YAML, a key twice, too deep, or a number that is none.
    """
    loader = None
    try:
        _check_tokens(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except _Refused as error:
        raise UsageError(f"{source}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{source}: not YAML ({_in_one_line(error)})") from error
    except RecursionError as error:
        raise UsageError(f"{source}: not YAML (more than {DEEPEST} brackets or levels deep)") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        # a number of thousands of digits, or a tag on what it does not fit, as in !!bool x
        raise UsageError(
            f"{source}: a value cannot be read ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    finally:
        if loader is not None:
            loader.dispose()


def _check_tokens(text: str) -> None:
    """Refuse what is too deep or too much before anything is made of it."""
    depth = values = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        values += isinstance(token, yaml.ScalarToken)
        if values > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES:,} of them")
        opens = isinstance(token, yaml.BlockSequenceStartToken | yaml.BlockMappingStartToken)
        opens |= isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken)
        closes = isinstance(token, yaml.BlockEndToken | yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken)
        depth += opens - closes
        if depth > DEEPEST:
            raise RecursionError


def _check_size(root: Node) -> None:
    """Refuse a value that contains itself, or that aliases repeat beyond all measure."""
    sizes: dict[int, int] = {}
    open_ones: set[int] = set()

    def count(node: Node) -> int:
        if not isinstance(node, CollectionNode):
            return 1
        if id(node) in open_ones:
            raise _Refused("an alias stands inside what it repeats", node)
        if id(node) not in sizes:
            open_ones.add(id(node))
            parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
            sizes[id(node)] = 1 + sum(map(count, parts))
            open_ones.remove(id(node))
        return sizes[id(node)]

    if count(root) > MOST_VALUES:
        raise _Refused(f"more than {MOST_VALUES:,} values, with those that aliases repeat", root)


def _in_one_line(error: yaml.YAMLError) -> str:
    """Say what PyYAML found, and where, without its drawing of the line."""
    if isinstance(error, yaml.MarkedYAMLError):
        problem = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return where + shown(problem, 200)[1:-1]
    return shown(" ".join(str(error).split()), 200)[1:-1]
