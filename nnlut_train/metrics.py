"""How far a table is from its function.

`table_errors` measures what a build quotes, at every input code. The others compare methods on
GQA-LUT's protocol (Dong et al., DAC 2024, arXiv 2403.19591): the lines before the output is
rounded, on a uniform grid or at the codes of an input scale, see `nnlut_train.protocol`.
"""

from collections.abc import Callable

import numpy as np

from .errors import UsageError
from .formats import Format
from .tables import DirectTable, PwlTable

__all__ = ["grid", "grid_mse", "max_error", "scale_mse", "table_errors", "weighted_mse"]

#: A function of real arguments: float64 array to float64 array of the same shape.
Real = Callable[[np.ndarray], np.ndarray]


def table_errors(
    table: DirectTable | PwlTable, target: np.ndarray, weights: np.ndarray | None = None, *,
    codes: np.ndarray | None = None,
) -> dict[str, float]:  # fmt: skip
    """Measure a table at every input code.

    Parameters
    ----------
    table : DirectTable or PwlTable
        The table.
    target : float64 array, shape (2**input.bits,)
        Real values at every input code, ascending; clipped to what the output can hold.
    weights : float64 array, same shape, optional
        Weights of the codes in ``line_mse``; a code of weight 0 does not count at all.
    codes : int64 array, same shape, optional
        The input codes that `target` is at, where it is not at all.

    Returns
    -------
    dict of float
        ``max_ulp``, ``rms_ulp``: error of the output codes in units of the last place of the
        output. For a piecewise-linear table also ``line_mse``, ``line_max``: mean squared
        (weighted) and maximum error of the lines before the output is rounded, as real numbers:
        what the fit minimises.
    """
    codes = table.input.codes() if codes is None else codes
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


def grid(domain: tuple[float, float], step: float = 0.01) -> np.ndarray:
    """Return the uniform grid on `domain`: ``arange(lo, hi, step)``, without the upper end.

    Raises
    ------
    UsageError
        If the domain is empty or the step is not positive.
    """
    low, high = domain
    if not (low < high and step > 0):
        raise UsageError(f"a grid needs LO < HI and a positive step, not {low}, {high} and {step}")
    return np.arange(low, high, step)


def _errors(table: PwlTable, function: Real, x: np.ndarray) -> np.ndarray:
    return table.line(x) - function(x)


def grid_mse(
    table: PwlTable, function: Real, domain: tuple[float, float], step: float = 0.01
) -> float:
    """Measure the lines on a uniform grid of real arguments: the fitness of GQA-LUT's search.

    Parameters
    ----------
    table : PwlTable
        Its own breakpoints are taken, as fine as they are; outputs are not rounded.
    function : callable
        The exact function of a float64 array.
    domain : tuple of float
        ``(lo, hi)``; hi itself is not a grid point.
    step : float
        Distance of the grid's points.

    Returns
    -------
    float
        Mean squared error.

    Raises
    ------
    UsageError
        If the grid is empty.
    """
    return float(np.mean(_errors(table, function, grid(domain, step)) ** 2))


def max_error(
    table: PwlTable, function: Real, domain: tuple[float, float], step: float = 0.01
) -> float:
    """Return the largest absolute error on the grid; parameters and errors as of `grid_mse`."""
    return float(np.abs(_errors(table, function, grid(domain, step))).max())


def scale_mse(table: PwlTable, function: Real, domain: tuple[float, float], form: Format) -> float:
    """Measure the lines at the codes of one input scale, breakpoints rounded to it.

    Parameters
    ----------
    table : PwlTable
        Taken as it is if its input has the format `form`, else as `PwlTable.at` gives it: lines
        that several scales share.
    function : callable
        The exact function of a float64 array.
    domain : tuple of float
        ``(lo, hi)``, both ends included: only codes inside count.
    form : Format
        Input format, such as ``s8.4``.

    Returns
    -------
    float
        Mean squared error before the output is rounded.

    Raises
    ------
    UsageError
        If no code is inside the domain, or the table cannot be used at this scale.
    """
    if table.input != form:
        table = table.at(form)
    x = form.real(form.codes())
    x = x[(x >= domain[0]) & (x <= domain[1])]
    if not x.size:
        raise UsageError(f"format {form} has no code inside {domain[0]} to {domain[1]}")
    return float(np.mean(_errors(table, function, x) ** 2))


def weighted_mse(
    table: PwlTable, function: Real, domain: tuple[float, float], density: Real, step: float = 0.01
) -> float:
    """Measure the lines on the grid, weighted by how often an argument occurs.

    Such a weighting follows a Transformer's accuracy more closely than the plain error does (DAPA,
    DAC 2026, arXiv 2603.19338).

    Parameters
    ----------
    table, function, domain, step
        See `grid_mse`.
    density : callable
        Non-negative weight at float64 arguments, of any total: a probability density, or
        `nnlut_train.histograms.Histogram.weights`. What lies outside the domain is left out.

    Returns
    -------
    float
        Weighted mean squared error.

    Raises
    ------
    UsageError
        If the grid is empty, or a weight is negative or not finite, or all are zero.
    """
    x = grid(domain, step)
    weights = np.asarray(density(x), dtype=np.float64)
    fine = weights.shape == x.shape and np.isfinite(weights).all() and (weights >= 0).all()
    if not fine or not weights.any():
        raise UsageError(
            f"weights must be numbers >= 0, not all zero between {domain[0]} and {domain[1]}"
        )
    return float(np.average(_errors(table, function, x) ** 2, weights=weights))
