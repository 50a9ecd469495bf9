"""The rows of a piece on file, written part by part, so that a later call goes on with what is missing."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsa_bench.core.digest import digest
from tools.device.row import Row, row_of

TRIES = 2
"""How often a part may begin without an end, as where the node's time ran out, before it is given up;
one that goes on where it was may begin as often from each place."""

HEAD = ("part", "figure", "value", "aim", "met", "note")


@dataclass(frozen=True)
class Part:
    """What one part of a piece gave, or why it gave nothing."""

    name: str
    rows: tuple[Row, ...]
    fault: str
    """Why it did not end as it should; "" where it did."""
    made: Mapping[str, str]
    """On what, with what."""
    seconds: float


@dataclass
class PieceFolder:
    """The folder of one piece: `rows.jsonl`, a line for each event, and the tables made of it."""

    folder: Path
    title: str
    made: Mapping[str, str]
    """On what and with what this call measures; parts of another device or size count for nothing."""
    parts: dict[str, Part] = field(init=False, default_factory=dict)
    """By name, the latest of each."""
    began: dict[str, int] = field(init=False, default_factory=dict)
    """How often each part that never ended has begun, from the same place."""
    places: dict[str, str] = field(init=False, default_factory=dict)
    """Where each of these began."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for event in _events(self._file):
            if all(event["made"].get(name) == self.made[name] for name in ("device", "size")):
                self._take(event)

    def done(self, name: str) -> bool:
        """Whether nothing is left to do for a part: it ended as it should, or never will."""
        part = self.parts.get(name)
        return self.hopeless(name) or (part is not None and not part.fault)

    def hopeless(self, name: str) -> bool:
        """Whether a part began so often without an end that it is not begun again."""
        return self.began.get(name, 0) >= TRIES

    def missing(self, names: Iterable[str]) -> list[str]:
        """What is left to do: first what was never done, then what failed."""
        left = [name for name in names if not self.done(name)]
        return sorted(left, key=lambda name: name in self.parts or name in self.began)

    def begin(self, name: str, at: str = "") -> None:
        """Note that a part begins, and where, if it goes on from what an earlier call left."""
        self._write({"part": name, "made": dict(self.made), "at": at})

    def work(self) -> Path:
        """Make a folder beside this one for what the piece goes on from; each device and size has its own."""
        own = digest(self.made["device"], self.made["size"])[:8]
        folder = self.folder.with_name(f"{self.folder.name}-work-{own}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def put(self, name: str, rows: Sequence[Row], seconds: float, fault: str = "") -> None:
        """Write what a part gave, and the tables anew."""
        plain = [row.plain() for row in rows]
        self._write(
            {"part": name, "made": dict(self.made), "rows": plain, "seconds": seconds, "fault": fault}
        )
        self.write_tables()

    def wrong(self) -> list[str]:
        """What failed or never ended, a line each."""
        lines = [f"{part.name}: {part.fault}" for part in self.parts.values() if part.fault]
        return [*lines, *(f"{name}: did not end" for name in self.began if self.hopeless(name))]

    def missed(self) -> list[str]:
        """What ended, and missed its aim, a line each."""
        return [
            f"{part.name}: {what} is {value}, aimed at is {aim}"
            for part in self.parts.values()
            for what, value, aim, *_ in (row.cells for row in part.rows if row.holds is False)
        ]

    def write_tables(self) -> None:
        """Write `table.md` and `table.csv` from all parts so far."""
        lines = [(part.name, *row.cells) for part in self.parts.values() for row in _told(part)]
        lines += [(name, "", "did not end", "", "no", "") for name in self.began if self.hopeless(name)]
        with (self.folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([HEAD, *lines])
        (self.folder / "table.md").write_text(self._markdown(lines), encoding="utf-8")

    def _markdown(self, lines: Sequence[Sequence[str]]) -> str:
        with_what = dict.fromkeys(_in_words(part.made) for part in self.parts.values())
        seconds = sum(part.seconds for part in self.parts.values())
        rows = [HEAD, ["---"] * len(HEAD), *lines]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        return f"## {self.title}\n\n{'; '.join(with_what)}. {seconds:.0f} s.\n\n{table}\n"

    @property
    def _file(self) -> Path:
        return self.folder / "rows.jsonl"

    def _write(self, event: dict[str, Any]) -> None:
        self._take(event)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _take(self, event: Mapping[str, Any]) -> None:
        name = event["part"]
        if "rows" not in event:
            at = event.get("at", "")
            self.began[name] = 1 + (self.began.get(name, 0) if self.places.get(name, "") == at else 0)
            self.places[name] = at
            return
        self.began.pop(name, None)
        rows = tuple(row_of(plain) for plain in event["rows"])
        self.parts[name] = Part(name, rows, event["fault"], event["made"], event["seconds"])


def _events(file: Path) -> list[dict[str, Any]]:
    """What stands on file; a last line that was cut off is passed over, and so that the next begins anew."""
    if not file.exists():
        return []
    whole = file.read_text(encoding="utf-8")
    if whole and not whole.endswith("\n"):
        with file.open("a", encoding="utf-8") as more:
            more.write("\n")
    found = []
    for line in whole.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _told(part: Part) -> list[Row]:
    """The rows of a part, and one that says what went wrong."""
    return [*part.rows, *([Row("", "failed", note=part.fault)] if part.fault else [])]


def _in_words(made: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in made.items() if value)
