"""Faults planted in streams, resets, rows and statements: the bench must catch each.

It must pass the unit without the fault, too.
"""

import gc
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Const, DomainRenamer, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from faults import UNITS, caught, spec_of

import hw.units.row_pass
from hw.pipeline import Pipe
from hw.stream import beats
from hw.units import unit_of
from sim.bench import run_bench
from sim.golden import SoftmaxSpec, UnarySpec
from sim.stimuli import Stimulus, stimuli

# Streams: a faulty shell around a good unit.


class Shell(wiring.Component):
    """A unit behind wires; a subclass breaks one."""

    def __init__(self, spec, at=10):
        self.spec, self.at = spec, at
        super().__init__({"i": In(beats(spec.input)), "o": Out(beats(spec.output))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = unit_of(self.spec)
        m.d.comb += [
            unit.i.payload.eq(self.i.payload), unit.i.valid.eq(self.i.valid),
            self.i.ready.eq(unit.i.ready), self.o.payload.eq(unit.o.payload),
            self.o.valid.eq(unit.o.valid), unit.o.ready.eq(self.o.ready),
        ]  # fmt: skip
        self.break_(m, unit)
        return m

    def break_(self, m, unit):
        pass

    def count(self, m, event):
        """Return a count of `event` since reset; it does not wrap."""
        count = Signal(range(1 << 16))
        m.d.sync += count.eq(count + event)
        return count

    def stalled(self, m):
        """Return whether the output was stalled in the clock before."""
        stalled = Signal()
        m.d.sync += stalled.eq(self.o.valid & ~self.o.ready)
        return stalled


class LostResult(Shell):
    def break_(self, m, unit):
        here = self.count(m, unit.o.valid & unit.o.ready) == self.at
        with m.If(here):
            m.d.comb += [self.o.valid.eq(0), unit.o.ready.eq(1)]


class LostArgument(Shell):
    def break_(self, m, unit):
        here = self.count(m, self.i.valid & self.i.ready) == self.at
        with m.If(here):
            m.d.comb += [unit.i.valid.eq(0), self.i.ready.eq(1)]


class TwiceResult(Shell):
    def break_(self, m, unit):
        with m.If(self.count(m, self.o.valid & self.o.ready) == self.at):
            m.d.comb += unit.o.ready.eq(0)


class TwiceArgument(Shell):
    def break_(self, m, unit):
        with m.If(self.count(m, unit.i.valid & unit.i.ready) == self.at):
            m.d.comb += self.i.ready.eq(0)


class ValidWaitsForReady(Shell):
    def break_(self, m, unit):
        m.d.comb += self.o.valid.eq(unit.o.valid & self.o.ready)


class DataChangesWhileStalled(Shell):
    def break_(self, m, unit):
        # Only while nobody takes it: the beat that is taken is right.
        wrong = self.stalled(m) & ~self.o.ready
        m.d.comb += self.o.payload.data.eq(unit.o.payload.data ^ wrong)


class LastChangesWhileStalled(Shell):
    def break_(self, m, unit):
        wrong = self.stalled(m) & ~self.o.ready
        m.d.comb += self.o.payload.last.eq(unit.o.payload.last ^ wrong)


class ValidFallsWhileStalled(Shell):
    def break_(self, m, unit):
        m.d.comb += [
            self.o.valid.eq(unit.o.valid & ~self.stalled(m)),
            unit.o.ready.eq(self.o.ready & ~self.stalled(m)),
        ]


class Hangs(Shell):
    def break_(self, m, unit):
        with m.If(self.count(m, self.i.valid & self.i.ready) >= self.at):
            m.d.comb += [self.i.ready.eq(0), unit.i.valid.eq(0)]


class InputWaits(Shell):
    def break_(self, m, unit):
        count = Signal(5, reset_less=False)
        m.d.sync += count.eq(count + 1)
        with m.If(count == 31):
            m.d.comb += [self.i.ready.eq(0), unit.i.valid.eq(0)]


class LastIsLost(Shell):
    def break_(self, m, unit):
        m.d.comb += self.o.payload.last.eq(0)


class LastIsEarly(Shell):
    def break_(self, m, unit):
        early = self.count(m, unit.o.valid & unit.o.ready) == self.at
        m.d.comb += self.o.payload.last.eq(unit.o.payload.last | early)


class Late(Shell):
    """A register stage more behind the unit: right results, one clock late."""

    def break_(self, m, unit):
        full, held = Signal(), Signal.like(self.o.payload.as_value(), reset_less=True)
        m.d.comb += [
            self.o.valid.eq(full), self.o.payload.eq(held), unit.o.ready.eq(~full | self.o.ready)
        ]  # fmt: skip
        with m.If(unit.o.ready):
            m.d.sync += [full.eq(unit.o.valid), held.eq(unit.o.payload)]


class Bubble(Shell):
    """A queue behind the unit that pauses once, so that the input need not wait."""

    def break_(self, m, unit):
        m.submodules.queue = queue = SyncFIFOBuffered(width=len(self.o.payload.as_value()), depth=9)
        pause = self.count(m, self.o.valid & self.o.ready) == self.at
        once = Signal()
        m.d.sync += once.eq(once | pause)
        m.d.comb += [
            queue.w_data.eq(unit.o.payload), queue.w_en.eq(unit.o.valid),
            unit.o.ready.eq(queue.w_rdy), self.o.payload.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy & ~(pause & ~once)),
            queue.r_en.eq(self.o.ready & ~(pause & ~once)),
        ]  # fmt: skip


class SurvivesReset(Shell):
    """The whole unit in a domain that has no reset."""

    def elaborate(self, platform):
        m = Module()
        m.domains.forever = forever = ClockDomain(reset_less=True, local=True)
        m.submodules.unit = unit = DomainRenamer("forever")(unit_of(self.spec))
        m.d.comb += [
            forever.clk.eq(ClockSignal("sync")),
            unit.i.payload.eq(self.i.payload), unit.i.valid.eq(self.i.valid),
            self.i.ready.eq(unit.i.ready), self.o.payload.eq(unit.o.payload),
            self.o.valid.eq(unit.o.valid), unit.o.ready.eq(self.o.ready),
        ]  # fmt: skip
        return m


WRONG_RESULT = r"beat \d+ must be \["

STREAM_FAULTS = {
    LostResult: WRONG_RESULT,
    LostArgument: WRONG_RESULT,
    TwiceResult: "the input had to wait|" + WRONG_RESULT,
    TwiceArgument: "the input had to wait|" + WRONG_RESULT,
    ValidWaitsForReady: "no progress after",
    DataChangesWhileStalled: r"a stalled beat changed at clock \d+",
    LastChangesWhileStalled: r"a stalled beat changed at clock \d+",
    ValidFallsWhileStalled: r"a stalled beat changed at clock \d+",
    Hangs: r"the input had to wait|no progress after \d+ of \d+ beats in",
    InputWaits: r"the input had to wait at clock \d+",
    LastIsLost: WRONG_RESULT,
    LastIsEarly: WRONG_RESULT,
    Late: r"the latency of a row of \d+ must be \d+ clocks, as the spec states, not \d+",
}


def test_a_shell_without_a_fault_passes(any_spec):
    run_bench(any_spec, Shell(any_spec))


@pytest.mark.parametrize("fault", STREAM_FAULTS, ids=lambda fault: fault.__name__)
def test_a_broken_stream_is_caught(any_spec, fault):
    message = caught(any_spec, fault(any_spec))
    assert re.search(STREAM_FAULTS[fault], message), message


@pytest.mark.parametrize("name", ["pwl", "exp", "softmax"])
def test_a_surplus_beat_at_the_very_end_is_caught(name):
    spec = UNITS[name]()
    row = np.resize(spec.input.codes(), 8)
    runs = [Stimulus("one row", [row])]
    # Counted from reset: the last result comes twice.
    message = caught(spec, TwiceResult(spec, at=7), runs)
    assert message.endswith("offers a beat more than it was given")


@pytest.mark.parametrize("name", ["pwl", "softmax"])
def test_a_pause_of_the_output_is_caught(name, monkeypatch):
    spec = UNITS[name]()
    runs = [stimuli(spec)[0]]
    real = type(spec).latency_of
    # The queue itself takes two clocks.
    monkeypatch.setattr(type(spec), "latency_of", lambda self, length: real(self, length) + 2)
    run_bench(spec, Bubble(spec, at=10**4), runs)
    assert "beats must take" in caught(spec, Bubble(spec, at=20), runs)


@pytest.mark.parametrize("name", ["pwl", "exp", "softmax", "softmax direct"])
def test_state_that_survives_reset_is_caught(name):
    spec = UNITS[name]()
    runs = [run for run in stimuli(spec) if run.reset_after]
    clean = Stimulus("no reset", runs[0].rows)
    # After its first row the unit is empty again, so that only a reset in mid-row shows it.
    run_bench(spec, SurvivesReset(spec), [clean])
    run_bench(spec, Shell(spec), runs)
    caught(spec, SurvivesReset(spec), runs)
    caught(spec, SurvivesReset(spec))


def without_resets(monkeypatch):
    register = Pipe._register
    monkeypatch.setattr(
        Pipe, "_register",
        lambda self, name, value, stage, *, reset=False: register(self, name, value, stage),
    )  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_valid_bits_without_a_reset_are_caught(name, monkeypatch):
    spec = UNITS[name]()
    without_resets(monkeypatch)
    caught(spec)


@pytest.mark.parametrize("name", ["softmax", "softmax direct"])
def test_valid_bits_of_later_passes_without_a_reset_are_caught(name, monkeypatch):
    spec = UNITS[name]()
    rows = [np.roll(np.arange(-4, 4), n) for n in range(6)]
    runs = [Stimulus("reset while three rows are inside", rows, reset_after=at)
            for at in range(17, 40)]  # fmt: skip
    run_bench(spec, unit_of(spec), runs)
    without_resets(monkeypatch)
    caught(spec, runs=runs)


# Wrong statements.


@pytest.mark.parametrize("change", [1, -1])
def test_a_wrong_latency_is_caught(any_spec, monkeypatch, change):
    kind = SoftmaxSpec if isinstance(any_spec, SoftmaxSpec) else UnarySpec
    right_of = kind.latency_of
    monkeypatch.setattr(kind, "latency_of", lambda self, length: right_of(self, length) + change)
    message = caught(any_spec)
    wrong, right = any_spec.latency_of(1), any_spec.latency_of(1) - change
    assert message == (
        f"the latency of a row of 1 must be {wrong} clocks, as the spec states, not {right}"
    )


def test_a_unit_with_another_number_of_stages_is_not_built(monkeypatch):
    spec = spec_of("gelu")
    monkeypatch.setattr(type(spec), "latency", property(lambda self: 4))
    message = ""
    with warnings.catch_warnings():
        # The module that was begun is of no use; Amaranth says so when it goes.
        warnings.simplefilter("ignore")
        try:
            unit_of(spec).elaborate(None)
        except AssertionError as error:
            message = str(error)
        gc.collect()
    assert message == "pwl has 3 stages, not 4"


# Faults of softmax alone.


def test_a_row_cut_at_another_length_is_caught():
    spec = spec_of("softmax", 6, length=8)
    run_bench(spec, unit_of(spec))
    caught(spec, unit_of(replace(spec, length=7)))


@pytest.mark.parametrize("name", ["maximum", "total"])
def test_a_statistic_of_the_row_before_is_caught(monkeypatch, name):
    # It begins with what the row before left.
    spec = spec_of("softmax", 6, length=8)
    real = hw.units.row_pass.Row.accumulate
    run_bench(spec, unit_of(spec))
    changed = []

    def faulty(self, shape, step, initial, called):
        if called == name:
            changed.append(called)
            self.first = Const(0, 1)
        return real(self, shape, step, initial, called)

    monkeypatch.setattr(hw.units.row_pass.Row, "accumulate", faulty)
    caught(spec)
    assert changed
