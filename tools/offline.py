"""Pack what a compute node without internet lacks: wheels for its Python, and data in parts to be copied.

    python tools/offline.py --out packed --installed node.txt

`node.txt` is what `pip list` or `pip freeze` says on the node. docs/device.md tells what to do there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # where a file is run, Python looks beside it alone

from tools.packing.copies import LIMIT, Unpackable, tell_size
from tools.packing.images import pack_images
from tools.packing.installed import installed_in
from tools.packing.wheels import Packing, needed

ASSUMED = ROOT / "tools" / "node_packages.txt"

PEER = ("lightly", "lightly-utils")
"""Of lightly what its losses, heads and momentum encoders import."""


def main(arguments: Sequence[str]) -> int:
    """Pack what is asked for; 0, or 1 with a sentence."""
    asked = _parsed(arguments)
    try:
        if asked.python and not asked.only_data:
            _pack_wheels(asked)
        for given in asked.data:
            name, _, path = given.rpartition("=")
            pack_images(name, Path(path), asked.out / "data", asked.images, asked.limit)
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
    tell_size(
        f"{len(packing.packed)} wheels for Python {asked.python}", folder.glob("*.whl"), folder, asked.limit
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
