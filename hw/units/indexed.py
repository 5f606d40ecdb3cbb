"""Lines in segments that leading bits address: tables, a small product, one addition."""

from collections.abc import Sequence
from functools import cache

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value

from nnlut_train.indexed import IndexedTable, ShiftAddTable
from sim.golden import IndexedSpec, ShiftAddSpec

from ..fixed import clip, fits, round_shift, saturate, shape_of
from ..pipeline import Pipe
from .fold import magnitude, rest, unfold
from .steps import Stepped
from .unary import Unary, stages

__all__ = ["Indexed", "decisions"]


class Indexed(Unary):
    """A unary function as lines, with a multiplier or by shifting and adding; no comparator.

    Latency is ``spec.stages`` clocks, 1 by default; throughput 1 beat a clock. The steps:
    magnitude; tables of slopes (or of their terms) and intercepts; product, sum, unfolding,
    saturation where anything saturates. ``spec.steps.ends`` has where registers are; where one is
    inside the product, it is a tree of additions. A single stage has no more gates in a row than
    one of the three of a `Pwl` of the same width. Parameters and members: `Unary`.
    """


def decisions(pipe: Pipe, values: Sequence[int], shape: Shape, index: Value, name: str) -> Value:
    """Return ``values[index]`` by a decision diagram for every bit, equal parts built once.

    R. Bryant, "Graph-based algorithms for Boolean function manipulation", IEEE Trans. Computers
    35(8), 1986. Multiplexers that share what they can are a better start for synthesis than a ROM:
    it finds few of the equal parts itself.

    Parameters
    ----------
    pipe : Pipe
        Where the logic goes.
    values : sequence of int
        A power of two of them, in the range of `shape`.
    shape : Shape
        Of the result.
    index : Value
        Unsigned; as many bits as that has.
    name : str
        Of the signals.
    """
    count = 0

    @cache
    def node(bits: tuple[int, ...]) -> Value:
        nonlocal count
        if min(bits) == max(bits):
            return Const(bits[0], 1)
        half = len(bits) // 2
        low, high = node(bits[:half]), node(bits[half:])
        if bits[:half] == bits[half:]:
            return low
        chosen = Signal(1, name=f"{pipe.name}{name}{pipe.stage}_{count}")
        count += 1
        pipe.m.d.comb += chosen.eq(Mux(index[half.bit_length() - 1], high, low))
        return chosen

    # Bit by bit, so that equal parts of different bits are shared, too.
    found = Cat(*(node(tuple(v >> bit & 1 for v in values)) for bit in range(shape.width)))
    return found.as_signed() if shape.signed else found


def _slot(table: ShiftAddTable, number: int) -> tuple[list[int], list[int], list[int]]:
    """Return the exponents in use of one term of every slope, which of them each has, and the sign.

    The second list has a bit for each exponent, at most one set; the third is 1 for a subtraction.
    """
    terms = [row[number] for row in table.of_slopes]
    exponents = sorted({abs(term) - 1 for term in terms if term})
    chosen = [1 << exponents.index(abs(term) - 1) if term else 0 for term in terms]
    return exponents, chosen, [int(term < 0) for term in terms]


class _Product:
    """What a product takes from the tables, and how it is made of that and of r."""

    #: Bits by which each of `rows` counts more than the one before.
    space = 1

    def __init__(self, table: IndexedTable) -> None:
        self.table = table

    def tables(self) -> list[tuple[str, list[int], Shape]]:
        """Return the tables by group: name, values and shape of each."""
        return [("slope", list(self.table.slopes), shape_of(self.table.slope))]

    def of(self, looked: Sequence[Value], r: Value) -> list[Value]:
        """Return the addends that make the product from what was looked up, in order."""
        return [looked[0] * r]

    def rows(self, looked: Sequence[Value], r: Value) -> list[Value]:
        """Return what makes the product when it is added pair by pair: see `space`."""
        slope = Value.cast(looked[0])
        products = [slope.as_unsigned() & bit.replicate(len(slope)) for bit in r]
        return [row.as_signed() if slope.shape().signed else row for row in products]


