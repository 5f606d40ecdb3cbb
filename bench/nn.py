"""NN-LUT beside the optimal table: ``python bench/nn.py``, about a minute.

Trains GELU in 16 entries on (-5, 5), the range of Yu et al. (DAC 2022), with seed 0; measures the
network at steps of 0.01; then rounds it to 8-bit slopes and intercepts with 6 fraction bits for
8-bit inputs in steps of 1/16, and compares the integer table with what `optimal` finds for the same
formats. Errors of the tables are those of their lines before the output is rounded, over the 160
codes in [-5, 5); the optimal table is asked for exactly these codes, by its weights.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nnlut_train.fit import Problem, fit, nn
from nnlut_train.fit.making import quantize
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.tables import PwlTable

Q1_6 = Format(signed=True, bits=8, frac=6)


def main() -> None:
    gelu = FUNCTIONS["gelu"]
    low, high = gelu.nn_range

    begin = time.perf_counter()
    network = nn.train(gelu, (low, high), 16, gelu.nn_signs, seed=0, progress=True)
    seconds = time.perf_counter() - begin
    x = np.arange(low, high, 0.01)
    error = np.abs(network(x) - gelu(x))
    breakpoints = nn.to_float_table(network)[0]
    dead = np.count_nonzero((breakpoints <= low) | (breakpoints >= high))
    print(f"float network   {nn.STEPS} steps in {seconds:.1f} s, L1 {network.loss:.3e}")
    print(f"                MSE {np.mean(error**2):.3e}, max {error.max():.4f}, ", end="")
    print(f"{dead} of {breakpoints.size} breakpoints outside the range")

    inputs = Format(signed=True, bits=8, frac=4)
    outputs = gelu.output_format(8, inputs)
    x = inputs.real(inputs.codes())
    inside = (x >= low) & (x < high)
    problem = Problem(
        "gelu", gelu(x), inputs, outputs, Q1_6, Q1_6, entries=16, weights=inside.astype(float)
    )  # fmt: skip
    begin = time.perf_counter()
    optimal = fit(problem, "optimal", cache=False)
    seconds = time.perf_counter() - begin
    integers = quantize(problem, *nn.to_float_table(network))
    rounded = PwlTable(inputs, outputs, Q1_6, Q1_6, *(tuple(v.tolist()) for v in integers))
    for name, table in (("nn, integers", rounded), ("optimal", optimal)):
        i = table.segment(inputs.codes()[inside])
        slopes, intercepts = np.array(table.slopes)[i], np.array(table.intercepts)[i]
        line = Q1_6.real(slopes) * x[inside] + Q1_6.real(intercepts)
        error = np.abs(line - problem.target[inside])
        print(f"{name:14}  MSE {np.mean(error**2):.3e}, max {error.max():.4f}, ", end="")
        print(f"{table.entries} entries" + f" in {seconds:.2f} s" * (table is optimal))


if __name__ == "__main__":
    main()
