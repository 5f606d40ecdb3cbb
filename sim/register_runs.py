"""What a writable unit's manager does with its registers: loads tables, and is refused much."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from hw.lite import OKAY, SLVERR
from sim.golden import WritableSpec
from sim.golden.register_map import CONTROL, ID, MAGIC, MAP, STATUS, Control, register_map

from .random_tables import random_tables

__all__ = ["Kind", "Operation", "loading", "writes"]

#: All bytes of a word.
WHOLE = 0b1111
COMMIT = 1 << Control.COMMIT


class Kind(IntEnum):
    """What an operation does; ``harness.cpp`` has the same numbers."""

    WRITE = 0
    READ = 1
    #: Read until bit 0 is 0.
    POLL = 2
    #: Wait until `Operation.data` beats have left.
    WAIT = 3
    #: Let the sink be ready no more, and wait until it is offered a beat; or, with `data` 0, again.
    HALT = 4
    #: A reset; the beats begin again with the first.
    RESET = 5


@dataclass(frozen=True)
class Operation:
    """One access to the registers.

    Parameters
    ----------
    kind : Kind
        What it does.
    address, data : int
        Where; what is written, or must be read.
    mask : int
        Strobes of a write; bits that a read must have.
    response : int
        How it must be answered.
    commits : bool
        From it on, beats may be of the new tables.
    """

    kind: Kind
    address: int = 0
    data: int = 0
    mask: int = WHOLE
    response: int = OKAY
    commits: bool = False


#: Wait until a commit is done.
_COMMITTED = (Operation(Kind.POLL, STATUS, 0, 0),)


def writes(spec: WritableSpec) -> Iterator[tuple[int, int]]:
    """Yield address and word of all that is written to load the tables of `spec`."""
    for block in register_map(spec).blocks:
        for array in block.arrays:
            for index, value in enumerate(block.values(array)):
                for part in range(array.words):
                    place = array.address + 4 * (index * array.words + part)
                    yield place, value >> 32 * part & 0xFFFFFFFF


def _read(address: int, data: int) -> Operation:
    return Operation(Kind.READ, address, data, 0xFFFFFFFF)


def _refusals(spec: WritableSpec) -> list[Operation]:
    """Return accesses that must be answered by SLVERR, and change nothing."""
    layout = register_map(spec)
    arrays = [array for block in layout.blocks for array in block.arrays]
    taken = {array.address + 4 * word for array in arrays for word in range(array.size // 4)}
    free = [place for place in range(0, 1 << layout.address_bits, 4) if place not in taken]
    found = [Operation(Kind.READ, address, 0, 0, SLVERR)
             for address in (CONTROL, STATUS + 1, MAP + 2, arrays[0].address,
                             *(1 << bit for bit in range(4, layout.address_bits)))]  # fmt: skip
    refused = [(address, 0, WHOLE) for address in (ID, MAP, STATUS, *free[4::97], free[-1])]
    refused += [(CONTROL, 1 << bit, WHOLE) for bit in (2, 3, 7, 16, 31)]
    refused += [(CONTROL + 1, 1, WHOLE)]
    refused += [(CONTROL | 1 << bit, 1, WHOLE) for bit in range(4, layout.address_bits)
                if (CONTROL | 1 << bit) not in taken]  # fmt: skip
    for array in arrays:
        refused += [(array.address, 0, WHOLE ^ 1 << byte) for byte in range(4)]
        refused += [(array.address + low, 0, WHOLE) for low in (1, 2)]
        beyond = array.address + 4 * array.count * array.words
        if beyond < array.address + array.size:
            refused.append((beyond, 0, WHOLE))
        bits, signed = array.format.bits, array.format.signed
        if bits < 32:
            refused += [(array.address, 1 << bit, WHOLE) for bit in range(bits, 32)]
            if signed:
                refused.append((array.address, 1 << bits - 1, WHOLE))
                refused += [(array.address, 0xFFFFFFFF ^ 1 << bit, WHOLE)
                            for bit in range(bits - 1, 32)]  # fmt: skip
    return found + [Operation(Kind.WRITE, *words, SLVERR) for words in refused]


def loading(
    old: WritableSpec, new: WritableSpec, begin: int, draw: random.Random, *, resets: bool = False
) -> list[Operation]:
    """Return what loads the tables of `new` into a unit that has those of `old`, in traffic.

    The registers are read; all words are written in random order, first those of random tables,
    then those of `new`, with refused accesses of every kind between them; the commit waits for a
    sink that is not ready, and is seen to: nothing can be written then. After it, status is read
    until the commit is done; a second commit changes nothing.

    Parameters
    ----------
    old, new : WritableSpec
        The unit before and after: `WritableSpec.with_tables`.
    begin : int
        So many beats leave first.
    draw : random.Random
        Draws the order of the words, and where the refused accesses come.
    resets : bool
        Whether resets undo two loads before it.
    """
    layout = register_map(old)
    flags = (1 << 1 + len(layout.flags)) - 2
    status = Operation(Kind.READ, STATUS, 0, 0xFFFFFFFF ^ flags)
    found = [Operation(Kind.WAIT, data=begin), _read(ID, MAGIC), _read(MAP, layout.hash), status]
    if resets:
        found += _undone(old, new, begin, draw)
    refusals = _refusals(old)
    draw.shuffle(refusals)
    found += _shuffled(old.with_tables(random_tables(old, draw, full=True)), draw)
    words = _shuffled(new, draw)
    for number, word in enumerate(words):
        # Spread evenly, all of them.
        here = slice(
            number * len(refusals) // len(words), (number + 1) * len(refusals) // len(words)
        )
        found += [*refusals[here], word]
    found += [
        Operation(Kind.HALT, data=1),
        Operation(Kind.WRITE, CONTROL, COMMIT, commits=True),
        Operation(Kind.READ, STATUS, 1, 0xFFFFFFFF ^ flags),
        Operation(Kind.WRITE, CONTROL, COMMIT, response=SLVERR),
        replace(words[0], response=SLVERR),
        Operation(Kind.HALT, data=0),
        *_COMMITTED, _read(ID, MAGIC), status, *_again(),
    ]  # fmt: skip
    return found


def _undone(
    spec: WritableSpec, new: WritableSpec, begin: int, draw: random.Random
) -> list[Operation]:
    """Return loads that a reset undoes, before and after their commit.

    What is committed after a reset are the tables of the reset, though no word is written.
    """
    decoy = spec.with_tables(random_tables(spec, draw, full=True))
    reset = [Operation(Kind.RESET), Operation(Kind.WAIT, data=begin), *_again()]
    commit = [Operation(Kind.WRITE, CONTROL, COMMIT, commits=True), *_COMMITTED]
    return [*_shuffled(decoy, draw), *reset, *_shuffled(new, draw), *commit, *reset]


def _shuffled(spec: WritableSpec, draw: random.Random) -> list[Operation]:
    """Return the writes of all words of the tables of `spec`, in random order."""
    found = [Operation(Kind.WRITE, address, word) for address, word in writes(spec)]
    draw.shuffle(found)
    return found


def _again() -> list[Operation]:
    """Return a commit of what is there."""
    return [Operation(Kind.WRITE, CONTROL, COMMIT), *_COMMITTED]
