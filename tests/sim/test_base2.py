"""Base-2 softmax with an online maximum: the golden model, and its naive sequential formulation."""

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from naive import half_up, limit, naive

from hw.design import design
from hw.request import Request
from nnlut_train.direct import direct_table
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.accuracy import softmax_accuracy
from sim.base2_bound import base2_bound, dropped_share
from sim.golden import Base2Spec, DirectSpec, ReciprocalSpec, spec_from_json
from sim.stimuli import random_rows


def base2(bits=8, arch="pwl", **options):
    return design(Request("softmax", bits, method="base2", **options), arch)


def parts(spec, code):
    """Return k, and u as an integer, of one logit."""
    steps = 2**spec.fraction.input.frac
    power = Fraction(code * spec.factor, 2**spec.factor_frac) / Fraction(2) ** spec.input.frac
    k, f = divmod((power * steps).__floor__(), steps)
    return k, naive(spec.fraction, f)


class Running:
    """The running state of the specification's text, an element or a beat at a time."""

    def __init__(self, spec):
        self.spec, self.size = spec, 2**spec.block
        self.k, self.high, self.low = None, 0, 0

    def add(self, k, high, low):
        """Take in what has the maximum k, and these sums in its block and in the one below."""
        if self.k is None:
            self.k, self.high, self.low = k, high, low
            return
        here, there = self.k // self.size, k // self.size
        if there == here:
            self.high, self.low = self.high + high, self.low + low
        elif there == here - 1:
            self.low += high
        elif there == here + 1:
            self.low, self.high = self.high + low, high
        elif there > here + 1:
            self.low, self.high = low, high
        self.k = max(self.k, k)

    def element(self, code):
        k, u = parts(self.spec, code)
        self.add(k, u * 2 ** (k % self.size), 0)

    def beat(self, codes):
        inner = Running(self.spec)
        for code in codes:
            inner.element(code)
        if inner.k is not None:
            self.add(inner.k, inner.high, inner.low)

    @property
    def total(self):
        if self.k is None:
            return 0
        exact = self.high + Fraction(self.low, 2**self.size)
        return (exact / 2 ** (self.k % self.size)).__floor__()


def naive_base2(spec, row, mask=None, lanes=1):
    state = Running(spec)
    kept = [None if mask is not None and mask[at] else code for at, code in enumerate(row)]
    for at in range(0, len(row), lanes):
        state.beat([code for code in kept[at : at + lanes] if code is not None])
    inverse = naive(spec.reciprocal, state.total)
    frac = spec.fraction.output.frac + spec.reciprocal.output.frac - spec.output.frac
    results = []
    for code in kept:
        if code is None:
            results.append(0)
            continue
        k, u = parts(spec, code)
        exact = Fraction(u * inverse) / Fraction(2) ** (frac + state.k - k)
        results.append(limit(half_up(exact), spec.output))
    return results


