"""Faults planted in the units: the bench must catch each, and pass the unit without it."""

import gc
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Const, DomainRenamer, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

import hw.units.exp
import hw.units.pwl
import hw.units.reciprocal
import hw.units.softmax
from hw.design import design
from hw.pipeline import Pipe
from hw.request import Request
from hw.stream import beats
from hw.units import unit_of
from nnlut_train.errors import StepError, UsageError
from nnlut_train.tables import PwlTable
from sim.bench import expected, run_bench
from sim.golden import ExpSpec, ReciprocalSpec, SoftmaxSpec, UnarySpec
from sim.stimuli import Stimulus, stimuli


def spec_of(op, bits=8, arch="pwl", **options):
    return design(Request(op, bits, arch=arch, **options), arch)


UNITS = {
    "pwl": lambda: spec_of("gelu"),
    "direct": lambda: spec_of("gelu", arch="direct"),
    "exp": lambda: spec_of("exp"),
    "reciprocal": lambda: spec_of("reciprocal"),
    "rsqrt": lambda: spec_of("rsqrt"),
    "softmax": lambda: spec_of("softmax", 6, length=8),
    "softmax direct": lambda: spec_of("softmax", 6, arch="direct", length=8),
}


@pytest.fixture(scope="module", params=UNITS)
def any_spec(request):
    """A specification whose unit passes the bench."""
    spec = UNITS[request.param]()
    run_bench(spec, unit_of(spec))
    return spec


def caught(spec, unit=None, runs=None):
    """Return what the bench says of a unit that has a fault."""
    with pytest.raises(StepError) as raised:
        run_bench(spec, unit_of(spec) if unit is None else unit, runs)
    return str(raised.value)


WRONG_RESULT = r"result \d+ must be \("


# A flipped bit of a table.


def flips(table, name, bits):
    """Yield the table with each single bit of the field `name` flipped that makes a difference."""
    codes = table.input.codes()
    good = table.lookup(codes)
    values = getattr(table, name)
    form = {"values": table.output, "breakpoints": table.input}.get(name)
    form = form or getattr(table, name[:-1])
    for index, value in enumerate(values):
        for bit in range(form.bits) if bits is None else bits:
            code = value ^ (1 << bit)
            if bit == form.bits - 1 and form.signed:
                code = value - (1 << bit) if value >= 0 else value + (1 << bit)
            changed = [*values[:index], code, *values[index + 1 :]]
            try:
                bad = replace(table, **{name: tuple(changed)})
            except UsageError:
                continue  # the order of the breakpoints forbids it
            if (bad.lookup(codes) != good).any():
                yield bad


@pytest.mark.parametrize(
    ("op", "arch", "name"),
    [
        ("gelu", "direct", "values"),
        ("gelu", "pwl", "slopes"),
        ("gelu", "pwl", "intercepts"),
        ("gelu", "pwl", "breakpoints"),
    ],
)
def test_every_flipped_bit_of_a_small_table_is_caught(op, arch, name):
    spec = spec_of(op, 4, arch, entries=5 if arch == "pwl" else None)
    run_bench(spec, unit_of(spec))
    tried = 0
    for bad in flips(spec.table, name, None):
        tried += 1
        caught(spec, unit_of(replace(spec, table=bad)))
    assert tried >= 4


