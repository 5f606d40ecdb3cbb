"""The judge of the tests of writable units."""

from dataclasses import replace

import numpy as np

from nnlut_train.tables import PwlTable
from sim.golden.register_map import CONTROL, ID, MAGIC, MAP, STATUS, register_map

OKAY, SLVERR = 0, 2


def without_empty_segments(breakpoints, slopes, intercepts):
    """Return the same lines with strictly ascending breakpoints: the driver repeats the last."""
    keep = [0, *(i + 1 for i, edge in enumerate(breakpoints)
                 if i + 1 == len(breakpoints) or breakpoints[i + 1] > edge)]  # fmt: skip
    edges = tuple(breakpoints[i - 1] for i in keep[1:])
    return edges, tuple(slopes[i] for i in keep), tuple(intercepts[i] for i in keep)


class Judge:
    """Follows a unit clock by clock: what each write must do, and which tables each row sees.

    A row is computed with the tables of the last commit that was written before the row's first
    beat was accepted; a row that comes later waits for them.
    """

    def __init__(self, spec, unit, rst):
        self.spec, self.unit, self.rst, self.map = spec, unit, rst, register_map(spec)
        self.refused = self.commits = self.waited = 0
        #: Whether the simulation is over, and whether the results are left alone.
        self.ended = self.stuck = False
        self.reset()

    def reset(self):
        """Begin as after a reset."""
        # The tables of the build are committed in the first clock.
        self.pending, self.inside, self.position = True, 0, 0
        self.responses, self.reads, self.rows, self.results = [], [], [], []
        #: By the address of a word: what the shadow holds.
        self.shadow, self.places = {}, {}
        #: By the name of a table by the position: how many entries were written since the last
        #: reset or commit.
        self.entries = {block.name: 0 for block in self.map.blocks
                        if not isinstance(block.table, PwlTable)}  # fmt: skip
        for block in self.map.blocks:
            for array in block.arrays:
                codes = [(value, word) for value in block.values(array)
                         for word in range(array.words)]  # fmt: skip
                for index, (value, word) in enumerate(codes):
                    self.places[array.address + 4 * index] = array, word
                    self.shadow[array.address + 4 * index] = value >> 32 * word & 0xFFFFFFFF
        self.versions = [self.tables()]

    def codes(self, array):
        """Return what the shadow holds of an array."""
        values, words = [], array.words
        for position in range(array.count):
            at = array.address + 4 * words * position
            value = sum(self.shadow[at + 4 * word] << 32 * word for word in range(words))
            negative = array.format.signed and value >> (32 * words - 1)
            values.append(value - (negative << 32 * words))
        return tuple(values)

    def tables(self):
        """Return the unit with the tables of the shadow."""
        found = {}
        for block in self.map.blocks:
            arrays = {array.name: self.codes(array) for array in block.arrays}
            if isinstance(block.table, PwlTable):
                fields = without_empty_segments(
                    arrays.get("breakpoints", ()), arrays["slopes"], arrays["intercepts"]
                )
                arrays = dict(zip(("breakpoints", "slopes", "intercepts"), fields, strict=True))
            else:
                arrays["values"] += block.table.values[len(arrays["values"]) :]
            found[block.name] = replace(block.table, meta={}, **arrays)
        return self.spec.with_tables(found)

    def begun(self):
        """Return the tables by the position that are written in part: no commit until they are."""
        return [block.name for block in self.map.blocks
                if 0 < self.entries.get(block.name, 0) < block.arrays[0].count]  # fmt: skip

    def behind(self, address):
        """Return a table by the position that has `address`, and how far that is from the next."""
        for block in self.map.blocks:
            at = (address - block.arrays[0].address) // 4
            if block.name in self.entries and 0 <= at < block.arrays[0].count:
                return block.name, at - self.entries[block.name]
        return None, 0

    def good(self, address, word, strb):
        """Return whether a write must be done."""
        if strb != 15:
            return False
        if address == CONTROL:
            return word < 4 and not (word & 1 and (self.pending or self.begun()))
        if address not in self.places or self.pending or self.behind(address)[1] > 0:
            return False
        array, part = self.places[address]
        form, shift = array.format, 32 * part
        value = word - (form.signed and word >> 31) * (1 << 32)
        return part < array.words - 1 or form.min >> shift <= value <= form.max >> shift

    def written(self, address, word, strb):
        """Take note of a write."""
        good = self.good(address, word, strb)
        self.responses.append(OKAY if good else SLVERR)
        self.refused += not good
        if good and address == CONTROL and word & 1:
            self.pending = True
            self.commits += 1
            self.versions.append(self.tables())
            self.entries = dict.fromkeys(self.entries, 0)
        elif good and address != CONTROL:
            self.shadow[address] = word
            name, distance = self.behind(address)
            if name is not None and distance == 0:
                self.entries[name] += 1

    def read(self, address, flags):
        """Take note of a read."""
        status = self.pending | flags << 1
        answers = {ID: MAGIC, MAP: self.map.hash, STATUS: status}
        self.reads.append((answers[address], OKAY) if address in answers else (0, SLVERR))

    async def watch(self, ctx):
        """Follow the unit to the end."""
        unit, bus = self.unit, self.unit.bus
        flags = [getattr(unit, f"o_{flag}") for flag in self.map.flags]
        handshakes = [wire for channel in (unit.i, unit.o, bus.aw, bus.w, bus.b, bus.ar, bus.r)
                      for wire in (channel.valid, channel.ready, channel.payload)]  # fmt: skip
        waiting = {}
        async for _, rst, *sampled in ctx.tick().sample(*handshakes, *flags):
            if self.ended:
                break
            if rst:
                self.reset()
                waiting = {}
                continue
            entering, leaving, aw, w, b, ar, r = (sampled[at : at + 3] for at in range(0, 21, 3))
            raised = sum(flag << bit for bit, flag in enumerate(sampled[21:]))
            # What is offered stays until it is taken.
            for name, (valid, ready, payload) in (("o", leaving), ("b", b), ("r", r)):
                assert waiting.get(name, payload) == payload, name
                assert valid or name not in waiting, name
                waiting.pop(name, None)
                if valid and not ready:
                    waiting[name] = payload
            enters, leaves, writes, answers, asks, reads = (
                valid and ready for valid, ready, _ in (entering, leaving, aw, b, ar, r)
            )
            assert writes == (w[0] and w[1])
            closed = self.pending and self.position == 0
            assert not (closed and enters), "a row enters before the commit is done"
            self.waited += closed and entering[0] and len(self.versions) > 1
            taken = closed and self.inside == 0
            if leaves:
                self.results.append(leaving[2])
            if enters:
                self.enter(entering[2])
            if answers:
                assert b[2].resp == self.responses.pop(0)
            if reads:
                assert (r[2].data, r[2].resp) == self.reads.pop(0)
            if asks:
                self.read(ar[2].addr, raised)
            if writes:
                self.written(aw[2].addr, w[2].data, w[2].strb)
            if taken:
                self.pending = False
            self.inside += bool(enters) - bool(leaves)

    def enter(self, beat):
        """Take note of a beat."""
        if self.position == 0:
            self.rows.append((len(self.versions) - 1, []))
        self.rows[-1][1].append(beat)
        longest = self.spec.beats(self.spec.longest)
        ends = beat.last or self.position == longest - 1
        self.position = 0 if ends or not longest else self.position + 1

    def elements(self, beat):
        """Return the codes of a beat."""
        if self.spec.lanes == 1:
            return [beat.data]
        return [code for lane, code in enumerate(beat.data) if beat.keep >> lane & 1]

    def compute(self, version, row):
        """Return the results of a row by the golden model."""
        codes = np.array([code for beat in row for code in self.elements(beat)])
        if not self.spec.user_bits:
            return self.versions[version].compute(codes).tolist()
        users = [beat.user >> lane if self.spec.mask else beat.user
                 for beat in row for lane in range(len(self.elements(beat)))]  # fmt: skip
        users = np.array(users) & 1 if self.spec.mask else np.array(users)
        return self.versions[version].compute(codes, users).tolist()

    def verdict(self):
        """Compare all results; return of how many rows those of other tables differ."""
        assert len(self.results) == sum(len(row) for _, row in self.rows)
        return self.so_far()

    def so_far(self):
        """Compare the rows whose results are all there, as `verdict` does."""
        results, told, left = iter(self.results), 0, len(self.results)
        for version, row in self.rows:
            left -= len(row)
            if left < 0:
                break
            wanted = self.compute(version, row)
            found = [code for _ in row for code in self.elements(next(results))]
            assert found == wanted, f"tables {version} of {len(self.versions)}: {row}"
            others = range(max(version - 1, 0), min(version + 2, len(self.versions)))
            told += any(self.compute(other, row) != wanted for other in others)
        return told
