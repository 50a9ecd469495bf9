"""The command behind `make device`: pieces of under ten minutes each, which go on where they were stopped."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.device.piece import Call, Piece

HELP = "Measure on this node's accelerator whether the suite is right and fast: docs/device.md."


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="make device", description=HELP)
    parser.add_argument("--piece", default="all", help="its number, several as 1,2, or all (PIECE)")
    parser.add_argument("--out", type=Path, default=Path("runs/device"), help="folder for tables (OUT)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu for a rehearsal (DEVICE)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data sets (DATA)")
    parser.add_argument(
        "--minutes", type=float, default=25, help="of the device, for all of piece 4 (MINUTES)"
    )
    parser.add_argument("--tiny", action="store_true", help="everything as small as can be (TINY=1)")
    parser.add_argument("--seconds", type=float, default=540, help="after which nothing begins (SECONDS)")
    parser.add_argument("--force", action="store_true", help="also what stands in docs already (FORCE=1)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Do the pieces that are asked for; 0 where all is done and right, 1 where not, 2 for a wrong option."""
    began, asked = time.monotonic(), parsed(arguments)
    for name in ("seconds", "minutes"):
        if not getattr(asked, name) > 0:
            return refused(f"--{name} {getattr(asked, name):g}: must be above zero")
    import torch  # not before: --help and a wrong option need none

    from hsa_bench.core.devices import fault_of
    from hsa_bench.core.processes import join
    from tools.device.find_pieces import found
    from tools.device.piece import Call

    if fault := fault_of(asked.device):
        return refused(f"--device {asked.device}: {fault}; DEVICE=cpu TINY=1 rehearses all of it")
    pieces = found()
    numbers = [*map(str, pieces)]
    wanted = numbers if asked.piece == "all" else asked.piece.split(",")
    if strange := sorted({*wanted} - {*numbers}):
        return refused(f"--piece {strange[0]}: there are {', '.join(numbers)}, and all")
    until, data = began + asked.seconds, asked.data.expanduser().absolute()
    call = Call(asked.device, asked.tiny, asked.out.absolute(), until, data, asked.minutes)
    join(call.device)  # float32 is float32 from here on
    if (
        number := torch.device(call.device).index
    ) is not None:  # "cuda" alone is the first, or the chosen one
        torch.cuda.set_device(number)
    chosen = [piece for number, piece in pieces.items() if str(number) in wanted]
    return max([one(piece, call, asked.force or asked.tiny) for piece in chosen], default=0)


def one(piece: Piece, call: Call, forced: bool) -> int:
    """Do a piece as far as there is time; 1 where something is left or failed. A missed aim is only told."""
    from tools.device.find_pieces import standing
    from tools.device.made_with import made_with
    from tools.device.piece_folder import PieceFolder

    if not forced and (stands := standing(piece.number)):
        print(f"{piece.title}: stands in docs/benchmarks-device.md ({stands}); FORCE=1 measures it again")
        return 0
    on_file = PieceFolder(call.out / f"piece-{piece.number}", piece.title, made_with(call.device, call.tiny))
    began = time.monotonic()
    left = piece.run(call, on_file)
    on_file.write_tables()
    wrong = on_file.wrong()
    seconds = time.monotonic() - began
    print(f"{piece.title}: {len(on_file.parts)} parts, {seconds:.0f} s: {on_file.folder}/table.md")
    for line in (*wrong, *on_file.missed()):
        print(f"  {line}")
    if left:
        print(f"  left: {', '.join(left)}; the same command goes on with them")
    return int(bool(left or wrong))


def refused(why: str) -> int:
    """Say what is wrong with an option."""
    print(f"make device: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
