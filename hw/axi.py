"""The AXI4-Stream shell around a unit: what the exported Verilog shows."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from nnlut_train.formats import Format
from sim.golden import Spec, WritableSpec
from sim.golden.register_map import register_map

from .lite import wires
from .stream import lanes_of
from .units import unit_of

__all__ = ["AxiStream", "Port", "data_bytes", "ports"]


def data_bytes(form: Format) -> int:
    """Return the bytes of ``tdata`` that a code of `form` takes: AXI4-Stream has whole bytes."""
    return -(-form.bits // 8)


@dataclass(frozen=True)
class Port:
    """A port of the Verilog module.

    Parameters
    ----------
    name : str
        Its name.
    direction : str
        ``input`` or ``output``.
    width : int
        Its bits.
    meaning : str
        What it is for.
    format : Format, optional
        Of a code in the low bits of each lane.
    scale : float, optional
        Real value of one step of a code; by default the format's.
    """

    name: str
    direction: str
    width: int
    meaning: str
    format: Format | None = None
    scale: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the port, with the bit ranges of its codes, as JSON-ready data."""
        data: dict[str, Any] = {
            "name": self.name, "direction": self.direction, "width": self.width,
            "meaning": self.meaning,
        }  # fmt: skip
        if (form := self.format) is not None:
            step, lanes = 8 * data_bytes(form), self.width // (8 * data_bytes(form))
            data["fields"] = [
                {"name": "code" if lanes == 1 else f"code{lane}", "lsb": lane * step,
                 "msb": lane * step + form.bits - 1, "format": str(form), "signed": form.signed,
                 "scale": form.scale if self.scale is None else self.scale}
                for lane in range(lanes)
            ]  # fmt: skip
        return data


def _beyond(form: Format, text: str) -> str:
    """Say what the bits of a port beyond its code do, where it has any."""
    return f"; higher bits {text}" if form.bits % 8 else ""


def ports(spec: Spec) -> list[Port]:
    """Return the ports of the Verilog module of `spec`."""
    lanes = spec.lanes
    sizes = {"s": lanes * data_bytes(spec.input), "m": lanes * data_bytes(spec.output)}
    code = f"{lanes} lanes of whole bytes, lane 0 lowest: {{}} codes" if lanes > 1 else "{} code"
    arguments = code.format("argument") + _beyond(spec.input, "are ignored")
    results = code.format("result") + _beyond(
        spec.output, "repeat the sign" if spec.output.signed else "are 0"
    )
    found = [
        Port("aclk", "input", 1, "clock; all ports are synchronous to its rising edge"),
        Port("aresetn", "input", 1, "synchronous reset, active low"),
        Port("s_axis_tdata", "input", 8 * sizes["s"], arguments, spec.input),
    ]
    if lanes > 1:
        found.append(Port("s_axis_tkeep", "input", sizes["s"],
                          "a bit a byte; all of a lane's are set: an element"))  # fmt: skip
    if spec.user_bits:
        found.append(Port("s_axis_tuser", "input", spec.user_bits, _user(spec)))
    found += [
        Port("s_axis_tvalid", "input", 1, "a beat is offered"),
        Port("s_axis_tready", "output", 1, "a beat is accepted"),
        Port("s_axis_tlast", "input", 1, "the beat ends a row"),
        Port(
            "m_axis_tdata", "output", 8 * sizes["m"], results, spec.output, spec.bare.output_scale
        ),
    ]
    if lanes > 1:
        found.append(Port("m_axis_tkeep", "output", sizes["m"],
                          "a bit a byte; those of the argument's lanes"))  # fmt: skip
    found += [
        Port("m_axis_tvalid", "output", 1, "a result is offered"),
        Port("m_axis_tready", "input", 1, "the result is accepted"),
        Port("m_axis_tlast", "output", 1, "the result ends a row"),
    ]
    if spec.longest:
        until = "reset, or CONTROL.clear" if isinstance(spec, WritableSpec) else "reset"
        found.append(
            Port("overlong", "output", 1,
                 f"a row longer than {spec.longest} was cut; stays high until {until}")
        )  # fmt: skip
        if lanes > 1:
            found.append(
                Port("holes", "output", 1, "lanes without an element were met elsewhere than at a "
                     f"row's end; stays high until {until}")
            )  # fmt: skip
    if isinstance(spec, WritableSpec):
        found += [
            Port(f"s_axil_{wire.channel}{wire.field}", "input" if wire.driven else "output",
                 wire.width, wire.meaning)
            for wire in wires(register_map(spec).address_bits)
        ]  # fmt: skip
    return found


