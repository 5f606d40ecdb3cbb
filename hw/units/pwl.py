"""Piecewise-linear unit: magnitude, comparator tree, multiply-add, unfold, round, saturate."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import data

from nnlut_train.tables import PwlTable
from sim.golden import PwlSpec
from sim.golden.pwl_steps import CHUNK

from ..fixed import clip, round_shift, saturate, select, shape_of
from ..pipeline import Pipe
from .fold import magnitude, rest, unfold
from .steps import Stepped
from .unary import Unary, stages

__all__ = ["Pwl", "comparator_tree"]


def comparator_tree(code: Value, breakpoints: Sequence[Value], leaves: Sequence[Value]) -> Value:
    """Return the leaf of the segment that holds `code`; ``code >= breakpoint`` goes right."""
    if not breakpoints:
        return leaves[0]
    middle = len(breakpoints) // 2
    return Mux(
        code >= breakpoints[middle],
        comparator_tree(code, breakpoints[middle + 1 :], leaves[middle + 1 :]),
        comparator_tree(code, breakpoints[:middle], leaves[: middle + 1]),
    )


class Pwl(Unary):
    """A unary function as straight lines; latency ``spec.latency``, throughput 1 beat a clock.

    By default there are three stages: magnitude and comparator tree, which selects slope and
    intercept; multiplier; adder, unfolding, rounding and saturation. Folding adds no stage: mapped
    to gates, the longest path has at most one gate more than without, at 8 and at 12 bits. Of
    another number, ``spec.steps.ends`` has where registers are: the tree may be searched level by
    level, and the multiplication take several stages, each of some bits of the argument.
    Parameters and members: `Unary`.
    """


@stages.register
def _(spec: PwlSpec, pipe: Pipe, code: Value) -> Value:
    """Add the stages to `pipe` and return the result."""
    return _Lines(spec, pipe, code).build()


class _Lines(Stepped):
    """The steps of one unit: `sim.golden.pwl_steps.PwlSteps` has what they are."""

    def __init__(self, spec: PwlSpec, pipe: Pipe, code: Value) -> None:
        table: PwlTable = spec.table
        super().__init__(pipe, spec.steps, spec.stages, spec.stages is not None, {"code": code})
        self.spec, self.table = spec, table
        self.lines = pipe.store.lines(table)
        self.depth = spec.steps.depth
        self.line = data.StructLayout(
            {"slope": shape_of(table.slope), "intercept": shape_of(table.intercept)}
        )
        self.start = pipe.stage
        self.left = rest(code, table.fold)

    def _magnitude(self, *_: object) -> None:
        self.live["code"] = magnitude(self.live["code"], self.table.fold)

    def _level(self, numbers: list[int], steps: Sequence[tuple[str, int]]) -> None:
        """Search some levels at once; with all of them, the leaves are the lines themselves."""
        breakpoints, _, _ = self.lines
        code, selects = self.live["code"], ("select", 0) in steps
        if selects and not numbers[0]:
            self._line(comparator_tree(code, breakpoints, self._leaves()))
            return
        known, count = numbers[0], len(numbers)
        index = self.live.pop("index", Const(0, 0))
        # As many as a full tree has: the last one again costs nothing, and changes no comparison.
        full = (*breakpoints, *[breakpoints[-1]] * ((1 << self.depth) - 1 - len(breakpoints)))
        block, size = self.depth - known, self.depth - known - count
        edges = [
            select(index, [full[(at << block) + (edge << size) - 1] for at in range(1 << known)])
            for edge in range(1, 1 << count)
        ]  # fmt: skip
        if selects:
            leaves = self._full_leaves()
            self._line(comparator_tree(code, edges, [
                select(index, leaves[edge :: 1 << count]) for edge in range(1 << count)
            ]))  # fmt: skip
            return
        found = comparator_tree(code, edges, [Const(edge, count) for edge in range(1 << count)])
        self.live["index"] = Cat(found, index)

    def _select(self, _: object, steps: Sequence[tuple[str, int]]) -> None:
        if any(kind == "level" for kind, _ in steps):
            return  # it is done with them
        self._line(select(self.live.pop("index", Const(0, 0)), self._full_leaves()))

    def _leaves(self) -> list[Value]:
        _, slopes, intercepts = self.lines
        return [Cat(slope, intercept) for slope, intercept in zip(slopes, intercepts, strict=True)]

    def _full_leaves(self) -> list[Value]:
        leaves = self._leaves()
        return leaves + [leaves[-1]] * ((1 << self.depth) - len(leaves))

    def _line(self, selected: Value) -> None:
        self.live = {"line": selected, "code": self.live["code"]}

    def _chunk(self, numbers: list[int], _: object) -> None:
        """Multiply by some bits of the argument: the product so far keeps its low bits."""
        code, selected = self.live.pop("code"), self.live["line"]
        slope = self.line(selected).slope
        bits, low = CHUNK * len(numbers), CHUNK * numbers[0]
        part, later = (code, None) if len(code) <= bits else (code[:bits], code[bits:])
        if later is not None and code.shape().signed:
            later = later.as_signed()
        before = self.live.pop("product", None)
        product = slope * part
        if before is not None:
            sum_ = (before >> low) + product
            product = Cat(before[:low], sum_)
            product = product.as_signed() if sum_.shape().signed else product
        if later is not None:
            self.live = {"line": selected, "code": later, "product": product}
        else:
            self.live = {"product": product, "intercept": self.line(selected).intercept}

    def _add(self, *_: object) -> None:
        product, intercept = self.live.values()
        self.live = {"total": product + (intercept << self.table.align)}

    def _unfold(self, *_: object) -> None:
        table = self.table
        left = self.pipe.align(self.left, self.start, "rest")
        self.live["total"] = unfold(
            left, self.live["total"], table.fold, table.slope.frac + table.input.frac,
            table.slope.frac,
        )  # fmt: skip

    def _round(self, *_: object) -> None:
        self.live["total"] = round_shift(self.live["total"], self.table.shift)

    def _saturate(self, *_: object) -> None:
        limit = saturate if self.spec.stages is None else clip
        self.live = {"result": limit(self.live["total"], self.table.output)}
