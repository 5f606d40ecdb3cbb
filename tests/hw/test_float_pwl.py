"""Floating-point blocks and units against integers and NumPy."""

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator
from benching import check
from float_cases import pairs

from hw import floats
from hw.components import PARTS, components
from hw.cost import AsicCost
from hw.design import design
from hw.pipeline import Pipe
from hw.request import Request
from hw.synth import synthesize
from hw.units import unit_of
from nnlut_train.errors import UsageError
from nnlut_train.floats import FP16, FP32
from sim.bench import run_bench
from sim.golden import FloatPwlSpec
from sim.golden import floats as model
from sim.measure import measure
from sim.stimuli import Stimulus


@pytest.mark.parametrize("form", [FP16, FP32], ids=lambda form: form.name)
@pytest.mark.parametrize("op", ["multiply", "add"])
def test_blocks_are_the_integer_model(form, op):
    cases = pairs(form, 2500, seed=2)
    m, a, b, result = Module(), Signal(form.bits), Signal(form.bits), Signal(form.bits)
    pipe = Pipe(m, Const(1))
    m.d.comb += result.eq(getattr(floats, op)(pipe, a, b, form))
    found = []

    async def testbench(ctx):
        for left, right in [*cases, *[(0, 0)] * (pipe.stage - 1)]:
            ctx.set(a, left)
            ctx.set(b, right)
            await ctx.tick()
            found.append(ctx.get(result))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    expected = [getattr(model, op)(*case, form) for case in cases]
    assert found[pipe.stage - 1 :] == expected


def spec_of(precision, **options):
    return design(Request("gelu", precision=precision, entries=8, **options), "pwl")


def test_the_unit_is_its_model():
    spec = spec_of("fp16")
    run_bench(spec, unit_of(spec), seed=1)


@pytest.mark.parametrize("tables", ["rom", "writable"])
@pytest.mark.parametrize(("precision", "form"), [("fp16", FP16), ("fp32", FP32)])
def test_units_of_16_entries_are_their_model(precision, form, tables):
    spec = design(Request("gelu", precision=precision, entries=16, tables=tables), "pwl")
    assert spec.bare.table.entries == 16
    rng = np.random.default_rng(3)
    sign = 1 << (form.bits - 1)
    special = [0, 1, 2, form.infinity - 1, form.infinity, form.infinity + 1, form.nan, sign - 1]
    codes = np.concatenate([
        [code | bit for code in special for bit in (0, sign)],
        form.pattern(rng.uniform(-9.0, 9.0, 200)), rng.integers(0, 2 * sign, 100),
    ])  # fmt: skip
    runs = [Stimulus("numbers", [codes]), Stimulus("stalls", [codes[::3]], 0.3, 0.3)]
    check(spec, runs)


@pytest.mark.parametrize(("precision", "form"), [("fp16", FP16), ("fp32", FP32)])
def test_a_request_gives_lines_of_the_domain(precision, form):
    spec = spec_of(precision)
    assert isinstance(spec, FloatPwlSpec)
    assert spec.table.float_format == form
    assert spec.table.entries == 8
    accuracy, bound = measure(spec, ["gelu"])
    assert bound is not None
    assert accuracy.max_ulp <= bound < 1.01 * accuracy.max_ulp
    # Lines of 8 segments are off by 0.014 at most, whatever they are computed in.
    assert accuracy.max_abs < 0.016
    assert accuracy.domain == (-8.0, 8.0)
    x = np.array([-1e4, 1e4])
    beyond = form.numbers(spec.compute(form.pattern(x)))
    assert abs(beyond[0]) < 200
    assert abs(beyond[1] / 1e4 - 1) < 0.02


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"bits": 8}, "--bits must be 16 with --precision fp16, not 8"),
        ({"output_bits": 8}, "--output-bits must be 16 with --precision fp16, not 8"),
        ({"input_frac": 3}, "--input-frac goes with fixed point"),
        ({"method": "ibert"}, "--precision fp16 goes with one unary function by nnlut"),
        ({"op": "softmax"}, "--precision fp16 goes with one unary function by nnlut"),
        ({"op": "gelu,exp"}, "--precision fp16 goes with one unary function by nnlut"),
        ({"arch": "direct"}, "--arch"),
    ],
)
def test_wrong_options(options, wrong):
    with pytest.raises(UsageError, match=wrong):
        Request(**{"op": "gelu", "precision": "fp16"} | options)


@pytest.mark.parametrize("tables", ["rom", "writable"])
def test_components_add_up(tables):
    def cost(verilog, top):
        found = synthesize(verilog, top, "generic")
        assert isinstance(found, AsicCost)
        return found

    spec = design(Request("gelu", bits=5, entries=4, arch="pwl", fold="none", tables=tables), "pwl")
    parts = components(spec, cost)
    assert tuple(parts) == PARTS
    assert sum(parts[name] for name in PARTS[:-1]) == pytest.approx(parts["total"])
    assert (parts["storage"] > 0) == (tables == "writable")
    assert all(parts[name] > 0 for name in ("select", "arithmetic", "pipeline"))
    if tables == "writable":
        assert abs(parts["other"]) < 0.15 * parts["total"]


def test_components_are_of_lines():
    spec = design(Request("gelu", bits=5), "direct")
    with pytest.raises(UsageError, match="components are those of a unit of lines"):
        components(spec, lambda verilog, top: pytest.fail("nothing is synthesised"))
