"""Where the LUTs of a softmax of eight lanes go: ``python bench/eight_lanes.py``.

The unit is ``--op softmax --bits 8 --length 8 --lanes 8 --arch direct``, in Xilinx 7 without block
RAM; every row is one beat. The first table has its parts, each synthesised alone with its inputs
free; optimisation across them is what they are more, or less, than the unit. The second has the
whole unit: as it is built, without what da4ml's softmax of 8 lacks (503 LUTs, 8 DSPs and a block
RAM: every lane is always there, nothing ever waits), and with numbers as narrow as da4ml's
(exponentials of 8 fraction bits, a sum of 6, a reciprocal of 10).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from common import spec_of, table

from hw import yosys
from hw.cost import FpgaCost
from hw.design.tables import Tables
from hw.fixed import round_shift, saturate, shape_of
from hw.pipeline import Pipe
from hw.report_accuracy import rounded_up
from hw.request import Request
from hw.synth import synthesize
from hw.units.row import Row
from hw.units.unary import emit
from hw.verilog import to_verilog
from nnlut_train.formats import Format
from nnlut_train.functions import Function
from sim.golden import ReciprocalSpec, SoftmaxSpec
from sim.measure import measure

REQUEST = Request("softmax", 8, length=8, lanes=8, arch="direct")
ROWS = 2000
#: Of da4ml's softmax: fraction bits of exponentials and reciprocals, and bits of the sum that are
#: looked up.
NARROW = {"exp_frac": 8, "inverse_frac": 10, "seen": 6}

TIED = """
module tied(input aclk, input aresetn, input [63:0] s_axis_tdata, input s_axis_tvalid,
            output [63:0] m_axis_tdata, output m_axis_tvalid{ready});
  unit unit(.aclk(aclk), .aresetn(aresetn), .s_axis_tdata(s_axis_tdata), .s_axis_tkeep(8'hff),
            .s_axis_tvalid(s_axis_tvalid), .s_axis_tlast(1'b1), .m_axis_tdata(m_axis_tdata),
            .m_axis_tvalid(m_axis_tvalid), .m_axis_tready({ties}));
endmodule
"""


class Part(wiring.Component):
    """A part of the unit between free inputs and outputs.

    Parameters
    ----------
    values, shape : int, Shape
        How many numbers enter, and of what shape.
    result : Shape
        Of all that leaves.
    build : callable
        From the row of them, all of whose lanes may be missing, to what leaves.
    """

    def __init__(
        self, values: int, shape: Shape, result: Shape, build: Callable[[Row], Value]
    ) -> None:
        self._values, self._build = values, build
        super().__init__({
            **{f"x{lane}": In(shape) for lane in range(values)},
            "here": In(values), "other": In(16), "result": Out(result),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Return the part's logic."""
        m, one = Module(), Const(1, 1)
        elements = [getattr(self, f"x{lane}") for lane in range(self._values)]
        pipe = Pipe(m, one)
        pipe.user = self.other
        m.d.comb += self.result.eq(self._build(Row(pipe, elements, list(self.here), one, one, one)))
        return m


def parts(spec: SoftmaxSpec) -> Iterator[tuple[str, Part]]:
    """Yield the parts of the unit by what they are."""
    lanes, bits, output = spec.lanes, spec.input.bits, spec.output
    code, exponential = shape_of(spec.input), shape_of(spec.exp.output)
    distance, total = shape_of(spec.exp.input), shape_of(spec.reciprocal.input)
    inverse = spec.reciprocal.output.bits

    def largest(row: Row) -> Value:
        logits = [Mux(here, x, spec.input.min)
                  for here, x in zip(row.present, row.elements, strict=True)]  # fmt: skip
        return row.reduce(lambda a, b: Mux(a > b, a, b), logits, "largest")

    def distances(row: Row) -> Value:
        maximum = row.pipe.user[:bits].as_signed()
        return Cat(*((maximum - x)[:bits] for x in row.elements))

    def exponentials(row: Row) -> Value:
        return Cat(*row.pipe.each(lambda pipe, d: emit(spec.exp, pipe, d), row.elements))

    def added(row: Row) -> Value:
        return row.total([Mux(here, e, 0) for here, e in
                          zip(row.present, row.elements, strict=True)], "added")  # fmt: skip

    def products(row: Row) -> Value:
        def scale(pipe: Pipe, e: Value) -> Value:
            (product,) = pipe.cut(product=e * row.pipe.user[:inverse])
            (result,) = pipe.cut(result=saturate(round_shift(product, spec.shift), output))
            return result

        return Cat(*row.pipe.each(scale, row.elements))

    def reciprocal(row: Row) -> Value:
        return emit(spec.reciprocal, row.pipe, row.elements[0])

    wide = Shape(lanes * output.bits)
    yield "maximum of the lanes that are there", Part(lanes, code, code, largest)
    yield "distances from it", Part(lanes, code, Shape(lanes * bits), distances)
    yield (
        f"exponentials: {lanes} tables of {1 << spec.exp.input.bits} values of "
        f"{spec.exp.output.bits} bits",
        Part(lanes, distance, Shape(lanes * exponential.width), exponentials),
    )
    yield "sum of the lanes that are there", Part(lanes, exponential, total, added)
    yield (
        f"reciprocal: normalisation, a table of {1 << spec.reciprocal.mantissa.input.bits} values, "
        "shift",
        Part(1, total, Shape(inverse), reciprocal),
    )
    yield "products, rounding, saturation", Part(lanes, exponential, wide, products)


def narrow() -> SoftmaxSpec:
    """Return the unit with numbers as narrow as da4ml's."""
    tables, frac, inverse = Tables(REQUEST, "direct"), NARROW["exp_frac"], NARROW["inverse_frac"]
    function = Function("exp(-d)", "e^-d", lambda d: np.exp(-d), (0, 16.0))
    form = Format(False, frac + 1, frac)
    exp = tables.table(function, REQUEST.distance, form, REQUEST.segments, "mse")
    total = Format(False, (form.max * REQUEST.lanes).bit_length(), frac)
    mantissa = tables.mantissa(NARROW["seen"], 0.5, inverse, REQUEST.segments, root=False)
    reciprocal = ReciprocalSpec(
        total, Format(False, inverse + 1, inverse), mantissa, False, total.bits - frac, True
    )
    return SoftmaxSpec(REQUEST.logits, Format(False, 8, 8), 8, exp, reciprocal, REQUEST.lanes)


def _cost(text: str, top: str) -> FpgaCost:
    cost = synthesize(text, top, "xilinx", bram="off")
    assert isinstance(cost, FpgaCost)
    return cost


def _cells(cost: FpgaCost) -> tuple[int, int, int]:
    return cost.luts, cost.lutram, cost.dsp


def part_rows(spec: SoftmaxSpec) -> Iterator[tuple[object, ...]]:
    """Yield each part's cost, and their sum."""
    found = []
    for name, part in parts(spec):
        with yosys.environment():
            text = verilog.convert(part, name="part", emit_src=False, strip_internal_attrs=True)
        found.append(_cells(_cost(text, "part")))
        yield name, *found[-1]
    yield "all parts", *(sum(each) for each in zip(*found, strict=True))


def whole_rows(spec: SoftmaxSpec) -> Iterator[tuple[object, ...]]:
    """Yield the cost and the error of the whole unit, as it is and with less."""
    ties = {
        "": "",
        ", all lanes always there": TIED.format(
            ready=", input m_axis_tready", ties="m_axis_tready"
        ),
        ", and no handshake": TIED.format(ready="", ties="1'b1"),
    }
    for name, unit in {"the unit": spec, "as narrow as da4ml's": narrow()}.items():
        text = to_verilog(unit, "unit", name)
        accuracy, bound = measure(unit, REQUEST.ops, rows=ROWS)
        for less, wrapper in ties.items():
            cost = _cost(text + wrapper, "tied" if wrapper else "unit")
            yield (name + less, *_cells(cost), f"{accuracy.max_ulp:.2f}",
                   "" if bound is None else rounded_up(bound))  # fmt: skip


def told(rows: Iterator[tuple[object, ...]], found: list[tuple[object, ...]]) -> Iterator[Any]:
    """Yield rows, and keep them in `found`."""
    for row in rows:
        found.append(row)
        yield row


def main() -> None:
    spec = spec_of(SoftmaxSpec, REQUEST)
    alone: list[tuple[object, ...]] = []
    whole: list[tuple[object, ...]] = []
    table(("part, alone", "LUTs", "as memory", "DSPs"), told(part_rows(spec), alone))
    print()
    table(("whole unit", "LUTs", "as memory", "DSPs", "max ulp", "proved at most"),
          told(whole_rows(spec), whole))  # fmt: skip
    built, _, bare, _, _, least = whole
    print(
        f"\nExponentials and a reciprocal that keep every row below 1 ulp take {alone[2][1]} and "
        f"{alone[4][1]} LUTs alone, and the maximum {alone[0][1]}, where da4ml's unit has 503; "
        f"the handshake and lanes that may be missing are {built[1]} less {bare[1]}. With "
        f"numbers as narrow as da4ml's, and neither, it takes {least[1]} LUTs and is off by up to "
        f"{least[4]} ulp."
    )


if __name__ == "__main__":
    main()
