"""Faults planted in tables, pipelines and arithmetic: the bench must catch each.

It must pass the unit without the fault, too. Faulty streams are in test_stream_faults.py.
"""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Const, Mux
from faults import UNITS, caught, spec_of

import hw.units.exp
import hw.units.log
import hw.units.pwl
import hw.units.reciprocal
import hw.units.scale
import hw.units.softmax
from hw.pipeline import Pipe
from hw.units import unit_of
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.beats import expected
from sim.bench import run_bench
from sim.golden import ExpSpec, LogSpec, ReciprocalSpec, SoftmaxSpec
from sim.stimuli import Stimulus, stimuli

# A flipped bit of a table.


def flips(table, name, bits):
    """Yield the table with each single bit of the field `name` flipped that makes a difference."""
    codes = table.input.codes()
    good = table.lookup(codes)
    values = getattr(table, name)
    form = table.argument if name == "breakpoints" else getattr(table, name.removesuffix("s"))
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
        ("tanh", "pwl", "slopes"),
        ("tanh", "pwl", "intercepts"),
        ("tanh", "pwl", "breakpoints"),
    ],
)
def test_every_flipped_bit_of_a_small_table_is_caught(op, arch, name):
    spec = spec_of(op, 4, arch, entries=5 if arch == "pwl" else None)
    run_bench(spec, unit_of(spec))
    tried = 0
    for bad in flips(spec.table, name, None):
        tried += 1
        caught(spec, unit_of(replace(spec, table=bad)))
    assert tried >= 3


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
@pytest.mark.parametrize(
    ("op", "field"), [("exp", "fraction"), ("rsqrt", "mantissa"), ("log", "mantissa")]
)
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


def last_stage(name):
    """Return the module that has the last stages of a unit."""
    return hw.units.scale if name in ("exp", "reciprocal") else getattr(hw.units, name)


# A pipeline register too many or too few.


def names_aligned(spec, monkeypatch):
    """Return the names of the values that the unit aligns over at least one stage."""
    names = set()
    align = Pipe.align

    def spy(self, value, stage, name, *, reset=False):
        if stage < self.stage and not isinstance(value, Const):
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


@pytest.mark.parametrize("name", ["pwl", "exp", "reciprocal", "log"])
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
    "pwl": lambda: spec_of("gelu", fold="none"),
    "reciprocal": lambda: spec_of("reciprocal", output_frac=6),
    "log": lambda: spec_of("log", output_frac=6),
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
    monkeypatch.setattr(last_stage(name), "saturate", cut_off)
    caught(spec)


def test_a_dropped_overflow_of_exp_is_caught(monkeypatch):
    spec = spec_of("exp")
    real = hw.units.scale.Mux

    def faulty(condition, yes, no):
        # The one that puts the largest code in place of results from 2**integer_bits on.
        return no if isinstance(yes, Const) and yes.value == spec.output.max else real(
            condition, yes, no
        )  # fmt: skip

    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(hw.units.scale, "Mux", faulty)
    caught(spec)


@pytest.mark.parametrize(("name", "end"), [("reciprocal", "max"), ("log", "min")])
def test_a_wrong_result_for_zero_is_caught(monkeypatch, name, end):
    spec, module = spec_of(name), last_stage(name)
    wanted, real = getattr(spec.output, end), module.Mux

    def faulty(condition, yes, no):
        at_zero = isinstance(yes, Const) and yes.value == wanted
        return real(condition, Const(0) if at_zero else yes, no)

    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(module, "Mux", faulty)
    assert f"must be [{wanted}]" in caught(spec)


@pytest.mark.parametrize(
    "fault",
    [{"factor": 0}, {"factor": 89 << 6}, {"input": Format(False, 8, 5)},
     {"input": Format(False, 8, 3)}],
    ids=["no exponent", "ln 2 of 7 bits", "exponent too small", "exponent too large"],
)  # fmt: skip
def test_a_wrong_exponent_of_log_is_caught(fault):
    spec = spec_of("log")
    assert spec.factor == 5678
    run_bench(spec, unit_of(spec))
    caught(spec, unit_of(replace(spec, **fault)))


@pytest.mark.parametrize("name", ["pwl", "exp", "reciprocal", "log", "softmax"])
def test_truncation_in_place_of_rounding_is_caught(monkeypatch, name):
    spec = UNITS[name]()
    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(last_stage(name), "round_shift", truncate)
    caught(spec)


def test_rounding_half_down_is_caught(monkeypatch):
    def half_down(value, shift):
        return (value + (1 << (shift - 1)) - 1) >> shift

    # Of all codes, some sum is a tie.
    spec = spec_of("gelu", fold="none")
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
    if isinstance(spec, LogSpec | ReciprocalSpec):
        inner = spec.mantissa
        seen = inner.input.codes()
        return replace(spec, mantissa=replace(inner, table=with_steps(inner.table, seen)))
    seen = codes if spec.table.fold is None else spec.table.fold.arguments(codes)
    return replace(spec, table=with_steps(spec.table, seen))


@pytest.mark.parametrize("name", ["pwl", "exp", "reciprocal", "log", "softmax"])
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
    monkeypatch.setattr(hw.units.pwl, "comparator_tree", tree)
    caught(spec)
