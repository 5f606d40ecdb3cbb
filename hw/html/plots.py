"""The report's plots: functions, errors, their distribution, rows, and bars."""

from collections.abc import Sequence

import numpy as np

from .elements import Markup, number
from .samples import Curve, RowSample
from .svg import Drawing, Scale, plain, ticks
from .words import step_words

__all__ = ["bars", "curve_plot", "histogram", "row_errors_plot", "row_plot"]

WIDTH, LEFT, RIGHT = 420.0, 52.0, 408.0
#: Points that a line may have; what has more is drawn by the extremes of as many columns.
POINTS = 420
#: Edges of segments that are drawn as lines from top to bottom; more are short ticks.
EDGES = 60


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most two points a column of the screen: the extremes, in their order."""
    if len(x) <= POINTS:
        return x, y
    column = ((x - x[0]) / (x[-1] - x[0]) * (POINTS - 1)).astype(np.int64)
    kept: list[int] = []
    for part in np.split(np.arange(len(x)), np.flatnonzero(np.diff(column)) + 1):
        kept += sorted({int(part[y[part].argmin()]), int(part[y[part].argmax()])})
    return x[kept], y[kept]


def _line(drawing: Drawing, across: Scale, up: Scale, x: np.ndarray, y: np.ndarray,
          class_: str, *, steps: bool = False) -> None:  # fmt: skip
    x, y = _thinned(x, y)
    if steps and len(x) <= POINTS:
        middle = (x[1:] + x[:-1]) / 2
        x, y = np.concatenate([x[:1], np.repeat(middle, 2), x[-1:]]), np.repeat(y, 2)
    drawing.path([(across(a), up(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)], class_)


def _range(*values: np.ndarray) -> tuple[float, float]:
    """Return from where to where values reach, and a little more."""
    low, high = (float(f([f(v) for v in values])) for f in (np.min, np.max))
    room = (high - low) * 0.05 or 0.5
    return low - room, high + room


def _error_panel(drawing: Drawing, across: Scale, x: np.ndarray, error: np.ndarray,
                 top: float, bottom: float) -> Scale:  # fmt: skip
    """Add the axes of an error in ulp, with the limits of correct rounding; return its scale."""
    reach = max(0.6, float(np.abs(error).max()) * 1.12)
    up = Scale(-reach, reach, bottom, top)
    drawing.y_axis(up, LEFT, RIGHT, ticks(-reach, reach, 4))
    for limit in (-0.5, 0.5):
        drawing.line(LEFT, up(limit), RIGHT, up(limit), "limit")
    drawing.text(LEFT, top - 7, "error in ulp; dashed \u00b10.5", "soft small")
    return up


def _legend(drawing: Drawing, y: float, exact: str = "float64", unit: str = "the unit") -> None:
    drawing.line(LEFT, y - 4, LEFT + 22, y - 4, "exact")
    drawing.text(LEFT + 28, y, exact, "small")
    drawing.line(LEFT + 92, y - 4, LEFT + 114, y - 4, "unit")
    drawing.text(LEFT + 120, y, unit, "small")


def curve_plot(name: str, curve: Curve, max_ulp: float) -> Markup:
    """Return a function and its error, one above the other, on the same axis.

    Parameters
    ----------
    name : str
        Of the drawing, unique on the page.
    curve : Curve
        What is shown.
    max_ulp : float
        The largest error, which is marked.
    """
    edges = len(curve.edges)
    drawing = Drawing(
        name, WIDTH, 392, f"{curve.name}: exact and by the unit, and the error",
        f"Above, {curve.name} over its inputs in float64 and by the unit; below, on the same axis, "
        f"the error in ulp, at most {max_ulp:.3f}. {edges} edges of segments are marked.",
    )  # fmt: skip
    across = Scale(float(curve.x[0]), float(curve.x[-1]), LEFT, RIGHT)
    up = Scale(*_range(curve.exact, curve.result), 208, 24)
    _legend(drawing, 13)
    if edges:
        drawing.line(LEFT + 200, 4, LEFT + 200, 16, "edge")
        drawing.text(LEFT + 208, 13, f"edges of segments ({edges})", "small")
    marks = ticks(across.low, across.high, 8)
    drawing.x_axis(across, 24, 208, marks)
    drawing.y_axis(up, LEFT, RIGHT, ticks(up.low, up.high, 5))
    below = _error_panel(drawing, across, curve.x, curve.error, 252, 352)
    drawing.x_axis(across, 252, 352, marks)
    # Where edges are closer than lines can be told apart, they are one.
    places = sorted({round(across(edge)) for edge in curve.edges.tolist()})
    for at in places:
        few = len(places) <= EDGES
        drawing.path(f"M{at} 24V208M{at} 252V352" if few else f"M{at} 200v8M{at} 344v8", "edge")
    _line(drawing, across, up, curve.x, curve.exact, "exact")
    _line(drawing, across, up, curve.x, curve.result, "unit", steps=True)
    _line(drawing, across, below, curve.x, curve.error, "unit")
    worst = int(np.abs(curve.error).argmax())
    at, value = across(float(curve.x[worst])), below(float(curve.error[worst]))
    drawing.circle(at, value, 4, "ring")
    drawing.text(RIGHT, 245, f"max {max_ulp:.3f} at {plain(float(curve.x[worst]))}",
                 "small strong end")  # fmt: skip
    drawing.text((LEFT + RIGHT) / 2, 386, f"input (1 step = {step_words(curve.input.scale)})",
                 "soft small middle")  # fmt: skip
    return drawing.render()


def histogram(name: str, errors: np.ndarray, rms: float, peak: float, what: str) -> Markup:
    """Return the distribution of errors, without a sign, with RMS and maximum marked.

    Parameters
    ----------
    name : str
        Of the drawing, unique on the page.
    errors : float64 array, shape (n,)
        Errors in ulp, at least 0.
    rms, peak : float
        The measured figures.
    what : str
        What was counted: ``input codes``, ``elements``.
    """
    top = max(peak, float(errors.max()), 0.05)
    bins = min(40, max(12, len(errors) // 12))
    counts, sides = np.histogram(errors, bins, (0, top))
    shares = counts * (100 / len(errors))
    drawing = Drawing(
        name, WIDTH, 250, "Distribution of the error",
        f"Share of {what} by the size of the error in ulp, in {bins} bins from 0 to {top:.3f}; "
        f"RMS {rms:.3f}, max {peak:.3f}.",
    )  # fmt: skip
    across, up = Scale(0, top * 1.04, LEFT, RIGHT), Scale(0, float(shares.max()) * 1.18, 204, 26)
    drawing.text(LEFT, 14, f"% of {what}", "soft small")
    drawing.y_axis(up, LEFT, RIGHT, ticks(0, up.high, 4))
    drawing.x_axis(across, 204, 208, ticks(0, across.high, 6))
    for share, left, right in zip(shares, sides, sides[1:], strict=False):
        if share:
            drawing.rect(across(left) + 0.5, up(share), across(right) - across(left) - 1,
                         204 - up(share), "bar",
                         title=f"{left:.3f} to {right:.3f} ulp: {share:.2f} %")  # fmt: skip
    for value, label, end in ((rms, f"RMS {rms:.3f}", False), (peak, f"max {peak:.3f}", True)):
        drawing.line(across(value), 26, across(value), 204, "limit")
        drawing.text(across(value) + (-4 if end else 4), 36 if end else 24, label,
                     "small strong" + " end" * end)  # fmt: skip
    drawing.text((LEFT + RIGHT) / 2, 242, "error in ulp, without its sign", "soft small middle")
    return drawing.render()


def row_plot(name: str, sample: RowSample, entering: str, leaving: str) -> Markup:
    """Return one row: what enters, what must leave and leaves, and the error.

    Parameters
    ----------
    name : str
        Of the drawing, unique on the page.
    sample : RowSample
        The row.
    entering, leaving : str
        What elements and results are called.
    """
    count = len(sample.x)
    drawing = Drawing(
        name, WIDTH, 440, f"One row of {count} {entering}",
        f"Above, the {entering} of a row by their positions; in the middle, the {leaving} in "
        "float64 and by the unit; below, the error in ulp.",
    )  # fmt: skip
    across = Scale(-0.7, count - 0.3, LEFT, RIGHT)
    top, up = Scale(*_range(sample.x, np.zeros(1)), 116, 24), None
    marks = [m for m in ticks(0, count - 1, 8) if m == int(m)]
    drawing.text(LEFT, 14, entering, "soft small")
    drawing.y_axis(top, LEFT, RIGHT, ticks(top.low, top.high, 4))
    for at, value in enumerate(sample.x.tolist()):
        drawing.line(across(at), top(0), across(at), top(value), "wire")
    up = Scale(*_range(sample.exact, sample.result, np.zeros(1)), 276, 160)
    drawing.circle(LEFT + 4, 144, 3.6, "ring")
    drawing.text(LEFT + 14, 148, f"{leaving} in float64", "small")
    drawing.circle(LEFT + 170, 144, 2.2, "dot")
    drawing.text(LEFT + 178, 148, "by the unit", "small")
    drawing.y_axis(up, LEFT, RIGHT, ticks(up.low, up.high, 5))
    for at, (exact, result) in enumerate(
        zip(sample.exact.tolist(), sample.result.tolist(), strict=True)
    ):
        drawing.circle(across(at), up(exact), 3.6, "ring")
        drawing.circle(across(at), up(result), 2.2, "dot")
    below = _error_panel(drawing, across, sample.x, sample.error, 316, 400)
    drawing.x_axis(across, 396, 400, marks)
    for at, value in enumerate(sample.error.tolist()):
        drawing.line(across(at), below(0), across(at), below(value), "unit")
        drawing.circle(across(at), below(value), 2.2, "dot")
    drawing.text((LEFT + RIGHT) / 2, 434, "position in the row", "soft small middle")
    return drawing.render()


def row_errors_plot(name: str, sample: RowSample) -> Markup:
    """Return the largest error of each row, by the row's length."""
    rows = len(sample.peaks)
    drawing = Drawing(
        name, WIDTH, 250, "Largest error of each row",
        f"The largest error in ulp of each of {rows} random and corner rows, by their lengths.",
    )  # fmt: skip
    across = Scale(0, float(sample.lengths.max()) * 1.03, LEFT, RIGHT)
    up = Scale(0, max(0.6, float(sample.peaks.max()) * 1.1), 204, 26)
    drawing.text(LEFT, 14, "largest error of a row in ulp", "soft small")
    drawing.y_axis(up, LEFT, RIGHT, ticks(0, up.high, 5))
    drawing.x_axis(across, 204, 208, ticks(0, across.high, 6))
    # One dot for all that would lie on the same spot.
    dots = {(round(across(x)), round(up(y))) for x, y in
            zip(sample.lengths.tolist(), sample.peaks.tolist(), strict=True)}  # fmt: skip
    for x, y in sorted(dots):
        drawing.circle(x, y, 1.8, "dot")
    drawing.text((LEFT + RIGHT) / 2, 242, "elements of the row", "soft small middle")
    return drawing.render()


def bars(name: str, title: str, unit: str, rows: Sequence[tuple[str, float, str, bool]]) -> Markup:
    """Return bars of costs.

    Parameters
    ----------
    name, title, unit : str
        Of the drawing, unique on the page; what it shows; in what.
    rows : sequence of (str, float, str, bool)
        Label, value, what else there is to say, and whether it is what was built.
    """
    drawing = Drawing(
        name, WIDTH, 40 * len(rows) + 6, title,
        "; ".join(f"{label}: {number(value, 1)} {unit}" for label, value, _, _ in rows),
    )  # fmt: skip
    across = Scale(0, max(value for _, value, _, _ in rows) or 1, 0, WIDTH)
    for at, (label, value, more, chosen) in enumerate(rows):
        y = 40 * at
        drawing.text(0, y + 14, label, "strong" if chosen else None)
        drawing.text(WIDTH, y + 14, f"{number(value, 1)} {unit}{more and ', '}{more}", "small end")
        drawing.rect(0, y + 20, max(across(value), 1), 10, "bar" if chosen else "paler")
    return drawing.render()