def _user(spec: Spec) -> str:
    """Say what ``tuser`` is."""
    if spec.mask:
        return "1: the element is masked" if spec.lanes == 1 else "a bit a lane; 1: it is masked"
    return "which function"


class AxiStream(wiring.Component):
    """A unit between AXI4-Stream ports, with its own clock domain.

    Latency and throughput are the unit's: the shell only renames wires.

    Parameters
    ----------
    spec : Spec
        The unit.

    Members
    -------
    aclk, aresetn : In(1)
        Clock, and synchronous reset, active low.
    s_axis_tdata, s_axis_tvalid, s_axis_tlast : In; s_axis_tready : Out
        Arguments; each code is in the low bits of whole bytes.
    s_axis_tkeep : In
        With several lanes: a bit a byte.
    s_axis_tuser : In
        Mask bits, a lane each, or the function's number, where the unit takes it.
    m_axis_tdata, m_axis_tvalid, m_axis_tlast : Out; m_axis_tready : In
        Results, sign- or zero-extended to whole bytes.
    m_axis_tkeep : Out
        With several lanes: a bit a byte.
    overlong, holes : Out(1)
        Row units only: see `hw.units.row_unit.RowUnit`.
    s_axil_*
        Writable units only: the registers' AXI4-Lite port; see `hw.units.writable.Writable`.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        super().__init__(
            {p.name: (In if p.direction == "input" else Out)(p.width) for p in ports(spec)}
        )

    def elaborate(self, platform: object) -> Module:
        """Return the shell's wiring."""
        m = Module()
        m.domains.sync = sync = ClockDomain(local=True)
        m.submodules.unit = unit = unit_of(self.spec)
        entering, leaving, spec = unit.i.payload, unit.o.payload, self.spec
        m.d.comb += [
            sync.clk.eq(self.aclk),
            sync.rst.eq(~self.aresetn),
            entering.last.eq(self.s_axis_tlast),
            unit.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(unit.i.ready),
            self.m_axis_tlast.eq(leaving.last),
            self.m_axis_tvalid.eq(unit.o.valid),
            unit.o.ready.eq(self.m_axis_tready),
        ]
        read, written = data_bytes(spec.input), data_bytes(spec.output)
        for lane, code in enumerate(lanes_of(entering)):
            m.d.comb += code.eq(self.s_axis_tdata.word_select(lane, 8 * read))
        for lane, code in enumerate(lanes_of(leaving)):
            m.d.comb += self.m_axis_tdata.word_select(lane, 8 * written).eq(code)
        if spec.lanes > 1:
            for lane in range(spec.lanes):
                m.d.comb += [
                    entering.keep[lane].eq(self.s_axis_tkeep.word_select(lane, read).all()),
                    self.m_axis_tkeep.word_select(lane, written).eq(
                        leaving.keep[lane].replicate(written)
                    ),
                ]
            if spec.longest:
                kept = [self.s_axis_tkeep.word_select(k, read) for k in range(spec.lanes)]
                m.d.comb += unit.i_partial.eq(Cat(k.any() & ~k.all() for k in kept).any())
        if spec.user_bits:
            m.d.comb += entering.user.eq(self.s_axis_tuser)
        for flag in ("overlong", "holes"):
            if hasattr(self, flag):
                m.d.comb += getattr(self, flag).eq(getattr(unit, f"o_{flag}"))
        if isinstance(spec, WritableSpec):
            for wire in wires(unit.registers.address_bits):
                outer = getattr(self, f"s_axil_{wire.channel}{wire.field}")
                inner = wire.of(unit.bus)
                m.d.comb += inner.eq(outer) if wire.driven else outer.eq(inner)
        return m
