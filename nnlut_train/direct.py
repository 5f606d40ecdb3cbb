"""Direct tables: every value of a function, correctly rounded."""

import numpy as np

from .folding import Fold
from .formats import Format
from .metrics import table_errors
from .tables import DirectTable

__all__ = ["direct_table"]


def direct_table(
    name: str, target: np.ndarray, inputs: Format, output: Format, *,
    weights: np.ndarray | None = None, fold: Fold | None = None,
) -> DirectTable:  # fmt: skip
    """Return the table that is correctly rounded at every code.

    Parameters
    ----------
    name : str
        The function's, for the table's meta data.
    target : float64 array, shape (2**inputs.bits,)
        Its real value at every input code, ascending; those that the output cannot hold saturate.
    inputs, output : Format
        Formats of the argument and of the result.
    weights : float64 array, same shape, optional
        A code of weight 0 does not count in the errors of the meta data.
    fold : Fold, optional
        How to fold the argument. Where a folded table would not be shorter, or would round some
        code wrongly (a core has one value for two codes, and ties go up in both), the table is not
        folded.
    """
    meta = {
        "function": name, "method": "direct",
        "domain": inputs.real(inputs.codes()[[0, -1]]).tolist(),
    }  # fmt: skip
    wanted = output.quantize(target)
    table = None
    if fold is not None and fold.magnitude.bits < inputs.bits:
        table = _folded(target, inputs, output, fold, meta)
    if table is None or (table.lookup(inputs.codes()) != wanted).any():
        table = DirectTable(inputs, output, tuple(wanted.tolist()), meta)
    meta["errors"] = table_errors(table, target, weights)
    return table


def _folded(
    target: np.ndarray, inputs: Format, output: Format, fold: Fold, meta: dict[str, object]
) -> DirectTable:
    """Return the table of the core, from the results for positive codes."""
    frac = output.frac + fold.lacks(output.frac)
    codes = fold.magnitude.codes()
    results = np.floor(target[codes - inputs.min] * 2.0**frac + 0.5).astype(np.int64)
    values = fold.refold(codes, results, 1 << max(frac, 0), 1 << max(frac - inputs.frac, 0))
    low, high = int(values.min()), int(values.max())
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0, 1)
    value = Format(low < 0, bits + (low < 0), frac)
    return DirectTable(inputs, output, tuple(values.tolist()), meta, value, fold=fold)
