"""The registers of a writable unit: what is written, and what the unit's tables read."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetSignal, Signal, Value

from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import WritableSpec
from sim.golden.register_map import CONTROL, ID, MAGIC, MAP, STATUS, Array, Control, register_map

from ..fixed import shape_of
from ..lite import LiteSlave
from ..store import Lines, ReadPort, Store
from .pages import Pages

__all__ = ["Registers"]


class _Copies:
    """An array's shadow, which is written, and its active copy, which the unit reads."""

    def __init__(self, array: Array, values: tuple[int, ...], prefix: str) -> None:
        self.array = array

        def signals(copy: str) -> list[Signal]:
            return [
                Signal(
                    shape_of(array.format), init=value, name=f"{prefix}_{copy}{index}",
                    reset_less=True,
                )
                for index, value in enumerate(values)
            ]  # fmt: skip

        self.active, self.shadow = signals("active"), signals("shadow")

    def takes(self, index: Value) -> Value:
        """Return whether the word at `index` can be written now: always."""
        return Const(1, 1)

    def ready(self) -> Value:
        """Return whether a commit can be done: always."""
        return Const(1, 1)

    def connect(self, m: Module, write: Value, index: Value, word: Value, commit: Value) -> None:
        """Add writing to the shadow, and what a commit does; see `Pages.connect`.

        `index` counts words of 32 bits, the low one of a code first.

        A reset is one more write of the shadow, of which the commit that follows every reset makes
        the active copy. So all bits of a word have one enable, for which synthesis can gate their
        clock (a reset that is not a write would need a clock of its own), and what they take is the
        same for all words but for the two values of a reset: they share its gates.
        """
        number, reset = 0, ResetSignal()
        for register in self.shadow:
            # A code of more than 32 bits takes two words.
            for low in range(0, len(register), 32):
                part = register[low : low + 32]
                initial = Const(register.init, len(register))[low : low + 32]
                with m.If(write & (index == number) | reset):
                    m.d.sync += part.eq(Mux(reset, initial, word))
                number += 1
        with m.If(commit):
            m.d.sync += Cat(self.active).eq(Cat(self.shadow))


def _fits(array: Array, word: Value, index: Value) -> Value:
    """Return whether `word` is, at its place, one of a code of the array's format."""
    form, words = array.format, array.words
    bits = form.bits - 32 * (words - 1)
    # What the code leaves of its highest word repeats the sign, or is 0.
    above = word[bits - 1 :] if form.signed else word[bits:]
    clean = Const(1, 1) if bits == 32 else ~above.any()
    if form.signed:
        clean |= above.all()
    return clean if words == 1 else ~index[0] | clean


class Registers(Store):
    """The tables of a writable unit, each in two copies: one is written, one is read.

    After a reset a unit has the tables that it was built with. Lines are in registers; a commit
    copies them. Values by the position in the row are in `Pages` of memory.

    A write takes effect, and what a read shows is taken, in the clock of `LiteSlave`'s handshake.

    Parameters
    ----------
    spec : WritableSpec
        The unit.

    Members
    -------
    map : RegisterMap
        Where everything is.
    pending : Signal
        High while a commit waits, and in the first clock after a reset: the tables of the build
        are committed then.
    commit : Signal, driven by the unit
        High in the clock in which the unit is empty, and the commit is done.
    clear : Signal
        High in the clock in which the flags are cleared.
    flags : list of Signal, driven by the unit
        What ``STATUS`` shows from bit 1 on, in the map's order.
    """

    def __init__(self, spec: WritableSpec) -> None:
        self.map = register_map(spec)
        self.pending = Signal(init=1)
        self.commit = Signal()
        self.clear = Signal()
        self.flags = [Signal(name=flag) for flag in self.map.flags]
        self._held: dict[int, list[_Copies | Pages]] = {}
        for block in self.map.blocks:
            if isinstance(block.table, DirectTable):
                (array,) = block.arrays
                self._held[id(block.table)] = [Pages(block, array, spec.lanes)]
                continue
            self._held[id(block.table)] = [
                _Copies(array, block.values(array), f"{block.symbol}_{array.name}")
                for array in block.arrays
            ]

    def lines(self, table: PwlTable) -> Lines:
        """Return the active copies of a table of the unit."""
        active = {copies.array.name: list(copies.active) for copies in self._held[id(table)]}
        return active.get("breakpoints", []), active["slopes"], active["intercepts"]

    def positions(
        self, m: Module, table: DirectTable, length: int, lanes: int, name: str
    ) -> ReadPort:
        """Return the port on the page that is read; the unit must ask for it once."""
        (pages,) = self._held[id(table)]
        return pages.port

    def connect(self, m: Module, slave: LiteSlave) -> None:
        """Add to `m` what `slave` writes and reads."""
        word, at = slave.write_data, slave.write_address
        done, allowed = Signal(), Signal()
        control = at == CONTROL
        wanted = control & word[Control.COMMIT]
        everything = [held for each in self._held.values() for held in each]
        ready = Cat(held.ready() for held in everything).all() & ~self.pending
        good = [control & ~word[len(Control) :].any() & (ready | ~wanted)]
        for held in everything:
            array = held.array
            index_bits = array.size.bit_length() - 1
            index = at[2:index_bits]
            hit = (at[index_bits:] == array.address >> index_bits) & (at[:2] == 0)
            there = index < array.count * array.words
            fits = _fits(array, word, index) & held.takes(index)
            good.append(hit & there & fits & ~self.pending)
            write = Signal(name=f"writes_{array.address:x}")
            m.d.comb += write.eq(done & hit)
            held.connect(m, write, index, word, self.commit)
        m.d.comb += [
            allowed.eq(Cat(good).any()),
            slave.write_refused.eq(~(slave.write_whole & allowed)),
            done.eq(slave.write & ~slave.write_refused),
            self.clear.eq(done & control & word[Control.CLEAR]),
        ]
        with m.If(done & wanted):
            m.d.sync += self.pending.eq(1)
        with m.Elif(self.commit):
            m.d.sync += self.pending.eq(0)
        self._read(m, slave)

    def _read(self, m: Module, slave: LiteSlave) -> None:
        """Add what reads show: which register is kept, and of the registers only what changes."""
        at, status = slave.read_address, Cat(self.pending, self.flags)
        # That of CONTROL, which cannot be read, stands for every address that cannot.
        shown = Signal(2)
        kept = Signal(len(status))
        with m.If(slave.read):
            m.d.sync += [shown.eq(Mux(at[4:].any() | at[:2].any(), CONTROL >> 2, at[2:4])),
                         kept.eq(status)]  # fmt: skip
        with m.Switch(shown):
            with m.Case(ID >> 2):
                m.d.comb += slave.read_data.eq(MAGIC)
            with m.Case(MAP >> 2):
                m.d.comb += slave.read_data.eq(self.map.hash)
            with m.Case(STATUS >> 2):
                m.d.comb += slave.read_data.eq(kept)
            with m.Default():
                m.d.comb += slave.read_refused.eq(1)
