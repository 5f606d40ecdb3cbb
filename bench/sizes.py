"""How long an optimum takes, and how sure it is: ``python bench/sizes.py``, about a minute.

All codes of the input, coefficients rounded to at most 1/16 ulp of the output. The gap is what the
table's certificate leaves open: 0 is a proved optimum.
"""

import time
from collections.abc import Iterator

from common import table

from nnlut_train.fit import fit
from nnlut_train.fit.making import make_problem
from nnlut_train.functions import FUNCTIONS

#: Input bits, entries, objective and constraints.
CASES = (
    (8, 16, {}), (10, 16, {}), (12, 16, {}), (12, 32, {}), (16, 32, {}), (16, 64, {}),
    (8, 16, {"objective": "max"}), (12, 16, {"objective": "max"}), (16, 32, {"objective": "max"}),
    (16, 256, {"objective": "max"}),
    (8, 16, {"exact": (0,), "monotone": True}), (8, 8, {"limits": (0.0, 1.0)}),
    (12, 16, {"limits": (0.0, 1.0)}), (8, 16, {"objective": "mixed", "mix": 0.1}),
)  # fmt: skip


def rows() -> Iterator[tuple[object, ...]]:
    for name in ("gelu", "sigmoid"):
        function = FUNCTIONS[name]
        for bits, entries, options in CASES:
            if name == "gelu" and ("limits" in options or "monotone" in options):
                continue
            inputs = function.input_format(bits)
            output = function.output_format(bits, inputs)
            target = function(inputs.real(inputs.codes()))
            problem = make_problem(name, target, inputs, output, entries, function, **options)
            begin = time.perf_counter()
            meta = fit(problem, cache=False).meta
            seconds = time.perf_counter() - begin
            asked = [
                problem.objective,
                *(f"{k} {v}" for k, v in options.items() if k != "objective"),
            ]
            yield (name, bits, entries, ", ".join(asked), f"{meta['cost']:.3e}",
                   f"{100 * meta['certificate']['gap']:.2g} %", f"{seconds:.2f}")  # fmt: skip


def main() -> None:
    head = ("function", "input bits", "entries", "objective, constraints", "cost", "gap", "seconds")
    table(head, rows())


if __name__ == "__main__":
    main()
