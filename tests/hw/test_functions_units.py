"""Waves, roots, powers of two and plain 32-bit lines: designs, models and units."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from benching import check
from faults import spec_of
from naive import naive

from hw.design import design
from hw.design.tables import PI_128
from hw.request import Request
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.tables import DirectTable
from sim.accuracy import unary_accuracy
from sim.golden import DirectSpec, ReciprocalSpec, SineSpec, spec_from_json
from sim.sampling import boundaries, sample_codes
from sim.stimuli import Stimulus, stimuli

NEW = ("elu", "mish", "hsigmoid", "sqrt", "exp2", "sin", "cos")


@pytest.mark.parametrize("bits", [4, 6, 9, 12])
@pytest.mark.parametrize("op", NEW)
def test_lines_stay_below_1_ulp(op, bits):
    assert unary_accuracy(spec_of(op, bits), FUNCTIONS[op]).max_ulp < 1.0


@pytest.mark.parametrize("bits", [4, 7, 12])
@pytest.mark.parametrize("op", NEW)
def test_direct_tables_are_within_half_an_ulp(op, bits):
    assert unary_accuracy(spec_of(op, bits, "direct"), FUNCTIONS[op]).max_ulp <= 0.5


# Waves.


def test_waves_are_folded_up_to_half_a_wave_and_quartered_beyond():
    assert [spec_of(op).table.fold.kind for op in ("sin", "cos")] == ["odd", "even"]
    for options in ({"input_frac": 4}, {"domain": (-8, 8)}, {"domain": (0, 7)}):
        for op in ("sin", "cos"):
            spec = spec_of(op, **options)
            assert spec.kind == "sine"
            assert spec.cosine == (op == "cos")
    assert spec_of("sin", domain=(0, 3)).table.fold is None
    assert spec_of("sin", input_frac=4, fold="none").table.fold is None
    assert spec_of("sin", input_frac=4, arch="direct").kind == "direct"


def test_pi_is_pi():
    def atan_of_inverse(n):
        return sum(
            Fraction((-1) ** k, (2 * k + 1) * n ** (2 * k + 1)) for k in range(100)
        )  # fmt: skip

    machin = 16 * atan_of_inverse(5) - 4 * atan_of_inverse(239)
    assert (machin * 2**128).__floor__() == PI_128


@pytest.mark.parametrize("op", ["sin", "cos"])
@pytest.mark.parametrize(
    ("bits", "input_frac", "output_frac"), [(8, 2, None), (12, 0, None), (14, 3, 11), (9, -8, 7)]
)
def test_waves_of_large_angles(op, bits, input_frac, output_frac):
    options = {"input_frac": input_frac, "output_frac": output_frac}
    spec = spec_of(op, bits, **options)
    assert str(spec.output) == f"s{bits}.{bits - 1 if output_frac is None else output_frac}"
    assert unary_accuracy(spec, FUNCTIONS[op]).max_ulp < 0.75


def test_a_wave_is_symmetric_code_by_code():
    for op, sign in (("sin", -1), ("cos", 1)):
        spec = spec_of(op, 10, input_frac=6, output_frac=8)
        codes = np.arange(1, 512)
        right, left = spec.compute(codes), spec.compute(-codes)
        # Half up: of a tie, both signs are half an ulp high.
        assert np.abs(left - sign * right).max() <= (1 if sign < 0 else 0)


@pytest.mark.parametrize("op", ["sin", "cos"])
@pytest.mark.parametrize(
    ("bits", "options"),
    [(8, {"input_frac": 3}), (4, {"input_frac": 0}), (7, {"input_frac": -6}),
     (6, {"input_frac": 9}), (6, {"domain": (0, 9), "output_frac": 2}), (12, {"input_frac": 7})],
)  # fmt: skip
def test_waves_by_quarters_at_every_code(op, bits, options):
    spec = spec_of(op, bits, **options)
    if bits == 12:
        runs = [run for run in stimuli(spec) if run.name == "all rows at full rate"]
        assert check(spec, runs).beats == 1 << 12
    elif spec.kind == "sine":
        assert check(spec).latency == {1: 5}
    else:
        assert options == {"input_frac": 9}


@pytest.mark.parametrize("seed", range(6))
def test_random_waves(seed):
    draw = random.Random(seed)
    bits, frac = draw.randint(1, 6), draw.randint(2, 8)
    table = DirectTable(
        Format(False, bits, bits), Format(False, 6, frac),
        tuple(draw.randint(0, 63) for _ in range(1 << bits)),
    )  # fmt: skip
    form = Format(bool(seed & 1), 6, draw.randint(-2, 7))
    factor_frac = max(0, bits - form.frac) + draw.randint(0, 4)
    output = Format(bool(seed & 2), draw.randint(3, 8), frac - draw.randint(0, 3))
    factor = draw.randint(1, 3 << factor_frac)
    check(SineSpec(form, output, DirectSpec(table), factor, factor_frac, bool(seed & 4)))


# Roots and powers of two.


@pytest.mark.parametrize(
    ("op", "bits", "options"),
    [("sqrt", 7, {"input_frac": 0, "output_frac": 4}), ("sqrt", 7, {"input_frac": 9}),
     ("sqrt", 6, {"input_frac": -3, "output_frac": -2}), ("sqrt", 5, {}),
     ("exp2", 7, {"input_frac": 0}), ("exp2", 7, {"input_frac": -2, "output_frac": 3}),
     ("exp2", 6, {"input_frac": 12}), ("exp2", 8, {"domain": (-4, 4)})],
)  # fmt: skip
def test_roots_and_powers_in_unusual_formats(op, bits, options):
    check(spec_of(op, bits, **options))


def test_exact_roots_and_powers_are_exact():
    root = spec_of("sqrt", 12)
    codes = np.array([4**k for k in range(6)])
    steps = root.output.frac - root.input.frac // 2
    assert root.compute(codes).tolist() == [2**k << steps for k in range(6)]
    assert root.compute(np.array([0])).tolist() == [0]
    power = spec_of("exp2", 8, domain=(-4, 4), output_frac=3)
    codes = np.arange(-3, 4) << power.input.frac
    assert power.compute(codes).tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert power.factor == 1


@pytest.mark.parametrize("seed", range(6))
def test_random_roots(seed):
    draw = random.Random(seed)
    form = Format(False, draw.randint(4, 7), draw.randint(-2, 9))
    bits = draw.randint(2, form.bits + (form.bits - form.frac) % 2)
    table = DirectTable(
        Format(False, bits, bits - 2), Format(False, 6, 5),
        tuple(draw.randint(0, 63) for _ in range(1 << bits)),
    )  # fmt: skip
    output = Format(False, draw.randint(4, 9), draw.randint(-1, 8))
    check(ReciprocalSpec(form, output, DirectSpec(table), True, draw.randint(0, form.bits), False))


# What stands for all codes.


def naive_boundaries(spec):
    """The codes at which another segment serves, found one by one."""
    codes = spec.input.codes()
    numbers = spec.segment(codes).tolist()
    pairs = zip(codes.tolist()[1:], itertools.pairwise(numbers), strict=True)
    return [q for q, (before, number) in pairs if number != before]


@pytest.mark.parametrize(
    ("op", "options"),
    [("gelu", {"fold": "none"}), ("tanh", {}), ("exp", {}), ("rsqrt", {}), ("log", {}),
     ("cos", {"input_frac": 3}), ("sqrt", {})],
)  # fmt: skip
def test_boundaries_are_where_another_part_of_a_unit_serves(op, options):
    spec = spec_of(op, 8, **options)
    found = boundaries(spec).tolist()
    assert found == naive_boundaries(spec)
    table = dict(spec.tables()).popitem()[1]
    if spec.kind == "pwl" and table.fold is None:
        assert found == list(table.breakpoints)
    elif spec.kind == "pwl":
        mirrored = [1 - edge for edge in table.breakpoints if edge <= spec.input.max]
        assert found == sorted({*mirrored, 0, *table.breakpoints})
    else:  # every octave, or quarter, has all segments that it has codes for
        assert len(found) > 2 * table.entries
    assert boundaries(spec_of(op, 8, "direct", **{**options, "fold": "auto"})).size == 0


def test_samples_hold_ends_zero_and_every_boundary_with_its_neighbours():
    spec = spec_of("exp", 14, entries=16)
    codes = sample_codes(spec, 500, np.random.default_rng(3))
    form = spec.input
    assert (np.diff(codes) > 0).all()
    wanted = {form.min, form.min + 1, form.max - 1, form.max, -1, 0, 1}
    for edge in boundaries(spec).tolist():
        wanted |= {edge - 1, edge, edge + 1}
    assert wanted <= set(codes.tolist())
    assert len(wanted) + 400 < codes.size <= len(wanted) + 500
    assert codes.tolist() == sample_codes(spec, 500, np.random.default_rng(3)).tolist()
    unsigned = sample_codes(spec_of("log", 8), 0, np.random.default_rng(0))
    assert unsigned[:2].tolist() == [0, 1]
    assert unsigned[-2:].tolist() == [254, 255]


# The papers' INT32 baseline.


@pytest.fixture(scope="module")
def wide():
    """The plain 32-bit GELU of 16 segments."""
    return design(Request("gelu", 32), "pwl")


def test_plain_lines_of_32_bits(wide):
    table = wide.table
    assert (table.fold, table.entries) == (None, 16)
    assert [str(form) for form in (table.input, table.output)] == ["s32.28", "s32.28"]
    # As near to 32 bits as product and sum have room for in 63.
    assert [str(form) for form in (table.slope, table.intercept)] == ["s31.29", "s32.28"]
    assert table.meta["samples"] == table.meta["certificate"]["samples"] == 2**16 + 1
    assert wide == spec_from_json(wide.describe())


def test_the_accuracy_of_32_bits_is_that_of_a_sample(wide):
    found = unary_accuracy(wide, FUNCTIONS["gelu"])
    assert found.sampled
    assert 2**17 < found.codes < 2**19
    # 16 lines of GELU, measured by what the fit knows nothing of.
    rng = np.random.default_rng(9)
    x = rng.uniform(-8, 8, 20_000)
    codes = np.floor(x * 2**28).astype(np.int64)
    exact = [q / 2**28 * 0.5 * math.erfc(-q / 2**28 / math.sqrt(2)) for q in codes.tolist()]
    error = np.abs(wide.compute(codes) / 2**28 - exact)
    assert error.max() <= found.max_ulp / 2**28 < 5e-3
    assert np.sqrt(np.mean(error**2)) == pytest.approx(found.rms_ulp / 2**28, rel=0.05)
    assert not unary_accuracy(spec_of("gelu", 8), FUNCTIONS["gelu"]).sampled


def test_32_bits_are_exact_in_integers(wide):
    codes = sample_codes(wide, 300, np.random.default_rng(0))
    assert wide.compute(codes).tolist() == [naive(wide, q) for q in codes.tolist()]
    assert set(boundaries(wide).tolist()) == set(wide.table.breakpoints)
    rows = np.split(codes, 16 * np.arange(1, codes.size // 16))
    assert check(wide, [Stimulus("sample", rows, 0.1, 0.1)]).beats == codes.size


@pytest.mark.parametrize("op", ["exp", "cos"])
def test_every_kind_of_function_is_plain_at_32_bits(op):
    spec = design(Request(op, 32), "pwl")
    assert (spec.kind, spec.table.fold) == ("pwl", None)
    codes = sample_codes(spec, 200, np.random.default_rng(1))
    assert spec.compute(codes).tolist() == [naive(spec, q) for q in codes.tolist()]
