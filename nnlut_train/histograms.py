"""How often a function's arguments occur: measured histograms, and stand-ins for them.

A histogram file is NumPy's ``.npz`` with two arrays: ``edges``, n + 1 ascending real arguments, and
``counts``, n non-negative numbers: how many activations fell between two neighbouring edges.
``np.savez(path, counts=counts, edges=edges)`` writes it from what ``np.histogram`` returned.

`STAND_INS` holds assumed distributions for when nothing was measured. They are no measurements:
real activations differ from layer to layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import UsageError
from .functions import FUNCTIONS
from .reading import read_arrays

__all__ = ["STAND_INS", "Histogram", "StandIn"]

#: Logits in a row of the stand-in for exp: the maximum of so many is subtracted.
ROW = 64


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of real arguments between edges.

    Parameters
    ----------
    edges : float64 array, shape (n + 1,)
        Strictly ascending, finite. A bin holds its left edge; the last bin holds both.
    counts : float64 array, shape (n,)
        Non-negative and finite, not all zero.

    Raises
    ------
    UsageError
        If the arrays are not like this.
    """

    edges: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        for name in ("edges", "counts"):
            array = np.asarray(getattr(self, name))
            if array.dtype.kind not in "iuf" or array.ndim != 1:
                raise UsageError(
                    f"{name} must be a list of real numbers, not {array.dtype} of shape "
                    f"{array.shape}"
                )
            array = array.astype(np.float64)
            if not np.isfinite(array).all():
                raise UsageError(f"{name} must be finite")
            object.__setattr__(self, name, array)
        if self.counts.size < 1 or self.edges.size != self.counts.size + 1:
            raise UsageError(
                f"edges must be one more than counts, and counts at least 1, "
                f"not {self.edges.size} and {self.counts.size}"
            )
        if not (np.diff(self.edges) > 0).all():
            raise UsageError("edges must ascend strictly")
        if (self.counts < 0).any() or not self.counts.any():
            raise UsageError("counts must be >= 0 and not all zero")

    def weights(self, x: np.ndarray) -> np.ndarray:
        """Return the density at real arguments: counts per unit of width, 0 outside.

        At the evenly spaced codes of a format, it shares each bin's count among the codes in it;
        a bin narrower than the distance of two codes may hold none, and is then left out.

        Parameters
        ----------
        x : float64 array
            Arguments, of any shape.

        Returns
        -------
        float64 array
            Same shape.
        """
        x = np.asarray(x, dtype=np.float64)
        density = self.counts / np.diff(self.edges)
        i = np.searchsorted(self.edges, x, side="right") - 1
        inside = (x >= self.edges[0]) & (x <= self.edges[-1])
        return np.where(inside, density[np.clip(i, 0, density.size - 1)], 0.0)

    @classmethod
    def load(cls, path: Path | str) -> "Histogram":
        """Read a histogram file.

        Raises
        ------
        UsageError
            If the file cannot be read, or does not hold a histogram; the message names the file.
        """
        try:
            file = read_arrays(path)
            if isinstance(file, np.ndarray):
                raise UsageError("must be .npz with the arrays edges and counts, not .npy")
            for name in ("edges", "counts"):
                if name not in file:
                    raise UsageError(f"the array {name} is missing")
            return cls(file["edges"], file["counts"])
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise UsageError(f"{path}: must be .npz without objects: {error}") from error


def _normal(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


def _below_maximum(x: np.ndarray) -> np.ndarray:
    """Return the density of ``logit - max`` over `ROW` normal logits, without the maximum itself.

    With F and f the normal distribution and density, n - 1 others whose maximum is m:
    ``integral of (n - 1) f(m) F(m)**(n - 2) f(m + x) dm`` for x < 0, here as a sum over m.
    """
    m = np.linspace(-6.0, 8.0, 1401)
    step = m[1] - m[0]
    cumulative = 0.5 * (1.0 + FUNCTIONS["erf"](m / np.sqrt(2.0)))
    of_maximum = (ROW - 1) * _normal(m) * cumulative ** (ROW - 2)
    x = np.asarray(x, dtype=np.float64)
    density = _normal(m + x[..., None]) @ of_maximum * step
    return np.where(x <= 0, density, 0.0)


def _logarithmic(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)


@dataclass(frozen=True)
class StandIn:
    """An assumed distribution: what it is, for people, and its density at float64 arguments."""

    text: str
    density: Callable[[np.ndarray], np.ndarray]


_MANTISSA = StandIn("uniform in the logarithm of x", _logarithmic)

#: Assumed distributions by the function's name; not measured.
STAND_INS = {
    "gelu": StandIn("normal inputs, mean 0, variance 1", _normal),
    "hswish": StandIn("normal inputs, mean 0, variance 1", _normal),
    "exp": StandIn(
        f"logit - maximum over rows of {ROW} normal logits, the maximum left out", _below_maximum
    ),
    "reciprocal": _MANTISSA,
    "rsqrt": _MANTISSA,
}