def adversarial(spec):
    """Rows in which the maximum grows by little, by much, late, early, and to and fro."""
    low, high, n = spec.input.min, spec.input.max, spec.length
    ramp = np.linspace(low, high, n).astype(int)
    yield from (ramp, ramp[::-1], np.roll(ramp, n // 3))
    yield np.where(np.arange(n) % 2, low, high)
    yield np.where(np.arange(n) % 2, high, low)
    yield np.where(np.arange(n) < n - 1, low, high)
    yield np.where(np.arange(n) < 1, high, low)
    yield np.where(np.arange(n) % 3, -1, high // 2)
    yield from (np.full(n, code) for code in (low, -1, 0, high))
    yield from (np.array([code]) for code in (low, 0, high))


CASES = [
    (8, "pwl", {"length": 32}),
    (8, "direct", {"length": 16}),
    (8, "pwl", {"length": 32, "input_frac": 0}),
    (8, "pwl", {"length": 16, "input_frac": 2}),
    (6, "pwl", {"length": 16, "input_frac": -2, "output_frac": 10}),
    (5, "pwl", {"length": 8, "input_frac": 12}),
    (10, "pwl", {"length": 16}),
]


@pytest.mark.parametrize(("bits", "arch", "options"), CASES)
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_the_model_is_the_running_sum_of_any_number_of_lanes(bits, arch, options, lanes):
    spec = base2(bits, arch, **options)
    rng = np.random.default_rng(lanes)
    rows = [*adversarial(spec), *random_rows(spec, 6, rng)]
    for row in rows:
        row = spec.input.saturate(np.asarray(row, dtype=np.int64))
        assert spec.compute(row).tolist() == naive_base2(spec, row.tolist(), lanes=lanes)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_elements_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    for spec in (base2(length=64), base2(length=64, input_frac=1)):
        row = rng.integers(-128, 127, 64, endpoint=True)
        order = rng.permutation(64)
        assert (spec.compute(row)[order] == spec.compute(row[order])).all()


@pytest.mark.parametrize(
    ("bits", "arch", "options", "bound"),
    [
        (8, "pwl", {}, 0.8), (8, "direct", {}, 0.91), (4, "pwl", {}, 0.8),
        (8, "pwl", {"input_frac": 0}, 0.8), (8, "pwl", {"input_frac": 3}, 0.8),
        (8, "pwl", {"length": 1024}, 0.8), (8, "pwl", {"length": 2}, 0.8),
        (10, "pwl", {"length": 32}, 0.8), (10, "direct", {"length": 8}, 0.91),
        (8, "pwl", {"output_bits": 10, "length": 32}, 0.8),
    ],
)  # fmt: skip
def test_the_error_is_below_one_ulp(bits, arch, options, bound):
    spec = base2(bits, arch, **options)
    accuracy = softmax_accuracy(spec, count=1500)
    assert 0.45 < accuracy.max_ulp < base2_bound(spec) < bound
    assert accuracy.flips == 0


@pytest.mark.parametrize(
    "spec",
    [base2(6, length=6), base2(5, "direct", length=6), base2(6, length=6, entries=1),
     base2(6, length=6, input_frac=0, output_bits=4)],
)  # fmt: skip
def test_the_bound_is_that_of_every_single_sum(spec):
    # The argument once more, without intervals and closed forms.
    one, codes = 2**spec.fraction.output.frac, spec.input.codes()
    rho = [
        u / one * 2.0**k / math.exp(x)
        for (k, u), x in zip(
            (parts(spec, code) for code in codes.tolist()), spec.input.real(codes), strict=True
        )
    ]
    spread = max(rho) / min(rho) - 1
    us = [naive(spec.fraction, f) for f in range(2**spec.fraction.input.bits)]
    worst = 0
    for total in range(min(us), max(us) * spec.length + 1):
        theta = 1 / (total + 1)
        off = abs(naive(spec.reciprocal, total) / 2**spec.reciprocal.output.frac * total / one - 1)
        q = np.linspace(0, min(1, max(us) / total), 200)
        cost = (theta + off) / (1 - theta)
        worst = max(worst, (q * (1 - q) * spread + q * cost).max())
    exact = worst * 2.0**spec.output.frac + 0.5
    bound = base2_bound(spec)
    assert exact <= bound <= 1.03 * exact
    assert softmax_accuracy(spec, count=500).max_ulp <= bound


def test_a_fraction_table_of_zeros_has_no_bound():
    spec = base2(4, "direct", length=4)
    table = spec.fraction.table
    spec = replace(spec, fraction=DirectSpec(replace(table, values=(0, *table.values[1:]))))
    assert base2_bound(spec) == math.inf


@pytest.mark.parametrize("input_frac", [4, 2, 0])
@pytest.mark.parametrize("entries", [2, 4, 8])
def test_the_bound_holds_for_tables_of_few_segments(entries, input_frac):
    spec = base2(entries=entries, input_frac=input_frac)
    assert spec.fraction.compute(spec.fraction.input.codes()).min() < 2**spec.fraction.output.frac
    rows = [np.asarray(row, dtype=np.int64) for row in adversarial(spec)]
    # Two logits of which one is as much too large as there is, the other too small, in all numbers.
    u, k = spec.split(spec.input.codes())
    rho = np.log2(u) + k - spec.input.real(spec.input.codes()) * math.log2(math.e)
    pair = spec.input.codes()[[rho.argmin(), rho.argmax()]]
    rows += [np.repeat(pair, [n, m]) for n in (1, 2, 5, 100) for m in (1, 3, 28)]
    rows += list(random_rows(spec, 1500, np.random.default_rng(entries)))
    assert 0.5 < softmax_accuracy(spec, rows).max_ulp <= base2_bound(spec) < math.inf


def hand_made(values, inputs, factor, factor_frac):
    """Return a unit whose 2**0 and 2**0.5 are `values` quarters, for rows of two."""
    table = direct_table("2^f", np.array(values) / 4, Format(False, 1, 1), Format(False, 4, 2))
    total = Format(False, (2 * table.value.max).bit_length(), 2)
    mantissa = Format(False, total.bits - 1, total.bits - 1)
    inverse = Format(False, 12, 11)
    inverses = 1 / (1 + mantissa.real(mantissa.codes()))
    reciprocal = ReciprocalSpec(
        total, inverse, DirectSpec(direct_table("1/m", inverses, mantissa, inverse)), False, 3
    )
    return Base2Spec(
        inputs, Format(False, 8, 8), 2, DirectSpec(table), factor, factor_frac, 2, reciprocal
    )


def test_what_is_dropped_depends_on_the_extremes_of_the_table():
    # 2**x, and x in halves.
    spec = hand_made((3, 7), Format(True, 6, 1), 1, 0)
    codes, share = spec.input.codes().tolist(), Fraction(0)
    for peak in codes:
        for other in codes:
            (k, u), (there, v) = parts(spec, peak), parts(spec, other)
            if k // 4 - there // 4 > 1:
                lost = v * Fraction(2) ** (there - k)
                share = max(share, lost / (u + lost))
    # More than 2**-octaves, which holds of mantissas in [1, 2) only.
    assert 2**-4 < share == Fraction(7, 32) / (3 + Fraction(7, 32)) < dropped_share(spec) < 0.08
    assert dropped_share(base2()) == 0


def test_a_unit_without_any_spread_has_a_bound():
    # Codes so fine that all exponentials are 1: of -1 it is 2 times 1/2.
    spec = hand_made((4, 8), Format(True, 2, 61), 1, -60)
    rows = [np.array(row) for row in ([-1], [0], [1, 0], [-1, -2], [0, -1])]
    assert softmax_accuracy(spec, rows).max_ulp <= base2_bound(spec) < 256


def test_where_a_sum_may_be_dropped_there_is_no_bound():
    spec = base2(6, length=32, input_frac=0)
    assert base2_bound(spec) < 1
    assert base2_bound(replace(spec, block=1)) == math.inf


@pytest.mark.parametrize(
    ("bits", "input_frac", "output_bits"), [(12, -8, 8), (8, -4, 8), (10, -4, 6), (6, 0, 4)]
)
def test_coarse_logits_see_as_much_of_the_table_as_fine_ones(bits, input_frac, output_bits):
    spec = base2(bits, input_frac=input_frac, output_bits=output_bits, length=32)
    assert spec.fraction.input.bits == output_bits + 3
    assert base2_bound(spec) < 0.85


def test_the_default_drops_nothing_and_is_read_once():
    spec = base2()
    assert (spec.exponent_max >> spec.block) - (spec.exponent_min >> spec.block) == 1
    # Lanes divide the beats; the rest are the stages of the table, the reciprocal, and five more.
    for lanes, trees in ((1, 0), (2, 2), (16, 2)):
        wide = replace(spec, lanes=lanes)
        constant = spec.fraction.latency + spec.reciprocal.latency + trees + 7
        assert wide.latency_of(128) == 128 // lanes + constant
    nnlut = design(Request("softmax"), "pwl")
    assert 2 * spec.latency_of(128) < nnlut.latency_of(128) + 20


def test_what_a_block_drops_is_below_the_bound():
    # One maximum at the bottom of its block, all others just below the block below.
    spec = base2(length=128, input_frac=0)
    assert spec.octaves == 32
    ks = spec.split(spec.input.codes())[1]
    codes = spec.input.codes()
    peak = codes[(ks >= 0) & (codes >= 0)][0]
    others = codes[ks < ks[codes == peak][0] - spec.octaves][-1]
    row = np.full(128, others)
    row[7] = peak
    result = spec.compute(row)
    assert result[7] == spec.output.max
    assert result.sum() == spec.output.max
    assert 127 * 2.0**-spec.octaves * 2**spec.output.frac < 1 / 16


def test_the_factor_can_be_that_of_the_papers():
    spec = base2()
    rows = list(random_rows(spec, 800, np.random.default_rng(3)))
    # SOLE: x + x/2 - x/16 in place of x log2 e.
    sole = replace(spec, factor=23 << (spec.factor_frac - 4))
    assert softmax_accuracy(spec, rows).max_ulp < 0.75 < softmax_accuracy(sole, rows).max_ulp < 1.5
    # Softermax: 2**(x - max), to which the network is trained.
    plain = replace(spec, factor=1 << spec.factor_frac)
    for row in rows[:200]:
        p = np.exp2(spec.input.real(row - row.max()))
        p = spec.output.clip(p / p.sum()) * 2.0**spec.output.frac
        assert np.abs(plain.compute(row) - p).max() < 0.85


def test_masked_elements_leave_maximum_and_sum_alone():
    spec = base2(length=24, mask=True)
    rng = np.random.default_rng(4)
    rows = rng.integers(-128, 127, (40, 24), endpoint=True)
    mask = rng.random((40, 24)) < 0.4
    mask[0] = True
    mask[1] = rows[1] == rows[1].max()
    result = spec.compute(rows, mask)
    assert not result[0].any()
    for row, masked, got in zip(rows, mask, result, strict=True):
        assert not got[masked].any()
        if not masked.all():
            assert got[~masked].tolist() == spec.compute(row[~masked]).tolist()
        assert got.tolist() == naive_base2(spec, row.tolist(), masked.tolist(), 4)


def test_the_specification_goes_through_json():
    spec = base2(length=32, lanes=4, mask=True)
    assert spec_from_json(json.loads(json.dumps(spec.describe()))) == spec
    assert {name for name, _ in spec.tables()} == {"fraction", "reciprocal.mantissa"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": Format(False, 8, 4)}, "input must be signed"),
        ({"output": Format(True, 8, 8)}, "output unsigned"),
        ({"output": Format(False, 8, 40)}, "output must have at most 22 fraction bits, not 40"),
        ({"factor": 0}, "factor must be at least 1, not 0"),
        ({"factor_frac": 2}, "fraction must have at most 6 fraction bits, not 11"),
        ({"block": 0}, "block must be 1 to 5"),
        ({"block": 6}, "block must be 1 to 5"),
        ({"length": 63}, "reciprocal must take u18.11, not u19.11"),
        ({"length": 0}, "length must be at least 1"),
        ({"lanes": 3}, "lanes must be one of"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(changes, message):
    with pytest.raises(UsageError, match=message.replace(".11", r"\.11")):
        replace(base2(), **changes)


def test_the_fraction_table_must_be_one():
    spec = base2()
    with pytest.raises(UsageError, match=r"base2.fraction must map u\*\.\* with no integer bits"):
        replace(spec, fraction=design(Request("gelu"), "direct"))


def test_plain_tables_have_no_base_2():
    with pytest.raises(UsageError, match=r"^--fold must be auto for --method base2"):
        base2(fold="none")


def test_log2_e_is_what_the_factor_is():
    spec = base2()
    assert abs(spec.factor / 2**spec.factor_frac - math.log2(math.e)) < 2.0 ** -(
        spec.factor_frac + 1
    )
