"""The frame of every unit whose results depend on a whole row: a chain of passes.

All passes are at work at the same time, each on another row.
"""

from abc import abstractmethod
from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.golden import RowSpec

from ..store import CONSTANTS, Store
from ..stream import input_beats, output_beats
from .row_pass import RowPass

__all__ = ["RowUnit"]


class RowUnit(wiring.Component):
    """A chain of passes between two streams.

    Latency is ``spec.latency_of(length)`` clocks. Throughput is one beat a clock, sustained; only
    `hw.units.row_pass.ROW_SLOTS` complete rows behind one long row make the input wait.

    A row of more than ``spec.length / spec.lanes`` beats is cut there: the beats so far are a row,
    with ``last`` on its end, and the next beat begins another. `o_overlong` tells. With several
    lanes, a lane without ``keep`` has no element, in whichever beat it is; beats of which not the
    first lanes are kept, or not all though the row goes on, are not what AXI4-Stream masters send:
    `o_holes` tells.

    Parameters
    ----------
    spec : RowSpec
        The unit.

    Members
    -------
    i : In(stream.Signature(StructLayout))
        ``data``: codes of format ``spec.input``. ``keep``, with several lanes. ``user``, with
        masks: a bit a lane, 1 where the element is masked. ``last``: end of the row.
    o : Out(stream.Signature(StructLayout))
        ``data``: results, format ``spec.output``. ``keep``, ``last``: those of the input.
    o_overlong : Out(1)
        Goes high when a row was cut, and stays so until reset, or `i_clear`.
    o_holes : Out(1)
        With several lanes: goes high when lanes were missing elsewhere than at a row's end, and
        stays so, likewise.
    o_between : Out(1)
        The next beat is the first of a row.
    i_clear : In(1)
        Clears both flags.
    i_partial : In(1)
        With several lanes: a lane of the beat that is offered is kept in part, as bytes; it has no
        element, and `o_holes` tells.
    """

    #: Where the tables are.
    store: Store = CONSTANTS
    #: Passes that have a skid buffer, with its place.
    spares = 0

    def __init__(self, spec: RowSpec) -> None:
        self.spec = spec
        members = {
            "i": In(input_beats(spec)), "o": Out(output_beats(spec)), "o_overlong": Out(1),
            "o_between": Out(1), "i_clear": In(1),
        }  # fmt: skip
        if spec.lanes > 1:
            members |= {"o_holes": Out(1), "i_partial": In(1)}
        super().__init__(members)

    @property
    def capacity(self) -> int:
        """Most beats that are inside at a time, when the output is stuck.

        A pass holds its longest row, and a beat for each further clock to the row's first result:
        the latency of the pass and one. So a unit of k passes holds its latency and k, which is
        what the latency grows by with each beat of the row. To that come the `spares`.
        """
        first, second = (self.spec.latency_of(n * self.spec.lanes) for n in (1, 2))
        return self.spec.latency_of(self.spec.length) + second - first + self.spares

    @abstractmethod
    def passes(self) -> dict[str, RowPass]:
        """Return the passes by their names, in their order."""

    def elaborate(self, platform: object) -> Module:
        """Return the unit's logic."""
        m = Module()
        passes = self.passes()
        for name, each in passes.items():
            each.store = self.store
            m.submodules[name] = each
        chain = list(passes.values())
        for before, after in pairwise(chain):
            wiring.connect(m, before.o, after.i)
        self._enter(m, chain[0])
        left, beat = self.o, chain[-1].o
        m.d.comb += [
            left.valid.eq(beat.valid), beat.ready.eq(left.ready),
            left.payload.data.eq(beat.payload.data), left.payload.last.eq(beat.payload.last),
        ]  # fmt: skip
        if self.spec.lanes > 1:
            m.d.comb += left.payload.keep.eq(beat.payload.keep)
        return m

    def _enter(self, m: Module, target: RowPass) -> None:
        """Connect the input to the first pass; cut rows, and watch what comes."""
        spec, beat, entered = self.spec, self.i.payload, target.i.payload
        beats_max = spec.beats(spec.length)
        position = Signal(range(beats_max))
        full = position == beats_max - 1
        m.d.comb += [
            target.i.valid.eq(self.i.valid), self.i.ready.eq(target.i.ready),
            entered.data.eq(beat.data), entered.last.eq(beat.last | full),
            self.o_between.eq(position == 0),
        ]  # fmt: skip
        with m.If(self.i_clear):
            m.d.sync += self.o_overlong.eq(0)
            if spec.lanes > 1:
                m.d.sync += self.o_holes.eq(0)
        if spec.mask:
            m.d.comb += entered.mask.eq(beat.user)
        accepted = self.i.valid & self.i.ready
        with m.If(accepted):
            m.d.sync += position.eq(Mux(entered.last, 0, position + 1))
            with m.If(full & ~beat.last):
                m.d.sync += self.o_overlong.eq(1)
        if spec.lanes > 1:
            m.d.comb += entered.keep.eq(beat.keep)
            # The first lanes are kept, and no other, where keep + 1 is a power of two.
            ragged = (beat.keep & (beat.keep + 1)).any()
            ended_early = ~beat.keep.all() & ~beat.last
            with m.If(accepted & (ragged | ended_early | self.i_partial)):
                m.d.sync += self.o_holes.eq(1)
