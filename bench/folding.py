"""What folding is worth: ``python bench/folding.py``.

Mean squared error over the INT8 codes of two input scales, of the optimal table with 8 entries and
slopes and intercepts of 8 bits, not folded and folded: with the same format for both, GQA-LUT's
Q1.6 and, since the core of a fold is small, 8 fraction bits; and with the fraction bits and signs
that suit each best, which are found by trying.
GELU and hswish on (-4, 4), as GQA-LUT has them (both ends counted), SiLU on (-8, 8).
"""

import itertools
from collections.abc import Iterator

from common import table

from nnlut_train.fit import fit
from nnlut_train.fit.making import make_problem
from nnlut_train.folding import Fold, fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import Function, lookup
from nnlut_train.tables import PwlTable

ENTRIES, BITS = 8, 8
FORMATS = [Format(signed, BITS, frac) for signed in (True, False) for frac in range(5, 10)]


def best(
    function: Function, inputs: Format, output: Format, fold: Fold | None, formats: list[Format]
) -> PwlTable:
    """Return the optimal table with those of `formats` for slope and intercept that suit it."""
    x = inputs.real(inputs.codes())
    weights = ((x >= function.domain[0]) & (x <= function.domain[1])).astype(float)
    tables = []
    for slope, intercept in itertools.product(formats, formats):
        # The hardware adds intercepts, and the unfolded part, without losing bits.
        if intercept.frac > slope.frac + inputs.frac:
            continue
        problem = make_problem(
            function.name, function(x), inputs, output, ENTRIES, function, fold=fold,
            weights=weights, slope=slope, intercept=intercept,
        )  # fmt: skip
        tables.append(fit(problem, cache=False))
    return min(tables, key=lambda table: table.meta["cost"])


def row(name: str, table: PwlTable, folded: PwlTable) -> tuple[str, ...]:
    """Return what is printed of a table."""
    gain = table.meta["cost"] / folded.meta["cost"]
    formats = f"{table.slope}, {table.intercept}"
    return (f"{name:10}", f"{formats:10}", f"{table.storage_bits} bits",
            f"{table.meta['cost']:.3e}", f"{gain:4.1f}")  # fmt: skip


def rows() -> Iterator[tuple[str, ...]]:
    for name, domain in (("gelu", (-4, 4)), ("silu", (-8, 8)), ("hswish", (-4, 4))):
        function = lookup(name, domain)
        for frac in (4, 5):
            inputs = Format(True, BITS, frac)
            output = function.whole_output_format(BITS, inputs)
            fold = fold_for(function, function.reduction, inputs, output)
            folded = best(function, inputs, output, fold, FORMATS)
            for label, found in (
                ("plain, Q1.6", best(function, inputs, output, None, [Format(True, BITS, 6)])),
                ("plain, best", best(function, inputs, output, None, FORMATS)),
                ("folded, s8.8", best(function, inputs, output, fold, [Format(True, BITS, 8)])),
                ("folded, best", folded),
            ):  # fmt: skip
                yield f"{name}, 2^-{frac}", *row(label, found, folded)


def main() -> None:
    head = ("function, scale", "table", "slope, intercept", "storage", "MSE",
            "times the folded one's")  # fmt: skip
    table(head, rows())


if __name__ == "__main__":
    main()
