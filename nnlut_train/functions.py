"""The functions that tables are learned for.

Each is described once, by a `Function`: its float64 reference, the domain that a Transformer uses,
how its argument can be reduced, and how NN-LUT trained it.
"""

import importlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .errors import UsageError
from .folding import FOLDS
from .formats import Format

__all__ = ["FUNCTIONS", "Function", "Reduction", "lookup"]

#: How an argument is brought into a short interval before the table is read.
#: ``base2``: ``exp(x) = 2**i * 2**f``; ``mantissa``: ``x = m * 2**k``, m in [1, 2);
#: ``mantissa4``: the same with k even, m in [1, 4); ``quarter``: x in quarter turns is an integer
#: and a fraction, of which half the quarters see the distance from 1; the rest: see
#: `nnlut_train.folding`.
Reduction = Literal[
    "base2", "mantissa", "mantissa4", "quarter", "even", "odd", "complement", "relu"
]


@dataclass(frozen=True)
class Function:
    """A real function of one real argument, and what is known about it.

    Parameters
    ----------
    name : str
        Its name on the command line.
    formula : str
        Its definition, for people.
    evaluate : callable
        float64 array to float64 array of the same shape; the reference. May return infinities
        outside `domain`.
    domain : tuple of float
        ``(lo, hi)``: where it is used and its accuracy is quoted. ``lo >= 0`` means that the
        hardware's input is unsigned. Also the source of the default formats.
    reduction : Reduction or None
        Its range reduction or symmetry; None where it has none.
    nn_range : tuple of float or None
        The interval on which NN-LUT was trained (Table 1), where one is published. A build trains
        on all codes that its input has: outside, a network's lines run on unchecked.
    nn_signs : tuple of int
        Initial signs of the hidden weights n and biases b (NN-LUT, Table 1): +1, -1, or 0 for
        random.
    """

    name: str
    formula: str
    evaluate: Callable[[np.ndarray], np.ndarray]
    domain: tuple[float, float]
    reduction: Reduction | None = None
    nn_range: tuple[float, float] | None = None
    nn_signs: tuple[int, int] = (0, 0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate at `x`; infinities are returned without a warning.

        Raises
        ------
        UsageError
            If a user's function fails, or returns NaN or another shape.
        """
        x = np.asarray(x, dtype=np.float64)
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(self.evaluate(x))
                # Imaginary parts would only be warned of, and dropped.
                y = found if np.iscomplexobj(found) else found.astype(np.float64)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's function may even try to end the program
            raise UsageError(
                f"function {self.name} must take a float64 array, but raised {error!r}"
            ) from error
        if np.iscomplexobj(y):
            raise UsageError(f"function {self.name} must return real numbers, not complex ones")
        if y.shape != x.shape or np.isnan(y).any():
            raise UsageError(
                f"function {self.name} must return a number for every argument, "
                f"but returned {'NaN' if y.shape == x.shape else f'shape {y.shape}'}"
            )
        return y

    def input_format(self, bits: int, frac: int | None = None) -> Format:
        """Return the input format of `bits` bits; by default the finest that covers `domain`."""
        signed = self.domain[0] < 0
        if frac is None:
            reach = max(abs(self.domain[0]), abs(self.domain[1]))
            frac = bits - signed - math.ceil(math.log2(reach))
        return Format(signed, bits, frac)

    @property
    def reduced(self) -> "Function":
        """The function of the reduced argument; itself where there is no range reduction.

        Of exp and exp2, ``2^f`` of the fraction f; of reciprocal and log, ``1/m`` and ``ln(m)`` of
        the fraction m - 1; of rsqrt and sqrt, ``1/sqrt(m)`` and ``sqrt(m)`` of m in [1, 4); of sin
        and cos, the sine of the fraction f of a quarter turn.
        """
        return self if self.reduction in (None, *FOLDS) else _REDUCED[self.name]

    @property
    def symmetry(self) -> str | None:
        """The kind of fold of a table of the whole function; None where it has none."""
        if self.reduction == "quarter":
            return _WAVES[self.name] if self.domain[0] < 0 < self.domain[1] else None
        return self.reduction if self.reduction in FOLDS else None

    def _within(self, x: np.ndarray) -> np.ndarray:
        """Return which of all arguments of an input are in the domain; bool array.

        A wave goes on as it is: where the input reaches beyond twice the domain, all are.
        """
        if self.reduction == "quarter" and np.abs(x).max() > 2 * np.abs(self.domain).max():
            return np.ones(x.shape, dtype=bool)
        return (x >= self.domain[0]) & (x <= self.domain[1])

    def whole_output_format(self, bits: int, inputs: Format, frac: int | None = None) -> Format:
        """Return the finest output format in which no code of `inputs` in `domain` saturates.

        Unlike `output_format`, it has an integer bit for exp, which is 1 at 0.
        """
        x = inputs.real(inputs.grid())
        y = self(x[self._within(x)])
        y = y[np.isfinite(y)]
        form = Format(bool((y < 0).any()), bits, 24 if frac is None else frac)
        while frac is None and (form.clip(y) != y).any():
            form = Format(form.signed, bits, form.frac - 1)
        return form

    def output_format(self, bits: int, inputs: Format, frac: int | None = None) -> Format:
        """Return the output format of `bits` bits for codes of format `inputs`.

        By default the finest that holds the function over the part of `domain` that the codes
        reach; a supremum that is a power of two (1 for sigmoid) may saturate by less than 1 ulp.
        """
        x = inputs.real(inputs.grid())
        inside = self._within(x)
        y = self(x[inside] if inside.any() else x)
        signed = bool((y < 0).any())
        if frac is None:
            reach = float(np.abs(y[np.isfinite(y)]).max(initial=0.0)) or 1.0
            # The small constant lets softplus(8) = 8.0003 count as 8.
            frac = bits - signed - math.ceil(math.log2(reach) - 2.0**-10)
        return Format(signed, bits, frac)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0.0, x, np.expm1(x))


def _quarter(f: np.ndarray) -> np.ndarray:
    return np.sin(0.5 * math.pi * f)


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


#: Every function by its name. NN-LUT's ranges and signs are from its Table 1.
FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        Function("exp", "e^x", np.exp, (-8, 0), "base2", (-256, 0), (1, 1)),
        Function("reciprocal", "1/x", lambda x: 1.0 / x, (1 / 16, 16), "mantissa",
                 (1, 1024), (-1, 1)),
        Function("rsqrt", "1/sqrt(x)", lambda x: 1.0 / np.sqrt(x), (1 / 16, 16), "mantissa4",
                 (0.1, 1024), (-1, 1)),
        Function("log", "ln(x)", np.log, (1 / 16, 16), "mantissa"),
        Function("sigmoid", "1/(1 + e^-x)", _sigmoid, (-8, 8), "complement"),
        Function("tanh", "tanh(x)", np.tanh, (-4, 4), "odd"),
        Function("erf", "erf(x)", _erf, (-4, 4), "odd"),
        Function("gelu", "x/2 (1 + erf(x/sqrt 2))", _gelu, (-8, 8), "relu", (-5, 5)),
        Function("gelu_tanh", "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))", _gelu_tanh,
                 (-8, 8), "relu", (-5, 5)),
        Function("silu", "x/(1 + e^-x)", lambda x: x * _sigmoid(x), (-8, 8), "relu"),
        Function("hswish", "x relu6(x + 3)/6", lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
                 (-8, 8), "relu"),
        Function("softplus", "ln(1 + e^x)", _softplus, (-8, 8), "relu"),
        Function("elu", "x for x > 0, else e^x - 1", _elu, (-8, 8)),
        Function("mish", "x tanh(ln(1 + e^x))", lambda x: x * np.tanh(_softplus(x)), (-8, 8)),
        Function("hsigmoid", "relu6(x + 3)/6", lambda x: np.clip(x + 3.0, 0.0, 6.0) / 6.0,
                 (-4, 4), "complement"),
        Function("sqrt", "sqrt(x)", np.sqrt, (0, 16), "mantissa4"),
        Function("exp2", "2^x", np.exp2, (-8, 0), "base2"),
        Function("sin", "sin(x)", np.sin, (-math.pi, math.pi), "quarter"),
        Function("cos", "cos(x)", np.cos, (-math.pi, math.pi), "quarter"),
    )
}  # fmt: skip

#: The symmetry of a whole wave.
_WAVES = {"sin": "odd", "cos": "even"}

#: What is left of each function whose range is reduced, by that function's name.
_REDUCED: dict[str, Function] = {
    "exp": Function("2^f", "2^f", np.exp2, (0, 1)),
    "exp2": Function("2^f", "2^f", np.exp2, (0, 1)),
    "reciprocal": Function("1/m", "1/(1 + f)", lambda f: 1.0 / (1.0 + f), (0, 1)),
    "rsqrt": Function("1/sqrt(m)", "1/sqrt(m)", lambda m: 1.0 / np.sqrt(m), (1, 4)),
    "sqrt": Function("sqrt(m)", "sqrt(m)", np.sqrt, (1, 4)),
    "log": Function("ln(m)", "ln(1 + f)", np.log1p, (0, 1)),
    "sin": Function("sin(pi/2 f)", "sin(pi/2 f)", _quarter, (0, 1)),
    "cos": Function("sin(pi/2 f)", "sin(pi/2 f)", _quarter, (0, 1)),
}


def lookup(name: str, domain: tuple[float, float] | None = None) -> Function:
    """Return the function called `name`, or a user's own, ``package.module:callable``.

    Parameters
    ----------
    name : str
        A key of `FUNCTIONS`, or the place of a callable that takes and returns float64 arrays.
    domain : tuple of float, optional
        ``(lo, hi)``; required for a user's function, and replaces a registered one's. Outside of
        what a reduction needs (both signs for a symmetry, no negative numbers for a mantissa),
        there is none, as for a user's function.

    Raises
    ------
    UsageError
        If there is no such function, or the domain is missing or empty.
    """
    if domain is not None and not (math.isfinite(domain[0]) and domain[0] < domain[1] < math.inf):
        raise UsageError(f"a domain must be two finite numbers LO < HI, not {domain}")
    if name in FUNCTIONS:
        function = FUNCTIONS[name]
        if domain is None:
            return function
        reduction = function.reduction
        if reduction in FOLDS and not domain[0] < 0 < domain[1]:
            reduction = None  # one side needs no symmetry
        elif reduction in ("mantissa", "mantissa4") and domain[0] < 0:
            reduction = None  # a mantissa has no sign
        return replace(function, domain=domain, reduction=reduction)
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        raise UsageError(
            f"a function must be one of {', '.join(FUNCTIONS)}, or package.module:callable, "
            f"not {name!r}"
        )
    if domain is None:
        raise UsageError(f"{name} must be given a domain: --domain LO,HI")
    module, _, attribute = name.partition(":")
    try:
        evaluate = getattr(importlib.import_module(module), attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's module raises
        raise UsageError(f"{name} cannot be imported: {str(error) or repr(error)}") from error
    if not callable(evaluate):
        raise UsageError(f"{name} must be callable, not {type(evaluate).__name__}")
    return Function(name, name, evaluate, domain)
