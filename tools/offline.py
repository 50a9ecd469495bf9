"""Pack what a compute node without internet lacks: wheels for its Python, and data in parts to be copied.

    python tools/offline.py --out packed --installed node.txt

`node.txt` is what `pip list` or `pip freeze` says on the node. docs/device.md tells what to do there.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[1]
ASSUMED = ROOT / "tools" / "node_packages.txt"
CONSTRAINTS = ROOT / "constraints.txt"

NEVER = re.compile(r"torch|torchvision|triton|nvidia-.+|cuda-.+|faiss-.+")
"""Of the node alone: torch is built for its GPU, and its search stands in for faiss."""

PYTEST = "pytest"
"""What piece 1 needs beside the suite's own dependencies."""

PEER = ("lightly", "lightly-utils")
"""Of lightly what its losses, heads and momentum encoders import."""

PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
LIMIT = 64.0
"""MiB that go over in one copy, unless said otherwise."""

ROOM = 2**16
"""Bytes of a part that its list of names may take beyond what is counted."""

Installed = Mapping[str, str]
"""Version by canonical name; "" where it is not known."""


class Unpackable(Exception):
    """What cannot be packed, and why."""


def main(arguments: Sequence[str]) -> int:
    """Pack what is asked for; 0, or 1 with a sentence."""
    asked = _parsed(arguments)
    try:
        if asked.python and not asked.only_data:
            _pack_wheels(asked)
        for given in asked.data:
            name, _, path = given.rpartition("=")
            _pack_data(name, Path(path), asked.out / "data", asked.images, asked.limit)
    except (Unpackable, OSError) as error:
        print(f"offline.py: {error}", file=sys.stderr)
        return 1
    return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("packed"), help="folder to fill")
    parser.add_argument("--python", default="3.12", help="the node's Python")
    parser.add_argument("--machine", default="x86_64", help="its processor, as `uname -m` says")
    parser.add_argument("--installed", type=Path, default=ASSUMED, help="what `pip list` says there")
    parser.add_argument("--with-lightly", action="store_true", help="the peer that piece 2 compares with")
    parser.add_argument("--only-data", action="store_true", help="no wheels")
    parser.add_argument(
        "--data", action="append", default=[], metavar="NAME=FILE.zip", help="images, a folder a class"
    )
    parser.add_argument("--images", type=int, default=0, help="of the data, at most so many a folder")
    parser.add_argument("--limit", type=float, default=LIMIT, help="MiB in one copy")
    return parser.parse_args(arguments)


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


def _pack_wheels(asked: argparse.Namespace) -> None:
    if not asked.installed.is_file():
        raise Unpackable(
            f"--installed {asked.installed}: no such file; write what `pip list` says there into it"
        )
    installed = installed_in(asked.installed.read_text(encoding="utf-8"))
    if not installed:
        raise Unpackable(
            f"--installed {asked.installed}: names no package; it should be what `pip list` says"
        )
    folder = asked.out / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    packing = Packing(asked.python, asked.machine, installed, folder)
    packing.add(needed())
    if asked.with_lightly:
        packing.add(PEER, with_needs=False)
    for remark in packing.remarks:
        print(f"note: {remark}")
    for name, version in sorted(packing.packed.items()):
        print(f"  {name} {version}")
    _told(
        f"{len(packing.packed)} wheels for Python {asked.python}", folder.glob("*.whl"), folder, asked.limit
    )


def _pack_data(name: str, source: Path, folder: Path, most: int, limit: float) -> None:
    """Divide the images of an archive among archives that can be copied one by one."""
    if not zipfile.is_zipfile(source):
        raise Unpackable(f"--data {source}: is no zip archive; write NAME=FILE.zip")
    folder.mkdir(parents=True, exist_ok=True)
    name = name or source.stem
    for old in folder.glob(f"{name}-*.zip"):
        old.unlink()
    parts: list[Path] = []
    with zipfile.ZipFile(source) as archive:
        for number, group in enumerate(_groups(_chosen(archive, most), limit * 2**20 - ROOM), start=1):
            parts.append(folder / f"{name}-{number}.zip")
            with zipfile.ZipFile(parts[-1], "w", zipfile.ZIP_STORED) as part:
                for one in group:
                    part.writestr(one.filename, archive.read(one))
    _told(f"{name}: {len(parts)} part(s), each to be unpacked into data/{name}", parts, folder, limit)


def _chosen(archive: zipfile.ZipFile, most: int) -> list[zipfile.ZipInfo]:
    """All files, or the first few of each folder, in the archive's order."""
    seen: dict[str, int] = {}
    chosen = []
    for one in archive.infolist():
        parent = one.filename.rpartition("/")[0]
        seen[parent] = seen.get(parent, 0) + (not one.is_dir())
        if not one.is_dir() and not 0 < most < seen[parent]:
            chosen.append(one)
    return chosen


def _groups(files: Sequence[zipfile.ZipInfo], limit: float) -> Iterator[list[zipfile.ZipInfo]]:
    """Consecutive files that fit into one archive together."""
    group: list[zipfile.ZipInfo] = []
    size = 0
    for one in files:
        own = one.file_size + 2 * len(one.filename.encode()) + 200  # with its two headers
        if group and size + own > limit:
            yield group
            group, size = [], 0
        group.append(one)
        size += own
    if group:
        yield group


def _told(what: str, files: Iterable[Path], folder: Path, limit: float) -> None:
    sizes = [file.stat().st_size / 2**20 for file in files]
    print(f"{what}: {sum(sizes):.1f} MiB in {folder}")
    if max(sizes, default=0) > limit or (folder.name == "wheels" and sum(sizes) > limit):
        print(f"note: more than {limit:g} MiB: it needs several copies")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
