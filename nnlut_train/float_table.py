"""Tables of lines whose coefficients are floating-point numbers."""

import numpy as np

from .errors import UsageError
from .floats import FLOATS, FloatFormat
from .formats import Format
from .tables import PwlTable, _integers

__all__ = ["FloatTable"]


class FloatTable(PwlTable):
    """A piecewise-linear table of N segments in IEEE-754 arithmetic.

    ``y = slope[i] * x + intercept[i]``, rounded to nearest even once after the multiplication and
    once after the addition; i is the number of breakpoints p with ``x >= p``. Argument, result,
    slopes and intercepts are codes of one `nnlut_train.floats.FloatFormat`: bit patterns. A result
    that is no number, as that of every NaN, is `FloatFormat.nan`.

    Breakpoints are *keys*, see `FloatFormat.keys`: integers in the numbers' order, so that they are
    compared, and must ascend, as those of every other table. A breakpoint between the keys of the
    two zeros does not exist: -0 and 0 are in the same segment.

    Parameters
    ----------
    input, output, slope, intercept : Format
        All four ``u16.0`` (binary16), or all four ``u32.0`` (binary32).
    breakpoints : sequence of int
        N - 1 strictly ascending keys.
    slopes, intercepts : sequence of int
        N codes each.

    Raises
    ------
    UsageError
        If a value is out of its range, or the formats are not those of one floating-point format.
    """

    kind = "float_pwl"

    def __post_init__(self) -> None:
        formats = {str(getattr(self, name)) for name in self._format_names(False)}
        known = [str(form.codes) for form in FLOATS.values()]
        if self.fold is not None or len(formats) > 1 or not formats <= set(known):
            raise UsageError(
                f"table: input, output, slope and intercept must all be {' or '.join(known)}, "
                f"without a fold, not {', '.join(sorted(formats))}"
            )
        sized = isinstance(self.slopes, list | tuple | np.ndarray)
        entries = len(self.slopes) if sized else 0
        if entries < 1:
            raise UsageError("table: slopes must be a list of at least 1 integer")
        limit = self.input.max
        for name, count in (("breakpoints", entries - 1), ("slopes", entries),
                            ("intercepts", entries)):  # fmt: skip
            values = _integers(name, getattr(self, name), count, 0, limit)
            object.__setattr__(self, name, values)
        for left, right in zip(self.breakpoints, self.breakpoints[1:], strict=False):
            if left >= right:
                raise UsageError(f"table: breakpoints must ascend, not {left} before {right}")

    @property
    def float_format(self) -> FloatFormat:
        """Format of the numbers."""
        return next(form for form in FLOATS.values() if form.codes == self.input)

    @property
    def align(self) -> int:
        """0: nothing is shifted."""
        return 0

    @property
    def shift(self) -> int:
        """0: nothing is shifted."""
        return 0

    def segment(self, codes: np.ndarray) -> np.ndarray:
        """Return the segment index (int64) of input `codes` of any shape."""
        keys = self.float_format.keys(codes)
        return np.searchsorted(np.array(self.breakpoints, np.int64), keys, side="right")

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape, by NumPy's arithmetic."""
        form, i = self.float_format, self.segment(codes)
        slopes, intercepts = (
            form.numbers(np.array(values, np.int64)) for values in (self.slopes, self.intercepts)
        )
        with np.errstate(all="ignore"):
            total = slopes[i] * form.numbers(codes) + intercepts[i]
        return form.pattern(total)

    def line(self, x: np.ndarray) -> np.ndarray:
        """Return the lines' real values (not rounded) at real arguments `x`."""
        form = self.float_format
        i = self.segment(form.pattern(x))
        slopes, intercepts = (
            form.numbers(np.array(values, np.int64)).astype(np.float64)
            for values in (self.slopes, self.intercepts)
        )
        return slopes[i] * np.asarray(x, np.float64) + intercepts[i]

    def at(self, form: Format) -> PwlTable:
        """Raise UsageError: a floating-point table has no scale to change."""
        raise UsageError(f"table: one of floating-point numbers cannot be rounded to {form}")

    @classmethod
    def of_lines(cls, table: PwlTable, form: FloatFormat) -> "FloatTable":
        """Return the lines of a fixed-point table with every number rounded to `form`.

        Breakpoints that become the same number leave the last of their segments.

        Parameters
        ----------
        table : PwlTable
            Lines without a fold.
        form : FloatFormat
            Of the new table.

        Raises
        ------
        UsageError
            If the table is folded, or a number is too large for `form`.
        """
        if table.fold is not None:
            raise UsageError("table: lines of floating-point numbers must not be folded")
        edges = form.keys(form.pattern(table.input.real(np.array(table.breakpoints, np.int64))))
        slopes = form.pattern(table.slope.real(np.array(table.slopes)))
        intercepts = form.pattern(table.intercept.real(np.array(table.intercepts)))
        if (np.concatenate([slopes, intercepts]) & form.infinity == form.infinity).any():
            raise UsageError(f"table: the numbers must be within the range of {form.name}")
        # The segment between two breakpoints that became one has no argument.
        keep = np.append(np.diff(edges) > 0, True)[: edges.size]
        lines = np.append(True, keep)
        return cls(
            form.codes, form.codes, form.codes, form.codes, tuple(edges[keep].tolist()),
            tuple(slopes[lines].tolist()), tuple(intercepts[lines].tolist()), dict(table.meta),
        )  # fmt: skip
