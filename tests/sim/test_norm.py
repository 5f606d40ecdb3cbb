"""LayerNorm and RMSNorm: the golden model, its accuracy, and the bound."""

import dataclasses
import json
import math

import numpy as np
import pytest
from norms import NORMS, affine, naive_norm, norm_spec

from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable
from sim.accuracy import norm_accuracy
from sim.accuracy.norm import (
    norm_corner_rows,
    norm_floor,
    norm_protocol_rows,
    norm_random_rows,
    norm_reference,
)
from sim.golden import DirectSpec, spec_from_json
from sim.golden.normalise import bit_length
from sim.measure import measure
from sim.norm_bound import norm_bound, root_error

ARCHS = ("direct", "pwl")
CASES = {
    "default": {"length": 24},
    "8 bits": {"bits": 8, "length": 9},
    "12 bits": {"bits": 12, "output_bits": 10, "length": 7},
    "integers": {"bits": 8, "input_frac": 0, "output_frac": 0, "length": 6},
    "coarse": {"bits": 8, "input_frac": -3, "output_frac": -2, "length": 6},
    "fine": {"bits": 8, "input_frac": 12, "output_frac": 9, "length": 6},
    "no epsilon": {"bits": 10, "length": 6, "eps": 0.0},
    "large epsilon": {"bits": 10, "length": 6, "eps": 3.0},
    "one element": {"bits": 9, "length": 1},
    "two elements": {"length": 2, "eps": 0.0},
    "gamma and beta": {"length": 11, **affine(11)},
    "gamma": {"length": 6, "gamma": affine(6)["gamma"]},
    "beta": {"length": 6, "beta": affine(6)["beta"]},
    "large gamma": {"bits": 8, "length": 4, **affine(4, gain=20.0)},
    "long": {"length": 1024, **affine(1024)},
}


