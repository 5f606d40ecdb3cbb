"""Softmax without a maximum: one pass over a row, by an exact sum of floating-point numbers."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from sim.golden import DirectSpec, KulischSpec

from ..fixed import claims_sum, fits, round_shift, saturate, select, shape_of
from ..pipeline import Pipe
from .elastic_pass import ElasticPass
from .row_pass import Row, RowPass
from .row_unit import RowUnit
from .unary import emit

__all__ = ["Kulisch"]

#: log2 of the leading zeros, and of the octaves, that are shifted by in one step.
GROUP = 3


class _KulischPass(ElasticPass):
    """From logits to probabilities.

    Stages: ``spec.statistic_latency`` and ``spec.apply_latency``, which name them. Parameters and
    members: `ElasticPass`.
    """

    spec: KulischSpec

    def __init__(self, spec: KulischSpec) -> None:
        super().__init__(spec, shape_of(spec.input), shape_of(spec.output))

    def _u(self, code: Value) -> Value:
        """Return the mantissa of an exponential, with its leading one."""
        return Cat(code[: self.spec.fraction_bits], Const(1, 1))

    def _k(self, code: Value) -> Value:
        return code[self.spec.fraction_bits :][: self.spec.exponent_max.bit_length()]

    def _memories(self, m: Module) -> list[Memory | None]:
        """Return the table of exponentials of each lane, to be read where logits enter and leave.

        Of one memory with two ports an FPGA makes one block RAM.
        """
        spec = self.spec
        if not isinstance(spec.exp, DirectSpec) or spec.exp.table.fold is not None:
            return [None] * spec.lanes
        values = spec.exp.table.values
        half = -spec.input.min
        content = {"shape": shape_of(spec.exp.output), "depth": len(values),
                   "init": values[half:] + values[:half]}  # fmt: skip
        roms = [Memory(**content, attrs={"rom_style": "block"}) for _ in range(spec.lanes)]
        for lane, rom in enumerate(roms):
            m.submodules[f"exponentials{lane}"] = rom
        return roms

    def _float(self, pipe: Pipe, logit: Value, rom: Memory | None) -> Value:
        """Return the exponential of a logit after the stages of ``spec.exp``."""
        if rom is None:
            return emit(self.spec.exp, pipe, logit)
        port = rom.read_port()
        pipe.m.d.comb += [port.addr.eq(logit), port.en.eq(pipe.advance)]
        pipe.step()
        return port.data

    def accumulated(self, row: Row) -> Value:
        """Return the sum of the exponentials."""
        spec, pipe = self.spec, row.pipe
        low = spec.fraction_bits + (1 << GROUP)

        optional = spec.lanes > 1 or spec.mask
        self._roms = self._memories(pipe.m)

        def weigh(lane: Pipe, logit: Value, here: Value, rom: Memory | None) -> Value:
            code = self._float(lane, logit, rom)
            u, k = self._u(code), self._k(code)
            if optional:
                u = Mux(lane.align(here, 0, "here"), u, 0)
            part = fits(lane.m, u << k[:GROUP], low, f"{lane.name}part")
            (weight,) = lane.cut(weight=Cat(part, k[GROUP:]))
            whole = weight[:low] << (weight[low:] << GROUP)
            return fits(lane.m, whole, spec.sum_bits, f"{lane.name}weight")

        added = row.total(pipe.each(weigh, row.elements, row.present, self._roms), "added")
        claims_sum(pipe.m, added, spec.beats(spec.length), spec.sum_bits, "total")
        return row.accumulate(
            unsigned(spec.sum_bits), lambda at: (at + added)[: spec.sum_bits], 0, "total"
        )

    def concluded(self, pipe: Pipe, total: Value) -> Value:
        """Return the reciprocal of the mantissa of the row's sum, and its exponent."""
        spec = self.spec
        window, exponent = self._normalised(pipe, total)
        start = pipe.stage
        mantissa = emit(spec.reciprocal, pipe, window)
        return Cat(mantissa[:-1], pipe.align(exponent, start, "exponent"))

    def _normalised(self, pipe: Pipe, total: Value) -> list[Value]:
        """Return the bits of the sum below its leading one, and the leading one's place."""
        spec, size = self.spec, 1 << GROUP
        bits = spec.reciprocal.input.bits
        count = -(-spec.sum_bits // size)
        wide = Signal(bits + count * size, name="wide_total")
        pipe.m.d.comb += wide[bits:].eq(total)
        group = Signal(range(count), name="group")
        for at in range(1, count):
            with pipe.m.If(wide[bits + at * size : bits + (at + 1) * size].any()):
                pipe.m.d.comb += group.eq(at)
        part, group = pipe.cut(
            part=select(group, [wide[at * size :][: bits + size] for at in range(count)]),
            group=group,
        )  # fmt: skip
        place = Signal(GROUP, name="place")
        for at in range(1, size):
            with pipe.m.If(part[bits + at]):
                pipe.m.d.comb += place.eq(at)
        return pipe.cut(window=(part >> place)[:bits], exponent=Cat(place, group))

    def before(self, row: Row) -> list[Value]:
        """Return the exponentials again: storing logits takes less."""
        return row.pipe.each(self._float, row.elements, self._roms)

    def apply(self, row: Row, statistic: Value) -> list[Value]:
        """Return the products with the reciprocal, shifted by the distance, and rounded."""
        spec = self.spec
        high = spec.reciprocal.output.bits - 1
        exponent = statistic[high:]
        optional = spec.lanes > 1 or spec.mask

        def scale(pipe: Pipe, code: Value, here: Value) -> Value:
            # Nothing else is in the multiplier's stage: in an FPGA it is far from all other logic.
            fraction, inverse, distance = pipe.cut(
                fraction=code[: spec.fraction_bits],
                inverse=statistic[:high],
                distance=exponent - spec.fraction_bits - self._k(code),
            )
            # Only a masked element may be above the sum: its shift is of no interest.
            limited = Mux(distance > spec.below_max, spec.below_max, distance)
            product, below = pipe.cut(
                product=(self._u(fraction) * Cat(inverse, Const(1, 1))) >> (spec.shift - 1),
                below=fits(
                    pipe.m,
                    limited,
                    spec.below_max.bit_length(),
                    f"{pipe.name}below",
                    where=lambda: pipe.align(here, 0, "here"),
                ).as_unsigned(),
            )
            (doubled,) = pipe.cut(doubled=product >> below)
            probability = saturate(round_shift(doubled, 1), spec.output)
            if optional:
                probability = Mux(pipe.align(here, 0, "here"), probability, 0)
            (result,) = pipe.cut(result=probability)
            return result

        return row.pipe.each(scale, row.elements, row.present)


class Kulisch(RowUnit):
    """Softmax in one pass over a row, without its maximum.

    1. *Enter*: logits enter the row buffer; meanwhile their exponentials are added up, exactly.
    2. *Leave*: the sum is normalised and the reciprocal of its mantissa looked up; the logits
       leave the buffer, and each probability is a product and a shift.

    One buffer of a row where `hw.units.softmax.Softmax` has two, no comparison, and half of its
    latency.

    Latency, throughput, parameters and members: `RowUnit`.
    """

    spec: KulischSpec
    spares = 1

    def passes(self) -> dict[str, RowPass]:
        """Return the one pass."""
        return {"kulisch": _KulischPass(self.spec)}
