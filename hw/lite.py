"""AXI4-Lite: the port through which a unit's registers are written and read."""

from collections.abc import Iterator
from typing import NamedTuple

from amaranth.hdl import Module, Shape, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OKAY", "SLVERR", "LiteSlave", "Wire", "lite", "wires"]

#: Responses.
OKAY, SLVERR = 0, 2


def lite(address_bits: int) -> wiring.Signature:
    """Return the signature of an AXI4-Lite bus of 32-bit words, as its manager has it.

    Parameters
    ----------
    address_bits : int
        Width of a byte address.
    """

    def channel(**members: int) -> stream.Signature:
        return stream.Signature(data.StructLayout(members))

    return wiring.Signature({
        "aw": Out(channel(addr=address_bits, prot=3)),
        "w": Out(channel(data=32, strb=4)),
        "b": In(channel(resp=2)),
        "ar": Out(channel(addr=address_bits, prot=3)),
        "r": In(channel(data=32, resp=2)),
    })  # fmt: skip


class Wire(NamedTuple):
    """A wire of the bus.

    Parameters
    ----------
    channel, field : str
        Together its name, such as ``aw`` and ``addr``.
    width : int
        Its bits.
    driven : bool
        Whether the manager drives it.
    meaning : str
        What it is for.
    """

    channel: str
    field: str
    width: int
    driven: bool
    meaning: str

    def of(self, bus: wiring.PureInterface) -> Value:
        """Return the wire in `bus`."""
        channel = getattr(bus, self.channel)
        if self.field in ("valid", "ready"):
            return getattr(channel, self.field)
        return channel.payload[self.field]


def wires(address_bits: int) -> Iterator[Wire]:
    """Yield the wires of a bus; see `lite`."""
    meanings = {
        "addr": "address in bytes", "prot": "is ignored", "data": "the word",
        "strb": "must be all ones", "resp": "0 (OKAY) or 2 (SLVERR): nothing was done",
    }  # fmt: skip
    channels = {"aw": "write address", "w": "write data", "b": "write response",
                "ar": "read address", "r": "read data"}  # fmt: skip
    for channel, member in lite(address_bits).members.items():
        sends, name = member.flow == Out, channels[channel]
        layout = member.signature.members["payload"].shape
        for field, inner in layout.members.items():
            width = Shape.cast(inner).width
            yield Wire(channel, field, width, sends, f"{name}: {meanings[field]}")
        yield Wire(channel, "valid", 1, sends, f"{name}: offered")
        yield Wire(channel, "ready", 1, not sends, f"{name}: accepted")


class LiteSlave(wiring.Component):
    """The bus side of a register file: one write and one read at a time.

    Address and data of a write may come in any order; in the clock after both are offered and no
    response waits any more, they are accepted together, and the word is written. The response is
    offered in the next clock, 2 after both were, and held until it is taken. A read is accepted in
    the clock in which it is offered, and answered in the next. Throughput: at most one write and
    one read in 2 clocks, side by side.

    No output of the bus depends on an input within the same clock, as AXI4 asks for (Arm IHI 0022,
    A3.1.1).

    Parameters
    ----------
    address_bits : int
        Width of a byte address.

    Members
    -------
    bus : In(lite(address_bits))
        The bus; ``prot`` is ignored.
    write : Out(1)
        A word is written in this clock, if it is not refused.
    write_address, write_data : Out
        Where, and what.
    write_whole : Out(1)
        All four bytes are written.
    write_refused : In(1)
        Answers with SLVERR; the same clock.
    read : Out(1)
        A read is accepted in this clock.
    read_address : Out
        What is read.
    read_data : In(32)
        Its content, from the clock after `read` on until the next one. So who drives it decides
        what must be kept: constants need no register.
    read_refused : In(1)
        Answers with SLVERR; in the same clocks.
    """

    def __init__(self, address_bits: int) -> None:
        super().__init__({
            "bus": In(lite(address_bits)),
            "write": Out(1), "write_address": Out(address_bits), "write_data": Out(32),
            "write_whole": Out(1), "write_refused": In(1),
            "read": Out(1), "read_address": Out(address_bits), "read_data": In(32),
            "read_refused": In(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Return the handshakes."""
        m = Module()
        bus = self.bus
        # A manager keeps offering what was not accepted, so both are still there a clock later.
        m.d.sync += self.write.eq(
            bus.aw.valid & bus.w.valid & ~self.write & (~bus.b.valid | bus.b.ready)
        )
        m.d.comb += [
            bus.aw.ready.eq(self.write),
            bus.w.ready.eq(self.write),
            self.write_address.eq(bus.aw.payload.addr),
            self.write_data.eq(bus.w.payload.data),
            self.write_whole.eq(bus.w.payload.strb.all()),
            bus.ar.ready.eq(~bus.r.valid),
            self.read.eq(bus.ar.valid & bus.ar.ready),
            self.read_address.eq(bus.ar.payload.addr),
            bus.r.payload.data.eq(self.read_data),
            bus.r.payload.resp.eq(self.read_refused << 1),
        ]
        with m.If(self.write):
            m.d.sync += [
                bus.b.valid.eq(1),
                # SLVERR or OKAY.
                bus.b.payload.resp.eq(self.write_refused << 1),
            ]
        with m.Elif(bus.b.ready):
            m.d.sync += bus.b.valid.eq(0)
        with m.If(self.read):
            m.d.sync += bus.r.valid.eq(1)
        with m.Elif(bus.r.ready):
            m.d.sync += bus.r.valid.eq(0)
        return m
