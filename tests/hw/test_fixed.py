"""`hw.fixed` against `nnlut_train.formats`, at every code."""

import itertools
from operator import mul

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.sim import Simulator

from hw import fixed
from nnlut_train.formats import Format, round_divide, round_shift

FORMATS = [
    Format(is_signed, bits, 0) for is_signed in (False, True) for bits in (1, 2, 4, 6, 7, 8, 9, 12)
]


def simulate(source, outputs, codes, extra=()):
    """Return the outputs, a list each, at every code of `source` and combination of `extra`."""
    m = Module()
    wires = []
    for position, value in enumerate(outputs):
        wire = Signal(value.shape(), name=f"o{position}")
        m.d.comb += wire.eq(value)
        wires.append(wire)
    results = [[] for _ in outputs]

    async def testbench(ctx):
        for choice in itertools.product(codes, *(values for _, values in extra)):
            for signal, code in zip((source, *(s for s, _ in extra)), choice, strict=True):
                ctx.set(signal, code)
            for result, wire in zip(results, wires, strict=True):
                result.append(ctx.get(wire))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return results


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_constant_shift(is_signed, bits):
    form = Format(is_signed, bits, 0)
    codes = form.codes().tolist()
    source = Signal(fixed.shape_of(form))
    shifts = range(bits + 3)
    results = simulate(source, [fixed.round_shift(source, shift) for shift in shifts], codes)
    for shift, result in zip(shifts, results, strict=True):
        assert result == round_shift(form.codes(), shift).tolist(), shift


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("bits", [1, 3, 6])
@pytest.mark.parametrize("shift_bits", [1, 2, 3])
def test_variable_shift(is_signed, bits, shift_bits):
    form = Format(is_signed, bits, 0)
    source = Signal(fixed.shape_of(form))
    shift = Signal(shift_bits)
    shifts = range(1 << shift_bits)
    (result,) = simulate(
        source,
        [fixed.round_shift(source, shift)],
        form.codes().tolist(),
        [(shift, shifts)],
    )
    wanted = round_shift(form.codes()[:, None], np.array(shifts))
    assert result == wanted.ravel().tolist()


@pytest.mark.parametrize("is_signed", [False, True])
def test_constant_multiplication(is_signed):
    form, factors = Format(is_signed, 6, 0), [1, 2, 7, 10, 257]
    source = Signal(fixed.shape_of(form))
    results = simulate(source, [fixed.times(source, n) for n in factors], form.codes().tolist())
    for factor, result in zip(factors, results, strict=True):
        assert result == (form.codes() * factor).tolist()


@pytest.mark.parametrize("bits", [1, 5, 10])
def test_constant_division(bits):
    form = Format(False, bits, 0)
    source = Signal(fixed.shape_of(form))
    divisors = [1, 2, 3, 7, 10, 15, 16, 255, 1000, 4095]
    values = [fixed.round_divide(source, divisor) for divisor in divisors]
    results = simulate(source, values, form.codes().tolist())
    for divisor, result in zip(divisors, results, strict=True):
        assert result == round_divide(form.codes(), divisor).tolist(), divisor


@pytest.mark.parametrize("multiply", [fixed.times, mul])
@pytest.mark.parametrize("bits", [1, 5, 10])
def test_constant_division_rounding_down(bits, multiply):
    form = Format(False, bits, 0)
    source = Signal(fixed.shape_of(form))
    divisors = [1, 2, 3, 7, 10, 255, 256, 1000]
    values = [fixed.divide_by(source, divisor, multiply) for divisor in divisors]
    results = simulate(source, values, form.codes().tolist())
    for divisor, result in zip(divisors, results, strict=True):
        assert result == (form.codes() // divisor).tolist(), divisor


@pytest.mark.parametrize("divisor", [3, 15, 255, 32767])
def test_constant_division_of_wide_values_at_the_edges(divisor):
    source = Signal(30)
    edges = [n * divisor + divisor // 2 + near for n in (0, 1, 2, 77, 2**30 // divisor - 1)
             for near in (-1, 0, 1, 2)]  # fmt: skip
    codes = [*edges, 2**30 - 1]
    (result,) = simulate(source, [fixed.round_divide(source, divisor)], codes)
    assert result == [(2 * code + divisor) // (2 * divisor) for code in codes]


def test_ties_go_up_on_both_sides_of_zero():
    source = Signal(signed(4))
    results = simulate(
        source, [fixed.round_shift(source, 1), fixed.round_shift(source, 2)], [-8, -7, -6, -2, 6, 7]
    )
    assert results == [[-4, -3, -3, -1, 3, 4], [-2, -2, -1, 0, 2, 2]]


def test_rounding_the_largest_code_up_does_not_wrap():
    source = Signal(unsigned(4))
    (result,) = simulate(source, [fixed.round_shift(source, 2)], [13, 14, 15])
    assert result == [3, 4, 4]


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 7, 8])
def test_saturate(is_signed, bits):
    source = Signal(fixed.shape_of(Format(is_signed, bits, 0)))
    codes = Format(is_signed, bits, 0).codes()
    # To the same width, to fewer bits, and to more.
    assert {form.bits > bits for form in FORMATS} == {True, False}
    results = simulate(source, [fixed.saturate(source, form) for form in FORMATS], codes.tolist())
    for form, result in zip(FORMATS, results, strict=True):
        assert result == form.saturate(codes).tolist(), str(form)


@pytest.mark.parametrize(
    ("value", "form", "wanted"),
    [
        (-129, "s8.0", -128), (-128, "s8.0", -128), (127, "s8.0", 127), (128, "s8.0", 127),
        (511, "s8.0", 127), (-512, "s8.0", -128), (-1, "u8.0", 0), (255, "u8.0", 255),
        (256, "u8.0", 255), (-512, "u8.0", 0), (511, "u12.0", 511), (-512, "s12.0", -512),
    ],
)  # fmt: skip
def test_saturate_at_both_ends(value, form, wanted):
    source = Signal(signed(10))
    (result,) = simulate(source, [fixed.saturate(source, Format.parse(form))], [value])
    assert result == [wanted]


def test_saturated_shape_is_the_formats():
    source = Signal(signed(10))
    for text in ("s8.0", "s10.0", "u1.0", "u9.0", "u12.0"):
        form = Format.parse(text)
        assert fixed.saturate(source, form).shape() == fixed.shape_of(form)


def test_round_then_saturate_as_the_units_do():
    form, output = Format(True, 8, 4), Format(True, 4, 2)
    source = Signal(fixed.shape_of(form))
    (result,) = simulate(
        source, [fixed.saturate(fixed.round_shift(source, 2), output)], form.codes().tolist()
    )
    assert result == output.quantize(form.real(form.codes())).tolist()


def test_shape_of():
    assert fixed.shape_of(Format(True, 5, 3)) == signed(5)
    assert fixed.shape_of(Format(False, 5, -3)) == unsigned(5)
