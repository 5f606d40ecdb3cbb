"""Symmetries that halve a table: only arguments of one sign are looked up.

A fold writes f(x) with a core g of the magnitude m = abs(x):

* ``even``: ``f(x) = g(m)``;
* ``odd``: ``f(x) = g(m)`` for x >= 0, else ``-g(m)`` (tanh, erf);
* ``complement``: ``f(x) = g(m)`` for x >= 0, else ``1 - g(m)`` (sigmoid);
* ``relu``: ``f(x) = max(x, 0) - g(m)`` (gelu, silu): g is even and decays, so that few narrow
  entries suffice. HARA (ICLR 2026 submission QnuJR7qA3z) has it for GELU.

Magnitudes beyond the table's format saturate to its largest code: where g has decayed, or does not
change any more, nothing is lost. `fold_for` chooses that format.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UsageError
from .formats import Format

__all__ = ["FOLDS", "Fold", "answering", "core", "fold_for"]

FOLDS = ("even", "odd", "complement", "relu")

#: What the saturation of a magnitude may cost at most, in ulp of the output.
SATURATION_ULP = 1 / 16


@dataclass(frozen=True)
class Fold:
    """How a table's argument is folded, and the result unfolded.

    Parameters
    ----------
    kind : str
        One of `FOLDS`.
    magnitude : Format
        Unsigned format of what is looked up, with the argument's fraction bits.

    Raises
    ------
    UsageError
        If a value is none of these.
    """

    kind: str
    magnitude: Format

    def __post_init__(self) -> None:
        if self.kind not in FOLDS:
            raise UsageError(f"a fold must be one of {', '.join(FOLDS)}, not {self.kind!r}")
        if self.magnitude.signed:
            raise UsageError(f"a fold's magnitude must be unsigned, not {self.magnitude}")

    def arguments(self, codes: np.ndarray) -> np.ndarray:
        """Return the magnitudes of integer `codes` (or of reals in units of one code)."""
        return np.minimum(np.abs(codes), self.magnitude.max)

    def unfold(self, codes: np.ndarray, values: np.ndarray, one: Any, ramp: Any) -> np.ndarray:
        """Return f from the core's `values`; the rule that `core` inverts.

        Parameters
        ----------
        codes : array
            The arguments, not folded.
        values : array, same shape
            The core at their magnitudes.
        one, ramp : int or float
            What 1.0 and what one step of `codes` is in units of `values`.
        """
        if self.kind == "even":
            return values
        if self.kind == "relu":
            return np.maximum(codes, 0) * ramp - values
        mirrored = (one if self.kind == "complement" else 0) - values
        return np.where(np.asarray(codes) < 0, mirrored, values)

    def refold(self, codes: np.ndarray, values: np.ndarray, one: Any, ramp: Any) -> np.ndarray:
        """Return what the core must be for f to be `values`: the inverse of `unfold`.

        Each unfolding is its own inverse.
        """
        return self.unfold(codes, values, one, ramp)

    def lacks(self, frac: int) -> int:
        """Return how many fraction bits a core of `frac` must have more: adding must lose none."""
        least = {"complement": 0, "relu": self.magnitude.frac}.get(self.kind, frac)
        return max(least - frac, 0)

    def to_json(self) -> dict[str, str]:
        """Return the fold as JSON-ready data."""
        return {"kind": self.kind, "magnitude": str(self.magnitude)}

    @classmethod
    def from_json(cls, data: Any) -> "Fold":
        """Read what `to_json` returned.

        Raises
        ------
        UsageError
            If a field is missing, unknown or wrong.
        """
        if not isinstance(data, dict) or data.keys() != {"kind", "magnitude"}:
            raise UsageError(f"a fold must have the fields kind and magnitude, not {data!r}")
        return cls(data["kind"], Format.parse(data["magnitude"]))


def core(evaluate: Callable[[np.ndarray], np.ndarray], kind: str) -> Callable[..., np.ndarray]:
    """Return the core g of a function that has the symmetry `kind`; see the module's text."""
    if kind == "relu":
        return lambda m: m - evaluate(m)
    return evaluate


def fold_for(
    evaluate: Callable[[np.ndarray], np.ndarray], kind: str, inputs: Format, output: Format, *,
    rounded: bool = False,
) -> Fold:  # fmt: skip
    """Return the fold with the narrowest magnitude that is good enough at every input code.

    Parameters
    ----------
    evaluate : callable
        The function: float64 array to float64 array of the same shape.
    kind : str
        Its symmetry, one of `FOLDS`.
    inputs, output : Format
        Formats of the argument, which must be signed, and of the result.
    rounded : bool
        Saturation must not change the rounded result (for direct tables); by default it must cost
        at most `SATURATION_ULP` (for lines, whose own errors come on top).

    Raises
    ------
    UsageError
        If `kind` is none of `FOLDS`, or the input is unsigned.
    """
    if not inputs.signed:
        raise UsageError(f"a folded input must be signed, not {inputs}")
    x = inputs.real(inputs.codes())
    wanted, inner = evaluate(x), core(evaluate, kind)
    for bits in range(1, inputs.bits):
        fold = Fold(kind, Format(False, bits, inputs.frac))
        magnitude = inputs.real(fold.arguments(inputs.codes()))
        found = fold.unfold(x, inner(magnitude), 1.0, 1.0)
        if rounded:
            good = output.quantize(found) == output.quantize(wanted)
        else:
            error = np.abs(output.clip(found) - output.clip(wanted))
            good = error <= SATURATION_ULP * output.scale
        if good.all():
            return fold
    # Even the magnitude of the most negative code: nothing saturates.
    return Fold(kind, Format(False, inputs.bits, inputs.frac))


def answering(target: np.ndarray, output: Format) -> np.ndarray:
    """Return which codes a folded table is to be fitted to; bool array, shape of `target`.

    Of a code and its mirror image, one may have a result that the output cannot hold, as tanh near
    1 where the output ends at 127/128. The hardware limits it; a core that aimed at the limit would
    be wrong for the other.

    Parameters
    ----------
    target : float64 array, shape (2**n,)
        The function at every code of a signed argument of n bits, ascending, not limited.
    output : Format
        Format of the result.
    """
    beyond = np.abs(target - output.clip(target))
    mirror = np.append(0, np.arange(len(target) - 1, 0, -1))  # the first code has none
    return beyond <= beyond[mirror]
