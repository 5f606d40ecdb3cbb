"""GQA-LUT's search beside its authors': ``python bench/genetic.py [SEEDS]``; 5 seeds by default.

Mean squared error on the grid of 0.01 with 8 entries, in the published storage: slopes and
intercepts with 6 fraction bits (8 bits wide, 9 for reciprocal and rsqrt, as their code needs them),
breakpoints at the finest stored precision. "Authors" is their one seed; "DEAP" is the median of 50
seeds of their operators in DEAP 1.4.1, on record: it says how lucky the one was.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from common import table

from nnlut_train import protocol
from nnlut_train.fit import fit
from nnlut_train.formats import Format
from nnlut_train.metrics import grid_mse

#: Grid MSE of the authors' seed (GQA-LUT at a5be4ea), and the median of 50 others.
ON_RECORD = {
    "gelu": (7.22e-5, 7.21e-5), "hswish": (3.33e-4, 3.30e-4), "exp": (1.93e-5, 2.77e-5),
    "reciprocal": (4.02e-5, 3.66e-5), "rsqrt": (3.63e-5, 3.44e-5),
}  # fmt: skip


def rows(seeds: int) -> Iterator[tuple[str, ...]]:
    for name, (authors, deap) in ON_RECORD.items():
        case, problem = protocol.CASES[name], protocol.problem(name, 8)
        if not case.shared:
            wide = Format(True, 9, 6)
            problem = replace(problem, slope=wide, intercept=wide)
        errors, begin = [], time.process_time()
        for seed in range(seeds):
            found = fit(problem, "genetic", seed=seed, cache=False)
            errors.append(grid_mse(found, case.function, case.function.domain))
        seconds = (time.process_time() - begin) / seeds
        median = statistics.median(errors)
        yield (name, f"{authors:.2e}", f"{deap:.2e}", f"{median:.2e}", f"{median / authors:.2f}",
               f"{min(errors):.2e}", f"{max(errors):.2e}", f"{seconds:.2f}")  # fmt: skip


def main() -> None:
    head = ("function", "authors", "DEAP", "median here", "ratio to authors", "least", "most",
            "CPU s")  # fmt: skip
    table(head, rows(int(sys.argv[1]) if len(sys.argv) > 1 else 5))


if __name__ == "__main__":
    main()
