"""Normalisation by the number of leading zeros."""

import numpy as np

__all__ = ["normalise"]


def normalise(
    codes: np.ndarray, width: int, step: int, shifts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shift `codes` left until a one is among their `step` highest bits.

    Parameters
    ----------
    codes : int64 array
        Codes of `width` bits, at least 0; any shape.
    width : int
        Bits of the result; at most 53.
    step : int
        The shift is a multiple of this.
    shifts : int
        Largest number of steps, which 0 is shifted by.

    Returns
    -------
    normal, steps : int64 arrays, shape of `codes`
        The shifted codes, and by how many steps they were shifted.
    """
    # frexp's exponent of an integer below 2**53 is its bit length, exactly.
    zeros = width - np.frexp(codes.astype(np.float64))[1].astype(np.int64)
    steps = np.minimum(zeros // step, shifts)
    return codes << (steps * step), steps
