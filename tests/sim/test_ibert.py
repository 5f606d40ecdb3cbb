"""I-BERT's integer arithmetic: the golden models, their naive formulations, published errors."""

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from naive_ibert import (
    dyadic,
    ibert,
    naive_iexp,
    naive_igelu,
    naive_isqrt,
    naive_newton,
    naive_norm,
    naive_softmax,
)

from hw.design.ibert import iexp, igelu, isqrt
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from sim.accuracy import norm_accuracy, softmax_accuracy, unary_accuracy
from sim.golden import ISqrtSpec, spec_from_json
from sim.golden.isqrt import isqrt as newton
from sim.golden.isqrt import quotient_bits

UNARY = {"exp": naive_iexp, "gelu": naive_igelu, "sqrt": naive_isqrt}


@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize(
    ("bits", "options"),
    [(8, {}), (12, {}), (4, {}), (6, {"input_frac": 0, "output_frac": 3}),
     (7, {"input_frac": 6, "output_frac": 1}), (6, {"input_frac": 8, "output_bits": 9})],
)  # fmt: skip
def test_unary_models_are_their_naive_formulation_at_every_code(op, bits, options):
    spec = ibert(op, bits, **options)
    codes = spec.input.codes()
    assert spec.compute(codes).tolist() == [UNARY[op](spec, code) for code in codes.tolist()]


@pytest.mark.parametrize("op", UNARY)
def test_wide_unary_models(op):
    spec = ibert(op, 16)
    codes = np.append(spec.input.codes()[::97], [spec.input.min, -1, 0, 1][spec.input.min == 0 :])
    codes = np.unique(np.append(codes, spec.input.max))
    codes = codes[codes >= spec.input.min]
    assert spec.compute(codes).tolist() == [UNARY[op](spec, code) for code in codes.tolist()]


def test_the_exponential_has_the_published_error():
    spec = iexp(Format(True, 16, 12), Format(False, 24, 23))
    codes = np.arange(spec.input.min, 0)
    error = spec.output.real(spec.compute(codes)) - np.exp(spec.input.real(codes))
    assert round(np.abs(error).max(), 4) == 1.9e-3
    assert round(np.mean(error**2), 8) == 2.2e-7


def test_gelu_has_the_published_error():
    spec = igelu(Format(True, 16, 12), Format(True, 24, 20))
    codes = np.arange(-4 * 4096, 4 * 4096 + 1)
    error = spec.output.real(spec.compute(codes)) - FUNCTIONS["gelu"](spec.input.real(codes))
    assert round(np.abs(error).max(), 3) == 0.018
    # Published: RMS 0.0082, which is 6.7e-5 squared.
    assert round(np.sqrt(np.mean(error**2)), 4) == 0.0082
    assert 6.6e-5 < np.mean(error**2) < 6.8e-5


def test_the_constants_are_floors_of_the_published_ones():
    spec = iexp(Format(True, 8, 4), Format(False, 8, 8))
    one = 2**12
    assert (spec.ln2, spec.b) == (int(math.log(2) * one), int(1.353 * one))
    assert spec.c == int(Fraction(344, 1000) / Fraction(3585, 10000) * one**2)
    assert dyadic(spec) == pytest.approx(0.3585, rel=2**-16)
    spec = igelu(Format(True, 8, 4), Format(True, 8, 4))
    assert spec.b == math.floor(-1.769 * 1.4142 * one)
    assert spec.c == math.floor(1.4142**2 / -0.2888 * one**2)
    assert spec.shift == 14
    # A fine input needs no guard bits.
    assert iexp(Format(True, 16, 14), Format(False, 8, 8)).guard == 0


@pytest.mark.parametrize(
    ("op", "bits", "bound"),
    [("exp", 4, 0.6), ("exp", 8, 0.9), ("gelu", 4, 0.55), ("gelu", 8, 0.65), ("sqrt", 4, 0.5),
     ("sqrt", 8, 0.5), ("sqrt", 12, 0.5), ("sqrt", 16, 0.5)],
)  # fmt: skip
def test_the_error_of_unary_units(op, bits, bound):
    assert unary_accuracy(ibert(op, bits), FUNCTIONS[op]).max_ulp <= bound


def test_the_root_is_the_paper_s_loop():
    rng = np.random.default_rng(0)
    for bits in (1, 2, 7, 16, 31, 32, 33, 52):
        n = np.unique(np.append(rng.integers(0, 2**bits, 300), [0, 1, 2**bits - 1]))
        for iterations in (1, 2, 4):
            wanted = [naive_newton(value, iterations) for value in n.tolist()]
            assert newton(n, iterations).tolist() == wanted


