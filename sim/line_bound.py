"""The worst-case error of lines, proved for every argument of a format too wide to try them all.

On a segment, a line is an affine function of the argument, so its values are between those at both
ends of an interval. Between its turning points a function is monotone, so its values are, too. That
bounds the error on an interval; those that could have the largest error are halved until what
could be is all but what is found (branch and bound). All sums of the fixed-point lines are exact.
"""

import math
from collections.abc import Callable

import numpy as np

from nnlut_train.float_table import FloatTable
from nnlut_train.functions import FUNCTIONS, Function
from nnlut_train.tables import PwlTable
from sim.golden import PwlSpec
from sim.golden.shared import total

from .sampling import boundaries

__all__ = ["float_line_bound", "line_bound"]

#: Minima of functions that fall, then rise; all others are monotone, but for waves.
_MINIMA = {
    "gelu": -0.7517915246, "gelu_tanh": -0.7524614220, "silu": -1.2784645428, "hswish": -1.5,
    "mish": -1.1924312152,
}  # fmt: skip
#: First turning point of a wave; others are half a turn apart.
_WAVES = {"sin": math.pi / 2, "cos": 0.0}
#: A pole, at which the sign changes.
_POLES = {"reciprocal": 0.0}
#: How far a turning point may be from where it is written; there the function is flat.
_NEAR = 1e-6
#: float64 is trusted to so much of the largest value: far more than its rounding.
_MARGIN = 1e-12
#: The bound may be above the largest error by so much of it.
_SLACK = 1e-4
#: Intervals that are looked at together at most; with more, the bound is what is known then.
_INTERVALS_MAX = 1 << 22

_Ends = tuple[np.ndarray, np.ndarray]


def _turns(function: Function, low: float, high: float) -> np.ndarray | None:
    """Return where a function turns between `low` and `high`; None if that is not known."""
    known = FUNCTIONS.get(function.name)
    if known is None or known.evaluate is not function.evaluate:
        return None
    if function.name in _WAVES:
        first = _WAVES[function.name]
        half = np.arange(math.floor((low - first) / math.pi), math.ceil((high - first) / math.pi))
        turns = first + math.pi * np.append(half, half[-1:] + 1)
    else:
        turns = np.array([at[function.name] for at in (_MINIMA, _POLES) if function.name in at])
    return turns[(turns > low) & (turns < high)]


def _largest(
    ends: _Ends, errors: Callable[[np.ndarray, np.ndarray], _Ends],
    halve: Callable[[np.ndarray, np.ndarray], tuple[_Ends, _Ends]], least: float,
) -> float:  # fmt: skip
    """Return a bound of the error on intervals, by branch and bound.

    Parameters
    ----------
    ends : tuple of array
        First and last arguments of the intervals.
    errors : callable
        Errors that intervals have at an end, and that they have at most.
    halve : callable
        The halves of intervals.
    least : float
        What the bound may be above the largest error in any case.
    """
    found = 0.0
    while True:
        have, most = errors(*ends)
        found = max(found, float(have.max()))
        slack = max(least, found * _SLACK)
        keep = (most > found + slack) & (ends[0] < ends[1])
        # An interval of one argument has no halves: it has what it has at most.
        single = most[ends[0] >= ends[1]]
        found = max(found, float(single.max(initial=0.0)))
        if not keep.any():
            return found + slack
        if 2 * int(keep.sum()) > _INTERVALS_MAX:
            return float(most.max())
        left, right = halve(ends[0][keep], ends[1][keep])
        ends = (np.append(left[0], right[0]), np.append(left[1], right[1]))


def _values(function: Function, x: _Ends, turns: np.ndarray) -> _Ends:
    """Return the least and the largest value of a function between real ends."""
    y = np.sort(np.stack([function(x[0]), function(x[1])]), axis=0)
    for turn in turns:
        inside = (x[0] <= turn + _NEAR) & (x[1] >= turn - _NEAR)
        if not inside.any():
            continue
        at = function(np.array([turn]))[0]
        values = (-np.inf, np.inf) if not np.isfinite(at) else (at, at)
        y[0] = np.where(inside, np.minimum(y[0], values[0]), y[0])
        y[1] = np.where(inside, np.maximum(y[1], values[1]), y[1])
    return y[0], y[1]


def _off(line: _Ends, value: _Ends) -> _Ends:
    """Return the errors at both ends' values, and those that are possible."""
    low, high = np.minimum(*line), np.maximum(*line)
    return value[1] - low, np.maximum(high - value[0], value[1] - low)


