"""Softmax by an exact sum of floating-point exponentials: the golden model, and its bound."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from naive import half_up, limit

from hw.design import design
from hw.request import Request
from nnlut_train.direct import direct_table
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from sim.accuracy import softmax_accuracy
from sim.golden import DirectSpec, KulischSpec, spec_from_json
from sim.kulisch_bound import kulisch_bound
from sim.stimuli import random_rows


def kulisch(bits=8, **options):
    return design(Request("softmax", bits, method="kulisch", **options), "direct")


def naive_kulisch(spec, row, mask):
    """Return the probabilities of a row, with fractions in place of shifts."""
    half = -spec.input.min
    floats = [divmod(spec.exp.table.values[code + half], 2**spec.fraction_bits) for code in row]
    powers = [(1 + Fraction(f, 2**spec.fraction_bits)) * 2**k for k, f in floats]
    total = sum(power for power, out in zip(powers, mask, strict=True) if not out)
    if not total:
        return [0] * len(row)
    exponent = 0
    while total >= 2 ** (exponent + 1):
        exponent += 1
    m = total / 2**exponent
    seen = ((m - 1) * 2**spec.reciprocal.input.bits).__floor__()
    r = Fraction(spec.reciprocal.table.values[seen], 2**spec.reciprocal.output.bits)
    return [
        0 if out else limit(half_up(power / 2**exponent * r * 2**spec.output.frac), spec.output)
        for power, out in zip(powers, mask, strict=True)
    ]


@pytest.mark.parametrize(
    ("bits", "options"),
    [
        (8, {"length": 64}), (4, {"length": 1}), (6, {"length": 24, "lanes": 4}),
        (5, {"length": 9, "input_frac": 12, "output_bits": 4}),
        (6, {"length": 16, "input_frac": 3, "output_bits": 11}),
    ],
)  # fmt: skip
def test_equals_the_naive_model(bits, options):
    spec = replace(kulisch(bits, **options), mask=True)
    rng = np.random.default_rng(bits)
    for row in random_rows(spec, 30, rng):
        mask = rng.random(row.shape) < 0.3
        assert spec.compute(row, mask).tolist() == naive_kulisch(spec, row.tolist(), mask)
    everything = np.full(spec.length, spec.input.min)
    assert not spec.compute(everything, np.ones(spec.length, dtype=bool)).any()


def test_the_order_makes_no_difference():
    spec = kulisch(length=64)
    for row in random_rows(spec, 20, np.random.default_rng(3)):
        assert (spec.compute(row[::-1])[::-1] == spec.compute(row)).all()


@pytest.mark.parametrize(
    ("bits", "options"),
    [
        (8, {"length": 64}), (8, {"length": 128}), (8, {"length": 64, "lanes": 8}),
        (6, {"length": 24}), (10, {"length": 64}), (12, {"length": 64, "output_bits": 8}),
        (8, {"length": 64, "output_bits": 11}), (4, {"length": 8}),
    ],
)  # fmt: skip
def test_the_bound_is_below_one_ulp(bits, options):
    spec = kulisch(bits, **options)
    accuracy = softmax_accuracy(spec, count=1500)
    assert 0.45 < accuracy.max_ulp < kulisch_bound(spec) < 1


def test_the_bound_sees_a_wrong_entry():
    spec = kulisch(length=64)
    for name in ("exp", "reciprocal"):
        table = getattr(spec, name).table
        values = list(table.values)
        values[3] += 12 if name == "exp" else -12
        wrong = replace(spec, **{name: DirectSpec(replace(table, values=tuple(values)))})
        assert kulisch_bound(wrong) > 1.5


def test_few_lengths_are_checked_in_full():
    spec = kulisch(4, length=4)
    codes = spec.input.codes()
    rows = np.stack(np.meshgrid(*[codes] * 4), axis=-1).reshape(-1, 4)
    exact = np.exp(spec.input.real(rows))
    exact /= exact.sum(axis=-1, keepdims=True)
    exact = np.minimum(exact / spec.output.scale, spec.output.max)
    worst = np.abs(spec.compute(rows) - exact).max()
    assert 0.5 < worst <= kulisch_bound(spec) < 1


def test_is_read_back():
    spec = kulisch(6, length=24, lanes=2)
    assert spec_from_json(json.loads(json.dumps(spec.describe()))) == spec


def test_names_what_does_not_fit():
    spec = kulisch(6, length=24)
    short = Format(False, 4, 4)
    for fields, message in (
        ({"input": Format(False, 6, 2)}, "kulisch.input must be signed"),
        ({"output": Format(True, 6, 6)}, "kulisch.output unsigned"),
        ({"exp": spec.reciprocal}, "kulisch.exp must map s6.2"),
        ({"reciprocal": spec.exp}, "kulisch.reciprocal must take"),
        ({"reciprocal": DirectSpec(direct_table("1/m", np.linspace(0.9, 0.4, 16), short, short))},
         "kulisch.reciprocal must give"),
        ({"length": 1 << 40}, "sums of at most 62 bits"),
        ({"output": Format(False, 6, 20)}, "fraction bits, not 20"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            replace(spec, **fields)
    with pytest.raises(UsageError, match="--input-frac must be at least 4 for --method kulisch"):
        kulisch(8, input_frac=2)
    with pytest.raises(UsageError, match="--fit goes with tables of lines, not with softmax by ku"):
        Request("softmax", method="kulisch", fit="nn")
    assert isinstance(spec, KulischSpec)
