from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator
from benching import check
from writables import LINES

from hw.choosing import designs
from hw.clocked import check_clock, meet
from hw.cost import FpgaCost
from hw.design import design
from hw.design.staging import staging, with_stages
from hw.fixed import clip, saturate, shape_of
from hw.pipeline import Pipe
from hw.placed import Path, Placed
from hw.request import Request
from hw.units.unary import emit
from nnlut_train.errors import InfeasibleError, UsageError
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.tables import PwlTable
from sim.golden import LanesSpec, PwlSpec, WritableSpec, spec_from_json

PLAIN = PwlTable(
    Format(True, 6, 3), Format(True, 6, 3), Format(True, 5, 4), Format(True, 7, 5),
    (-17, -3, 0, 9, 20, 25), (1, 5, 9, -7, 3, -16, 15), (0, 9, -4, 30, 12, -64, 63),
)  # fmt: skip


def folded(kind):
    return PwlTable(
        Format(True, 6, 3), Format(True, 6, 3), Format(True, 5, 4), Format(True, 7, 5),
        (3, 7, 12), (1, 5, 9, -7), (0, 9, -4, 30), fold=Fold(kind, Format(False, 5, 3)),
    )  # fmt: skip


TABLES = {
    "plain": PLAIN,
    "one line": replace(PLAIN, breakpoints=(), slopes=(5,), intercepts=(-9,)),
    **{kind: folded(kind) for kind in ("odd", "even", "complement", "relu")},
}


def results(spec, codes):
    """Run codes through the stages of `spec`, one a clock."""
    m = Module()
    code = Signal(shape_of(spec.input))
    out = Signal(shape_of(spec.output))
    m.d.comb += out.eq(emit(spec, Pipe(m, 1), code))
    found = []
    simulator = Simulator(m)
    simulator.add_clock(1e-8)

    async def testbench(ctx):
        for number in range(len(codes) + spec.latency):
            ctx.set(code, int(codes[min(number, len(codes) - 1)]))
            await ctx.tick()
            found.append(ctx.get(out))

    simulator.add_testbench(testbench)
    simulator.run()
    return found[spec.latency - 1 : -1][: len(codes)]


@pytest.mark.parametrize("name", TABLES)
def test_every_number_of_stages_computes_the_table(name):
    most = len(PwlSpec(TABLES[name]).steps.names)
    for stages in dict.fromkeys((1, 2, 3, 5, most - 1, most)):
        spec = PwlSpec(TABLES[name], stages)
        codes = spec.input.codes()
        assert results(spec, codes) == spec.compute(codes).tolist(), stages


@pytest.mark.parametrize("signed_input", [True, False])
def test_wide_multiplication_takes_several_stages(signed_input):
    form = Format(signed_input, 20, 3)
    table = replace(PLAIN, input=form, output=Format(True, 16, 3),
                    breakpoints=(100, 3000, 70000, 2**18), slopes=(1, -16, 15, 7, -3),
                    intercepts=(0, 9, -64, 63, 5))  # fmt: skip
    steps = PwlSpec(table).steps
    assert [name for name, _ in steps.names].count("chunk") == 2
    codes = np.random.default_rng(1).integers(form.min, form.max + 1, 200)
    codes = np.concatenate([[form.min, form.max, 0], codes])
    for stages in (2, len(steps.names)):
        spec = PwlSpec(table, stages)
        assert results(spec, codes) == spec.compute(codes).tolist(), stages


@pytest.mark.parametrize("stages", [1, 5])
def test_stalls_and_lanes(stages):
    check(LanesSpec(PwlSpec(TABLES["relu"], stages), 2))


def test_writable():
    most = len(PwlSpec(LINES).steps.names)
    check(WritableSpec(PwlSpec(LINES, most)))


def test_default_stages_are_where_they_were():
    assert PwlSpec(PLAIN).steps.ends(None) == (4, 5, len(PwlSpec(PLAIN).steps.names))


def test_clip_is_saturate():
    for shape in (signed(6), unsigned(6), signed(3), unsigned(3)):
        m, value = Module(), Signal(shape)
        pairs = []
        for form in (Format(True, 4, 0), Format(False, 4, 0), Format(True, 1, 0),
                     Format(False, 6, 0), Format(True, 8, 0)):  # fmt: skip
            pair = Signal(signed(10)), Signal(signed(10))
            m.d.comb += [pair[0].eq(clip(value, form)), pair[1].eq(saturate(value, form))]
            pairs.append(pair)

        async def testbench(ctx, shape=shape, value=value, pairs=pairs):
            low = -(1 << shape.width - 1) if shape.signed else 0
            for code in range(low, low + (1 << shape.width)):
                ctx.set(value, code)
                for clipped, saturated in pairs:
                    assert ctx.get(clipped) == ctx.get(saturated)

        simulator = Simulator(m)
        simulator.add_testbench(testbench)
        simulator.run()


def test_request():
    request = Request("sigmoid", bits=4, entries=4, stages=6)
    spec = design(request, "pwl")
    assert (request.wanted, spec.stages, spec.latency) == (("pwl",), 6, 6)
    assert Request("sigmoid", bits=4, stages=4).wanted == Request("sigmoid", bits=4).wanted
    assert design(Request("gelu", bits=6, arch="indexed", stages=4), "indexed").latency == 4


