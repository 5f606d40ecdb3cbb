"""Delta tables: the difference of a function to a cheap base, exact at every code.

Far from zero many functions are a constant or a line: a base that is wiring, or one AND a bit, has
most of the result, and what is left is narrow, and zero outside a window. HARA (ICLR 2026
submission QnuJR7qA3z) has max(x, 0) less a narrow table for GELU; here the base is searched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .errors import UsageError
from .formats import Format
from .logic import AND, MUX, XOR
from .metrics import table_errors
from .tables import Table, _integers

__all__ = ["BASES", "DeltaTable", "addressed", "delta_table"]

#: What a base is a power of two of: nothing, the argument x, max(x, 0).
BASES = ("zero", "argument", "positive")
#: Widest input: all its codes are looked at.
BITS_MAX = 16
#: Shifts of the base to the left, at most: beyond, no part of the function is so steep.
SHIFT_MAX = 16
#: How many bases are estimated in detail, of those with the smallest differences.
TRIED = 24


@dataclass(frozen=True)
class DeltaTable(Table):
    """``y = floor(base(x) * 2**shift) + level + residual[x]``, integers throughout.

    Parameters
    ----------
    base : sequence of int
        What the base is of, its place in `BASES`; and the shift of its code, to the left.
    levels : sequence of int
        What is added where x is negative, and elsewhere.
    window : sequence of int
        Bits w of the window, the codes of x from ``-2**w`` (0, if the input is unsigned) to
        ``2**w - 1``: outside, the residual is 0. And 1 if the hardware looks it up by the one's
        complement of a negative code, as a function nearly even is simpler so; else 0.
    residuals : sequence of int
        Of the window's codes, ascending.

    Raises
    ------
    UsageError
        If a number is out of its range, a result does not fit the output, or the table is folded.
    """

    kind = "delta"
    _integer_fields = ("base", "levels", "window", "residuals")

    base: tuple[int, ...]
    levels: tuple[int, ...]
    window: tuple[int, ...]
    residuals: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def _format_names(cls, folded: bool) -> tuple[str, ...]:
        return ("input", "output")

    def __post_init__(self) -> None:
        if self.fold is not None:
            raise UsageError("table: a delta table must not be folded")
        if self.input.bits > BITS_MAX:
            raise UsageError(
                f"table: a delta table's input must have at most {BITS_MAX} bits, "
                f"not {self.input.bits}"
            )
        base = _integers("base", self.base, 2, -self.input.bits, SHIFT_MAX)
        if not 0 <= base[0] < len(BASES):
            raise UsageError(f"table: base[0] must be 0 to {len(BASES) - 1}, not {base[0]}")
        reach = 1 << 60
        levels = _integers("levels", self.levels, 2, -reach, reach)
        window = _integers("window", self.window, 2, 0, self.input.bits)
        if window[0] > self.input.bits - self.input.signed or window[1] > self.input.signed:
            raise UsageError(
                f"table: window must be at most {self.input.bits - self.input.signed} bits, and 0 "
                f"{'or 1' if self.input.signed else ''}, not {list(window)}"
            )
        count = 1 << (window[0] + self.input.signed)
        residuals = _integers("residuals", self.residuals, count, -reach, reach)
        for name, value in (
            ("base", base), ("levels", levels), ("window", window), ("residuals", residuals),
        ):  # fmt: skip
            object.__setattr__(self, name, value)
        results = self.lookup(self.input.codes())
        if results.min() < self.output.min or results.max() > self.output.max:
            raise UsageError(
                f"table: results must be {self.output.min} to {self.output.max}, not "
                f"{results.min()} to {results.max()}"
            )

    @property
    def sort(self) -> str:
        """What the base is of: one of `BASES`."""
        return BASES[self.base[0]]

    @property
    def first(self) -> int:
        """Smallest code of the window."""
        return -(1 << self.window[0]) if self.input.signed else 0

    @property
    def residual(self) -> Format:
        """Format of the residuals, as integers."""
        low, high = min(self.residuals), max(self.residuals)
        return Format(low < 0, max(high.bit_length(), (-low - 1).bit_length(), 1) + (low < 0), 0)

    @property
    def storage_bits(self) -> int:
        """Bits of table storage."""
        return len(self.residuals) * self.residual.bits

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        codes = np.asarray(codes, np.int64)
        at = codes - self.first
        inside = (at >= 0) & (at < len(self.residuals))
        residual = np.array(self.residuals, np.int64)[np.where(inside, at, 0)]
        level = np.where(codes < 0, *self.levels)
        return _base(codes, *self.base) + level + np.where(inside, residual, 0)


def _base(codes: np.ndarray, sort: int, shift: int) -> np.ndarray:
    value = np.maximum(codes, 0) if BASES[sort] == "positive" else codes * (sort > 0)
    return value << shift if shift >= 0 else value >> -shift


def delta_table(
    name: str, target: np.ndarray, inputs: Format, output: Format, *,
    weights: np.ndarray | None = None,
) -> DeltaTable:  # fmt: skip
    """Return the table that is correctly rounded at every code, with the cheapest base.

    Cheapest is an estimate in gates: those of the residuals' decision diagrams and of the adder.

    Parameters
    ----------
    name : str
        The function's, for the table's meta data.
    target : float64 array, shape (2**inputs.bits,)
        Its real value at every input code, ascending; those that the output cannot hold saturate.
    inputs, output : Format
        Formats of the argument and of the result.
    weights : float64 array, same shape, optional
        A code of weight 0 does not count in the errors of the meta data; it is right all the same.
    """
    wanted = output.quantize(target)
    # The first is no base at all.
    plain, *found = dict.fromkeys(_candidates(wanted, inputs))
    found.sort(key=lambda one: one.spread)
    costs = [
        (_cost(one, mirrored, inputs, output), one, mirrored)
        for one in [plain, *found[:TRIED]]
        for mirrored in range(1 + inputs.signed)
    ]
    cost, best, mirrored = min(costs, key=lambda one: (one[0], len(one[1].residuals), one[2]))
    meta = {
        "function": name, "method": "delta", "cost": round(cost, 2),
        "domain": inputs.real(inputs.codes()[[0, -1]]).tolist(),
    }  # fmt: skip
    table = DeltaTable(
        inputs, output, best.base, best.levels, (best.bits, mirrored), best.residuals, meta
    )
    meta["errors"] = table_errors(table, target, weights)
    return table


class _Candidate(NamedTuple):
    """A base, levels and what they leave; `spread` is the mean of bits of a residual."""

    spread: float
    base: tuple[int, int]
    levels: tuple[int, int]
    bits: int
    residuals: tuple[int, ...]


def _candidates(wanted: np.ndarray, inputs: Format) -> Iterator[_Candidate]:
    codes = inputs.codes()
    negative = codes < 0
    slopes = np.abs(np.diff(wanted)).max(initial=1)
    steepest = min(SHIFT_MAX, int(slopes).bit_length())
    bases = [(0, 0)]
    for sort in range(1, len(BASES) if inputs.signed else 2):
        bases += [(sort, shift) for shift in range(-inputs.bits + 1, steepest + 1)]
    for base in bases:
        rest = wanted - _base(codes, *base)
        parts = [rest[negative], rest[~negative]]
        # Of either sign: nothing; what is left at the end; the least; the middle.
        choices = []
        for part, end in zip(parts, (0, -1), strict=True):
            some = part if len(part) else np.zeros(1, np.int64)
            low, high = int(some.min()), int(some.max())
            choices.append(dict.fromkeys((0, int(some[end]), low, (low + high + 1) // 2)))
        if not len(parts[0]):
            choices[0] = choices[1]
        pairs = [(0, 0)] + [(one, one) for one in choices[1]]
        if inputs.signed:
            pairs += list(zip(*choices, strict=False))
        for levels in dict.fromkeys(pairs):
            left = rest - np.where(negative, *levels)
            used = codes[left != 0]
            reach = max(-int(used.min(initial=0)) - 1, int(used.max(initial=0)), 0)
            bits = reach.bit_length()
            first = -(1 << bits) if inputs.signed else 0
            inside = left[first - inputs.min :][: 1 << (bits + inputs.signed)]
            size = np.abs(np.where(inside < 0, ~inside, inside))
            spread = float(np.log2(1.0 + size).mean()) * len(inside)
            yield _Candidate(spread, base, levels, bits, tuple(inside.tolist()))


def _cost(one: _Candidate, mirrored: int, inputs: Format, output: Format) -> float:
    """Return about how many gates a candidate takes."""
    values = np.array(one.residuals, np.int64)
    signed = bool((values < 0).any())
    width = max(int(np.maximum(values, ~values).max()).bit_length(), 1) + signed
    outside = (inputs.bits - inputs.signed - one.bits) * bool(values.any())
    cost = _diagrams(addressed(one.residuals, inputs.signed, mirrored), width)
    cost += outside * (XOR + AND) * inputs.signed + (width * AND if outside else 0.0)
    cost += XOR * one.bits * mirrored
    if BASES[one.base[0]] == "positive":
        cost += AND * max(inputs.bits - 1 + min(one.base[1], 0), 0)
    addends = bool(one.base[0]) + (one.levels != (0, 0)) + bool(values.any())
    if addends < 2:
        return cost
    # Full adders where both are wide, half adders for the carry; a constant is about as these.
    full = width if one.base[0] else 0
    return cost + full * (2 * XOR + MUX) + (output.bits - full) * (XOR + AND)


def addressed(residuals: Sequence[int], signed: bool, mirrored: int) -> np.ndarray:
    """Return residuals in the order of what the hardware looks them up by.

    Mirrored, that is the code, complemented if negative, with the sign as the lowest bit; else it
    is the code in two's complement.
    """
    values = np.array(residuals, np.int64)
    if not signed:
        return values
    half = len(values) // 2
    if not mirrored:
        return np.roll(values, half)
    return np.stack([values[half:], values[:half][::-1]], axis=1).ravel()


def _diagrams(values: np.ndarray, width: int) -> float:
    """Return the cost of the decision diagrams of all bits, equal parts built once."""
    cost, count = 0.0, 2
    nodes = np.stack([(values >> bit) & 1 for bit in range(width)])
    while nodes.shape[1] > 1:
        low, high = nodes[:, ::2], nodes[:, 1::2]
        differ = low != high
        found, number = np.unique((low * count + high)[differ], return_inverse=True)
        fixed = (found // count < 2).astype(int) + (found % count < 2)
        cost += float(np.choose(fixed, [MUX, AND, 0.0]).sum())
        nodes = low.copy()
        nodes[differ] = count + number.ravel()
        count += len(found)
    return cost
