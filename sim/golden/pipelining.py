"""Where a unit's pipeline registers go: a delay model in gate levels, and the best cut.

A unit is an ordered list of `Step`. Registers end some of them; what stands between two registers
is a stage. A number of stages can be had from 1 to as many as there are steps, and `partition`
chooses the steps that registers end so that the longest stage is as short as the model can tell.

The model counts levels of two-input gates, of logic that synthesis has made shallow: a comparison
or an addition of w bits is a prefix tree, a multiplication a tree of full adders and then an
addition. It knows no wires, fan-out or carry chains, so it serves to place registers, not to
predict a clock.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any

from nnlut_train.errors import UsageError

__all__ = [
    "Steps", "adder", "check_stages", "comparator", "levels", "multiplexer", "multiplier",
    "partition",
]  # fmt: skip


def levels(count: int) -> int:
    """Return the levels of a binary tree over `count` inputs: ceil(log2), 0 for up to one."""
    return max(0, count - 1).bit_length()


def comparator(bits: int) -> int:
    """Return the gate levels of a comparison: generate and propagate, then a prefix tree."""
    return 1 + 2 * levels(bits)


def adder(bits: int) -> int:
    """Return the gate levels of an addition: a comparator's, and the exclusive or of the sum."""
    return comparator(bits) + 1


def multiplexer(choices: int) -> int:
    """Return the gate levels of a choice: two for every bit of the number that chooses."""
    return 2 * levels(choices)


def multiplier(rows: int, bits: int) -> int:
    """Return the gate levels of a sum of `rows` partial products of `bits` bits.

    One level makes the products; full adders, of four levels each, take three rows to two; an
    addition ends it (Wallace, IEEE Trans. Electronic Computers, 1964).
    """
    depth = 1
    while rows > 2:
        rows -= rows // 3
        depth += 4
    return depth + (adder(bits) if rows == 2 else 0)


def partition(
    delay: Callable[[int, int], int], width: Callable[[int], int], steps: int, stages: int
) -> tuple[int, ...]:
    """Cut an ordered list of steps into stages whose longest is as short as possible.

    Of those cuts, the one whose second longest stage is as short as possible, and so on; then the
    one of the fewest register bits, then the first in the order of tuples.

    Parameters
    ----------
    delay : callable
        From i and j to the gate levels of the steps i to j - 1 in one stage.
    width : callable
        From j to the register bits of a cut before step j, for j from 1 to ``steps - 1``.
    steps, stages : int
        How many there are, and how many are wanted: 1 to `steps`.

    Returns
    -------
    tuple of int
        For each stage, the number of steps that it and those before it have: ascending, the last
        is `steps`.
    """

    @cache
    def best(begin: int, left: int) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        """Return stages from the longest, register bits and ends of what begins at `begin`."""
        if left == 1:
            return (delay(begin, steps),), 0, (steps,)
        found = []
        for end in range(begin + 1, steps - left + 2):
            lengths, bits, ends = best(end, left - 1)
            longer = tuple(sorted((*lengths, delay(begin, end)), reverse=True))
            found.append((longer, bits + width(end), (end, *ends)))
        return min(found)

    return best(0, stages)[2]


class Steps(ABC):
    """The steps of one unit, in the order in which they are done."""

    #: A kind of step and a number, of each: a property of the subclass.
    names: tuple[tuple[str, int], ...]

    @abstractmethod
    def delay(self, begin: int, end: int) -> int:
        """Return the gate levels of the steps `begin` to ``end - 1`` in one stage."""

    @abstractmethod
    def width(self, at: int) -> int:
        """Return the register bits of a cut before step `at`, about: what later steps need."""

    def ends(self, stages: int | None) -> tuple[int, ...]:
        """Return how many steps are done by the end of each of `stages` stages, as short as can be.

        Parameters
        ----------
        stages : int or None
            How many, 1 to as many as there are steps. None: what the unit has by default.
        """
        assert stages is not None
        return partition(self.delay, self.width, len(self.names), stages)

    def lengths(self, stages: int | None) -> list[int]:
        """Return the gate levels of the stages, the longest first."""
        ends = self.ends(stages)
        return sorted(map(self.delay, (0, *ends), ends), reverse=True)


def check_stages(spec: Any) -> None:
    """Raise UsageError unless each of a specification's `parts` can have the stages it states."""
    for name, steps in spec.parts.items():
        stages, most = getattr(spec, name), len(steps.names)
        if stages is not None and not 1 <= stages <= most:
            raise UsageError(f"spec: {spec.kind}.{name} must be 1 to {most}, not {stages}")