def test_auto_leaves_out_what_cannot_have_so_many_stages():
    specs, refused = designs(Request("tanh", bits=5, stages=3))
    assert set(specs) >= {"pwl", "indexed", "multipartite"}
    assert refused["direct"] == "--stages must be 1 for this unit, not 3"
    with pytest.raises(UsageError, match=r"^pwl: --stages must be 1 to \d+ for this .*; direct: "):
        designs(Request("tanh", bits=5, stages=99))
    with pytest.raises(InfeasibleError, match=r"^--stages must be 1 for this unit, not 2$"):
        designs(Request("tanh", bits=5, arch="direct", stages=2))


def test_stages_of_what_is_around_a_table():
    table = PwlSpec(TABLES["odd"])
    most = len(table.steps.names)
    lanes = WritableSpec(LanesSpec(table, 2))
    assert (staging(lanes).fewest, staging(lanes).most) == (1, most)
    assert with_stages(lanes, 4).latency_of(1) == 4
    exp = design(Request("exp", bits=6, entries=4), "pwl")
    able = staging(exp)
    assert (able.fewest, len(able.parts), able.fixed) == (3, 3, 0)
    assert with_stages(exp, 7).latency == 7
    with pytest.raises(InfeasibleError, match=f"^--stages must be 3 to {able.most} for this"):
        with_stages(exp, 2)


def test_stages_are_shared_so_that_the_longest_is_short():
    able = staging(design(Request("exp", bits=6, entries=4), "pwl"))
    for stages in range(able.fewest, able.most + 1):
        counts = able.share(stages)
        assert sum(counts) == stages
        every = product(*(range(1, part.most + 1) for part in able.parts))
        best = min(
            max(part.steps.lengths(count)[0] for part, count in zip(able.parts, each, strict=True))
            for each in every if sum(each) <= stages
        )  # fmt: skip
        assert able.lengths(stages)[0] == best


@pytest.mark.parametrize("op", ["exp", "reciprocal"])
def test_stages_before_and_behind_a_table(op):
    spec = design(Request(op, bits=6, arch="indexed"), "indexed")
    able = staging(spec)
    # By default each has one, and the description says nothing of it.
    assert {"before", "after"}.isdisjoint(spec.describe())
    codes = spec.input.codes()
    for stages in (able.fewest, able.fewest + 3, able.most - 1, able.most):
        cut = with_stages(spec, stages)
        assert spec_from_json(cut.describe()) == cut
        assert results(cut, codes) == spec.compute(codes).tolist(), stages
    assert (cut.after or 1) > 1
    with pytest.raises(UsageError, match=rf"{op}.after must be 1 to \d, not 9$"):
        replace(spec, after=9)


def test_a_wide_constant_is_two_products():
    spec = design(Request("exp", bits=7, arch="indexed"), "indexed")
    # More fraction bits of the same factor.
    more = 20
    spec = replace(spec, factor=spec.factor << more, factor_frac=spec.factor_frac + more)
    codes = spec.input.codes()
    assert ("join", 0) in spec.parts["before"].names
    for before in (None, 2, 4):
        cut = replace(spec, before=before)
        assert results(cut, codes) == spec.compute(codes).tolist(), before


def test_units_whose_stages_cannot_be_chosen():
    direct = design(Request("gelu", bits=4, arch="direct"), "direct")
    assert with_stages(direct, 1) is direct
    with pytest.raises(InfeasibleError, match=r"^--stages must be 1 for this unit, not 2$"):
        with_stages(direct, 2)
    with pytest.raises(UsageError, match=r"^--stages goes with unary functions, not with softmax"):
        Request("softmax", stages=4)


def placed(mhz):
    """Return a cost with a clock."""
    found = Placed("up5k", "SG48", "UP", "nextpnr", None, {"1": mhz}, {},
                   {"luts": 0, "flip_flops": 0}, Path("a", "b", 1.0, 1.0, 0.0, 1))  # fmt: skip
    return FpgaCost("x", "ice40", "Yosys", "auto", {}, 0, 10, 0, 0, 0, 0, 0, {}, found)


def test_fewest_stages_that_meet_the_clock():
    told = []
    # As if one stage had 100 MHz, two 200, ...
    found = meet(
        PwlSpec(PLAIN), 2.5, lambda spec: str(spec.stages),
        lambda verilog: placed(100.0 * int(verilog)), told.append,
    )  # fmt: skip
    assert (found.spec.stages, found.verilog, found.cost.placed.median) == (4, "4", 400.0)
    assert list(found.tries) == told
    assert [one.stages for one in told] == sorted({one.stages for one in told})
    assert told[-1].slack_ns == 0.0
    assert all(one.slack_ns < 0 for one in told[:-1])
    with pytest.raises(InfeasibleError, match=r"^no number of stages meets --clock-ns 0\.1: the b"):
        meet(PwlSpec(PLAIN), 0.1, lambda spec: "", lambda verilog: placed(100.0))


def test_a_clock_needs_a_target_with_timing():
    check_clock("ecp5", 5.0, False)
    check_clock("generic", 5.0, True)
    for target in ("generic", "xilinx"):
        with pytest.raises(UsageError, match=r"^--clock-ns goes with a first --target of ecp5 or"):
            check_clock(target, 5.0, False)
    with pytest.raises(UsageError, match=r"^--clock-ns must be above 0, not 0$"):
        check_clock("ecp5", 0.0, False)
