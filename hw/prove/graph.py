"""Graphs of AND gates in which equal gates are one: structural hashing, unrolling, evaluation.

Literals are those of `hw.prove.circuit`. A gate whose value follows from constants, or from equal
or opposite inputs, is never made; so what a literal depends on can be read off the graph
(A. Mishchenko et al., "DAG-aware AIG rewriting", DAC 2006, section 2).
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .circuit import Circuit

__all__ = ["FALSE", "TRUE", "Graph"]

FALSE, TRUE = 0, 1


class Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        # Inputs of each variable's gate; of the constant and of free variables (0, 0).
        self._left, self._right = [0], [0]
        self._known: dict[tuple[int, int], int] = {}
        self._free: dict[int, str] = {}

    def variable(self, name: str) -> int:
        """Return the literal of a new free variable."""
        self._left.append(0)
        self._right.append(0)
        number = len(self._left) - 1
        self._free[number] = name
        return 2 * number

    def variables(self, name: str, count: int) -> list[int]:
        """Return the literals of so many new free variables, called ``name[0]`` and so on."""
        return [self.variable(f"{name}[{bit}]") for bit in range(count)]

    def name(self, literal: int) -> str:
        """Return the name of a free variable."""
        return self._free[literal >> 1]

    def gate(self, variable: int) -> tuple[int, int] | None:
        """Return the inputs of a variable's gate; None of the constant and of a free variable."""
        left, right = self._left[variable], self._right[variable]
        return (left, right) if right else None

    def all(self, literals: Iterable[int]) -> int:
        """Return the conjunction of `literals`."""
        result = TRUE
        for literal in literals:
            result = self._and(result, literal)
        return result

    def any(self, literals: Iterable[int]) -> int:
        """Return the disjunction of `literals`."""
        return self.all(literal ^ 1 for literal in literals) ^ 1

    def balanced(self, literals: Iterable[int]) -> int:
        """Return the disjunction of `literals`, as a tree: of a chain of thousands ABC fails."""
        level = list(literals) or [FALSE]
        while len(level) > 1:
            level = [self.any(level[at : at + 2]) for at in range(0, len(level), 2)]
        return level[0]

    def differ(self, left: int, right: int) -> int:
        """Return whether two literals differ."""
        return self.any((self._and(left, right ^ 1), self._and(left ^ 1, right)))

    def _and(self, left: int, right: int) -> int:
        if left > right:
            left, right = right, left
        if left < 2 or left == right:
            return right if left else FALSE
        if left ^ 1 == right:
            return FALSE
        key = (left, right)
        found = self._known.get(key)
        if found is None:
            self._left.append(left)
            self._right.append(right)
            found = self._known[key] = 2 * len(self._left) - 2
        return found

    def step(
        self, circuit: Circuit, inputs: Mapping[str, Sequence[int]], state: Sequence[int]
    ) -> tuple[dict[str, list[int]], list[int]]:
        """Add one clock of a circuit.

        Parameters
        ----------
        circuit : Circuit
            The circuit.
        inputs : mapping
            Port to literals; all ports but clocks.
        state : sequence of int
            What the registers hold, in their order.

        Returns
        -------
        outputs : dict
            Port to literals.
        state : list of int
            What the registers hold after the clock.
        """
        values = {0: FALSE, 1: TRUE}
        for name, literals in circuit.inputs.items():
            for literal, value in zip(literals, inputs.get(name, literals), strict=True):
                values[literal], values[literal ^ 1] = value, value ^ 1
        for register, value in zip(circuit.registers, state, strict=True):
            values[register.now], values[register.now ^ 1] = value, value ^ 1
        conjunction = self._and
        for gate, left, right in circuit.ands:
            value = conjunction(values[left], values[right])
            values[gate], values[gate + 1] = value, value ^ 1
        outputs = {name: [values[literal] for literal in literals]
                   for name, literals in circuit.outputs.items()}  # fmt: skip
        return outputs, [values[register.following] for register in circuit.registers]

    def replaced(self, literals: Sequence[int], values: Mapping[int, int]) -> list[int]:
        """Return `literals` with other literals in place of free variables."""
        found = {0: FALSE} | {literal >> 1: value for literal, value in values.items()}
        for number in self.cone(literals):
            if number not in found:
                gate = self.gate(number)
                found[number] = 2 * number if gate is None else self._and(
                    *(found[literal >> 1] ^ literal & 1 for literal in gate)
                )  # fmt: skip
        return [found[literal >> 1] ^ literal & 1 for literal in literals]

    def cone(self, literals: Iterable[int]) -> list[int]:
        """Return the variables, ascending, that `literals` depend on: free ones and gates."""
        seen = {literal >> 1 for literal in literals}
        waiting = list(seen)
        while waiting:
            number = waiting.pop()
            for literal in (self._left[number], self._right[number]):
                if literal >> 1 not in seen:
                    seen.add(literal >> 1)
                    waiting.append(literal >> 1)
        return sorted(seen - {0})

    def support(self, literals: Iterable[int]) -> list[int]:
        """Return the free variables, as literals, that `literals` depend on."""
        return [2 * number for number in self.cone(literals) if number in self._free]

    def values(
        self, literals: Sequence[int], assignment: Mapping[int, np.ndarray]
    ) -> list[np.ndarray]:
        """Evaluate literals for many assignments at once.

        Parameters
        ----------
        literals : sequence of int
            What to evaluate.
        assignment : mapping
            Literal of a free variable to its values, packed 64 to a word: uint64 arrays, all of one
            shape. All that `literals` depend on.

        Returns
        -------
        list of ndarray
            Packed values of each of `literals`.
        """
        some = next(iter(assignment.values()))
        found = {0: np.zeros_like(some)}
        found |= {literal >> 1: values for literal, values in assignment.items()}
        left, right = self._left, self._right
        for number in self.cone(literals):
            if number in self._free:
                continue
            one, other = left[number], right[number]
            a, b = found[one >> 1], found[other >> 1]
            if one & 1:
                # Of two inverted inputs: neither.
                found[number] = ~(a | b) if other & 1 else b & ~a
            else:
                found[number] = a & ~b if other & 1 else a & b
        return [~found[literal >> 1] if literal & 1 else found[literal >> 1]
                for literal in literals]  # fmt: skip

    def aiger(self, output: int) -> tuple[bytes, list[int]]:
        """Return a circuit with this one output in binary AIGER, and its inputs' literals here."""
        numbers = self.cone([output])
        inputs = [number for number in numbers if number in self._free]
        gates = [number for number in numbers if number not in self._free]
        new = {number: 2 * index for index, number in enumerate([0, *inputs, *gates])}

        def of(literal: int) -> int:
            return new[literal >> 1] | literal & 1

        data = bytearray(
            f"aig {len(numbers)} {len(inputs)} 0 1 {len(gates)}\n{of(output)}\n".encode()
        )
        for number in gates:
            high, low = sorted((of(self._left[number]), of(self._right[number])), reverse=True)
            for delta in (new[number] - high, high - low):
                while delta >= 128:
                    data.append(delta & 127 | 128)
                    delta >>= 7
                data.append(delta)
        return bytes(data), [2 * number for number in inputs]
