"""Which of some literals can be true, by evaluation of all that they depend on.

A multiplier is hard for a solver, and easy to try out where its factors are short: 64 values of
what it depends on are a word, and NumPy evaluates 2,048 words at once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from .graph import FALSE, TRUE, Graph

__all__ = ["GATES", "STEPS", "Group", "groups", "satisfied"]

#: A cone of so many gates is evaluated, one of fewer is for a solver ...
GATES = 500
#: ... if values times gates are at most so many: about two minutes.
STEPS = 1 << 42
#: Of more variables than these, one more is looked for whose values need not be tried together.
LONG = 24
#: Values of 2 to the power of `WORD` are a word, and 2 to the power of `CHUNK` words are a chunk.
WORD, CHUNK = 6, 11


class Group(NamedTuple):
    """Literals that are evaluated together.

    Parameters
    ----------
    literals : tuple of int
        What is asked for.
    cofactors : tuple of (int, dict)
        What is evaluated: they are with all values of those variables that no other literal depends
        on, such as what a register holds, and of one that lets it hold that; and these values.
    """

    literals: tuple[int, ...]
    cofactors: tuple[tuple[int, dict[int, int]], ...]


def groups(graph: Graph, literals: Iterable[int]) -> Iterator[Group]:
    """Yield those literals that are for `satisfied`: in a group, all depend on the same.

    Parameters
    ----------
    graph : Graph
        The graph.
    literals : iterable of int
        What is asked for.
    """
    wide = [literal for literal in literals if len(graph.cone([literal])) >= GATES]
    users = Counter(variable for literal in wide for variable in graph.support([literal]))
    split = {literal: _cofactors(graph, literal, users) for literal in wide}
    cones = {literal: set(graph.cone(tuple(found))) for literal, found in split.items()}
    supports = {literal: frozenset(graph.support(tuple(found)))
                for literal, found in split.items()}  # fmt: skip
    wide.sort(key=lambda literal: (-len(supports[literal]), -len(cones[literal]), literal))
    while wide:
        first, members = wide[0], []
        gates: set[int] = set()
        for literal in wide:
            if supports[literal] <= supports[first]:
                together = gates | cones[literal]
                if len(together) << len(supports[first]) <= STEPS:
                    members.append(literal)
                    gates = together
        if members:
            found = {key: values for literal in members for key, values in split[literal].items()}
            yield Group(tuple(members), tuple(found.items()))
        taken = {first, *members}
        wide = [literal for literal in wide if literal not in taken]


def _cofactors(
    graph: Graph, literal: int, users: Mapping[int, int]
) -> dict[int, dict[int, int]]:  # fmt: skip
    """Return a literal for each value of variables whose values split it into little more."""
    support = graph.support([literal])
    split = [variable for variable in support if users[variable] == 1][:2]
    if len(support) > LONG:
        # One that holds a register, say: without it there is nothing to be tried, or little.
        gates = {
            variable: len(graph.cone([cofactor for bit in (FALSE, TRUE)
                                      for cofactor in graph.replaced([literal], {variable: bit})]))
            for variable in support if variable not in split
        }  # fmt: skip
        first = min(gates, key=gates.__getitem__)
        split += [first] if gates[first] < len(graph.cone([literal])) * 1.2 else []
    found: dict[int, dict[int, int]] = {}
    for bits in product((FALSE, TRUE), repeat=len(split)):
        values = dict(zip(split, bits, strict=True))
        (cofactor,) = graph.replaced([literal], values)
        found.setdefault(cofactor, values)
    found.pop(FALSE, None)
    return found


def satisfied(graph: Graph, group: Group) -> dict[str, int] | None:
    """Evaluate literals for all values of the free variables that they depend on.

    Parameters
    ----------
    graph : Graph
        The graph.
    group : Group
        What is asked for.

    Returns
    -------
    dict or None
        Free variables by name, for which one of them is true; None: there are none.
    """
    for literal, values in group.cofactors:
        if literal == TRUE:
            return {graph.name(variable): bit for variable, bit in values.items()}
    literals = [literal for literal, _ in group.cofactors]
    free = graph.support(literals)
    if not literals:
        return None
    program = _Program(graph, literals, free)
    low = max(0, min(len(free) - WORD, CHUNK))
    words = 1 << low
    # Values of the lowest variables are the same in all chunks, the others' are a chunk's number.
    inside = np.arange(words << WORD, dtype=np.int64)
    for bit, literal in enumerate(free[: WORD + low]):
        bits = (inside >> bit & 1).astype(np.uint8)
        program.place(literal)[:] = np.packbits(bits, bitorder="little").view(np.uint64)
    for chunk in range(1 << max(0, len(free) - WORD - low)):
        for bit, literal in enumerate(free[WORD + low :]):
            program.place(literal)[:] = np.uint64(-(chunk >> bit & 1) & (1 << 64) - 1)
        program.run()
        for at, (_, values) in enumerate(group.cofactors):
            if (wrong := program.value(at)).any():
                ones = np.unpackbits(wrong.view(np.uint8), bitorder="little")
                number = int(ones.argmax()) | chunk << WORD + low
                found = values | {literal: number >> bit & 1 for bit, literal in enumerate(free)}
                return {graph.name(literal): value for literal, value in found.items()}
    return None


class _Program:
    """Gates of a cone as NumPy calls, with few arrays: of a gate that is used up it is reused.

    An array has a gate's value or its inverse, whatever takes fewer calls.
    """

    def __init__(self, graph: Graph, literals: Sequence[int], free: Sequence[int]) -> None:
        words = 1 << max(0, min(len(free) - WORD, CHUNK))
        cone = graph.cone(literals)
        gates = [(number, gate) for number in cone if (gate := graph.gate(number)) is not None]
        last = {literal >> 1: at for at, (_, gate) in enumerate(gates) for literal in gate}
        kept = {literal >> 1 for literal in (*free, *literals)}
        self.values = {literal >> 1: np.zeros(words, np.uint64) for literal in free}
        self.calls: list[tuple[np.ufunc, np.ndarray, np.ndarray, np.ndarray]] = []
        places, inverted, unused = dict(self.values), dict.fromkeys(self.values, 0), []
        for at, (number, (left, right)) in enumerate(gates):
            out = places[number] = unused.pop() if unused else np.zeros(words, np.uint64)
            a, b = places[left >> 1], places[right >> 1]
            no_a, no_b = left & 1 ^ inverted[left >> 1], right & 1 ^ inverted[right >> 1]
            inverted[number] = no_a & no_b
            if no_a == no_b:
                self.calls.append((np.bitwise_or if no_a else np.bitwise_and, a, b, out))
            else:
                # One without the other: what either has, without the other's.
                without = a if no_a else b
                self.calls += [(np.bitwise_or, a, b, out), (np.bitwise_xor, out, without, out)]
            for used in {left >> 1, right >> 1}:
                if last[used] == at and used not in kept:
                    unused.append(places[used])
        self.found = [(places[literal >> 1], literal & 1 ^ inverted[literal >> 1])
                      for literal in literals]  # fmt: skip

    def place(self, literal: int) -> np.ndarray:
        """Return the array of a free variable."""
        return self.values[literal >> 1]

    def run(self) -> None:
        """Evaluate."""
        for call, left, right, out in self.calls:
            call(left, right, out=out)

    def value(self, at: int) -> np.ndarray:
        """Return what the literal with this number is."""
        array, inverted = self.found[at]
        return ~array if inverted else array