class _ShiftedCopies(_Product):
    """A product as shifted copies of r, which the tables select."""

    table: ShiftAddTable
    space = 0

    def tables(self) -> list[tuple[str, list[int], Shape]]:
        """Return, for each term, which shifted copy it takes, and its sign if any has one."""
        found = []
        for number in range(len(self.table.of_slopes[0])):
            exponents, chosen, negative = _slot(self.table, number)
            found.append((f"shift{number}_", chosen, Shape(len(exponents))))
            found.append((f"sign{number}_", negative, Shape(1)))
        return found

    def of(self, looked: Sequence[Value], r: Value) -> list[Value]:
        """Return the copies, each negated where its sign is 1."""
        addends: list[Value] = []
        for number, (chosen, sign) in enumerate(zip(looked[::2], looked[1::2], strict=True)):
            exponents, _, negative = _slot(self.table, number)
            copy: Value = Const(0, 1)
            for position, exponent in enumerate(exponents):
                copy = copy | (Cat(Const(0, exponent), r) & chosen[position].replicate(
                    exponent + len(r)))  # fmt: skip
            if any(negative):
                # The complement, and the 1 that makes it the negative.
                copy = (Cat(copy, Const(0, 1)) ^ sign.replicate(len(copy) + 1)).as_signed()
                addends.append(sign)
            addends.append(copy)
        return addends

    rows = of


@stages.register
def _(spec: IndexedSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    return _Lines(spec, pipe, code).build()


class _Lines(Stepped):
    """The steps of one unit: `sim.golden.indexed_steps.IndexedSteps` has what they are."""

    def __init__(self, spec: IndexedSpec, pipe: Pipe, code: Value) -> None:
        # A single stage is left to synthesis as a whole.
        super().__init__(pipe, spec.steps, spec.stages, spec.stages > 1, {"argument": code})
        self.table = table = spec.table
        self.product = _ShiftedCopies(table) if isinstance(spec, ShiftAddSpec) else _Product(table)
        self.start, self.left = pipe.stage, rest(code, table.fold)

    def _magnitude(self, *_: object) -> None:
        limit = clip if self.named else saturate
        self.live["argument"] = magnitude(self.live["argument"], self.table.fold, limit)

    def _table(self, *_: object) -> None:
        table, argument = self.table, self.live["argument"]
        low, group, down = table.layout
        if argument.shape().signed:  # counted from the smallest code
            argument = Cat(argument[:-1], ~argument[-1])
        r = ~argument[:low] if down else argument[:low]
        looked = {
            name: decisions(self.pipe, values, shape, argument[group:], name)
            for name, values, shape in self.product.tables()
        }
        intercept = decisions(
            self.pipe, table.intercepts, shape_of(table.intercept), argument[low:], "intercept"
        )
        self.live = {"r": r, "intercept": intercept, **looked}

    def _product(self, numbers: list[int], names: Sequence[tuple[str, int]]) -> None:
        """Add pairs, then pairs of those, ...; with all levels at once, synthesis may choose."""
        if not numbers[0]:
            r, intercept, *looked = self.live.values()
            whole = len(numbers) == self.steps.depth
            addends = self.product.of(looked, r) if whole else self.product.rows(looked, r)
            if whole and ("add", 0) not in names:
                addends = [sum(addends[1:], addends[0])]
        else:
            intercept, *addends = self.live.values()
            whole = False
        for number in () if whole else numbers:
            space = self.product.space << number
            addends = [
                low if not high else low + (high[0] << space)
                for low, *high in (addends[at : at + 2] for at in range(0, len(addends), 2))
            ]
        self.live = {"intercept": intercept} | {
            f"product{number}": value for number, value in enumerate(addends)
        }

    def _add(self, *_: object) -> None:
        table = self.table
        intercept, *addends = self.live.values()
        total = intercept << table.intercept_align
        for addend in addends:
            total = total + (addend << table.slope_align)
        # Only the bits that a core has: it never leaves its range, so those above need not be
        # summed.
        least, most = table.core_range
        width = max(most.bit_length(), (~least).bit_length() if least < 0 else 0) + (least < 0)
        core = total[table.shift : table.shift + max(width, 1)]
        fits(self.pipe.m, total >> table.shift, max(width, 1), "core", signed=least < 0)
        self.live = {"total": core.as_signed() if least < 0 else core}

    def _unfold(self, *_: object) -> None:
        table = self.table
        self.live["total"] = unfold(
            self.pipe.align(self.left, self.start, "rest"), self.live["total"], table.fold,
            table.core_frac, table.core_frac - table.input.frac,
        )  # fmt: skip

    def _round(self, *_: object) -> None:
        self.live["total"] = round_shift(self.live["total"], self.table.drop)

    def _saturate(self, *_: object) -> None:
        limit = clip if self.named else saturate
        self.live["total"] = limit(self.live["total"], self.table.output)

    def finish(self) -> None:
        """Cut or extend the result to the output's bits, which hold every one."""
        held = Signal(shape_of(self.table.output), name=f"{self.pipe.name}s{self.pipe.stage}_held")
        form = self.table.output
        fits(self.pipe.m, self.live["total"], form.bits, "result", signed=form.signed)
        self.pipe.m.d.comb += held.eq(self.live["total"])
        self.live = {"result": held}
