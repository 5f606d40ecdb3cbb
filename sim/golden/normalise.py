"""Normalisation by the number of leading zeros."""

import numpy as np

__all__ = ["bit_length", "normalise"]


def bit_length(values: np.ndarray) -> np.ndarray:
    """Return the bit lengths of int64 `values` of at least 0 (that of 0 is 0), same shape."""
    # frexp's exponent of an integer below 2**53 is its bit length, exactly.
    high = np.frexp((values >> 32).astype(np.float64))[1].astype(np.int64)
    low = np.frexp((values & 0xFFFF_FFFF).astype(np.float64))[1].astype(np.int64)
    return np.where(high > 0, high + 32, low)


def normalise(
    codes: np.ndarray, width: int, step: int, shifts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shift `codes` left until a one is among their `step` highest bits.

    Parameters
    ----------
    codes : int64 array
        Codes of `width` bits, at least 0; any shape.
    width : int
        Bits of the result; at most 63.
    step : int
        The shift is a multiple of this.
    shifts : int
        Largest number of steps, which 0 is shifted by.

    Returns
    -------
    normal, steps : int64 arrays, shape of `codes`
        The shifted codes, and by how many steps they were shifted.
    """
    zeros = width - bit_length(codes)
    steps = np.minimum(zeros // step, shifts)
    return codes << (steps * step), steps
