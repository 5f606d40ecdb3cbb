"""Minimised tables: every value of a function, as the smallest logic network that was found."""

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .delta import delta_table
from .errors import UsageError
from .formats import Format
from .logic import target_of
from .metrics import table_errors
from .resubstitution import minimise
from .tables import Table, _integers

__all__ = ["INPUTS_MAX", "STEPS", "MinimisedTable", "Node", "minimised_table"]

#: Most inputs of a node: its truth table is one integer of 2**INPUTS_MAX bits.
INPUTS_MAX = 8
#: Steps of the search for an 8-bit table, some 3 to 10 seconds. Narrower tables need
#: fewer, and of wider ones each takes longer: half as many for each bit.
STEPS = 6_000


class Node(NamedTuple):
    """A node of a network: ``truth >> (its inputs, the first the lowest bit) & 1``.

    Parameters
    ----------
    inputs : tuple of int
        The signals that it reads.
    truth : int
        Its truth table.
    """

    inputs: tuple[int, ...]
    truth: int


@dataclass(frozen=True)
class MinimisedTable(Table):
    """One value for every input code, as a logic network.

    Signals are numbers: 0 to n - 1 the bits of the input code (two's complement, the lowest
    first), n and n + 1 the constants 0 and 1, and from n + 2 on the nodes.

    Parameters
    ----------
    nodes : sequence of int
        For each node the number of its inputs, the signals that it reads, all before it, and its
        truth table: bit i is its value where the inputs, the first the lowest bit, are i.
    outputs : sequence of int
        The signal of each bit of the output code, the lowest first.

    Raises
    ------
    UsageError
        If a number is out of its range, or the table is folded.
    """

    kind = "minimised"
    _integer_fields = ("nodes", "outputs")

    nodes: tuple[int, ...]
    outputs: tuple[int, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def _format_names(cls, folded: bool) -> tuple[str, ...]:
        return ("input", "output")

    def __post_init__(self) -> None:
        if self.fold is not None:
            raise UsageError("table: a minimised table must not be folded")
        sized = isinstance(self.nodes, list | tuple | np.ndarray)
        count, most = len(self.nodes) if sized else 0, (1 << (1 << INPUTS_MAX)) - 1
        object.__setattr__(self, "nodes", _integers("nodes", self.nodes, count, 0, most))
        at, last = 0, self.first - 1
        while at < count:
            inputs = self.nodes[at]
            end = at + inputs + 2
            if not 1 <= inputs <= INPUTS_MAX or end > count:
                raise UsageError(
                    f"table: nodes[{at}] must be a number of inputs, 1 to {INPUTS_MAX}, with as "
                    f"many signals and a truth table behind it, not {inputs}"
                )
            _integers("a node's inputs", self.nodes[at + 1 : end - 1], inputs, 0, last)
            _integers("a node's truth", self.nodes[end - 1 : end], 1, 0, (1 << (1 << inputs)) - 1)
            at, last = end, last + 1
        outputs = _integers("outputs", self.outputs, self.output.bits, 0, last)
        object.__setattr__(self, "outputs", outputs)

    @property
    def first(self) -> int:
        """Signal of the first node."""
        return self.input.bits + 2

    @functools.cached_property
    def network(self) -> tuple[Node, ...]:
        """The nodes."""
        found, at = [], 0
        while at < len(self.nodes):
            end = at + self.nodes[at] + 2
            found.append(Node(self.nodes[at + 1 : end - 1], self.nodes[end - 1]))
            at = end
        return tuple(found)

    @functools.cached_property
    def values(self) -> tuple[int, ...]:
        """The output code of every input code, ascending."""
        codes = self.input.codes()
        signals = [(codes >> bit) & 1 for bit in range(self.input.bits)]
        signals += [np.zeros_like(codes), np.ones_like(codes)]
        for node in self.network:
            truth = np.array([(node.truth >> at) & 1 for at in range(1 << len(node.inputs))])
            signals.append(truth[sum(signals[one] << at for at, one in enumerate(node.inputs))])
        word = sum(signals[one] << at for at, one in enumerate(self.outputs))
        if self.output.signed:
            word = word - (signals[self.outputs[-1]] << self.output.bits)
        return tuple(word.tolist())

    @property
    def storage_bits(self) -> int:
        """Bits of table storage, as a ROM would have them."""
        return len(self.values) * self.output.bits

    def lookup(self, codes: np.ndarray) -> np.ndarray:
        """Return the output codes (int64) of input `codes` of any shape."""
        return np.array(self.values, np.int64)[np.asarray(codes, np.int64) - self.input.min]


def minimised_table(
    name: str, target: np.ndarray, inputs: Format, output: Format, *, logic: str = "gates",
    max_error: float = 0.5, weights: np.ndarray | None = None, seed: int = 0,
    steps: int | None = None, progress: bool = False,
) -> MinimisedTable:  # fmt: skip
    """Return a table as the smallest logic that was found.

    Parameters
    ----------
    name : str
        The function's, for the table's meta data.
    target : float64 array, shape (2**inputs.bits,)
        Its real value at every input code, ascending; those that the output cannot hold saturate.
    inputs, output : Format
        Formats of the argument and of the result.
    logic : str
        What it is minimised for: one of `nnlut_train.logic.TARGETS`.
    max_error : float
        A result may be any code with an error below it, in ulp, and always the correctly rounded
        one. 0.5 is correct rounding, 1 faithful rounding.
    weights : float64 array, same shape, optional
        A code of weight 0 does not count in the errors of the meta data; it is right all the same.
    seed, steps : int
        Of the search, and its length; see `nnlut_train.resubstitution.minimise`. By default
        so many that it ends within a minute or so.
    progress : bool
        Show how far the search is on a terminal.
    """
    if not max_error >= 0.5:
        raise UsageError(f"the largest error must be at least 0.5 ulp, not {max_error}")
    if steps is None:
        steps = STEPS >> abs(inputs.bits - 8)
    nearest = output.quantize(target)
    exact = output.clip(target) * 2.0**output.frac
    low = np.minimum(np.floor(exact - max_error).astype(np.int64) + 1, nearest)
    high = np.maximum(np.ceil(exact + max_error).astype(np.int64) - 1, nearest)
    # By the input pattern, of which a negative code is the upper half.
    low, high, preferred = (np.roll(values, inputs.min) for values in (low, high, nearest))
    network = minimise(
        low, high, output.bits, output.signed, target_of(logic), seed=seed, steps=steps,
        preferred=preferred, delta=delta_table(name, target, inputs, output),
        report=_report(name, steps if max_error == 0.5 else 2 * steps) if progress else None,
    )  # fmt: skip
    if progress and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    first = inputs.bits + 2
    number = {signal: signal for signal in range(first)}
    nodes: list[int] = []
    for place, node in enumerate(network.order):
        number[node] = first + place
        fanins, truth = network.fanins[node], network.truth[node].tolist()
        nodes += [len(fanins), *(number[one] for one in fanins)]
        nodes.append(sum(bit << at for at, bit in enumerate(truth)))
    meta = {
        "function": name, "method": "minimised", "logic": logic, "max_error": max_error,
        "seed": seed, "steps": steps, "cost": round(network.cost, 2),
        "domain": inputs.real(inputs.codes()[[0, -1]]).tolist(),
    }  # fmt: skip
    outputs = tuple(number[one] for one in network.outputs)
    table = MinimisedTable(inputs, output, tuple(nodes), outputs, meta)
    meta["errors"] = table_errors(table, target, weights)
    return table


def _report(name: str, steps: int) -> Any:
    if not sys.stderr.isatty():
        return None

    def show(done: int, cost: float) -> None:
        if done % 100 == 0:
            text = f"\r{name}: minimising {done}/{steps}, cost {cost:g}"
            print(text, end="", file=sys.stderr, flush=True)

    return show
