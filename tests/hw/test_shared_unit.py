"""Shared units, bit-exact against their golden model."""

import random

import numpy as np
import pytest
from amaranth.hdl import Signal
from benching import check
from faults import caught

from hw import pipeline
from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.units import unit_of
from hw.units.shared import Shared
from hw.verilog import to_verilog
from nnlut_train.folding import FOLDS, Fold
from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.golden import LanesSpec, SharedSpec, WritableSpec
from sim.stimuli import Stimulus, stimuli

FIVE = "gelu,exp,tanh,sigmoid,silu"


def of(ops, bits=8, **options):
    return design(Request(ops, bits, **options), "pwl")


def every_pair(spec, seed=0):
    """Return a row of all codes of all numbers of functions in random order, and the numbers."""
    codes, users = np.meshgrid(spec.input.codes(), np.arange(1 << spec.user_bits))
    order = np.random.default_rng(seed).permutation(codes.size)
    return [codes.ravel()[order]], [users.ravel()[order]]


@pytest.mark.parametrize(
    "ops",
    [FIVE, "gelu,silu", "tanh,sigmoid", "exp,reciprocal", "rsqrt,reciprocal,exp",
     "softplus,cos,elu,sqrt,log,mish,hsigmoid,erf,exp2"],
)  # fmt: skip
def test_every_code_of_every_function(ops):
    spec = of(ops)
    rows, users = every_pair(spec)
    report = check(spec, [Stimulus("all", rows, steady=True, users=users)])
    assert report.beats == 256 << spec.user_bits
    assert report.latency == {1: 3}
    assert report.throughput == 1.0


@pytest.mark.parametrize("ops", [FIVE, "gelu,log"])
def test_a_function_a_beat_under_stalls(ops):
    spec = of(ops)
    rows, users = every_pair(spec, 1)
    check(spec, [Stimulus("stalls", rows, 0.3, 0.4, users=users)])
    check(spec, seed=1)


@pytest.mark.parametrize(("bits", "ops"), [(4, FIVE), (12, "gelu,tanh")])
def test_other_widths(bits, ops):
    spec = of(ops, bits, entries=16)
    (row,), (users,) = every_pair(spec)
    run = Stimulus("some", [row[:2000]], users=[users[:2000]])
    assert check(spec, [run]).beats == min(2000, row.size)


def test_16_bits_at_the_edges_of_every_segment():
    spec = of("gelu,exp", 16, entries=16)
    words = []
    for table in spec.functions:
        edges = np.array([*table.breakpoints, 0, table.input.min, table.input.max])
        near = edges[:, None] + np.array([-1, 0, 1])
        words.append(np.concatenate([near, -near]).ravel())
    row = np.tile(np.concatenate(words), 2)
    row = (row - spec.input.min) % (1 << 16) + spec.input.min
    users = np.arange(row.size) // (row.size // 2)
    check(spec, [Stimulus("edges", [row], users=[users])])


def random_table(draw, form, output, shift, align, kind):
    """Return a table with extreme coefficients."""
    fold = kind and Fold(kind, Format(False, form.bits, form.frac))
    argument = fold.magnitude if fold else form
    frac = shift + output.frac
    slope = Format(draw.random() < 0.5, draw.randint(2, 6), frac - form.frac)
    intercept = Format(draw.random() < 0.5, draw.randint(2, 9), frac - align)
    count = draw.randint(0, 6)
    edges = sorted(draw.sample(range(argument.min, argument.max + 1), count))

    def values(of):
        return tuple(draw.choice([of.min, of.max, draw.randint(of.min, of.max)])
                     for _ in range(count + 1))  # fmt: skip

    return PwlTable(
        form, output, slope, intercept, tuple(edges), values(slope), values(intercept), fold=fold
    )


