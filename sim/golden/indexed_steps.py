"""The steps of units of indexed lines and of multipartite tables, in the order they are done."""

from dataclasses import dataclass
from functools import cached_property

from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.indexed import IndexedTable, ShiftAddTable
from nnlut_train.multipartite import MultipartiteTable, stored_bits

from .pipelining import Steps, adder, levels, multiplexer, multiplier

__all__ = ["IndexedSteps", "MultipartiteSteps", "magnitude_delay"]


def magnitude_delay(inputs: Format, argument: Format) -> int:
    """Return the gate levels of the magnitude of a folded argument, limited to `argument`."""
    limited = argument.bits < inputs.bits
    return adder(inputs.bits) + 2 + (levels(inputs.bits) + 2) * limited


def rest_bits(inputs: Format, fold: Fold | None) -> int:
    """Return the bits that unfolding needs of the argument."""
    if fold is None or fold.kind == "even":
        return 0
    return inputs.bits - 1 if fold.kind == "relu" else 1


@dataclass(frozen=True)
class IndexedSteps(Steps):
    """The steps of the unit of one indexed table.

    Each is a name and a number:

    magnitude
        Of a folded argument.
    table
        Slope, or what selects the shifted copies, and intercept.
    product, 0 to D - 1
        One level of a tree of additions: the first adds pairs of partial products, or of shifted
        copies. All levels in one stage are one multiplication, which is a multiplier block on an
        FPGA that has them.
    add
        The intercept.
    unfold
        Of a fold that is not even.
    round
        To the output's fraction bits, where unfolding had more.
    saturate
        Where any result needs it.

    Parameters
    ----------
    table : IndexedTable
        The table.
    """

    table: IndexedTable

    @property
    def rows(self) -> int:
        """Addends of a product: bits of the argument in a segment, or shifted copies."""
        if isinstance(self.table, ShiftAddTable):
            count = len(self.table.of_slopes[0])
            # With each sign there is a 1 to be added.
            return count + sum(
                any(row[number] < 0 for row in self.table.of_slopes) for number in range(count)
            )
        return self.table.layout[0]

    @property
    def depth(self) -> int:
        """Levels of the product, D."""
        return max(1, levels(self.rows))

    @cached_property
    def names(self) -> tuple[tuple[str, int], ...]:
        """The steps in order."""
        table, fold = self.table, self.table.fold
        return (
            *([("magnitude", 0)] if fold is not None else []),
            ("table", 0),
            *(("product", number) for number in range(self.depth)),
            ("add", 0),
            *([("unfold", 0)] if fold is not None and fold.kind != "even" else []),
            *([("round", 0)] if table.drop else []),
            *([("saturate", 0)] if table.saturates else []),
        )

    @property
    def _product(self) -> int:
        return self.table.slope.bits + self.table.layout[0]

    @property
    def _sum(self) -> int:
        return max(self._product, self.table.intercept.bits + self.table.intercept_align) + 1

    def delay(self, begin: int, end: int) -> int:
        """Return the gate levels of the steps `begin` to ``end - 1`` in one stage."""
        table, steps = self.table, self.names[begin:end]
        kinds = [name for name, _ in steps]
        total = 0
        if "magnitude" in kinds:
            total += magnitude_delay(table.input, table.argument)
        if "table" in kinds:
            total += multiplexer(table.entries)
        done = [number for name, number in steps if name == "product"]
        if done:
            rows = -(-self.rows // (1 << done[0]))
            total += multiplier(min(rows, 1 << len(done)), self._product)
            if isinstance(table, ShiftAddTable) and not done[0]:
                total += levels(table.slope.bits) + 1
        if "add" in kinds:
            total += adder(self._sum)
        if "unfold" in kinds:
            total += adder(table.output.bits) + 3
        if "round" in kinds:
            total += adder(table.output.bits)
        if "saturate" in kinds:
            total += levels(table.output.bits) + 3
        return total

    def width(self, at: int) -> int:
        """Return the register bits of a cut before step `at`, about: what later steps need."""
        table, later = self.table, self.names[at:]
        kinds = [name for name, _ in later]
        if "magnitude" in kinds:
            return table.input.bits
        bits = rest_bits(table.input, table.fold) * ("unfold" in kinds)
        if "table" in kinds:
            return bits + table.argument.bits
        if "add" not in kinds:
            return bits + table.output.bits
        bits += table.intercept.bits
        left = kinds.count("product")
        if left == self.depth:
            return bits + self._product
        return bits + -(-self.rows // (1 << (self.depth - left))) * self._product


@dataclass(frozen=True)
class MultipartiteSteps(Steps):
    """The steps of the unit of one multipartite table.

    Each is a name and 0: ``magnitude`` of a folded argument; ``table``, which are all that are
    looked up; ``sum`` of them; ``unfold``, with saturation.

    Parameters
    ----------
    table : MultipartiteTable
        The table.
    """

    table: MultipartiteTable

    @cached_property
    def names(self) -> tuple[tuple[str, int], ...]:
        """The steps in order."""
        kinds = ("magnitude",) * (self.table.fold is not None) + ("table", "sum", "unfold")
        return tuple((kind, 0) for kind in kinds)

    def delay(self, begin: int, end: int) -> int:
        """Return the gate levels of the steps `begin` to ``end - 1`` in one stage."""
        table = self.table
        each = {
            "magnitude": magnitude_delay(table.input, table.argument),
            "table": multiplexer(len(table.initial)) + 1,
            "sum": multiplier(len(table.pieces) + 1, table.value.bits),
            "unfold": levels(table.value.bits) + 3
            + (adder(table.value.bits) + 3) * (table.fold is not None),
        }  # fmt: skip
        return sum(each[name] for name, _ in self.names[begin:end])

    def width(self, at: int) -> int:
        """Return the register bits of a cut before step `at`, about: what later steps need."""
        table, kind = self.table, self.names[at][0]
        if kind == "magnitude":
            return table.input.bits
        bits = rest_bits(table.input, table.fold)
        if kind == "table":
            return bits + table.argument.bits
        if kind == "sum":
            return bits + stored_bits(table.reach) + sum(table.widths) + len(table.pieces)
        return bits + stored_bits(table.reach)