def random_rows(spec, count, seed=0):
    rng = np.random.default_rng(seed)
    return [row for group in norm_random_rows(spec, 8 * count, rng) for row in group[: 32 // 8]]


def hold_against_fractions(spec):
    rows = random_rows(spec, 2 if spec.length > 100 else 40) + list(norm_corner_rows(spec))
    assert {1, spec.length} <= {len(row) for row in rows}
    for row in rows if spec.length < 100 else rows[:4]:
        assert spec.compute(row).tolist() == naive_norm(spec, row)


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("case", CASES)
def test_the_model_is_the_definition_in_fractions(op, case):
    hold_against_fractions(norm_spec(op, **CASES[case]))


@pytest.mark.parametrize("op", NORMS)
def test_the_widest_model_is_the_definition_in_fractions(op):
    spec = norm_spec(op, "pwl", output_bits=16, length=5, entries=16, fit="linear")
    hold_against_fractions(spec)
    # So few lines are too few for 16 bits, and the bound says by how much.
    assert 10 < norm_accuracy(spec, count=1000).max_ulp < norm_bound(spec) < 100


def test_rows_of_one_array_are_computed_alone():
    spec = norm_spec(bits=8, length=9, **affine(9))
    rows = np.random.default_rng(0).integers(-128, 127, (2, 3, 7))
    wanted = [[spec.compute(row).tolist() for row in block] for block in rows]
    assert spec.compute(rows).tolist() == wanted


@pytest.mark.parametrize("op", NORMS)
def test_the_reference_is_the_textbook_formula(op):
    spec = norm_spec(op, length=200, **affine(200))
    rng = np.random.default_rng(1)
    gamma, beta = (np.array(table.values) * table.output.scale for table in (spec.gamma, spec.beta))
    for n in (2, 3, 17, 200):
        x = rng.standard_t(3.0, n) + 0.3
        codes = spec.input.quantize(x)
        x = spec.input.real(codes)
        if op == "layernorm":
            z = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        else:
            z = x / np.sqrt(np.mean(x**2) + 1e-6)
        wanted = z * gamma[:n] + beta[:n]
        # Epsilon has a rounding error: below 2**-12 of itself.
        np.testing.assert_allclose(norm_reference(spec, codes), wanted, rtol=1e-6, atol=1e-7)


def test_gamma_and_beta_are_close_to_what_was_asked_for():
    options = affine(50)
    spec = norm_spec(length=50, **options)
    for table, values, ulps in ((spec.gamma, options["gamma"], math.sqrt(49)),
                                (spec.beta, options["beta"], 1.0)):  # fmt: skip
        error = np.abs(table.output.real(table.values)[:50] - values)
        # Multiplied by the largest z: a sixteenth of an ulp of the output.
        assert 0 < error.max() * ulps <= spec.output.scale / 16


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("arch", ARCHS)
def test_below_one_ulp_on_heavy_tails_of_every_length(op, arch):
    spec = norm_spec(op, arch, length=1024)
    assert (spec.input.bits, spec.output.bits) == (16, 8)
    if arch == "pwl":
        assert spec.mantissa.table.entries == 16
    rng = np.random.default_rng(2)
    groups = list(norm_random_rows(spec, 3000, rng, heavy=True))
    lengths = {group.shape[1] for group in groups}
    assert min(lengths) == 3
    assert max(lengths) > 900
    rows = [row for group in groups for row in group]
    accuracy = norm_accuracy(spec, rows)
    assert 0.5 <= accuracy.max_ulp <= norm_bound(spec) < 0.75
    assert accuracy.rms_ulp < 0.3
    assert (accuracy.rows, accuracy.elements) == (3000, sum(map(len, rows)))
    assert 0 < accuracy.clipped < accuracy.elements / 10


@pytest.mark.parametrize("length", [64, 128])
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("op", NORMS)
def test_the_protocol_is_within_5_percent_of_the_floor(op, arch, length):
    spec = norm_spec(op, arch, bits=8, length=length)
    assert (str(spec.input), str(spec.output)) == ("s8.4", "s8.5")
    rows = norm_protocol_rows(spec, length)
    assert rows.shape == (256, length)
    floor = norm_floor(spec, rows)
    if op == "layernorm":
        assert floor == pytest.approx(8.0e-5, rel=0.01)
    assert floor < norm_accuracy(spec, rows).mse < 1.05 * floor


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("case", CASES)
def test_the_bound_holds_and_is_below_one_ulp(op, arch, case):
    spec = norm_spec(op, arch, **CASES[case])
    assert norm_accuracy(spec, count=400).max_ulp <= norm_bound(spec) < 0.8


def loaded(unit, rng):
    """Yield the norm with gammas and betas that can be written: extremes, constant and mixed."""
    tables = dict(unit.written())
    for pick in ("min", "max", "mixed", "any"):
        new = {}
        for name in {"gamma", "beta"} & tables.keys():
            form, n = tables[name].output, len(tables[name].values)
            values = {"min": np.full(n, form.min), "max": np.full(n, form.max),
                      "mixed": rng.choice([form.min, form.max], n),
                      "any": rng.integers(form.min, form.max, n, endpoint=True)}[pick]  # fmt: skip
            new[name] = dataclasses.replace(tables[name], values=tuple(values.tolist()))
        yield unit.with_tables(new).bare


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize(
    "options",
    [{"length": 24}, {"length": 128}, {"length": 2, "bits": 8}, {"length": 8, "output_bits": 10},
     {"length": 6, **affine(6, gain=3.0)}],
)  # fmt: skip
def test_the_bound_of_a_writable_norm_holds_for_all_that_can_be_written(op, options):
    unit = norm_spec(op, "pwl", tables="writable", **options)
    _, bound = measure(unit, (op,), rows=20)
    assert norm_bound(unit.bare) < bound == norm_bound(unit.bare, written=True) < 1.0
    for spec in loaded(unit, np.random.default_rng(0)):
        assert norm_accuracy(spec, count=200).max_ulp <= norm_bound(spec) <= bound


@pytest.mark.parametrize("op", NORMS)
def test_the_bounds_of_the_readme(op):
    for arch in ARCHS:
        assert norm_bound(norm_spec(op, arch, length=1024)) <= 0.73
    unit = norm_spec(op, "pwl", tables="writable", length=1024, **affine(1024))
    assert norm_bound(unit.bare, written=True) <= 0.83


def test_what_can_be_written_is_from_minus_4_to_4_and_of_the_output_s_range():
    unit = norm_spec("layernorm", "pwl", tables="writable", length=128)
    gamma, beta = unit.bare.gamma.output, unit.bare.beta.output
    assert (gamma.min * gamma.scale, beta.min * beta.scale) == (-4.0, -4.0)
    # A larger one that is asked for widens the format, and with it what is inside.
    wide = norm_spec("layernorm", "pwl", tables="writable", length=4, gamma=(4.0, 1.0, 1.0, 1.0))
    assert wide.bare.gamma.output.min * wide.bare.gamma.output.scale == -8.0
    assert norm_bound(wide.bare, written=True) < 1.0


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("gain", [0.1, 1.0, 3.9, 100.0])
def test_the_budget_holds_with_any_gamma_and_a_beta_of_the_output_s_range(op, arch, gain):
    options = {"length": 8, "gamma": (gain,) * 8}
    assert norm_bound(norm_spec(op, arch, **options, beta=(4.0,) * 8)) < 0.9
    if gain > 8.0 and arch == "direct":  # Beyond, the root counts for more.
        assert norm_bound(norm_spec(op, arch, **options, beta=(200.0,) * 8)) > 1.0


def test_a_direct_table_is_too_coarse_for_wide_outputs():
    bounds = [norm_bound(norm_spec(output_bits=bits)) for bits in (8, 11, 12, 16)]
    assert bounds == sorted(bounds)
    assert bounds[1] < 1.0 < bounds[2] < 1.2
    assert norm_accuracy(norm_spec(output_bits=16), count=600).max_ulp > 4


def test_the_default_segments_follow_the_output():
    spec = norm_spec(arch="pwl", output_bits=10)
    assert spec.mantissa.table.entries == 32
    assert norm_bound(spec) < 0.75


@pytest.mark.parametrize("op", NORMS)
@pytest.mark.parametrize("arch", ARCHS)
def test_the_bound_over_all_rows_of_few_elements(op, arch):
    # LayerNorm does not see the mean: one of three elements is 0.
    spec = norm_spec(op, arch, bits=8, length=3)
    codes = spec.input.codes()
    rows = np.stack(np.meshgrid(codes, codes), axis=-1).reshape(-1, 2)
    if op == "layernorm":
        rows = np.pad(rows, [(0, 0), (0, 1)])
    assert 0.5 < norm_accuracy(spec, rows).max_ulp <= norm_bound(spec)


@pytest.mark.parametrize("op", NORMS)
def test_the_bound_is_not_far_from_what_happens(op):
    spec = norm_spec(op, length=32)
    assert norm_bound(spec) < 1.25 * norm_accuracy(spec, count=20_000).max_ulp


def test_the_bound_sees_faults():
    spec = norm_spec(length=16)
    bound = norm_bound(spec)
    table = spec.mantissa.table
    worst = list(table.values)
    worst[len(worst) // 3] += 40
    wrong = dataclasses.replace(spec, mantissa=DirectSpec(dataclasses.replace(
        table, values=tuple(worst))))  # fmt: skip
    assert root_error(wrong.mantissa) > 4 * root_error(spec.mantissa)
    assert norm_bound(wrong) > bound + 1
    narrow = Format(True, spec.scaled.bits - 1, spec.scaled.frac)
    assert norm_bound(dataclasses.replace(spec, scaled=narrow)) == math.inf
    coarse = Format(True, spec.scaled.bits - 3, spec.scaled.frac - 3)
    assert norm_bound(dataclasses.replace(spec, scaled=coarse)) > bound + 0.4
    # Half a step of so coarse an epsilon is as much as epsilon.
    fuzzy = dataclasses.replace(spec, eps=1, eps_frac=0)
    assert norm_bound(fuzzy) > bound + 10
    spec = norm_spec(length=16, **affine(16))
    narrow = Format(True, spec.normal.bits - 1, spec.normal.frac)
    assert norm_bound(dataclasses.replace(spec, normal=narrow)) == math.inf


def test_the_bound_covers_the_rounding_of_epsilon():
    # The measured error, against the epsilon that was asked for, not the unit's.
    for frac in (-4, 4, 8, 12):
        spec = norm_spec(bits=16, length=16, input_frac=frac, eps=1e-5)
        eps = 1e-5 * 4.0**frac
        assert abs(spec.eps / 2.0**spec.eps_frac - eps) <= 2.0 ** -(spec.eps_frac + 1)
        rows = np.array([np.roll([d, *[0] * 15], d) for d in (-9, -2, -1, 1, 2, 3, 40)])
        n, total = 16, rows.sum(axis=1, keepdims=True)
        radicand = n * (rows**2).sum(axis=1, keepdims=True) - total**2 + n * n * eps
        wanted = spec.output.clip((n * rows - total) / np.sqrt(radicand))
        error = np.abs(spec.output.real(spec.compute(rows)) - wanted) / spec.output.scale
        assert error.max() <= norm_bound(spec)


def test_epsilon_counts_where_the_variance_is_small():
    row = np.array([0, 0, 1, 0])
    results = [norm_spec(length=4, eps=eps).compute(row)[2] for eps in (0.0, 1e-5, 1e-3, 1.0)]
    assert results == sorted(results, reverse=True)
    assert results[0] == round(32 * math.sqrt(3))
    assert results[1] == round(32 * 0.75 / math.sqrt(3 / 16 + 1e-5 * 2**16))
    assert results[3] == 0


@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize("op", NORMS)
def test_rows_of_no_variance_give_beta(op, eps):
    options = affine(6)
    spec = norm_spec(op, length=6, eps=eps, beta=options["beta"], gamma=options["gamma"])
    wanted = spec.output.quantize(spec.beta.output.real(spec.beta.values)).tolist()
    plain = norm_spec(op, length=6, eps=eps)
    for n in (1, 2, 5, 6):
        for code in (spec.input.min, -1, 0, 1, spec.input.max):
            if op == "layernorm" or code == 0:
                assert spec.compute(np.full(n, code)).tolist() == wanted[:n]
                assert plain.compute(np.full(n, code)).tolist() == [0] * n


def test_a_row_of_one_element_is_its_sign_to_rmsnorm():
    spec = norm_spec("rmsnorm", length=4, eps=0.0)
    assert spec.compute(np.array([[-32768], [-1], [0], [1], [32767]])).ravel().tolist() == [
        -32, -32, 0, 32, 32,
    ]  # fmt: skip


def test_layernorm_does_not_see_the_mean():
    # The mean is exact, so that adding a constant changes no bit.
    spec = norm_spec(length=77)
    rng = np.random.default_rng(4)
    for n in (3, 10, 77):
        row = rng.integers(-300, 300, n)
        wanted = spec.compute(row).tolist()
        for shift in (-32468, -1, 1, 1000, 32467):
            assert spec.compute(row + shift).tolist() == wanted


@pytest.mark.parametrize("op", NORMS)
def test_order_and_scale_do_not_matter(op):
    spec = norm_spec(op, length=77, eps=0.0)
    rng = np.random.default_rng(5)
    row = rng.integers(-1000, 1000, 60)
    order = rng.permutation(60)
    assert spec.compute(row[order]).tolist() == spec.compute(row)[order].tolist()
    for scale in (2, 8, 32):
        assert spec.compute(row * scale).tolist() == spec.compute(row).tolist()


@pytest.mark.parametrize("op", NORMS)
def test_elements_that_are_not_there_leave_their_row_alone(op):
    spec = norm_spec(op, length=12)
    rng = np.random.default_rng(6)
    for share in (0.1, 0.5, 0.9):
        row = rng.integers(-30000, 30000, 12)
        missing = rng.random(12) < share
        result = spec.compute(row, missing)
        assert not result[missing].any()
        if not missing.all():
            assert result[~missing].tolist() == spec.compute(row[~missing]).tolist()
    assert spec.compute(row, np.ones(12, bool)).tolist() == [0] * 12


def test_gamma_and_beta_stay_at_their_positions_beside_missing_elements():
    spec = norm_spec(length=4, gamma=(1.0, 0.5, 2.0, 1.0), beta=(0.0, 0.25, 1.0, -1.0))
    row, missing = np.array([300, -200, 100, 700]), np.array([False, True, False, False])
    z = norm_reference(norm_spec(length=4), row[~missing])
    wanted = z * [1.0, 2.0, 1.0] + [0.0, 1.0, -1.0]
    error = spec.output.real(spec.compute(row, missing))[~missing] - wanted
    assert np.abs(error).max() < spec.output.scale


@pytest.mark.parametrize("op", NORMS)
def test_what_can_be_written_is_as_accurate(op):
    length = 100
    spec = norm_spec(op, "pwl", length=length, tables="writable").unit
    # As a plain unit, until something is written.
    assert set(spec.gamma.values[:length]) == {1 << spec.gamma.output.frac}
    rows = random_rows(spec, 4)
    plain = norm_spec(op, "pwl", length=length)
    for row in rows:
        assert np.abs(spec.compute(row) - plain.compute(row)).max() <= 1
    # RMSNorm has a beta only where it is asked for.
    assert (spec.beta is None) == (op == "rmsnorm")
    options = {"beta": (0.0,) * length}
    spec = norm_spec(op, "pwl", length=length, tables="writable", **options).unit
    assert set(spec.beta.values) == {0}
    rng = np.random.default_rng(7)

    def written(table, reach):
        values = table.output.quantize(rng.uniform(-reach, reach, len(table.values)))
        values[:2] = table.output.quantize(np.array([-reach, reach]))
        return dataclasses.replace(table, values=tuple(values.tolist()))

    limit = -spec.output.min * spec.output.scale
    other = dataclasses.replace(
        spec, gamma=written(spec.gamma, 4.0), beta=written(spec.beta, limit)
    )
    assert norm_accuracy(other, count=2000).max_ulp <= norm_bound(other) < 0.85


def test_the_default_formats():
    spec = norm_spec()
    assert (str(spec.input), str(spec.output), spec.length) == ("s16.8", "s8.5", 128)
    assert (spec.gamma, spec.beta, spec.normal) == (None, None, spec.output)
    assert spec.eps / 2**spec.eps_frac == pytest.approx(1e-5 * 2**16, rel=1e-3)
    rms = norm_spec("rmsnorm", bits=12, output_bits=10)
    assert (str(rms.input), str(rms.output)) == ("s12.6", "s10.7")
    assert rms.eps / 2**rms.eps_frac == pytest.approx(1e-6 * 2**12, rel=1e-3)


@pytest.mark.parametrize("case", ["default", "gamma and beta", "gamma", "beta"])
def test_json_round_trip(case):
    spec = norm_spec("rmsnorm", "pwl", **CASES[case])
    data = json.loads(json.dumps(spec.describe()))
    assert data["kind"] == "norm"
    again = spec_from_json(data)
    assert again == spec
    assert [name for name, _ in again.tables()] == [
        "mantissa",
        *(name for name in ("gamma", "beta") if getattr(spec, name) is not None),
    ]


def values(form, bits=3):
    return DirectTable(Format(False, bits, 0), form, (0,) * 2**bits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": Format(False, 8, 4)}, "spec: norm.input must be signed, not u8.4"),
        ({"scaled": Format(False, 8, 4)}, "spec: norm.scaled must be signed, not u8.4"),
        ({"eps": -1}, "spec: norm.eps and norm.eps_frac must be at least 0, not -1 and 12"),
        ({"length": 0}, "spec: norm.length must be at least 1, not 0"),
        ({"lanes": 3}, "spec: norm.lanes must be one of 1, 2, 4, 8, 16, not 3"),
        ({"lanes": 16}, "spec: norm.length must be a multiple of the 16 lanes, not 8"),
        ({"normal": Format(True, 9, 5)},
         "spec: norm.normal must be the output s8.5 without gamma and beta, not s9.5"),
        ({"gamma": values(Format(True, 8, 4), 4)},
         "spec: norm.gamma must map u3.0 to s*.*, not u4.0 to s8.4"),
        ({"beta": values(Format(False, 8, 4))},
         "spec: norm.beta must map u3.0 to s*.*, not u3.0 to u8.4"),
        ({"beta": values(Format(True, 8, 7))}, "spec: norm.beta_left must be at least 0, not -2"),
        ({"scaled": Format(True, 12, -7)}, "spec: norm.shift must be at least 0, not -1"),
        ({"length": 1 << 20}, "spec: norm must compute with numbers of at most 62 bits, not 70"),
    ],
)  # fmt: skip
def test_wrong_specifications(changes, message):
    spec = norm_spec(length=8)
    with pytest.raises(UsageError) as raised:
        dataclasses.replace(spec, **changes)
    assert str(raised.value) == message


def test_wrong_tables_of_the_root():
    spec = norm_spec(length=8)
    wrong = norm_spec(arch="direct", length=8).mantissa
    table = dataclasses.replace(wrong.table, input=Format(False, wrong.input.bits, 7))
    with pytest.raises(UsageError, match=r"norm.mantissa must map u\*.\* with two integer bits"):
        dataclasses.replace(spec, mantissa=DirectSpec(table))


def test_wrong_rows():
    spec = norm_spec(bits=8, length=3)
    with pytest.raises(UsageError, match=r"^a row must have 1 to 3 elements, not 4$"):
        spec.compute(np.zeros(4, np.int64))
    with pytest.raises(UsageError, match=r"^codes of format s8.4 must be -128 to 127"):
        spec.compute(np.array([128]))
    with pytest.raises(UsageError, match=r"^a mask must have a 0 or a 1 for each element"):
        spec.compute(np.array([1, 2]), np.array([1]))


def test_no_plain_table_of_the_root():
    with pytest.raises(UsageError, match=r"^--fold must be auto for rmsnorm, a range reduction"):
        norm_spec("rmsnorm", "pwl", fold="none")


def test_bit_lengths_beyond_float64():
    values = [0, 1, 2, 3, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53 + 1, 2**54 - 1,
              2**62 - 1, 2**62, 2**63 - 1]  # fmt: skip
    assert bit_length(np.array(values)).tolist() == [value.bit_length() for value in values]
