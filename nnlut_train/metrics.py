"""How far a table is from its function."""

import numpy as np

from .tables import DirectTable, PwlTable

__all__ = ["table_errors"]


def table_errors(
    table: DirectTable | PwlTable, target: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Measure a table at every input code.

    Parameters
    ----------
    table : DirectTable or PwlTable
        The table.
    target : float64 array, shape (2**input.bits,)
        Real values at every input code, ascending; clipped to what the output can hold.
    weights : float64 array, same shape, optional
        Weights of the codes in ``line_mse``; a code of weight 0 does not count at all.

    Returns
    -------
    dict of float
        ``max_ulp``, ``rms_ulp``: error of the output codes in units of the last place of the
        output. For a piecewise-linear table also ``line_mse``, ``line_max``: mean squared
        (weighted) and maximum error of the lines before the output is rounded, as real numbers:
        what the fit minimises.
    """
    codes = table.input.codes()
    target = table.output.clip(target)
    ulp = np.abs(table.output.real(table.lookup(codes)) - target) / table.output.scale
    used = np.ones(len(codes), dtype=bool) if weights is None else weights > 0
    errors = {
        "max_ulp": float(ulp[used].max()),
        "rms_ulp": float(np.sqrt(np.mean(ulp[used] ** 2))),
    }
    if isinstance(table, PwlTable):
        line = np.abs(table.line(table.input.real(codes)) - target)
        errors["line_mse"] = float(np.average(line**2, weights=weights))
        errors["line_max"] = float(line[used].max())
    return errors
