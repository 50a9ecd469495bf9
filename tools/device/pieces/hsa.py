"""Piece 4: HSA, MoCo v2 and SimCLR from scratch on all of CIFAR-10, as long as MINUTES allow."""

from __future__ import annotations

from pathlib import Path

from tools.device.cifar10 import noted
from tools.device.from_scratch.claims import claims
from tools.device.from_scratch.command import go_on, log_of
from tools.device.from_scratch.epochs import KINDS, measurements, workers
from tools.device.from_scratch.fit import MOST, WARMUP, Costs, cost_of, fitted
from tools.device.from_scratch.outcome import Outcome, outcomes
from tools.device.from_scratch.rows import Fields, rows, settings_of, write_fitted
from tools.device.mark import mark
from tools.device.measure import measure
from tools.device.piece import Call, Piece
from tools.device.piece_folder import PieceFolder
from tools.device.row import Row

EVALUATION = 240.0
"""Seconds of MINUTES that are kept for evaluating all rows and for starting anew after each stop."""
LEAST = 90.0
"""Seconds without which the command is not begun: it would be stopped before it has done an epoch."""
LENGTH, RUN, CLAIMS = "epochs that fit", "the run", "claims"


def _run(call: Call, on_file: PieceFolder) -> list[str]:
    if not noted(call, on_file):
        return []
    fields = rows(call)
    parts = [LENGTH, *fields["pretrain"]["backbones"], CLAIMS]
    left = measure(measurements(call), call, on_file)
    if left or not all(on_file.done(part) for part in KINDS):
        return [*left, *on_file.missing(parts)]
    work = on_file.work()
    preset, out = work / "rows.yaml", work / "run"
    if not (preset.exists() and on_file.done(LENGTH)) and not _fit(call, on_file, fields, preset):
        return on_file.missing(parts)
    if on_file.missing(parts) and not on_file.hopeless(RUN) and call.has_time_for(LEAST):
        _go_on(call, on_file, fields, preset, out)
    return on_file.missing(parts)


def _go_on(call: Call, on_file: PieceFolder, fields: Fields, preset: Path, out: Path) -> None:
    """Run the suite's command for as long as there is time, and write what is new."""
    on_file.begin(RUN, mark(out / "results"))
    code = go_on(preset, out, workers(call), call)
    _take(outcomes(out), fields, on_file)
    if code is not None:
        words = log_of(out).read_text(encoding="utf-8").split("\n")[-4:]
        fault = (
            f"it ended with {code}; the end of {log_of(out).name}: {' '.join(words)[-300:]}" if code else ""
        )
        on_file.put(RUN, [Row("exit code", code)], 0.0, fault)


def _fit(call: Call, on_file: PieceFolder, fields: Fields, preset: Path) -> bool:
    """Write the rows with the epochs that fit into what is left of MINUTES; return whether any do."""
    costs = Costs(*(cost_of(_figures(on_file, part)) for part in KINDS))
    spent = sum(on_file.parts[part].seconds for part in KINDS)
    try:
        common = 4 if call.tiny else fitted(costs, call.minutes * 60 - spent - EVALUATION, MOST)
    except ValueError as error:
        on_file.put(LENGTH, [], 0.0, f"MINUTES {call.minutes:g}: {error}, {EVALUATION:.0f} s kept apart")
        return False
    epochs, seconds = costs.epochs(common), costs.seconds(common)
    write_fitted(fields, epochs, preset)
    told = [Row(row, n, "epochs", note=f"{seconds[row]:.0f} s expected") for row, n in epochs.items()]
    on_file.put(LENGTH, told, 0.0)
    return True


def _take(found: dict[str, Outcome], fields: Fields, on_file: PieceFolder) -> None:
    """Write what is known of each row, and once all are, what they show."""
    for row, outcome in found.items():
        if not on_file.done(row):
            budget = outcome.training.source.budget
            refresh = settings_of(fields, row).get("refresh", 1)
            on_file.put(row, outcome.rows(refresh), budget.seconds if budget else 0.0)
    if not set(fields["pretrain"]["backbones"]) - found.keys() and not on_file.done(CLAIMS):
        purity = found["hsa"].purity
        began = max(1, round(WARMUP * len(purity)))
        tested = {row: outcome.tested for row, outcome in found.items()}
        on_file.put(CLAIMS, claims(tested, purity[began]), 0.0)


def _figures(on_file: PieceFolder, part: str) -> dict[str, float]:
    return {row.what: float(row.value) for row in on_file.parts[part].rows}


PIECE = Piece(4, "Piece 4: what does HSA add, from scratch?", _run)
