"""How all figures look: colours, type sizes, panels, and one appearance for each backbone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot: no window system, no global state
from matplotlib.lines import Line2D

from reports.run_folder.grid import Grid
from reports.writing.table import one_line

# Okabe and Ito's palette (jfly.uni-koeln.de/color) less black and yellow: told apart by colour-blind
# readers, and in grey by marker and line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = ("--", "-.", ":", (0, (6, 1.5)), (0, (4, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "v", "P", "X", "<", ">", "p", "*", "h")
CONTROL_LINES: tuple[Any, ...] = ((0, (1, 1)), (0, (5, 3)), (0, (3, 2, 1, 2)))
CONTROL_MARKERS = ("o", "s", "^", "v", "d")
BASELINE, CONTROL = "#000000", "#7F7F7F"

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E0E0E0",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "figure.facecolor": "white",
    "savefig.dpi": 160,
    "text.parse_math": False,  # names are no formulas
}

WIDTH = 7.0
"""Of a figure with several panels, inches: the text width of a page."""
SINGLE = 4.6
"""Of a figure with one panel."""
ACROSS = 3
"""Panels in a row."""
LONGEST = 60
"""Letters of a name in a legend."""
MOST_PANELS = 9
"""Of one figure; more are not read."""


@dataclass(frozen=True)
class Look:
    """How a backbone appears in every figure of a report."""

    name: str
    """In legends: the row, and what it is for."""
    colour: str
    line: Any
    """Line style of matplotlib."""
    marker: str
    hollow: bool = False
    """Whether the marker is open, as a control's."""

    def legend_entry(self) -> Line2D:
        """A line with its marker."""
        label = f" {self.name}" if self.name.startswith("_") else self.name  # matplotlib hides the others
        return Line2D([], [], label=label, linewidth=1.2, **self.kwargs())

    def kwargs(self) -> dict[str, Any]:
        """For `Axes.plot`."""
        return {
            "color": self.colour,
            "linestyle": self.line,
            "marker": self.marker,
            "markersize": 3.6,
            "markerfacecolor": "white" if self.hollow else self.colour,
        }


def looks(grid: Grid, baseline: str, controls: Collection[str]) -> dict[str, Look]:
    """The appearance of each row: the baseline black, controls grey and hollow, the others in turn.

    Args:
        grid: The rows.
        baseline: Row that the others are compared with, or "".
        controls: Labels of the untrained.
    """
    return looks_of(grid.rows, baseline, [row for row in grid.rows if grid.row_labels[row] in controls])


def looks_by_label(grid: Grid, baseline: str, controls: Collection[str]) -> dict[str, Look]:
    """As `looks`, by label, for what was made before rows were told apart; a label looks as its first row."""
    own = looks(grid, baseline, controls)
    return {grid.row_labels[row]: own[row] for row in reversed(grid.rows)}


def looks_of(rows: Iterable[str], baseline: str = "", controls: Collection[str] = ()) -> dict[str, Look]:
    """As `looks`, for names."""
    found: dict[str, Look] = {}
    others = untrained = 0
    for row in rows:
        name = shortened(row, LONGEST)
        if row == baseline:
            found[row] = Look(f"{name} (baseline)", BASELINE, "-", "D", row in controls)
        elif row in controls:
            line = CONTROL_LINES[untrained % len(CONTROL_LINES)]
            marker = CONTROL_MARKERS[untrained % len(CONTROL_MARKERS)]
            found[row] = Look(f"{name} (control)", CONTROL, line, marker, hollow=True)
            untrained += 1
        else:
            line, marker = LINES[others % len(LINES)], MARKERS[others % len(MARKERS)]
            found[row] = Look(name, COLOURS[others % len(COLOURS)], line, marker)
            others += 1
    return found


def panels(
    count: int, height: float, across: int = ACROSS, share_rows: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many panels.

    Args:
        count: Panels.
        height: Of a panel with its title and labels, inches.
        across: Panels in a row at most.
        share_rows: Whether all have the same y axis.
    """
    across = min(count, across)
    down = -(-count // across)
    size = (SINGLE if across == 1 else WIDTH, height * down)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(down, across, squeeze=False, sharey=share_rows)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return figure, list(axes.flat[:count])


def add_legend(figure: Figure, shown: Sequence[Line2D]) -> None:
    """One legend for all panels, below them, in as many columns as fit; the figure grows by its height."""
    longest = max(len(str(entry.get_label())) for entry in shown)
    # A letter is about 0.055 inches wide, a line with its margins half an inch.
    fit = int((figure.get_figwidth() - 0.2) / (0.055 * longest + 0.5))
    rows = -(-len(shown) // max(1, fit))
    figure.set_figheight(figure.get_figheight() + 0.16 * rows + 0.1)
    figure.legend(handles=shown, loc="outside lower center", ncols=-(-len(shown) // rows))


def entries(names: Collection[str], known: Mapping[str, Look]) -> list[Line2D]:
    """Legend entries of the rows that are shown, in the report's order."""
    return [look.legend_entry() for row, look in known.items() if row in names]


def shortened(text: str, most: int) -> str:
    """A name that fits, cut in the middle: names of one family differ at either end."""
    text = one_line(text)
    end = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - end]}…{text[-end:]}"
