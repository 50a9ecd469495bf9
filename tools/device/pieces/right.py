"""Piece 1: does the suite compute on this device what it computes on the CPU? The tests of tests/device."""

from __future__ import annotations

from tools.device.piece import Piece
from tools.device.run_tests import run_tests

PIECE = Piece(1, "Piece 1: right?", run_tests)