def random_spec(seed):
    """Return a shared unit of random formats: every fold, every sign, every saturation."""
    draw = random.Random(seed)
    shift = draw.randint(0, 5)
    align = draw.randint(0, shift)
    kinds = draw.choices([None, *FOLDS], k=draw.randint(2, 5))
    tables = []
    for kind in kinds:
        form = Format(kind is not None or draw.random() < 0.5, 5, draw.randint(0, 4))
        # What unfolds a sum has no fraction bit that the sum lacks.
        low = form.frac - shift if kind == "relu" else -shift
        output = Format(draw.random() < 0.5, 6, draw.randint(low, low + 5))
        tables.append(random_table(draw, form, output, shift, align, kind))
    return SharedSpec(tuple(tables))


@pytest.mark.parametrize("seed", range(12))
def test_random_tables(seed):
    spec = random_spec(seed)
    rows, users = every_pair(spec)
    for unit in (spec, WritableSpec(spec)):
        check(unit, [Stimulus("all", rows, 0, 0.2, users=users)])


def test_sums_of_written_tables_do_not_overflow():
    # Written tables may have any coefficients: the adder is as wide as their formats ask.
    spec = of("tanh,exp,gelu", 5, entries=3)
    tables = tuple(
        PwlTable(t.input, t.output, t.slope, t.intercept, t.breakpoints,
                 (t.slope.max,) * t.entries, (t.intercept.max,) * t.entries, fold=t.fold)
        for t in spec.functions
    )  # fmt: skip
    writable = WritableSpec(spec)
    names = [name for name, _ in writable.tables()]
    extreme = writable.with_tables(dict(zip(names, tables, strict=True)))
    rows, users = every_pair(spec)
    check(extreme, [Stimulus("all", rows, users=users)])


@pytest.mark.parametrize("lanes", [2, 4])
def test_lanes_share_the_function_of_their_beat(lanes):
    spec = LanesSpec(of("gelu,exp,silu", 6), lanes)
    assert check(spec).throughput == lanes


def test_reset_at_many_points():
    spec = of("gelu,exp,silu", 6)
    rows, users = [np.arange(20)], [np.arange(20) % 4]
    check(spec, [Stimulus(f"reset after {at}", rows, 0, 0.4, reset_after=at, users=users)
                 for at in range(1, 9)])  # fmt: skip


def test_many_beats_under_random_stalls():
    spec = of("gelu,tanh", 6)
    rng = np.random.default_rng(0)
    rows = np.array_split(rng.integers(spec.input.min, spec.input.max, 10_000), 350)
    users = [rng.integers(0, 2, len(row)) for row in rows]
    run = Stimulus("many", rows, source_stall=0.2, sink_stall=0.25, users=users)
    assert check(spec, [run]).beats == 10_000


def test_a_wrong_function_is_caught():
    spec = of("tanh,sigmoid,exp", 6)
    swapped = SharedSpec((spec.functions[1], spec.functions[0], spec.functions[2]))
    assert "must be" in caught(spec, unit_of(swapped), stimuli(spec))


def test_a_function_of_the_beat_before_is_caught(monkeypatch):
    spec = of("tanh,sigmoid,exp", 6)
    elaborate = Shared.elaborate

    def late(unit, platform):
        class Late(pipeline.Pipe):
            def __setattr__(self, name, value):
                if name == "user" and value is not None:
                    delayed = Signal(value.shape())
                    self.m.d.sync += delayed.eq(value)
                    value = delayed
                super().__setattr__(name, value)

        with monkeypatch.context() as patch:
            patch.setattr("hw.units.unary.Pipe", Late)
            return elaborate(unit, platform)

    monkeypatch.setattr(Shared, "elaborate", late)
    assert "must be" in caught(spec, unit_of(spec), stimuli(spec))


def test_one_unit_is_much_smaller_than_three():
    def area(spec):
        return synthesize(to_verilog(spec, "unit", "unit"), "unit", "generic").size

    ops = ("gelu", "tanh", "silu")
    shared, single = area(of(",".join(ops))), [area(of(op)) for op in ops]
    assert 2 * shared < sum(single)
    assert shared < 1.3 * max(single)
