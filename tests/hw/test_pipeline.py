import pytest
from amaranth.hdl import ClockDomain, Const, Module, Signal, signed
from amaranth.sim import Simulator

from hw.pipeline import Pipe


class Bench:
    """A pipeline under construction with an input and an enable, and its simulation."""

    def __init__(self):
        self.m = Module()
        self.m.domains.sync = self.domain = ClockDomain()
        self.value, self.advance = Signal(8), Signal(init=1)
        self.pipe = Pipe(self.m, self.advance, "p_")

    def run(self, *watched, inputs, advance=None, reset_at=()):
        """Return the watched values after each clock, `inputs` applied before it."""
        seen = []

        async def testbench(ctx):
            for clock, value in enumerate(inputs):
                ctx.set(self.value, value)
                ctx.set(self.advance, 1 if advance is None else advance[clock])
                ctx.set(self.domain.rst, clock in reset_at)
                await ctx.tick()
                seen.append(tuple(ctx.get(signal) for signal in watched))

        simulator = Simulator(self.m)
        simulator.add_clock(1e-8)
        simulator.add_testbench(testbench)
        simulator.run()
        return seen


def test_cut_delays_by_one_clock_and_keeps_the_order():
    bench = Bench()
    a, b = bench.pipe.cut(a=bench.value, b=bench.value + 1)
    assert bench.pipe.stage == 1
    assert (a.name, b.name) == ("p_s1_a", "p_s1_b")
    assert bench.run(a, b, inputs=[5, 9, 7]) == [(5, 6), (9, 10), (7, 8)]
    bench = Bench()
    (a,) = bench.pipe.cut(a=bench.value)
    (b,) = bench.pipe.cut(b=a)
    assert bench.pipe.stage == 2
    assert b.name == "p_s2_b"
    assert bench.run(a, b, inputs=[5, 9, 7, 7]) == [(5, 0), (9, 5), (7, 9), (7, 7)]


def test_registers_have_the_shape_of_their_values():
    bench = Bench()
    a, b = bench.pipe.cut(a=bench.value.as_signed(), b=bench.value * 3)
    assert a.shape() == signed(8)
    assert b.shape() == (bench.value * 3).shape()
    later = bench.pipe.align(a, 1, "later")
    assert later is a, "a value of the present stage needs no register"
    bench.pipe.step()
    later = bench.pipe.align(a, 1, "later")
    assert later.shape() == signed(8)
    assert bench.run(a, later, inputs=[200, 3]) == [(-56, 0), (3, -56)]


def test_a_constant_needs_no_registers():
    bench = Bench()
    constant = Const(5, 3)
    for _ in range(3):
        bench.pipe.step()
        assert bench.pipe.align(constant, 0, "constant") is constant
    assert bench.run(constant, inputs=[1, 2]) == [(5,), (5,)]


@pytest.mark.parametrize("stages", [0, 1, 2, 5])
def test_align_brings_a_value_to_the_present_stage(stages):
    bench = Bench()
    for _ in range(stages):
        bench.pipe.step()
    late = bench.pipe.align(bench.value, 0, "late")
    inputs = [3, 1, 4, 1, 5, 9, 2, 6]
    seen = [value for (value,) in bench.run(late, inputs=inputs)]
    # After clock n the input of n - stages + 1 is there; without a stage the input itself.
    wanted = [0] * (stages - 1) + inputs[: len(inputs) - max(stages - 1, 0)]
    assert seen == wanted


def test_align_from_an_inner_stage():
    bench = Bench()
    (a,) = bench.pipe.cut(a=bench.value)
    bench.pipe.step()
    bench.pipe.step()
    late = bench.pipe.align(a, 1, "late")
    whole = bench.pipe.align(bench.value, 0, "whole")
    seen = bench.run(late, whole, inputs=[1, 2, 3, 4, 5])
    assert seen == [(0, 0), (0, 0), (1, 1), (2, 2), (3, 3)]


def test_align_shares_its_registers():
    bench = Bench()
    bench.pipe.step()
    bench.pipe.step()
    first = bench.pipe.align(bench.value, 0, "x")
    assert bench.pipe.align(bench.value, 0, "x") is first
    bench.pipe.step()
    third = bench.pipe.align(bench.value, 0, "x")
    assert third is not first
    assert bench.pipe.align(first, 2, "x") is third, "one more register behind the shared ones"
    other = Signal(8)
    assert bench.pipe.align(other, 0, "y") is not third
    assert bench.run(first, third, inputs=[1, 2, 3]) == [(0, 0), (1, 0), (2, 1)]


def test_temporary_values_do_not_share_a_register():
    # Expressions that are gone may leave their id to the next one.
    bench = Bench()
    bench.pipe.step()
    late = [bench.pipe.align(bench.value + n, 0, f"x{n}") for n in range(50)]
    assert len({id(signal) for signal in late}) == 50
    assert bench.run(*late, inputs=[7, 8]) == [tuple(7 + n for n in range(50)),
                                               tuple(8 + n for n in range(50))]  # fmt: skip


def test_all_registers_wait_together():
    bench = Bench()
    (a,) = bench.pipe.cut(a=bench.value)
    (b,) = bench.pipe.cut(b=a)
    late = bench.pipe.align(bench.value, 0, "late")
    seen = bench.run(a, b, late, inputs=[1, 2, 3, 4, 5], advance=[1, 1, 0, 0, 1])
    assert seen == [(1, 0, 0), (2, 1, 1), (2, 1, 1), (2, 1, 1), (5, 2, 2)]


def test_reset_clears_control_bits_alone():
    bench = Bench()
    (data,) = bench.pipe.cut(data=bench.value)
    control = bench.pipe.align(bench.value, 0, "control", reset=True)
    seen = bench.run(data, control, inputs=[3, 4, 5], reset_at={1})
    # Data is what comes in, or stays: it is never marked valid.
    assert [c for _, c in seen] == [3, 0, 5]
    assert seen[0][0] == 3
    assert seen[1][0] != 0
    assert data.reset_less
    assert not control.reset_less


def test_reset_clears_control_bits_of_a_pipeline_that_waits():
    bench = Bench()
    bench.pipe.step()
    control = bench.pipe.align(bench.value, 0, "control", reset=True)
    seen = bench.run(control, inputs=[3, 4], advance=[1, 0], reset_at={1})
    assert seen == [(3,), (0,)]
