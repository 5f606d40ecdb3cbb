"""The comparison's one harness: what every table is measured by, GQA-LUT's own ones included."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..errors import UsageError
from ..formats import Format
from ..protocol import CASES, SCALES
from ..reading import read_json
from ..tables import PwlTable

__all__ = ["Density", "load_anchors", "measure", "measure_anchor"]

#: Weight of float64 arguments; see `nnlut_train.metrics.weighted_mse`.
Density = Callable[[np.ndarray], np.ndarray]


def measure(
    tables: Mapping[int, PwlTable], function: str, bits: int, density: Density
) -> dict[str, Any]:
    """Measure one function's table in all ways.

    Parameters
    ----------
    tables : mapping of int to PwlTable
        Fraction bits of an input scale -> the table for it. Where one serves all, it may be given
        for each; the finest scale's is measured on the grid.
    function : str
        A key of `nnlut_train.protocol.CASES`.
    bits : int
        Width of the input at a single scale.
    density : callable
        See `nnlut_train.metrics.weighted_mse`.

    Returns
    -------
    dict
        ``scale_mse``: scale's fraction bits, as text, to mean squared error at its codes;
        ``average_mse``: their mean; ``grid_mse``, ``max_error``, ``weighted_mse``: on the grid.
    """
    exact = CASES[function].function
    domain = exact.domain
    finest = tables[max(tables)]
    scales = {
        str(scale): metrics.scale_mse(
            table, exact, domain, Format(table.input.signed, bits, scale)
        )
        for scale, table in sorted(tables.items())
    }  # fmt: skip
    return {
        "scale_mse": scales,
        "average_mse": float(np.mean(list(scales.values()))),
        "grid_mse": metrics.grid_mse(finest, exact, domain),
        "max_error": metrics.max_error(finest, exact, domain),
        "weighted_mse": metrics.weighted_mse(finest, exact, domain, density),
    }


def _anchor_table(data: Any, scale: int) -> PwlTable:
    """Return the table that GQA-LUT's file has for one scale.

    Breakpoints that rounding has made equal leave a segment without an argument; it is dropped.
    """
    breakpoints, slopes, intercepts = (
        np.array(data[name], dtype=np.float64) for name in ("breakpoints", "slopes", "intercepts")
    )
    if breakpoints.ndim != 1 or not (slopes.shape == intercepts.shape == (len(breakpoints) + 1,)):
        raise ValueError("breakpoints must be one less than slopes and intercepts")
    if (np.diff(breakpoints) < 0).any():
        raise ValueError("breakpoints must ascend")
    inputs = Format(True, 5 + scale, scale)  # -16 to 16: wider than every range
    coefficient = Format(True, 8, 6)
    integers = []
    for values, frac in ((breakpoints, scale), (slopes, 6), (intercepts, 6)):
        codes = values * 2.0**frac
        if not (np.isfinite(codes).all() and (codes == np.round(codes)).all()):
            raise ValueError(f"numbers must be multiples of 2**-{frac}")
        integers.append(codes.astype(np.int64))
    keep = np.append(np.diff(integers[0]) > 0, True) if len(breakpoints) else []
    lines = np.concatenate(([True], keep)).astype(bool)
    edges = integers[0][lines[1:]]
    # The line right of equal breakpoints is the last one's.
    slopes, intercepts = (v[lines] for v in integers[1:])
    output = Format(True, 24, min(6 + scale, 12))
    return PwlTable(inputs, output, coefficient, coefficient,
                    tuple(edges.tolist()), tuple(slopes.tolist()), tuple(intercepts.tolist()),
                    {"method": "gqa-lut"})  # fmt: skip


def load_anchors(folder: Path) -> list[dict[str, Any]]:
    """Read GQA-LUT's own tables.

    Its files are called ``FUNCTION_pwl_K.json``, K breakpoints, and hold, under the function's
    name, an object for each scale, ``"0"`` to ``"6"``, with the real breakpoints, slopes and
    intercepts.

    Returns
    -------
    list of dict
        ``function``, ``entries``, and ``tables``: the file's contents by scale.

    Raises
    ------
    UsageError
        If the folder has none of the files, or one of them is not like this.
    """
    found = []
    for function in CASES:
        for entries in (8, 16):
            path = folder / f"{function}_pwl_{entries - 1}.json"
            if not path.is_file():
                continue
            try:
                data = read_json(path)
                tables = {str(scale): data[function][str(scale)] for scale in SCALES}
                for scale in SCALES:
                    _anchor_table(tables[str(scale)], scale)
            except OSError as error:
                raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise UsageError(f"{path}: must be a table of GQA-LUT: {error}") from error
            found.append({"function": function, "entries": entries, "tables": tables})
    if not found:
        raise UsageError(f"--anchors {folder} must hold files such as gelu_pwl_7.json")
    return found


def measure_anchor(anchor: Mapping[str, Any], density: Density) -> dict[str, Any]:
    """Return one of `load_anchors` with its ``metrics``; see `measure`."""
    tables = {scale: _anchor_table(anchor["tables"][str(scale)], scale) for scale in SCALES}
    return {**anchor, "metrics": measure(tables, anchor["function"], 8, density)}
