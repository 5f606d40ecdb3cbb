"""Symmetries that halve a table: only arguments of one sign are looked up.

A fold writes f(x) with a core g of the magnitude m = abs(x):

* ``even``: ``f(x) = g(m)``;
* ``odd``: ``f(x) = g(m)`` for x >= 0, else ``-g(m)`` (tanh, erf);
* ``complement``: ``f(x) = g(m)`` for x >= 0, else ``1 - g(m)`` (sigmoid);
* ``relu``: ``f(x) = max(x, 0) - g(m)`` (gelu, silu): g is even and decays, so that few narrow
  entries suffice. HARA (ICLR 2026 submission QnuJR7qA3z) has it for GELU.

Magnitudes beyond the table's format saturate to its largest code: where g has decayed, nothing is
lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UsageError
from .formats import Format

__all__ = ["FOLDS", "Fold", "core"]

FOLDS = ("even", "odd", "complement", "relu")


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
