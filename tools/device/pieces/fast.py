"""Piece 2: how fast is the suite on this device? Throughput, ratios to peers in the same run, peak memory."""

from __future__ import annotations

from tools.device.measure import measure
from tools.device.piece import Call, Piece
from tools.device.piece_folder import PieceFolder
from tools.device.speed import frozen, heads, searching, stepping, views

MEASUREMENTS = (
    *frozen.MEASUREMENTS,
    *stepping.MEASUREMENTS,
    *searching.MEASUREMENTS,
    *heads.MEASUREMENTS,
    *views.MEASUREMENTS,
)


def _run(call: Call, on_file: PieceFolder) -> list[str]:
    return measure(MEASUREMENTS, call, on_file)


PIECE = Piece(2, "Piece 2: fast?", _run)
