"""Wheels that a node lacks beside what is installed there, with what these need; never torch or faiss."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tools.packing.copies import Unpackable
from tools.packing.installed import Installed

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"

NEVER = re.compile(r"torch|torchvision|triton|nvidia-.+|cuda-.+|faiss-.+")
"""Of the node alone: torch is built for its GPU, and its search stands in for faiss."""

PYTEST = "pytest"
"""What piece 1 needs beside the suite's own dependencies."""

PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014")


@dataclass
class Packing:
    """Wheels for a node, found one after the other by what each says it needs."""

    python: str
    machine: str
    installed: Installed
    folder: Path
    packed: dict[str, Version] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, wanted: Iterable[str], with_needs: bool = True) -> None:
        """Fetch what is missing there of the requirements, and of theirs.

        Raises:
            Unpackable: No such wheel for that Python, or two packages want different versions of a third.
        """
        waiting = [Requirement(text) for text in wanted]
        while waiting:
            one = waiting.pop(0)
            if self._missing(one):
                wheel = self._fetched(one)
                waiting += self._needs(wheel, one.extras) if with_needs else []

    def _missing(self, one: Requirement) -> bool:
        name = canonicalize_name(one.name)
        if NEVER.fullmatch(name):
            return False
        if name in self.packed:
            if not one.specifier.contains(self.packed[name], prereleases=True):
                raise Unpackable(f"{one} is wanted as well as {name} {self.packed[name]}, which is packed")
            return False
        if name not in self.installed:
            return True
        there = self.installed[name]
        try:
            if not there or one.specifier.contains(Version(there), prereleases=True):
                return False
        except InvalidVersion:
            return False
        self.remarks.append(f"{name} {there} is there, but {one} is wanted: packed, it goes before")
        return True

    def _fetched(self, one: Requirement) -> Path:
        before = set(self.folder.glob("*.whl"))
        version = ["--python-version", self.python, "--implementation", "cp"]
        places = [word for name in PLATFORMS for word in ("--platform", f"{name}_{self.machine}")]
        known = ["--constraint", str(CONSTRAINTS)] if CONSTRAINTS.exists() else []
        plain = Requirement(str(one))
        plain.marker = None
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, *version, *places, *known, "--dest", str(self.folder), str(plain)],
            capture_output=True,
            text=True,
            check=False,
        )
        new = sorted(set(self.folder.glob("*.whl")) - before)
        if done.returncode or len(new) != 1:
            said = next((line for line in done.stderr.splitlines() if line.startswith("ERROR: ")), "none new")
            raise Unpackable(f"{one}: no wheel for Python {self.python} on {self.machine}: {said}")
        self.packed[canonicalize_name(one.name)] = Version(new[0].name.split("-")[1])
        return new[0]

    def _needs(self, wheel: Path, extras: Iterable[str]) -> Iterator[Requirement]:
        for text in metadata(wheel).get_all("Requires-Dist") or []:
            try:
                need = Requirement(text)
            except InvalidRequirement:
                self.remarks.append(f"{wheel.name}: says {text!r}, which is no requirement; passed over")
                continue
            if need.marker is None or any(
                need.marker.evaluate({**self._there, "extra": extra}) for extra in ("", *extras)
            ):
                yield need

    @property
    def _there(self) -> dict[str, str]:
        short = ".".join(self.python.split(".")[:2])
        full = self.python if self.python.count(".") > 1 else f"{self.python}.0"
        return {
            "python_version": short,
            "python_full_version": full,
            "implementation_name": "cpython",
            "implementation_version": full,
            "platform_python_implementation": "CPython",
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
        }


def metadata(wheel: Path) -> Message:
    """What a wheel says of itself.

    Raises:
        Unpackable: It says nothing.
    """
    with zipfile.ZipFile(wheel) as archive:
        inside = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        if not inside:
            raise Unpackable(f"{wheel.name}: is no wheel, it has no METADATA")
        return HeaderParser().parsestr(archive.read(inside[0]).decode("utf-8", errors="replace"))


def needed() -> list[str]:
    """What the suite imports at run time, and what its tests on a device run under."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], PYTEST]
