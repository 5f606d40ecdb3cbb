"""Draw a table: ``python -m nnlut_train.plot TABLE.json --out FILE.svg``.

Above, the function, the table's codes and its breakpoints; below, the error of every code in ulp.
"""

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import cli
from .errors import UsageError
from .files import load
from .float_table import FloatTable
from .functions import FUNCTIONS, Function, lookup
from .tables import DirectTable, PwlTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "main", "render"]

#: Readable without colour, too: dark blue, orange, grey (Okabe and Ito's palette).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
#: So many codes are drawn one by one.
FEW = 32


#: Of more breakpoints than these, only the lines in the error's panel are drawn.
DOTS = 40


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
        If matplotlib is not installed, the table is of floating-point numbers, or its input has
        none of the domain.
    """
    if isinstance(table, FloatTable):
        raise UsageError(
            "pictures are of tables in fixed point, whose codes have one scale, not of "
            f"{table.float_format.name}"
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'nnlut[plot]'") from error
    codes = table.input.codes()
    x = table.input.real(codes)
    if domain is not None:
        codes = codes[(x >= domain[0]) & (x <= domain[1])]
        if not codes.size:
            raise UsageError(
                f"the table's domain must have numbers of its input {table.input}, not be {domain}"
            )
        x = table.input.real(codes)
    exact = table.output.clip(function(x))
    value = table.output.real(table.lookup(codes))
    error = (value - exact) / table.output.scale
    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 3))
    few = len(x) <= FEW
    curve = x, exact
    if few:
        between = np.linspace(x[0], x[-1], 16 * len(x))
        with contextlib.suppress(UsageError):  # a user's function may be defined at codes only
            curve = between, table.output.clip(function(between))
    above.plot(*curve, color=GREY, linewidth=3, label=f"{function.name}, float64")
    above.plot(
        x, value, color=BLUE, linewidth=1, drawstyle="steps-mid", label="table's codes",
        marker="s" if few else "", markersize=4,
    )  # fmt: skip
    title = f"{function.name}: {table.input} to {table.output}, "
    if isinstance(table, PwlTable):
        p = np.array(table.breakpoints, dtype=np.int64)
        if table.fold is not None:
            p = np.union1d(-p, p)
        p = p[(p > codes[0]) & (p <= codes[-1])]
        at = table.output.real(table.lookup(p))
        if 0 < p.size <= DOTS:
            x_p = table.input.real(p)
            above.plot(x_p, at, "o", color=ORANGE, markersize=5, label="breakpoints")
        for edge in table.input.real(p):
            below.axvline(edge, color=ORANGE, linewidth=0.5, alpha=0.6)
        plural = "s" if table.entries > 1 else ""
        title += f"folded ({table.fold.kind}), " if table.fold is not None else ""
        title += f"{table.entries} segment{plural}, {table.meta.get('method', 'given')}"
    elif isinstance(table, DirectTable):
        title += f"{len(table.values)} values"
    else:
        title += f"{table.storage_bits} bits"
    above.set_title(title)
    above.set_ylabel("value")
    above.legend(frameon=False)
    below.vlines(x, 0, error, color=BLUE, linewidth=3 if few else 1)
    below.axhline(0, color=GREY, linewidth=0.8)
    for bound in (-0.5, 0.5):
        below.axhline(bound, color=GREY, linewidth=0.8, linestyle="--")
    below.set_ylabel("error in ulp")
    below.set_xlabel(f"argument; one code is {table.input.scale:g}")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def render(figure: "Figure", suffix: str) -> bytes:
    """Return a picture's file, of the suffix .svg, .png or .pdf; the same table, the same bytes."""
    import matplotlib as mpl

    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "nnlut"}):  # fixed ids
        figure.savefig(file, format=suffix[1:], dpi=150, metadata=metadata)
    return file.getvalue()


def _function(table: DirectTable | PwlTable, given: str | None) -> Function:
    """Return the function that a table's meta data name, without running code for that."""
    name, domain = table.meta.get("function"), _domain(table)
    known = FUNCTIONS | {f.reduced.name: f.reduced for f in FUNCTIONS.values()}
    if given is not None and name != given:
        raise UsageError(f"--function must be that of the table, {name}, not {given}")
    if given is None and name not in list(known):
        raise UsageError(f"the table is of {name}: --function must name it")
    return known[name] if name in known else lookup(name, domain)


def _domain(table: DirectTable | PwlTable) -> tuple[float, float] | None:
    """Return the domain that the meta data tell; None where they tell none."""
    domain = table.meta.get("domain")
    if domain is None:
        return None
    if (
        not isinstance(domain, list)
        or len(domain) != 2
        or not all(isinstance(end, int | float) for end in domain)
        or not table.input.quantize(domain[0]) <= table.input.quantize(domain[1])
    ):
        raise UsageError(f"the table's domain must be two numbers, not {domain!r}")
    return float(domain[0]), float(domain[1])


def _main(argv: Sequence[str] | None) -> None:
    parser = cli.ArgumentParser(prog="python -m nnlut_train.plot", description=__doc__)
    parser.add_argument("table", type=Path, help="table file, such as build/NAME/tables/table.json")
    parser.add_argument("--out", type=Path, required=True, help="picture: .svg, .png or .pdf")
    parser.add_argument("--function", metavar="F",
        help="the function, if it is your own: no code is run because a file says so")  # fmt: skip
    arguments = parser.parse_args(argv)
    if arguments.out.suffix not in (".svg", ".png", ".pdf"):
        raise UsageError(f"--out must end in .svg, .png or .pdf, not {arguments.out}")
    table = load(arguments.table)
    figure = draw(table, _function(table, arguments.function), _domain(table))
    try:
        arguments.out.write_bytes(render(figure, arguments.out.suffix))
    except OSError as error:
        raise UsageError(
            f"--out must be where files can be written, not {arguments.out}: {error.strerror}"
        ) from error
    print(arguments.out)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return cli.run_main("nnlut_train.plot", _main, argv)


if __name__ == "__main__":
    sys.exit(main())
