"""GQA-LUT's protocol, on which all methods are compared (Dong et al., DAC 2024, arXiv 2403.19591).

Five functions on fixed ranges, coefficients of 8 bits, and for three of them one table for the
input scales 2**0 to 2**-6. Errors are measured on a uniform grid and at the INT8 codes; see
`nnlut_train.metrics`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from .errors import UsageError
from .fit.problem import Problem
from .formats import Format
from .functions import FUNCTIONS, Function

__all__ = ["CASES", "GRID_STEP", "SCALES", "Case", "problem"]

#: Fraction bits of the input scales that share a table.
SCALES = tuple(range(7))
#: Step of the uniform grid.
GRID_STEP = 0.01


@dataclass(frozen=True)
class Case:
    """One function of the protocol.

    Parameters
    ----------
    function : Function
        The function, with the protocol's range as its domain; both ends belong to it.
    integer_bits : int
        Integer bits of slope and intercept beside the sign: the published code's Q1.6 is 1.
    shared : bool
        Whether one table serves `SCALES`.
    """

    function: Function
    integer_bits: int
    shared: bool

    def coefficients(self, bits: int) -> Format:
        """Return the format of slope and intercept of `bits` bits."""
        return Format(True, bits, bits - 1 - self.integer_bits)


def _case(name: str, domain: tuple[float, float], integer_bits: int, shared: bool) -> Case:
    return Case(replace(FUNCTIONS[name], domain=domain), integer_bits, shared)


#: The functions by name, with the ranges of the published scripts.
CASES = {
    "gelu": _case("gelu", (-4, 4), 1, True),
    "hswish": _case("hswish", (-4, 4), 1, True),
    "exp": _case("exp", (-8, 0), 1, True),
    "reciprocal": _case("reciprocal", (0.5, 4), 2, False),
    "rsqrt": _case("rsqrt", (0.25, 4), 2, False),
}


def problem(
    name: str, entries: int, bits: int = 8, scales: Iterable[int] | None = None, **changes: Any
) -> Problem:
    """Return the problem of fitting `name` by the protocol.

    Parameters
    ----------
    name : str
        A key of `CASES`.
    entries : int
        Number of segments.
    bits : int
        Width of input, output, slope and intercept; the input's step is 2**-6 of the range's
        order at 8 bits, and finer by as many bits as there are more.
    scales : iterable of int, optional
        Fraction bits of the input scales that share the table: by default `SCALES` where the
        protocol has them and `bits` is 8. A single one means a table of its own.
    **changes
        Other fields of `Problem`.

    Raises
    ------
    UsageError
        If `name` is not a function of the protocol.
    """
    if name not in CASES:
        raise UsageError(f"the function must be one of {', '.join(CASES)}, not {name!r}")
    case = CASES[name]
    function = case.function
    low, high = function.domain
    if scales is None:
        scales = SCALES if case.shared and bits == 8 else (bits - (4 if low < 0 else 3),)
    scales = tuple(scales)
    frac = max(scales)
    signed = low < 0
    width = bits
    if len(scales) > 1:  # the grid of the breakpoints holds the whole range
        first, last = int(low * 2**frac), int(high * 2**frac)
        width = max(bits, signed + max(last.bit_length(), (-first - 1).bit_length()))
    inputs = Format(signed, width, frac)
    x = inputs.real(inputs.codes())
    inside = (x >= low) & (x <= high)
    output = function.whole_output_format(bits, inputs)
    coefficient = case.coefficients(bits)
    fields = {
        "weights": inside.astype(float), "reference": function, "nn_signs": function.nn_signs,
        "shared": tuple(Format(signed, bits, s) for s in scales) if len(scales) > 1 else (),
    } | changes  # fmt: skip
    return Problem(
        name, function(x), inputs, output, coefficient, coefficient, entries, **fields
    )  # fmt: skip
