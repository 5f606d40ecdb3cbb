"""Registers that seem to hold what another one holds: found by simulation, to be proved."""

from collections.abc import Collection

import numpy as np

from .circuit import Circuit
from .graph import Graph

__all__ = ["copies"]

#: Clocks, and words of 64 runs, that are simulated.
CLOCKS, WORDS = 96, 4


def copies(circuit: Circuit, known: Collection[int]) -> dict[int, int | None]:
    """Return registers that were, in all clocks of a simulation, equal to a known one, or 0.

    It starts with all registers 0 and a clock of reset; then inputs are random, the others than
    ``tdata`` mostly 1.

    Parameters
    ----------
    circuit : Circuit
        The circuit.
    known : collection of int
        Registers that others may be copies of.

    Returns
    -------
    dict
        Register that is not known to the known one that it equals; None where it is always 0.
    """
    graph, random = Graph(), np.random.default_rng(0)
    inputs = {name: graph.variables(name, len(bits)) for name, bits in circuit.inputs.items()}
    state = [graph.variable(register.label) for register in circuit.registers]
    _, following = graph.step(circuit, inputs, state)
    held = [np.zeros(WORDS, np.uint64) for _ in state]
    seen: list[list[bytes]] = [[] for _ in state]
    for clock in range(CLOCKS):
        values = dict(zip(state, held, strict=True))
        for name, bits in inputs.items():
            for bit in bits:
                draws = random.integers(0, 1 << 64, (3, WORDS), np.uint64)
                often = draws[0] | draws[1] | draws[2]
                values[bit] = draws[0] if name.endswith(("data", "last")) else often
        values[inputs["aresetn"][0]] = np.full(WORDS, np.uint64(0) if not clock else ~np.uint64(0))
        held = graph.values(following, values)
        for trace, now in zip(seen, held, strict=True):
            trace.append(now.tobytes())
    traces = [b"".join(trace) for trace in seen]
    first: dict[bytes, int | None] = {traces[index]: index for index in known}
    first[bytes(len(traces[0]) if traces else 0)] = None
    return {index: first[trace] for index, trace in enumerate(traces)
            if index not in known and trace in first}  # fmt: skip
