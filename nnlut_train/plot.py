"""Draw a table: ``python -m nnlut_train.plot TABLE.json --out FILE.svg``.

Above, the function, the table's codes and its breakpoints; below, the error of every code in ulp.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import UsageError
from .functions import Function, lookup
from .tables import DirectTable, PwlTable, load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "main", "write"]

#: Readable without colour, too: dark blue, orange, grey (Okabe and Ito's palette).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"


def draw(
    table: DirectTable | PwlTable, function: Function, domain: tuple[float, float] | None = None
) -> "Figure":
    """Return a picture of `table` beside the `function` that it approximates.

    Parameters
    ----------
    table : DirectTable or PwlTable
        The table.
    function : Function
        The exact function of a real argument.
    domain : tuple of float, optional
        ``(lo, hi)``: draw the codes in it, both ends included; all by default.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'nnlut[plot]'") from error
    codes = table.input.codes()
    x = table.input.real(codes)
    if domain is not None:
        codes = codes[(x >= domain[0]) & (x <= domain[1])]
        x = table.input.real(codes)
    exact = table.output.clip(function(x))
    value = table.output.real(table.lookup(codes))
    error = (value - exact) / table.output.scale
    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 3))
    above.plot(x, exact, color=GREY, linewidth=3, label=f"{function.name}, float64")
    above.plot(x, value, color=BLUE, linewidth=1, drawstyle="steps-mid", label="table's codes")
    title = f"{function.name}: {table.input} to {table.output}, "
    if isinstance(table, PwlTable):
        p = np.array(table.breakpoints, dtype=np.int64)
        if table.fold is not None:
            p = np.union1d(-p, p)
        p = p[(p > codes[0]) & (p <= codes[-1])]
        at = table.output.real(table.lookup(p))
        above.plot(table.input.real(p), at, "o", color=ORANGE, markersize=5, label="breakpoints")
        for edge in table.input.real(p):
            below.axvline(edge, color=ORANGE, linewidth=0.5, alpha=0.6)
        title += f"{table.entries} segments, {table.meta.get('method', 'given')}"
    else:
        title += f"{len(table.values)} values"
    above.set_title(title)
    above.set_ylabel("value")
    above.legend(frameon=False)
    below.vlines(x, 0, error, color=BLUE, linewidth=1)
    below.axhline(0, color=GREY, linewidth=0.8)
    for bound in (-0.5, 0.5):
        below.axhline(bound, color=GREY, linewidth=0.8, linestyle="--")
    below.set_ylabel("error in ulp")
    below.set_xlabel(f"argument; one code is {table.input.scale:g}")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def write(figure: "Figure", path: Path) -> None:
    """Write a picture as .svg, .png or .pdf; the same table gives the same bytes."""
    import matplotlib as mpl

    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with mpl.rc_context({"svg.hashsalt": "nnlut"}):  # fixed ids
        figure.savefig(path, dpi=150, metadata=metadata)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m nnlut_train.plot", description=__doc__)
    parser.add_argument("table", type=Path, help="table file, such as build/NAME/tables/table.json")
    parser.add_argument("--out", type=Path, required=True, help="picture: .svg, .png or .pdf")
    arguments = parser.parse_args(argv)
    try:
        if arguments.out.suffix not in (".svg", ".png", ".pdf"):
            raise UsageError(f"--out must end in .svg, .png or .pdf, not {arguments.out}")
        table = load(arguments.table)
        name, domain = table.meta.get("function", ""), table.meta.get("domain")
        function = lookup(name, tuple(domain) if ":" in name and domain else None)
        write(draw(table, function), arguments.out)
    except (UsageError, OSError) as error:
        print(f"nnlut_train.plot: error: {error}", file=sys.stderr)
        return 2
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
