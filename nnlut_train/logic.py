"""What logic costs: the targets that a table's logic is minimised for.

A `Target` says how many inputs a node of a logic network may have, and what a node costs. On an
FPGA a node is a look-up table (LUT) and costs one, whatever it computes. Of gates, the cost of a
node is that of the cheapest tree of two-input gates, AND-OR gates and multiplexers.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .errors import UsageError

__all__ = ["TARGETS", "Target", "target_of"]

#: Costs in gate equivalents, about those of ``constraints/generic.lib``. Inverters are free here:
#: mapping to cells turns most of them into the choice between NAND and NOR.
AND, XOR, MUX, AND_OR = 1.17, 2.0, 2.33, 2.0

#: How many ones a truth table of three inputs has.
_ONES = np.array([number.bit_count() for number in range(256)])


@dataclass(frozen=True)
class Target:
    """What nodes may be, and what they cost.

    Parameters
    ----------
    name : str
        A key of `TARGETS`.
    inputs : int
        Most inputs of a node.
    sizes : tuple of float
        Cost of a node by its number of inputs, from 0.
    lut : int
        Inputs of the FPGA's LUT; 0 for gates, whose cost depends on the node's function.
    """

    name: str
    inputs: int
    sizes: tuple[float, ...]
    lut: int

    def cost(self, truth: np.ndarray) -> float:
        """Return the cost of a node with the truth table `truth`; uint8, shape (2**inputs,)."""
        inputs = len(truth).bit_length() - 1
        if self.lut:
            return self.sizes[inputs]
        return float(_gates()[_number(truth, inputs)])

    def fill(self, on: np.ndarray, off: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Choose the function of a node where some of its values are free.

        Parameters
        ----------
        on, off, before : bool arrays, shape (2**inputs,)
            Where it must be 1, must be 0, and is taken to be 1 if that costs nothing.

        Returns
        -------
        uint8 array, same shape
            The truth table; of gates, the cheapest.
        """
        if self.lut:
            return (on | (before & ~off)).astype(np.uint8)
        inputs = len(on).bit_length() - 1
        high, low = _number(on, inputs), _number(off, inputs)
        every = np.arange(256)
        fits = ((every & high) == high) & ((every & low) == 0) & _of(inputs)
        near = _ONES[every ^ _number(before, inputs)]
        best = int(np.argmin(np.where(fits, _gates() + 1e-3 * near, np.inf)))
        return ((best >> np.arange(len(on))) & 1).astype(np.uint8)


def _number(truth: np.ndarray, inputs: int) -> int:
    """Return a truth table of at most three inputs as that of three: unused inputs repeat it."""
    bits = np.tile(truth.astype(np.int64), 1 << (3 - inputs))
    return int((bits << np.arange(8)).sum())


@functools.cache
def _of(inputs: int) -> np.ndarray:
    """Return which functions of three inputs need only the first `inputs`; bool, shape (256,)."""
    width, every = 1 << inputs, np.arange(256)
    first = every & ((1 << width) - 1)
    return every == sum(first << (width * copy) for copy in range(8 // width))


@functools.cache
def _gates() -> np.ndarray:
    """Return the cost of every function of three inputs as a tree of gates; shape (256,)."""
    cost = np.full(256, np.inf)
    literals = [0xAA, 0xCC, 0xF0]
    literals += [255 ^ literal for literal in literals]
    cost[[0, 255, *literals]] = 0.0
    for select in literals[:3]:
        for one in literals:
            for zero in literals:
                at = (select & one) | (~select & zero & 255)
                cost[at] = min(cost[at], MUX)
                for value in (at := (select & one) | zero, at ^ 255):
                    cost[value] = min(cost[value], AND_OR)
    left, right = np.arange(256)[:, None], np.arange(256)[None, :]
    while True:
        before = cost.copy()
        pairs = cost[:, None] + cost[None, :]
        for result, price in ((left & right, AND), (left | right, AND), (left ^ right, XOR)):
            np.minimum.at(cost, result.ravel(), (pairs + price).ravel())
        cost = np.minimum(cost, cost[::-1])  # the complement of a function f is 255 - f
        if (cost == before).all():
            return cost


#: ``lut6`` has the multiplexers behind the LUTs of a slice (MUXF7, MUXF8) join two or four LUTs to
#: one of seven or eight inputs; synthesis does not always find them, so these cost a little more.
TARGETS: Mapping[str, Target] = MappingProxyType({
    "gates": Target("gates", 3, (), 0),
    "lut4": Target("lut4", 4, (0.0, 1.0, 1.0, 1.0, 1.0), 4),
    "lut6": Target("lut6", 8, (0.0, *[1.0] * 6, 2.5, 5.0), 6),
})  # fmt: skip


def target_of(name: str) -> Target:
    """Return the target called `name`.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in TARGETS:
        raise UsageError(f"a target of logic must be one of {', '.join(TARGETS)}, not {name!r}")
    return TARGETS[name]
