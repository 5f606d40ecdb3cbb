"""The AXI4-Stream shell around a unit: what the exported Verilog shows."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from nnlut_train.formats import Format
from sim.golden import SoftmaxSpec, Spec

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
        Of a code in its low bits.
    """

    name: str
    direction: str
    width: int
    meaning: str
    format: Format | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the port, with the bit range of its code, as JSON-ready data."""
        data: dict[str, Any] = {
            "name": self.name, "direction": self.direction, "width": self.width,
            "meaning": self.meaning,
        }  # fmt: skip
        if self.format is not None:
            data["fields"] = [
                {"name": "code", "lsb": 0, "msb": self.format.bits - 1, "format": str(self.format),
                 "signed": self.format.signed, "scale": self.format.scale}
            ]  # fmt: skip
        return data


def _beyond(form: Format, text: str) -> str:
    """Say what the bits of a port beyond its code do, where it has any."""
    return f"; higher bits {text}" if form.bits % 8 else ""


def ports(spec: Spec) -> list[Port]:
    """Return the ports of the Verilog module of `spec`."""
    widths = {"s": 8 * data_bytes(spec.input), "m": 8 * data_bytes(spec.output)}
    found = [
        Port("aclk", "input", 1, "clock; all ports are synchronous to its rising edge"),
        Port("aresetn", "input", 1, "synchronous reset, active low"),
        Port("s_axis_tdata", "input", widths["s"],
             "argument code" + _beyond(spec.input, "are ignored"), spec.input),
        Port("s_axis_tvalid", "input", 1, "a beat is offered"),
        Port("s_axis_tready", "output", 1, "a beat is accepted"),
        Port("s_axis_tlast", "input", 1, "the beat ends a row"),
        Port("m_axis_tdata", "output", widths["m"], "result code" + _beyond(
            spec.output, "repeat the sign" if spec.output.signed else "are 0"), spec.output),
        Port("m_axis_tvalid", "output", 1, "a result is offered"),
        Port("m_axis_tready", "input", 1, "the result is accepted"),
        Port("m_axis_tlast", "output", 1, "the result ends a row"),
    ]  # fmt: skip
    if isinstance(spec, SoftmaxSpec):
        found.append(
            Port("overlong", "output", 1,
                 f"a row longer than {spec.length} was cut; stays high until reset")
        )  # fmt: skip
    return found


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
        Arguments; the code is in the low bits of whole bytes.
    m_axis_tdata, m_axis_tvalid, m_axis_tlast : Out; m_axis_tready : In
        Results, sign- or zero-extended to whole bytes.
    overlong : Out(1)
        Softmax only: a row was cut.
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
        beat = unit.i.payload
        m.d.comb += [
            sync.clk.eq(self.aclk),
            sync.rst.eq(~self.aresetn),
            beat.data.eq(self.s_axis_tdata),
            beat.last.eq(self.s_axis_tlast),
            unit.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(unit.i.ready),
            self.m_axis_tdata.eq(unit.o.payload.data),
            self.m_axis_tlast.eq(unit.o.payload.last),
            self.m_axis_tvalid.eq(unit.o.valid),
            unit.o.ready.eq(self.m_axis_tready),
        ]
        if isinstance(self.spec, SoftmaxSpec):
            m.d.comb += self.overlong.eq(unit.o_overlong)
        return m
