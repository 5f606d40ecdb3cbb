"""Registers that seem to hold what another one holds: found by simulation, to be proved."""

from collections.abc import Collection, Sequence

import numpy as np

from .circuit import Circuit
from .graph import Graph

__all__ = ["copies", "pairs", "traces"]

#: Clocks, and words of 64 runs, that are simulated.
CLOCKS, WORDS = 96, 4


def traces(circuit: Circuit) -> list[bytes]:
    """Return what each register holds in all clocks of a simulation.

    It starts with all registers 0 and a clock of reset; then inputs are random, the others than
    data and ``tlast`` mostly 1. Circuits with the same ports have the same inputs.
    """
    graph, random = Graph(), np.random.default_rng(0)
    inputs = {name: graph.variables(name, len(bits)) for name, bits in circuit.inputs.items()}
    state = [graph.variable(register.label) for register in circuit.registers]
    _, following = graph.step(circuit, inputs, state)
    held = [np.zeros(WORDS, np.uint64) for _ in state]
    seen: list[list[bytes]] = [[] for _ in state]
    for clock in range(CLOCKS):
        values = dict(zip(state, held, strict=True))
        for name, bits in sorted(inputs.items()):
            for bit in bits:
                draws = random.integers(0, 1 << 64, (3, WORDS), np.uint64)
                often = draws[0] | draws[1] | draws[2]
                values[bit] = draws[0] if name.endswith(("data", "last")) else often
        values[inputs["aresetn"][0]] = np.full(WORDS, np.uint64(0) if not clock else ~np.uint64(0))
        held = graph.values(following, values)
        for trace, now in zip(seen, held, strict=True):
            trace.append(now.tobytes())
    return [b"".join(trace) for trace in seen]


def copies(
    seen: Sequence[bytes], known: Collection[int], labels: Sequence[str]
) -> dict[int, int | None]:
    """Return registers that were, in all clocks of a simulation, equal to a known one, or 0.

    Parameters
    ----------
    seen : sequence of bytes
        Traces of the registers of a circuit.
    known : collection of int
        Registers that others may be copies of.
    labels : sequence of str
        Names of the registers.

    Returns
    -------
    dict
        Register that is not known to the known one that it equals; None where it is always 0. Of a
        word whose highest bits were all 0, they are copies of the highest that is known: its sign.
    """
    first = {seen[index]: index for index in known}
    zero = bytes(len(seen[0]) if seen else 0)
    signs = {word: index for bit, word, index in sorted(
        (bit, word, index) for index in known
        for word, bit in [_word(labels[index])] if seen[index] == zero)}  # fmt: skip
    found: dict[int, int | None] = {}
    for index, trace in enumerate(seen):
        if index in known:
            continue
        if trace == zero:
            found[index] = signs.get(_word(labels[index])[0])
        elif trace in first:
            found[index] = first[trace]
    return found


def _word(label: str) -> tuple[str, int]:
    """Return the word that a register is a bit of, and the bit's number."""
    word, _, bit = label.removesuffix("]").rpartition("[")
    return (word, int(bit)) if word and bit.isdecimal() else (label, 0)


def pairs(
    one: Sequence[bytes], other: Sequence[bytes], known: Collection[tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """Return registers of two circuits, of no known pair, that hold the same in all clocks.

    Parameters
    ----------
    one, other : sequence of bytes
        Traces of the registers of each circuit, simulated with the same inputs.
    known : collection of tuple
        Pairs of registers that are known to be the same.

    Returns
    -------
    dict
        Register of `one` to that of `other`, and 1 where it holds the inverse.
    """
    ours, theirs = {pair[0] for pair in known}, {pair[1] for pair in known}
    free = {trace: index for index, trace in enumerate(other) if index not in theirs}
    found: dict[int, tuple[int, int]] = {}
    for index, trace in enumerate(one):
        # One that is constant, or not in one's reset, says nothing.
        if index in ours or len(set(trace)) < 2:
            continue
        opposite = bytes(255 - byte for byte in trace)
        for inverted, key in enumerate((trace, opposite)):
            if index not in found and key in free:
                found[index] = free.pop(key), inverted
    return found
