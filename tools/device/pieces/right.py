"""Piece 1: does the suite compute on this device what it computes on the CPU? The tests of tests/device."""

from __future__ import annotations

from tools.device.piece import Piece
from tools.device.tested import test

PIECE = Piece(1, "right", "Piece 1: right?", test)
