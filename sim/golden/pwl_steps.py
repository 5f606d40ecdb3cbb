"""The steps of a piecewise-linear unit, in the order in which they are done."""

from dataclasses import dataclass
from functools import cached_property

from nnlut_train.tables import PwlTable

from .pipelining import Steps, adder, comparator, levels, multiplexer, multiplier

__all__ = ["CHUNK", "CLASSIC", "PwlSteps"]

#: Bits of the argument that one step multiplies by the slope: no more than the multiplier blocks of
#: FPGAs have. One block is faster than parts of it whose sum takes a carry chain.
CHUNK = 16
#: Stages of the unit where none are asked for; see `PwlSteps.ends`.
CLASSIC = 3


@dataclass(frozen=True)
class PwlSteps(Steps):
    """The steps of the unit of one table.

    Each is a name and a number:

    magnitude
        Of a folded argument.
    level, 0 to D - 1
        One level of the binary search for the segment: a bit of its number. Levels in one stage
        are compared at once, each with the breakpoints that the bits known before leave.
    select
        Slope and intercept of the segment. In one stage with levels, they are the leaves of the
        tree.
    chunk, 0 to K - 1
        The product of the slope and `CHUNK` bits of the argument, low bits first, added to what
        the chunks before gave. Chunks in one stage are one multiplication.
    add
        The intercept.
    unfold
        Of a fold that is not even.
    round
        To the output's fraction bits.
    saturate
        To the output's format.

    Parameters
    ----------
    table : PwlTable
        The table.
    """

    table: PwlTable

    @property
    def depth(self) -> int:
        """Levels of the search, D."""
        return levels(self.table.entries)

    @property
    def chunks(self) -> int:
        """Chunks of the argument, K."""
        return -(-self.table.argument.bits // CHUNK)

    @cached_property
    def names(self) -> tuple[tuple[str, int], ...]:
        """The steps in order."""
        fold = self.table.fold
        return (
            *([("magnitude", 0)] if fold is not None else []),
            *(("level", number) for number in range(self.depth)),
            ("select", 0),
            *(("chunk", number) for number in range(self.chunks)),
            ("add", 0),
            *([("unfold", 0)] if fold is not None and fold.kind != "even" else []),
            *([("round", 0)] if self.table.shift else []),
            ("saturate", 0),
        )

    def ends(self, stages: int | None) -> tuple[int, ...]:
        """Return how many steps are done by the end of each stage.

        Parameters
        ----------
        stages : int or None
            How many, 1 to as many as there are steps: the longest stage is as short as possible.
            None: the three of NN-LUT's hardware, which are segment, multiplication, and the rest.
        """
        if stages is None:
            kinds = [name for name, _ in self.names]
            return kinds.index("chunk"), kinds.index("add"), len(kinds)
        return super().ends(stages)

    @property
    def _sum(self) -> int:
        """Bits of product, sum, and what is unfolded."""
        table = self.table
        product = table.slope.bits + table.argument.bits
        return max(product, table.intercept.bits + table.align) + 1

    def delay(self, begin: int, end: int) -> int:
        """Return the gate levels of the steps `begin` to ``end - 1`` in one stage."""
        table, steps = self.table, self.names[begin:end]
        kinds = [name for name, _ in steps]
        total = 0
        if "magnitude" in kinds:
            total += adder(table.input.bits) + 2
            total += levels(table.input.bits) + 2 if table.argument.bits < table.input.bits else 0
        found = [number for name, number in steps if name == "level"]
        if found:
            total += multiplexer(1 << found[0]) + comparator(table.argument.bits)
            # So many levels of buffers, too: every comparator has the argument.
            total += multiplexer(1 << len(found)) + len(found)
        elif "select" in kinds:
            total += multiplexer(1 << self.depth)
        done = [number for name, number in steps if name == "chunk"]
        if done:
            low = CHUNK * done[0]
            rows = min(CHUNK * (done[-1] + 1), table.argument.bits) - low
            total += multiplier(rows + (low > 0), table.slope.bits + rows)
        for kind, extra in (("add", 0), ("unfold", 3)):
            total += (adder(self._sum) + extra) * (kind in kinds)
        if "round" in kinds:
            total += adder(self._sum - table.shift + 1)
        if "saturate" in kinds:
            total += levels(self._sum - table.shift) + 3
        return total

    def width(self, at: int) -> int:
        """Return the register bits of a cut before step `at`, about: what later steps need."""
        table, later = self.table, self.names[at:]
        kinds = [name for name, _ in later]
        argument, fold = table.argument.bits, table.fold
        bits = 0
        if fold is not None and "unfold" in kinds and "magnitude" not in kinds:
            bits += table.input.bits - 1 if fold.kind == "relu" else 1
        if "magnitude" in kinds:
            return table.input.bits
        if "select" in kinds:
            return bits + argument + self.depth - kinds.count("level")
        left = kinds.count("chunk")
        if left:
            bits += table.slope.bits + min(argument, CHUNK * left) + table.intercept.bits
        if "add" in kinds:
            done = self.chunks - left
            partial = table.slope.bits + min(argument, CHUNK * done) if done else 0
            return bits + partial + (0 if left else table.intercept.bits)
        return bits + self._sum - ("round" not in kinds) * table.shift
