"""What a table shall approximate: the problem that every method is given."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import UsageError
from ..folding import Fold
from ..formats import ENUMERATED_BITS, Format
from ..tables import PwlTable

__all__ = ["OBJECTIVES", "Points", "Problem"]

#: ``mse``: least (weighted) sum of squared errors. ``max``: least maximum error. ``mixed``: least
#: sum of the mean squared error and `Problem.mix` times the square of the maximum error.
OBJECTIVES = ("mse", "max", "mixed")


@dataclass(frozen=True, eq=False)
class Points:
    """Everything that the lines of a table are asked for, in the order of the breakpoints.

    Parameters
    ----------
    start : int64 array, shape (n,)
        Ascending argument codes: a breakpoint p has the point on its right if ``p <= start``. With
        one input scale this is the argument's own code; of coarser scales, it is the largest
        breakpoint that rounds to it or below. Points with the same start cannot be separated.
    x, target, weight : float64 arrays, shape (n,)
        Argument, wanted value of the line there, and weight; the weights are positive and sum to 1.
    lower, upper : float64 arrays, shape (n,)
        What the line must stay between; infinite where nothing is asked.
    """

    start: np.ndarray
    x: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def free(self) -> bool:
        """Whether nothing limits the lines."""
        return not (np.isfinite(self.lower).any() or np.isfinite(self.upper).any())


@dataclass(frozen=True)
class Problem:
    """What a table shall approximate, and with which storage.

    Parameters
    ----------
    function : str
        Name for people and for the table's meta data.
    target : float64 array, shape (2**input.bits,)
        Wanted real value at every input code, ascending. Values that the output cannot hold are
        clipped to what it can. Of an input of more than `nnlut_train.formats.ENUMERATED_BITS` bits
        at every code of ``input.grid()`` only: the table is then fitted to this sample.
    input, output, slope, intercept : Format
        Formats of the table; see `PwlTable`.
    entries : int
        Number of segments at most.
    objective : str
        One of `OBJECTIVES`. The error is measured before the output is rounded.
    weights : float64 array, shape of `target`, optional
        Non-negative weight of each code in the squared error; equal weights by default. In every
        objective a code of weight 0 does not count.
    reference : callable, optional
        The function of a real argument behind `target`. Without it, methods that need one take
        straight lines between the codes.
    nn_range, nn_signs : tuple
        See `nnlut_train.functions.Function`.
    fold : Fold, optional
        How the argument is folded: lines then approximate the core; see `nnlut_train.folding`.
    shared : tuple of Format, optional
        Input formats that share the lines, none finer than `input`, whose codes are then only the
        grid of the breakpoints: GQA-LUT's setting, see `PwlTable.at`. The objective is the average
        over the formats of their (weighted) mean squared errors, or the largest error of all.
    limits : tuple of float, optional
        ``(lo, hi)``: no line may leave this interval at a code that counts.
    exact : tuple of int
        Input codes at which the line must meet the target exactly.
    monotone : bool
        Whether the lines' values must rise (or fall) with the codes as the target does. Of a folded
        argument: those of the core, which must also lie on the right side of its centre at 0.
    max_ulp : float, optional
        Largest error of the rounded output in units of its last place.
    mix : float
        Weight of the squared maximum error in ``mixed``.

    Raises
    ------
    UsageError
        If a value is out of range, or values do not go together.
    """

    function: str
    target: np.ndarray
    input: Format
    output: Format
    slope: Format
    intercept: Format
    entries: int = 16
    objective: str = "mse"
    weights: np.ndarray | None = None
    reference: Callable[[np.ndarray], np.ndarray] | None = field(default=None, compare=False)
    nn_range: tuple[float, float] | None = None
    nn_signs: tuple[int, int] = (0, 0)
    fold: Fold | None = None
    shared: tuple[Format, ...] = ()
    limits: tuple[float, float] | None = None
    exact: tuple[int, ...] = ()
    monotone: bool = False
    max_ulp: float | None = None
    mix: float = 0.0

    def __post_init__(self) -> None:
        count = self.codes.size
        if self.target.shape != (count,) or np.isnan(self.target).any():
            raise UsageError(f"a problem's target must be {count} numbers, one an input code")
        if not 1 <= self.entries <= 1 << self.argument.bits:
            raise UsageError(f"entries must be 1 to {1 << self.argument.bits}, not {self.entries}")
        if self.objective not in OBJECTIVES:
            raise UsageError(
                f"the objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}"
            )
        object.__setattr__(self, "target", self.output.clip(self.target))
        if self.weights is not None:
            weights = np.asarray(self.weights, dtype=np.float64)
            fine = weights.shape == (count,) and np.isfinite(weights).all()
            if not fine or (weights < 0).any() or not weights.any():
                raise UsageError(f"weights must be {count} numbers >= 0, not all zero")
            object.__setattr__(self, "weights", weights)
        for form in self.shared:
            if form.signed != self.input.signed or form.frac > self.input.frac:
                raise UsageError(
                    f"formats that share lines must be no finer than the input {self.input}, and "
                    f"of its sign, not {form}"
                )
        if self.sampled and (self.shared or self.fold):
            raise UsageError(
                f"lines of an input of more than {ENUMERATED_BITS} bits must not be folded, nor "
                f"shared by several scales"
            )
        if self.shared and (self.fold or self.monotone or self.max_ulp is not None):
            raise UsageError(
                "lines that several scales share must not be folded, monotone, or limited in ulp"
            )
        if self.max_ulp is not None and not self.max_ulp >= 0.5:
            raise UsageError(
                f"the largest error of a rounded output must be 0.5 ulp or more, not {self.max_ulp}"
            )

    @property
    def codes(self) -> np.ndarray:
        """Input codes that `target` is at, ascending: all, or a sample; int64."""
        return self.input.grid()

    @property
    def sampled(self) -> bool:
        """Whether `codes` are not all there are."""
        return self.input.bits > ENUMERATED_BITS

    @property
    def argument(self) -> Format:
        """Format of what the lines see: the input's, or the magnitude's if folded."""
        return self.input if self.fold is None else self.fold.magnitude

    @property
    def constrained(self) -> bool:
        """Whether the lines must do more than come near the target."""
        limited = self.limits is not None or self.max_ulp is not None
        return limited or self.monotone or bool(self.exact)

    @property
    def used(self) -> np.ndarray:
        """Which of `codes` count; bool array, shape of `target`."""
        if self.weights is None:
            return np.ones(self.target.shape, dtype=bool)
        return self.weights > 0

    @property
    def domain(self) -> tuple[float, float]:
        """The smallest and the largest real argument of the lines that counts."""
        x = self.points().x
        return float(x.min()), float(x.max())

    def core(self, x: np.ndarray) -> np.ndarray:
        """Return what the lines approximate, at real arguments `x` of any shape."""
        x = np.asarray(x, dtype=np.float64)
        if self.reference is None:
            value = np.interp(x, self.input.real(self.codes), self.target)
        else:
            value = self.output.clip(self.reference(x))
        return value if self.fold is None else self.fold.refold(x, value, 1.0, 1.0)

    def points(self) -> Points:
        """Return what the lines are asked for, sorted by `Points.start`."""
        if self.shared:
            parts = [self._points_at(form) for form in self.shared]
        else:
            parts = [self._points_at(self.input)]
        start, x, target, weight, lower, upper = (
            np.concatenate(v) for v in zip(*parts, strict=True)
        )
        order = np.argsort(start, kind="stable")
        weight = weight / len(parts)
        return Points(*(v[order] for v in (start, x, target, weight, lower, upper)))

    def _points_at(self, form: Format) -> tuple[np.ndarray, ...]:
        """Return the fields of `Points` of one input format."""
        drop = self.input.frac - form.frac
        step = 1 << drop
        low = max(form.min, -(-self.input.min // step))
        high = min(form.max, self.input.max // step)
        if self.sampled:
            codes = self.codes
            at = np.arange(codes.size)
        else:
            codes = np.arange(low, high + 1, dtype=np.int64) * step  # in units of the input
            at = codes - self.input.min
        used = self.used[at]
        if not used.any():
            raise UsageError(f"format {form} must have codes inside the domain")
        codes, at = codes[used], at[used]
        target = self.target[at]
        weight = np.ones(at.size) if self.weights is None else self.weights[at]
        lower, upper = self._tube(codes, target)
        x = self.input.real(codes)
        start = codes + (step >> 1) - (drop > 0)
        if self.fold is not None:
            target, lower, upper, high, low = (
                self.fold.refold(codes, v, 1.0, self.input.scale)
                for v in (target, lower, upper, np.ones(codes.shape), np.zeros(codes.shape))
            )
            mirrored = high < low
            lower, upper = np.where(mirrored, upper, lower), np.where(mirrored, lower, upper)
            if self.monotone:  # across 0, too
                centre = 0.5 if self.fold.kind == "complement" else 0.0
                side = self.direction
                lower[codes == 0] = np.maximum(lower[codes == 0], centre if side > 0 else -np.inf)
                upper[codes == 0] = np.minimum(upper[codes == 0], centre if side < 0 else np.inf)
            start = self.fold.arguments(codes)
            x = self.input.real(start)
        return start, x, target, weight / weight.sum(), lower, upper

    def _tube(self, codes: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the final lines must stay between at input `codes`."""
        lower, upper = np.full(codes.shape, -np.inf), np.full(codes.shape, np.inf)
        if self.limits is not None:
            lower, upper = np.maximum(lower, self.limits[0]), np.minimum(upper, self.limits[1])
        if self.max_ulp is not None:
            scale = self.output.scale
            # The codes that are near enough, and what rounds half up to them.
            low = np.ceil(target / scale - self.max_ulp - 1e-9)
            high = np.floor(target / scale + self.max_ulp + 1e-9)
            step = min(2.0 ** -(self.slope.frac + self.input.frac), 0.5 * scale)
            down = np.where(low <= self.output.min, -np.inf, (low - 0.5) * scale)
            up = np.where(high >= self.output.max, np.inf, (high + 0.5) * scale - step)
            lower, upper = np.maximum(lower, down), np.minimum(upper, up)
        for code in self.exact:
            at = codes == code
            lower[at], upper[at] = (
                np.maximum(lower[at], target[at]), np.minimum(upper[at], target[at])
            )  # fmt: skip
        return lower, upper

    def table(
        self, breakpoints: Iterable[int], slopes: Iterable[int], intercepts: Iterable[int],
        meta: dict[str, Any],
    ) -> PwlTable:  # fmt: skip
        """Return the table of this problem's formats with these integers."""
        return PwlTable(
            self.input, self.output, self.slope, self.intercept,
            tuple(map(int, breakpoints)), tuple(map(int, slopes)), tuple(map(int, intercepts)),
            meta, fold=self.fold,
        )  # fmt: skip

    def errors(self, table: PwlTable) -> tuple[np.ndarray, Points]:
        """Return the error of the table's lines at every point (real numbers), and the points."""
        points = self.points()
        i = np.searchsorted(np.array(table.breakpoints, np.int64), points.start, side="right")
        value = self.slope.real(np.array(table.slopes))[i] * points.x
        value += self.intercept.real(np.array(table.intercepts))[i]
        return value - points.target, points

    def cost(self, table: PwlTable) -> float:
        """Return the objective's value for a table of this problem's formats."""
        error, points = self.errors(table)
        mse, most = float(points.weight @ error**2), float(np.abs(error).max())
        return {"mse": mse, "max": most, "mixed": mse + self.mix * most**2}[self.objective]

    def meets(self, table: PwlTable) -> bool:
        """Return whether a table's lines do what the constraints ask, up to float64 rounding."""
        error, points = self.errors(table)
        value = points.target + error
        slack = 1e-9 * self.output.scale
        fine = (value >= points.lower - slack) & (value <= points.upper + slack)
        if self.monotone:
            sign = self.direction
            rise = np.diff(value[np.argsort(points.start, kind="stable")])
            fine = np.append(fine, sign * rise >= -slack)
        return bool(fine.all())

    @property
    def direction(self) -> int:
        """1 if the target rises with the argument, -1 if it falls.

        Raises
        ------
        UsageError
            If it does neither, or its lines are those of a fold that hides it.
        """
        if self.fold is not None and self.fold.kind not in ("odd", "complement"):
            raise UsageError(f"monotone lines must not be folded as {self.fold.kind}")
        rise = np.diff(self.target[self.used])
        if (rise >= 0).all():
            return 1
        if (rise <= 0).all():
            return -1
        raise UsageError(f"{self.function} must rise or fall on the whole domain to be monotone")

    def fits(self, table: PwlTable) -> bool:
        """Return whether `table` has this problem's formats."""
        names = ("input", "output", "slope", "intercept", "fold")
        return all(getattr(table, name) == getattr(self, name) for name in names)

    def digest(self) -> str:
        """Return a SHA-256 over all that an optimal table depends on."""
        digest = hashlib.sha256()
        description = [
            self.entries, self.objective, self.mix, self.limits, self.exact, self.monotone,
            self.max_ulp, self.fold and self.fold.to_json(),
            *(str(f) for f in (self.input, self.output, self.slope, self.intercept)),
            [str(form) for form in self.shared],
        ]  # fmt: skip
        digest.update(json.dumps(description).encode())
        for array in (self.target, self.weights):
            digest.update(b"none" if array is None else array.astype("<f8").tobytes())
        return digest.hexdigest()
