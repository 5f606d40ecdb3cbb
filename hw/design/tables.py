"""The tables inside the units: formats chosen, tables fitted.

The default formats are chosen so that rounding a coefficient costs at most 1/16 ulp of the
output.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnlut_train.errors import UsageError
from nnlut_train.folding import Fold, fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import Function
from sim.golden import (
    ExpSpec,
    LogSpec,
    ReciprocalSpec,
    SineSpec,
    UnarySpec,
)

from ..choices import DIRECT_BITS_MAX, NARROW_ARCHS, WIDE_BITS
from ..request import ERROR_BOUND_ULP, Request
from .archs import MAKERS
from .wanted import Fitting, Wanted

__all__ = ["FOLDED_DIRECT_BITS_MIN", "Tables", "Weights"]

Weights = Callable[[np.ndarray], np.ndarray]

#: Narrowest input of a direct table that is folded. Folding halves the table at least, and costs an
#: adder, a stage of registers and a clock. Measured over all functions that have a symmetry: at 8
#: bits it takes 20 to 55 % more gates; at 10 bits 5 to 32 % less, but the table fits one block RAM
#: of an ECP5 anyway, and LUTs are added; from 11 bits on it saves gates (18 to 53 %) and block RAM.
FOLDED_DIRECT_BITS_MIN = 11

#: Pi with 128 fraction bits: float64 has too few for the remainders of large angles.
PI_128 = 0x3_243F6A88_85A308D3_13198A2E_03707344


@dataclass(frozen=True)
class Tables:
    """Makes the units of one table, or of one range-reduced function, that a request needs.

    Parameters
    ----------
    request : Request
        What is to be built.
    arch : str
        A key of `MAKERS`.
    progress : bool
        Show the progress of long fits on a terminal.
    weights : callable, optional
        From real arguments of a function that is tabulated as a whole to how often they occur, not
        all 0; float64 arrays of one shape. Reduced arguments count alike.
    """

    request: Request
    arch: str
    progress: bool = False
    weights: Weights | None = None

    @property
    def reduces(self) -> bool:
        """Whether ranges are reduced and symmetries folded, where a function has them."""
        return self.request.fold == "auto" and self.request.bits != WIDE_BITS

    def exp(
        self, inputs: Format, output: Format, sign: int, accuracy: int, entries: int,
        base: float = math.e, guard: int = 0,
    ) -> ExpSpec:  # fmt: skip
        """base**(sign x) by base 2; the mantissa has a relative error of about 2**-accuracy.

        Parameters
        ----------
        inputs, output : Format
            Of the argument x, and of the result.
        sign : int
            1, or -1 for base**-x.
        accuracy : int
            Fraction bits of the table of 2**f, and bits of f that it sees; direct tables see two
            less, and at most `DIRECT_BITS_MAX`.
        entries : int
            Segments of a table of lines.
        base : float
            Of base 2, the factor log2(base) is exact: 1, with fraction bits where the table would
            see no bit.
        guard : int
            Fraction bits of any other factor beyond those that arguments up to 8 need.

        Raises
        ------
        UsageError
            If the argument has so few fraction bits that the table would see none.
        """
        factor_frac = max(0, 1 - inputs.frac) if base == 2 else accuracy + 2 + guard
        seen = accuracy if self.arch in NARROW_ARCHS else min(accuracy - 2, DIRECT_BITS_MAX)
        bits = min(seen, inputs.frac + factor_frac)
        if bits < 1:
            option = "--input-frac" if self.request.distance_frac is None else "--distance-frac"
            raise UsageError(
                f"{option} must be at least {1 - factor_frac} for the range reduction of exp, "
                f"not {inputs.frac}; --fold none does without it"
            )
        fraction = Format(False, bits, bits)
        # The bits dropped from the product are, on average, half a step.
        half = 0.5 if inputs.frac + factor_frac > bits else 0.0
        target = np.exp2((fraction.codes() + half) * fraction.scale)
        table = self.lines(
            "2^f", target, fraction, Format(False, accuracy + 1, accuracy), entries, "max",
            lambda f: np.exp2(f + half * fraction.scale),
        )  # fmt: skip
        factor = sign * round(math.log2(base) * 2**factor_frac)
        return ExpSpec(inputs, output, table, factor, factor_frac)

    def reciprocal(
        self, inputs: Format, output: Format, accuracy: int, entries: int, shift_max: int,
        root: bool, inverse: bool = True,
    ) -> ReciprocalSpec:  # fmt: skip
        """1/x, 1/sqrt(x) or sqrt(x) by normalisation.

        Parameters
        ----------
        inputs, output : Format
            Of the argument, unsigned, and of the result.
        accuracy : int
            The table of the mantissa has an error of about 2**-accuracy.
        entries : int
            Segments of a table of lines.
        shift_max, root, inverse : int, bool, bool
            See `ReciprocalSpec`: the limit of the shift; 1/sqrt(x) or, not `inverse`, sqrt(x).
        """
        width = inputs.bits + (root and (inputs.bits - inputs.frac) % 2)
        seen = (
            accuracy + 2 * root if self.arch in NARROW_ARCHS else min(accuracy - 2, DIRECT_BITS_MAX)
        )
        bits = max(1, min(seen, width - (not root)))
        half = 0.5 if bits < width - (not root) else 0.0
        table = self.mantissa(bits, half, accuracy, entries, root, inverse)
        return ReciprocalSpec(inputs, output, table, root, shift_max, inverse)

    def mantissa(
        self, bits: int, half: float, accuracy: int, entries: int, root: bool,
        inverse: bool = True,
    ) -> UnarySpec:  # fmt: skip
        """1/m for m in [1, 2), or 1/sqrt(m) or sqrt(m) for m in [1, 4).

        Parameters
        ----------
        bits : int
            Bits of m that the table sees: below the leading one, or with the two integer bits.
        half : float
            How far into a step of these bits m is: 0.5 where there are more, which it does not see.
        accuracy, entries, root, inverse
            See `reciprocal`.
        """
        mantissa = Format(False, bits, bits - 2 * root)
        offset, name = (0.0, "1/sqrt(m)") if root else (1.0, "1/m")
        name = name if inverse else "sqrt(m)"

        def reference(x: np.ndarray) -> np.ndarray:
            m = np.maximum(x + half * mantissa.scale + offset, 1.0)
            m = np.sqrt(m) if root else m
            return 1.0 / m if inverse else m

        codes = mantissa.real(mantissa.codes())
        value = Format(False, accuracy + 2, accuracy + 1)
        return self.lines(
            name, reference(codes), mantissa, value, entries, "max", reference,
            weights=(codes >= 1.0).astype(float) if root else None,
            nn_signs=(-1, 1) if inverse else (0, 0),
        )  # fmt: skip

    def log(self, inputs: Format, output: Format, entries: int) -> LogSpec:
        """ln(x) by normalisation: but for the last rounding, an error of about 1/16 ulp.

        1/32 ulp each are the value of ln(m) and the bits of m that its table does not see, and
        less than 1/64 is ln 2 times the exponent.

        Parameters
        ----------
        inputs, output : Format
            Of the argument, unsigned, and of the result, signed.
        entries : int
            Segments of a table of lines.
        """
        # Even where an ulp is larger than 1, the table has a bit of each.
        frac = max(1, output.frac + 4)
        seen = frac if self.arch in NARROW_ARCHS else min(frac, DIRECT_BITS_MAX)
        width = inputs.bits - 1
        bits = max(1, min(seen, width))
        mantissa = Format(False, bits, bits)
        half = 0.5 if bits < width else 0.0

        def reference(f: np.ndarray) -> np.ndarray:
            return np.log1p(f + half * mantissa.scale)

        table = self.lines(
            "ln(m)", reference(mantissa.real(mantissa.codes())), mantissa,
            Format(False, frac, frac), entries, "max", reference,
        )  # fmt: skip
        exponent_bits = max(abs(inputs.frac), abs(width - inputs.frac)).bit_length()
        factor_frac = frac + 1 + exponent_bits
        factor = round(math.log(2.0) * 2**factor_frac)
        return LogSpec(inputs, output, table, factor, factor_frac)

    def sine(self, inputs: Format, output: Format, entries: int, cosine: bool) -> SineSpec:
        """sin(x) or cos(x) by quarter waves: but for the last rounding, about 1/8 ulp.

        1/16 ulp is the value of the table, at most 1/20 what it does not see of the fraction, and
        1/40 what the factor is off for the largest argument.

        Parameters
        ----------
        inputs, output : Format
            Of the argument, in radians, and of the result, signed.
        entries : int
            Segments of a table of lines.
        cosine : bool
            Whether it is cos(x).
        """
        frac = max(1, output.frac + 4)
        fraction = Format(False, frac, frac)
        factor_frac = frac + 1 + inputs.bits - inputs.signed - inputs.frac
        factor = ((2 << (128 + factor_frac + 1)) // PI_128 + 1) >> 1
        # Whole turns make no difference: of coarse arguments each code has some.
        factor %= 1 << max(0, inputs.frac + factor_frac + 2)

        def reference(f: np.ndarray) -> np.ndarray:
            return np.sin(0.5 * math.pi * (f + 0.5 * fraction.scale))

        table = self.lines(
            "sin(pi/2 f)", reference(fraction.real(fraction.grid())), fraction, fraction, entries,
            "mse", reference,
        )  # fmt: skip
        return SineSpec(inputs, output, table, factor, factor_frac, cosine)

    def table(
        self, function: Function, inputs: Format, output: Format, entries: int, objective: str
    ) -> UnarySpec:
        """Return the unit of one table of a function, folded if that pays.

        Parameters
        ----------
        function : Function
            What is tabulated, over all codes of `inputs`.
        inputs, output : Format
            Of the argument and of the result.
        entries : int
            Segments of a table of lines.
        objective : str
            What a fit minimises: one of `nnlut_train.fit.problem.OBJECTIVES`.
        """
        fold = None
        direct = self.arch not in NARROW_ARCHS
        pays = not direct or inputs.bits >= FOLDED_DIRECT_BITS_MIN
        if self.reduces and function.symmetry is not None and pays:
            fold = fold_for(function, function.symmetry, inputs, output, rounded=direct)
        x = inputs.real(inputs.grid())
        return self.lines(
            function.name, function(x), inputs, output, entries, objective, function,
            weights=None if self.weights is None else self.weights(x),
            nn_signs=function.nn_signs, fold=fold,
        )  # fmt: skip

    def lines(
        self, name: str, target: np.ndarray, inputs: Format, output: Format, entries: int,
        objective: str, reference: Callable[[np.ndarray], np.ndarray], *,
        weights: np.ndarray | None = None, nn_signs: tuple[int, int] = (0, 0),
        fold: Fold | None = None,
    ) -> UnarySpec:  # fmt: skip
        """Return the unit of one table of `target`, in the architecture that is asked for.

        Parameters are those of `Wanted`.
        """
        request = self.request
        wanted = Wanted(
            name, target, inputs, output, entries, objective, reference, weights, nn_signs, fold
        )
        # Below the bound, where none is asked for, however the results were computed.
        bound = ERROR_BOUND_ULP - 2.0**-20
        if request.max_error is not None:
            bound = request.max_error
        fitting = Fitting(
            request.fit_method, request.seed, self.progress, bound, request.max_error or 0.5,
            request.logic,
        )  # fmt: skip
        return MAKERS[self.arch](wanted, fitting)