def line_bound(table: PwlTable, function: Function) -> float | None:
    """Return an upper bound of a table's error over all codes, in ulp of the output.

    Rounding a sum costs half an ulp; limiting it, as the reference is limited, costs nothing.

    Parameters
    ----------
    table : PwlTable
        Any lines, folded or not.
    function : Function
        What they stand for. None is returned if it is not one of
        `nnlut_train.functions.FUNCTIONS`: nothing is known of another between its arguments.
    """
    form, output = table.input, table.output
    turns = _turns(function, form.min * form.scale, form.max * form.scale)
    if turns is None:
        return None
    near = [np.floor(turns / form.scale) + shift for shift in (-1, 2)]
    edges = np.concatenate([[form.min], boundaries(PwlSpec(table)), *near]).astype(np.int64)
    first = np.unique(edges[(edges >= form.min) & (edges <= form.max)])
    last = np.append(first[1:] - 1, form.max)
    margin = _MARGIN * max(-output.min, output.max)

    def limited(codes: np.ndarray) -> np.ndarray:
        sums = np.ldexp(total(table, codes).astype(np.float64), -table.shift)
        return np.clip(sums, output.min, output.max)

    def errors(low: np.ndarray, high: np.ndarray) -> _Ends:
        line = (limited(low), limited(high))
        exact = [output.clip(function(form.real(end))) / output.scale for end in (low, high)]
        value = _values(function, (form.real(low), form.real(high)), turns)
        value = tuple(output.clip(each) / output.scale for each in value)
        have = np.maximum(np.abs(line[0] - exact[0]), np.abs(line[1] - exact[1]))
        return have, _off(line, value)[1] + margin

    def halve(low: np.ndarray, high: np.ndarray) -> tuple[_Ends, _Ends]:
        middle = (low + high) >> 1
        return (low, middle), (middle + 1, high)

    return (_largest((first, last), errors, halve, 2 * margin) + 0.5) * (1 + 1e-9)


def float_line_bound(table: FloatTable, function: Function) -> float | None:
    """Return an upper bound of the absolute error over a function's domain, in units of epsilon.

    IEEE-754 rounds a product and a sum to the nearest, each within ``u = epsilon / 2`` of its
    magnitude, or half a step of the subnormal numbers (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 2.2, eq. 2.4 and 2.8). So ``y`` is off ``s x + c`` by at most
    ``u |s x| (1 + u) + u |s x + c|`` and a step of these. None as of `line_bound`.
    """
    form, (low, high) = table.float_format, function.domain
    turns = _turns(function, low, high)
    if turns is None:
        return None
    keys, sign = np.array(table.breakpoints, np.int64), 1 << (form.bits - 1)
    numbers = form.numbers(np.where(keys >= sign, keys - sign, 2 * sign - 1 - keys))
    points = np.concatenate([numbers.astype(np.float64), turns - _NEAR, turns + _NEAR])
    edges = np.unique(np.concatenate([[low, high], points[(points > low) & (points < high)]]))
    lines = [form.numbers(np.array(each, np.int64)).astype(np.float64)
             for each in (table.slopes, table.intercepts)]  # fmt: skip
    unit, step = form.epsilon / 2, 2.0 ** (1 - form.bias - form.fraction_bits)

    def errors(first: np.ndarray, last: np.ndarray) -> _Ends:
        at = np.searchsorted(numbers.astype(np.float64), (first + last) / 2, side="right")
        slope, intercept = (each[at] for each in lines)
        line = (slope * first + intercept, slope * last + intercept)
        exact = (function(first), function(last))
        value = _values(function, (first, last), turns)
        product = np.abs(slope) * np.maximum(np.abs(first), np.abs(last))
        reach = np.maximum(*np.abs(line))
        rounding = unit * (product * (1 + unit) + reach) + step
        rounding += _MARGIN * (product + np.abs(intercept) + np.maximum(*np.abs(value)))
        have = np.maximum(np.abs(line[0] - exact[0]), np.abs(line[1] - exact[1]))
        return have, _off(line, value)[1] + rounding

    def halve(first: np.ndarray, last: np.ndarray) -> tuple[_Ends, _Ends]:
        middle = (first + last) / 2
        return (first, middle), (middle, last)

    # What rounding takes is never halved away: it is part of what is accepted.
    whole = max(float(np.abs(each).max()) for each in lines)
    least = 4 * unit * whole * (max(abs(low), abs(high)) + 1)
    return _largest((edges[:-1], edges[1:]), errors, halve, least) / form.epsilon * (1 + 1e-9)