def test_how_many_steps_are_exact():
    # Where one step is too few, a square less 1 shows it.
    n = np.arange(1, 2**12, dtype=np.int64) ** 2 - 1
    assert (newton(n, 4) == [math.isqrt(value) for value in n.tolist()]).all()
    every = np.arange(2**18, dtype=np.int64)
    assert (newton(every, 4) ** 2 <= every).all()
    assert ((newton(every, 4) + 1) ** 2 > every).all()
    n = np.arange(1, 2**16, dtype=np.int64) ** 2 - 1
    roots = np.arange(2**16 - 1)
    assert (newton(n, 4) - roots).max() == 1, "32 bits: 4 steps are at most 1 too many"
    assert (newton(n, 5) == roots).all()
    n = (np.arange(1, 2**24, 61, dtype=np.int64)) ** 2 - 1
    assert (newton(n, 5) == np.arange(0, 2**24 - 1, 61)).all(), "48 bits"


def test_the_quotients_fit_their_bits():
    for bits in range(1, 14):
        n = np.arange(1 << bits, dtype=np.int64)[1:]
        x = newton(n, 1)
        for iterations in (2, 3, 4):
            assert (n // x).max() < 1 << quotient_bits(bits)
            x = newton(n, iterations)


@pytest.mark.parametrize(
    ("bits", "options"),
    [(8, {"length": 20}), (8, {"length": 9, "output_bits": 12}), (5, {"length": 40}),
     (12, {"length": 6}), (6, {"length": 12, "input_frac": 0})],
)  # fmt: skip
def test_softmax_is_its_naive_formulation(bits, options):
    spec = ibert("softmax", bits, mask=True, **options)
    rng = np.random.default_rng(bits)
    for n in (1, 2, spec.length // 2, spec.length):
        rows = rng.integers(spec.input.min, spec.input.max, (6, n), endpoint=True)
        rows[0], rows[1] = spec.input.min, spec.input.max
        mask = rng.random(rows.shape) < 0.3
        mask[2] = True
        for row, masked in zip(rows, mask, strict=True):
            assert spec.compute(row).tolist() == naive_softmax(spec, row.tolist())
            wanted = naive_softmax(spec, row.tolist(), masked.tolist())
            assert spec.compute(row, masked).tolist() == wanted
        stacked = spec.compute(rows, mask)
        assert (stacked[3] == spec.compute(rows[3], mask[3])).all()


def test_softmax_floors_and_so_loses_up_to_an_ulp():
    accuracy = softmax_accuracy(ibert("softmax"), count=2000)
    assert 1.0 < accuracy.max_ulp < 1.25
    assert accuracy.rms_ulp < 0.5
    # All 128 elements may lose.
    assert accuracy.sum_min < 0.75
    assert accuracy.sum_max <= 1.0
    assert accuracy.flips == 0


@pytest.mark.parametrize(
    ("bits", "options"),
    [(16, {"length": 12}), (8, {"length": 12}), (16, {"length": 1}), (9, {"length": 128}),
     (8, {"length": 16, "output_bits": 12})],
)  # fmt: skip
def test_layernorm_is_its_naive_formulation(bits, options):
    spec = ibert("layernorm", bits, **options)
    rng = np.random.default_rng(bits)
    low, high = spec.input.min, spec.input.max
    for n in {1, (spec.length + 1) // 2, spec.length}:
        rows = rng.integers(low, high, (6, n), endpoint=True)
        rows[1] = rows[1] >> 5
        rows[2], rows[3] = low, 3
        rows[4] = np.where(np.arange(n) % 2, low, high)
        rows[5] = np.where(np.arange(n) == n // 2, high, low)
        for row in rows:
            assert spec.compute(row).tolist() == naive_norm(spec, row.tolist())


def test_elements_that_are_not_there_leave_the_norm_alone():
    spec = ibert("layernorm", 8, length=16)
    rng = np.random.default_rng(1)
    row = rng.integers(-128, 127, 16, endpoint=True)
    absent = rng.random(16) < 0.4
    result = spec.compute(row, absent)
    assert result[~absent].tolist() == spec.compute(row[~absent]).tolist()
    assert not result[absent].any()
    assert not spec.compute(row, np.ones(16, dtype=bool)).any()


def test_the_sum_of_squares_has_32_bits_at_most():
    for bits in (8, 16):
        for length in (1, 5, 128, 768, 4096):
            spec = ibert("layernorm", bits, length=length)
            assert spec.variance_bits <= 32
            n = np.arange(length)
            for row in (np.where(n % 2, spec.input.min, spec.input.max),
                        np.where(n == 0, spec.input.min, spec.input.max)):  # fmt: skip
                codes = row << spec.guard
                y = codes - spec.mean(codes.sum(), length)
                assert int(((y >> spec.shift) ** 2).sum()).bit_length() <= spec.variance_bits


def test_layernorm_is_precise_for_8_bits_and_not_for_small_rows_of_16():
    assert norm_accuracy(ibert("layernorm", 8, length=64), count=300).max_ulp < 1.1
    spec = ibert("layernorm", 16, length=64)
    assert norm_accuracy(spec, count=300).max_ulp > 10
    rng = np.random.default_rng(0)
    wide = list(rng.integers(-(2**14), 2**14, (100, 64)))
    assert norm_accuracy(spec, wide).max_ulp < 0.7


@pytest.mark.parametrize("op", ["exp", "gelu", "sqrt", "softmax", "layernorm"])
def test_the_specification_goes_through_json(op):
    spec = ibert(op)
    assert spec_from_json(json.loads(json.dumps(spec.describe()))) == spec


EXP = iexp(Format(True, 8, 4), Format(False, 8, 8))
GELU = igelu(Format(True, 8, 4), Format(True, 8, 4))
SQRT = isqrt(Format(False, 8, 4), Format(False, 8, 6))


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        (EXP, {"negated": True}, "iexp.input must be unsigned, not s8.4"),
        (EXP, {"input": Format(False, 8, 4)}, "iexp.input must be signed, not u8.4"),
        (EXP, {"guard": -1}, "iexp.guard must be >= 0, not -1"),
        (EXP, {"ln2": 0}, "iexp.ln2 must be 1 to b = 5541, not 0"),
        (EXP, {"c": -1}, "iexp.c and factor must be >= 0 and >= 1, not -1"),
        (EXP, {"factor_frac": -20}, "iexp.output must have at most 4 bits but for its sign, not 8"),
        (EXP, {"factor": 1 << 40}, "iexp must multiply to at most 62 bits, not 67"),
        (GELU, {"input": Format(False, 8, 4)}, "igelu.input must be signed, not u8.4"),
        (GELU, {"shift": -1}, "igelu.guard and shift must be >= 0, not 8 and -1"),
        (GELU, {"b": 1}, "igelu.b, c, erf_one and factor must be negative, not 1"),
        (GELU, {"factor_frac": -40}, "igelu.output must have at most -17 fraction bits, not 4"),
        (GELU, {"factor": -(1 << 50)}, "igelu must multiply to at most 62 bits, not"),
        (SQRT, {"input": Format(True, 8, 4)}, "isqrt.input must be unsigned, not s8.4"),
        (SQRT, {"iterations": 0}, "isqrt.guard, iterations and per_stage must be >= 1, not 1, 0"),
        (SQRT, {"input": Format(False, 8, 40)}, "isqrt.guard must be at least 14, not 1"),
        (SQRT, {"guard": 40}, "isqrt must take the root of at most 62 bits, not 96"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(spec, changes, message):
    with pytest.raises(UsageError, match=f"^spec: {message}"):
        replace(spec, **changes)


@pytest.mark.parametrize(
    ("op", "changes", "message"),
    [
        ("softmax", {"exp": EXP}, "exp must take u8.4 for logits s8.4, not s8.4"),
        ("softmax", {"output": Format(True, 8, 8)}, "output and its exp's must be unsigned"),
        ("softmax", {"precision": 7}, "precision must be 8 to 45, not 7"),
        ("softmax", {"per_stage": 0}, "per_stage must be at least 1, not 0"),
        ("softmax", {"lanes": 5}, "lanes must be one of"),
        ("layernorm", {"input": Format(False, 8, 4)}, "input must be signed, not u8.4"),
        ("layernorm", {"roots": GELU}, "roots must map u8.0 to u*.*, not s8.4 to s8.4"),
        ("layernorm", {"iterations": 0}, "iterations and per_stage must be >= 1, not 0 and 2"),
        ("layernorm", {"shift": 22}, "guard must be >= 0, and shift 0 to 21, not 6 and 22"),
        ("layernorm", {"precision": 50}, "must compute with at most 62 bits, not"),
        ("layernorm", {"output": Format(True, 8, 60)}, "output must have at most 42 fraction bits"),
        ("layernorm", {"length": 0}, "length must be at least 1, not 0"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_together_are_refused(op, changes, message):
    kind = f"ibert_{'norm' if op == 'layernorm' else op}"
    with pytest.raises(UsageError) as raised:
        replace(ibert(op), **changes)
    assert str(raised.value).startswith(f"spec: {kind}.{message}") or (
        f"spec: {kind} {message}" in str(raised.value)
    )


def test_an_exponential_of_0_has_no_sum():
    spec = ibert("softmax")
    exp = replace(spec.exp, output=Format(False, 4, -3))
    with pytest.raises(UsageError, match="exp must be at least 1 ulp for a distance of 0"):
        replace(spec, exp=exp)


@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_gamma_and_beta_are_left_out(name):
    with pytest.raises(UsageError, match=f"^--{name} must not be given with --method ibert"):
        ibert("layernorm", length=2, **{name: (1.0, 2.0)})


def test_a_coarse_fraction_of_the_input_takes_more_guard_bits():
    spec = isqrt(Format(False, 8, 12), Format(False, 8, 2))
    assert isinstance(spec, ISqrtSpec)
    assert (spec.guard, spec.left) == (4, 0)
    codes = spec.input.codes()
    assert spec.compute(codes).tolist() == [naive_isqrt(spec, code) for code in codes.tolist()]
