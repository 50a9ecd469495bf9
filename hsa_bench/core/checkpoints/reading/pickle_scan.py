"""What a pickle would do, told without doing any of it: what it names, how long it is, how deep it nests.

Every pickle is scanned before it is read, so that one made to exhaust memory or time is refused. Run
`hsa_bench/core/checkpoints/reading/safe_read.py`, not this, to read a file.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import IO

from hsa_bench.core.errors import UnsafePickle

OPCODES = 2_000_000
"""Most opcodes of a pickle; checkpoints with optimiser and logs have some 100,000."""

NESTED = 100
"""Deepest nesting of tuples; hashing one recurses in C, where no limit holds."""

EXPANDED = 1_000_000
"""Most elements of a tuple, each way to one counted: t = (t, t) fifty times over is hashed for ever."""

_MAKES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "FROZENSET", "OBJ", "INST"}
_REMEMBERS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_RECALLS = {"GET", "BINGET", "LONG_BINGET"}
_NO_PICKLE = (ValueError, KeyError, IndexError, EOFError, OverflowError, UnicodeError)


@dataclass(frozen=True)
class _Weight:
    """Of a value: elements reached from it through tuples, and the deepest way to one."""

    elements: int = 1
    depth: int = 0


@dataclass(frozen=True)
class Seen:
    """What a pickle was seen to be."""

    protocol: int
    arrays: bool
    """Whether it names anything of numpy."""


_PLAIN = _Weight()
_MARK = _Weight(0)


def scan(stream: IO[bytes]) -> Seen:
    """Go through one pickle up to its end, building nothing.

    Args:
        stream: At the pickle's first byte; afterwards behind its last.

    Raises:
        UnsafePickle: It is damaged, too long, or nested to exhaust who reads it.
    """
    stack: list[_Weight] = []
    memo: dict[int, _Weight] = {}
    protocol, arrays = 0, False
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > OPCODES:
                raise UnsafePickle(f"its pickle has more than {OPCODES:,} steps")
            protocol = max(protocol, int(str(argument))) if opcode.name == "PROTO" else protocol
            arrays |= opcode.name == "GLOBAL" and str(argument).startswith("numpy")
            _step(opcode, argument, stack, memo)
    except UnsafePickle:
        raise
    except _NO_PICKLE as error:
        raise UnsafePickle(f"its pickle is damaged ({str(error)[:100]})") from error
    return Seen(protocol, arrays)


def _step(
    opcode: pickletools.OpcodeInfo, argument: object, stack: list[_Weight], memo: dict[int, _Weight]
) -> None:
    name = opcode.name
    if name in _REMEMBERS:
        index = len(memo) if argument is None else int(str(argument))
        if index > 2 * len(memo) + 1000:
            raise UnsafePickle(f"its pickle remembers a value under number {index:,} out of order")
        memo[index] = stack[-1]
        return
    if name in _RECALLS:
        stack.append(memo[int(str(argument))])
        return
    if name == "DUP":
        stack.append(stack[-1])
        return
    before = list(opcode.stack_before)
    popped: list[_Weight] = []
    if pickletools.markobject in before:
        while (top := stack.pop()) is not _MARK:
            popped.append(top)
        before = before[: before.index(pickletools.markobject)]
    for _ in before:
        popped.append(stack.pop())
    made = _joined(popped) if name in _MAKES else _PLAIN
    for kind in opcode.stack_after:
        stack.append(_MARK if kind is pickletools.markobject else made)


def _joined(parts: list[_Weight]) -> _Weight:
    made = _Weight(1 + sum(p.elements for p in parts), 1 + max((p.depth for p in parts), default=0))
    if made.elements > EXPANDED or made.depth > NESTED:
        raise UnsafePickle("its pickle nests tuples so that no reader would come to an end")
    return made
