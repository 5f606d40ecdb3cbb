"""I-BERT's units, bit-exact against their golden models, and the divider in them."""

import random

import numpy as np
import pytest
from amaranth.hdl import Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from benching import check
from naive_ibert import ibert

from hw.pipeline import Pipe
from hw.units.divide import divide
from nnlut_train.formats import Format
from sim.golden import IExpSpec, IGeluSpec, ISqrtSpec
from sim.stimuli import Stimulus, stimuli


@pytest.mark.parametrize("op", ["exp", "gelu", "sqrt"])
@pytest.mark.parametrize(
    ("bits", "options"),
    [(4, {}), (8, {}), (6, {"input_frac": 0, "output_frac": 3}),
     (7, {"input_frac": 6, "output_frac": 1}), (5, {"input_frac": 14, "output_bits": 9})],
)  # fmt: skip
def test_unary_units_at_every_code(op, bits, options):
    spec = ibert(op, bits, **options)
    report = check(spec)
    assert report.throughput == 1.0
    full = next(run for run in report.runs if run.name == "all rows at full rate")
    assert full.beats == 1 << bits


@pytest.mark.parametrize("op", ["exp", "gelu", "sqrt"])
def test_12_bits_at_every_code(op):
    spec = ibert(op, 12)
    runs = [run for run in stimuli(spec) if run.name == "all rows at full rate"]
    assert check(spec, runs).beats == 1 << 12


def test_several_lanes():
    assert check(ibert("exp", 6, lanes=4)).throughput == 4


@pytest.mark.parametrize("seed", range(6))
def test_random_constants(seed):
    # Extremes that no scale gives: every carry, both saturations.
    draw = random.Random(seed)
    signed = bool(seed & 1)
    output = Format(bool(seed & 2), draw.randint(4, 9), draw.randint(0, 8))
    ln2 = draw.randint(1, 300)
    check(IExpSpec(
        Format(signed, 6, 3), output, draw.randint(0, 4), ln2, ln2 + draw.randint(0, 500),
        draw.randint(0, 5000), draw.randint(1, 1000), 12, not signed,
    ))  # fmt: skip
    check(IGeluSpec(
        Format(True, 6, 3), output, draw.randint(0, 4), -draw.randint(1, 300),
        -draw.randint(1, 90000), draw.randint(0, 9), -draw.randint(1, 900),
        -draw.randint(1, 1000), 16,
    ))  # fmt: skip
    output = Format(False, draw.randint(3, 8), draw.randint(1, 4))
    check(ISqrtSpec(
        Format(False, 6, draw.randint(-2, 4)), output,
        draw.randint(1, 3), draw.randint(1, 5), draw.randint(1, 5),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "options"),
    [(4, {"length": 1}), (6, {"length": 9}), (8, {"length": 3}), (6, {"length": 9, "mask": True}),
     (5, {"length": 12, "lanes": 2, "mask": True}), (6, {"length": 12, "lanes": 4}),
     (6, {"length": 32, "lanes": 16, "mask": True}), (10, {"length": 4, "output_bits": 6})],
)  # fmt: skip
def test_softmax(bits, options):
    spec = ibert("softmax", bits, **options)
    runs = [run for run in stimuli(spec) if len(run.rows) < 60]
    assert check(spec, runs).throughput == spec.lanes


def test_softmax_of_the_default_length():
    spec = ibert("softmax")
    rng = np.random.default_rng(2)
    rows = [rng.integers(-128, 127, n, endpoint=True) for n in (128, 1, 77, 128)]
    report = check(spec, [Stimulus("rows", rows), Stimulus("stalls", rows, 0.3, 0.3)])
    # Five stages of i-exp, nine of the divider.
    assert report.latency == {n: 2 * n + 5 + 9 + 6 for n in (1, 64, 128)}


@pytest.mark.parametrize(
    ("bits", "options"),
    [(8, {"length": 1}), (16, {"length": 5}),
     (9, {"length": 8, "lanes": 4, "output_bits": 12})],
)  # fmt: skip
def test_layernorm(bits, options):
    spec = ibert("layernorm", bits, **options)
    runs = [run for run in stimuli(spec) if len(run.rows) < 30]
    assert check(spec, runs).throughput == spec.lanes


def test_layernorm_of_a_long_row():
    spec = ibert("layernorm", length=64)
    rng = np.random.default_rng(3)
    rows = [rng.integers(-(2**15), 2**15, n) >> shift for n, shift in ((64, 0), (1, 0), (63, 9))]
    n = np.arange(64)
    rows += [np.where(n % 2, -(2**15), 2**15 - 1), np.where(n, 0, 2**15 - 1), np.full(64, 5)]
    check(spec, [Stimulus("rows", rows), Stimulus("stalls", rows[:2], 0.3, 0.3)])


@pytest.mark.parametrize("op", ["softmax", "layernorm"])
def test_reset_at_many_points(op):
    spec = ibert(op, 8, length=4)
    rng = np.random.default_rng(0)
    # Enough beats that every stage has some.
    rows = [rng.integers(-128, 127, n, endpoint=True) for n in (4, 3, 1) * 3]
    beats = sum(map(len, rows))
    check(spec, [Stimulus(f"reset after {at}", rows, reset_after=at) for at in range(1, beats, 7)])


class Divider(wiring.Component):
    """A divider whose operands are ports, or whose dividend is a constant."""

    def __init__(self, width, divisor_width, bits, per_stage, fixed=None):
        self.bits, self.per_stage, self.fixed = bits, per_stage, fixed
        super().__init__({"n": In(width), "d": In(divisor_width), "q": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        pipe = Pipe(m, Const(1, 1))
        dividend = self.n if self.fixed is None else Const(self.fixed, len(self.n))
        quotient = divide(pipe, dividend, self.d, self.bits, self.per_stage, "q")
        assert pipe.stage == -(-self.bits // self.per_stage)
        assert len(quotient) == self.bits
        m.d.comb += self.q.eq(quotient)
        return m


def quotients(unit, pairs):
    """Return the quotients of a stream of operands, one pair a clock."""
    latency, results = -(-unit.bits // unit.per_stage), []
    simulator = Simulator(unit)
    simulator.add_clock(1e-8)

    async def run(ctx):
        for n, d in [*pairs, *[(0, 1)] * latency]:
            ctx.set(unit.n, n)
            ctx.set(unit.d, d)
            results.append(ctx.get(unit.q))
            await ctx.tick()

    simulator.add_testbench(run)
    simulator.run()
    return results[latency:]


@pytest.mark.parametrize("per_stage", [1, 2, 3, 7])
@pytest.mark.parametrize("bits", [1, 4, 7])
def test_the_divider_at_every_pair_that_fits(bits, per_stage):
    pairs = [(n, d) for n in range(64) for d in range(1, 32) if n // d < 1 << bits]
    wanted = [n // d for n, d in pairs]
    assert quotients(Divider(6, 5, bits, per_stage), pairs) == wanted


def test_the_divider_of_a_constant():
    pairs = [(0, d) for d in range(37, 512)]
    unit = Divider(13, 9, 7, 2, fixed=4321)
    assert quotients(unit, pairs) == [4321 // d for _, d in pairs]