@pytest.mark.parametrize(
    ("op", "arch", "name"),
    [
        ("tanh", "direct", "values"),
        ("tanh", "pwl", "slopes"),
        ("tanh", "pwl", "intercepts"),
        ("tanh", "pwl", "breakpoints"),
    ],
)
def test_flipped_low_bits_of_the_default_table_are_caught(op, arch, name):
    spec = spec_of(op, 8, arch)
    bad = list(flips(spec.table, name, [0, 1]))
    assert len(bad) >= 6
    for table in bad[:: max(1, len(bad) // 8)]:
        caught(spec, unit_of(replace(spec, table=table)))


@pytest.mark.parametrize("name", ["slopes", "intercepts", "breakpoints"])
@pytest.mark.parametrize(("op", "field"), [("exp", "fraction"), ("rsqrt", "mantissa")])
def test_a_flipped_bit_of_an_inner_table_is_caught(op, field, name):
    spec = spec_of(op)
    inner = getattr(spec, field)
    assert isinstance(inner.table, PwlTable)
    codes, tried = spec.input.codes(), 0
    good = spec.compute(codes)
    for table in flips(inner.table, name, [3, 5, 6]):
        bad = replace(spec, **{field: replace(inner, table=table)})
        if (bad.compute(codes) != good).any():
            tried += 1
            caught(spec, unit_of(bad))
        if tried == 4:
            break
    assert tried >= 2


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize(("unit", "field"), [("exp", "fraction"), ("reciprocal", "mantissa")])
def test_a_flipped_bit_of_a_table_in_softmax_is_caught(arch, unit, field):
    spec = spec_of("softmax", 6, arch, length=8)
    inner = getattr(spec, unit)
    rows = [row for run in stimuli(spec) for row in run.rows]
    good, tried = expected(spec, rows), 0
    holder = inner if hasattr(inner, "table") else getattr(inner, field)
    name = "values" if arch == "direct" else "intercepts"
    form = holder.table.output if arch == "direct" else holder.table.intercept
    for table in flips(holder.table, name, [form.bits - 3]):
        changed = replace(holder, table=table)
        new = changed if holder is inner else replace(inner, **{field: changed})
        bad = replace(spec, **{unit: new})
        if expected(bad, rows) != good:
            tried += 1
            caught(spec, unit_of(bad))
        if tried == 4:
            break
    assert tried == 4


# A pipeline register too many or too few.


def names_aligned(spec, monkeypatch):
    """Return the names of the values that the unit aligns over at least one stage."""
    names = set()
    align = Pipe.align

    def spy(self, value, stage, name, *, reset=False):
        if stage < self.stage:
            names.add(f"{self.name}{name}")
        return align(self, value, stage, name, reset=reset)

    with monkeypatch.context() as patch:
        patch.setattr(Pipe, "align", spy)
        run_bench(spec, unit_of(spec), [Stimulus("one", [spec.input.codes()[:1]])])
    return sorted(names)


@pytest.mark.parametrize("change", [1, -1])
def test_a_register_too_many_or_too_few_is_caught(any_spec, monkeypatch, change):
    names = names_aligned(any_spec, monkeypatch)
    if isinstance(any_spec, SoftmaxSpec):
        # Constant in a softmax: its exponentials do not overflow, and its sums are not 0.
        names = [name for name in names if not name.endswith(("_over", "_zero"))]
    assert len(names) >= 2
    align = Pipe.align
    for wrong in names:
        hit = []

        def faulty(self, value, stage, name, *, reset=False, wrong=wrong, hit=hit):
            if f"{self.name}{name}" != wrong or stage >= self.stage:
                return align(self, value, stage, name, reset=reset)
            hit.append(name)
            if change < 0:
                return align(self, value, stage + 1, name, reset=reset)
            value = align(self, value, stage, name, reset=reset)
            return self._register(f"{name}_late{len(hit)}", value, self.stage, reset=reset)

        with monkeypatch.context() as patch:
            patch.setattr(Pipe, "align", faulty)
            caught(any_spec)
        assert hit


@pytest.mark.parametrize("name", ["pwl", "exp", "reciprocal"])
def test_a_data_register_too_many_is_caught(monkeypatch, name):
    spec = UNITS[name]()
    cut = Pipe.cut

    def faulty(self, **values):
        found = cut(self, **values)
        if self.stage == 1:  # the first value of the first stage comes a clock later
            found[0] = self._register("late", found[0], 1)
        return found

    monkeypatch.setattr(Pipe, "cut", faulty)
    caught(spec)


# Wrong arithmetic.


def cut_off(value, form):
    """Drop what does not fit, in place of saturating."""
    value = value[: form.bits]
    return value.as_signed() if form.signed else value


def truncate(value, shift):
    """Drop low bits, in place of rounding them."""
    return value >> shift


SATURATING = {
    "pwl": lambda: spec_of("gelu"),
    "reciprocal": lambda: spec_of("reciprocal", output_frac=6),
    "exp": lambda: spec_of("exp", 10, output_frac=5, input_frac=6),
    "softmax": lambda: spec_of("softmax", 6, length=8),
}


@pytest.mark.parametrize("name", SATURATING)
def test_a_dropped_saturation_is_caught(monkeypatch, name):
    spec = SATURATING[name]()
    if name == "exp":
        # Results at the very top come from rounding up: the mantissa must be made to do so.
        table = spec.fraction.table
        top = table.output.max
        intercepts = [*table.intercepts[:-1], top << (table.intercept.frac - table.output.frac)]
        slopes = [*table.slopes[:-1], 0]
        assert intercepts[-1] <= table.intercept.max
        table = replace(table, intercepts=tuple(intercepts), slopes=tuple(slopes))
        spec = replace(spec, fraction=replace(spec.fraction, table=table))
    if name == "pwl":
        # Fitted lines keep to what the output holds: the last one must be made to leave it.
        table = spec.table
        intercepts = (*table.intercepts[:-1], table.intercept.max)
        table = replace(table, intercepts=intercepts, slopes=(*table.slopes[:-1], table.slope.max))
        spec = replace(spec, table=table)
    run_bench(spec, unit_of(spec))
    module = getattr(hw.units, name)
    monkeypatch.setattr(module, "saturate", cut_off)
    caught(spec)


def test_a_dropped_overflow_of_exp_is_caught(monkeypatch):
    spec = spec_of("exp")
    real = hw.units.exp.Mux

    def faulty(condition, yes, no):
        # The one that puts the largest code in place of results from 2**integer_bits on.
        return no if isinstance(yes, Const) and yes.value == spec.output.max else real(
            condition, yes, no
        )  # fmt: skip

    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(hw.units.exp, "Mux", faulty)
    caught(spec)


def test_a_wrong_result_for_zero_is_caught(monkeypatch):
    spec = spec_of("reciprocal")
    real = hw.units.reciprocal.Mux
    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(
        hw.units.reciprocal, "Mux", lambda condition, yes, no: real(condition, Const(0), no)
    )
    assert f"must be ({spec.output.max}," in caught(spec)


@pytest.mark.parametrize("name", ["pwl", "exp", "reciprocal", "softmax"])
def test_truncation_in_place_of_rounding_is_caught(monkeypatch, name):
    spec = UNITS[name]()
    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(getattr(hw.units, name), "round_shift", truncate)
    caught(spec)


def test_rounding_half_down_is_caught(monkeypatch):
    def half_down(value, shift):
        return (value + (1 << (shift - 1)) - 1) >> shift

    # Of all codes, some sum is a tie.
    spec = spec_of("gelu")
    table = spec.table
    codes = table.input.codes()
    i = table.segment(codes)
    sums = np.array(table.slopes)[i] * codes + (np.array(table.intercepts)[i] << table.align)
    assert (sums % (1 << table.shift) == 1 << (table.shift - 1)).any()
    monkeypatch.setattr(hw.units.pwl, "round_shift", half_down)
    caught(spec)


def with_steps(table, seen):
    """Return the table with lines far apart, and breakpoints at codes that are `seen`."""
    seen = np.unique(seen)
    edges = sorted(
        {int(seen[(i + 1) * len(seen) // table.entries]) for i in range(table.entries - 1)}
    )
    assert len(edges) == table.entries - 1
    step = table.intercept.max // 4
    lower = [max(v - step * (i % 2), table.intercept.min) for i, v in enumerate(table.intercepts)]
    return replace(table, breakpoints=tuple(edges), intercepts=tuple(lower))


def stepped(spec):
    """Return `spec` with a table in which ties occur, and matter."""
    codes = spec.input.codes()
    if isinstance(spec, SoftmaxSpec):
        return replace(spec, exp=stepped(spec.exp))
    if isinstance(spec, ExpSpec):
        inner = spec.fraction
        seen = (codes * spec.factor >> spec.drop) % (1 << inner.input.bits)
        return replace(spec, fraction=replace(inner, table=with_steps(inner.table, seen)))
    if isinstance(spec, ReciprocalSpec):
        inner = spec.mantissa
        seen = inner.input.codes()
        return replace(spec, mantissa=replace(inner, table=with_steps(inner.table, seen)))
    return replace(spec, table=with_steps(spec.table, codes))


@pytest.mark.parametrize("name", ["pwl", "exp", "reciprocal", "softmax"])
def test_a_tie_that_goes_left_is_caught(monkeypatch, name):
    def tree(code, breakpoints, leaves):
        if not breakpoints:
            return leaves[0]
        middle = len(breakpoints) // 2
        return Mux(
            code > breakpoints[middle],
            tree(code, breakpoints[middle + 1 :], leaves[middle + 1 :]),
            tree(code, breakpoints[:middle], leaves[: middle + 1]),
        )

    spec = stepped(UNITS[name]())
    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(hw.units.pwl, "_comparator_tree", tree)
    caught(spec)


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
    assert "results must take as many clocks" in caught(spec, Bubble(spec, at=20), runs)


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
    if isinstance(any_spec, SoftmaxSpec):
        monkeypatch.setattr(SoftmaxSpec, "OVERHEAD", SoftmaxSpec.OVERHEAD + change)
    else:
        stated = any_spec.latency + change
        monkeypatch.setattr(UnarySpec, "latency_of", lambda self, length: stated)
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


def test_a_maximum_of_the_row_before_is_caught(monkeypatch):
    # `first` never rises: the maximum runs on over the rows.
    spec = spec_of("softmax", 6, length=8)
    real = hw.units.softmax.Mux
    run_bench(spec, unit_of(spec))
    changed = []

    def faulty(condition, yes, no):
        if not changed and "first" in repr(condition):
            changed.append(True)
            return real(condition.operands[1], yes, no)
        return real(condition, yes, no)

    monkeypatch.setattr(hw.units.softmax, "Mux", faulty)
    caught(spec)
    assert changed
