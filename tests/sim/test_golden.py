import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import half_up, limit, naive, naive_softmax

from hw.choices import FOLD_CHOICES
from hw.design import design
from hw.request import Request
from nnlut_train.errors import UsageError
from nnlut_train.files import _KINDS as TABLE_KINDS
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import (
    _KINDS,
    DirectSpec,
    ExpSpec,
    LogSpec,
    PwlSpec,
    ReciprocalSpec,
    SineSpec,
    SoftmaxSpec,
    UnarySpec,
    spec_from_json,
)

UNARY = tuple(FUNCTIONS)
quick = settings(derandomize=True, deadline=None, max_examples=60)


def check_all_codes(spec, stride=1):
    codes = spec.input.codes()[::stride]
    result = spec.compute(codes)
    assert result.dtype == np.int64
    assert result.tolist() == [naive(spec, q) for q in codes.tolist()]


@pytest.mark.parametrize("fold", FOLD_CHOICES)
@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize("op", UNARY)
def test_unary_models_are_their_naive_formulation_at_every_code(op, arch, fold):
    check_all_codes(design(Request(op, 8, fold=fold), arch))


@pytest.mark.parametrize("op", UNARY)
def test_wide_direct_models_are_their_naive_formulation(op):
    check_all_codes(design(Request(op, 11), "direct"))


@pytest.mark.parametrize("op", ["exp", "reciprocal", "rsqrt", "log", "sqrt", "exp2", "sin", "cos"])
@pytest.mark.parametrize(
    ("bits", "input_frac", "output_frac"),
    [(4, None, None), (5, 0, None), (6, -2, 3), (7, 10, 12), (10, None, 2), (9, 4, 9), (8, 3, -2)],
)
def test_reduced_models_in_unusual_formats(op, bits, input_frac, output_frac):
    request = Request(op, bits, input_frac=input_frac, output_frac=output_frac)
    for arch in ("pwl", "direct"):
        check_all_codes(design(request, arch))


@pytest.mark.parametrize("op", ["exp", "reciprocal", "rsqrt", "log", "tanh"])
def test_wide_models(op):
    check_all_codes(design(Request(op, 16, entries=16), "pwl"), stride=37)


def test_direct_tables_hold_the_correctly_rounded_values():
    for op in UNARY:
        request = Request(op, 6)
        spec = design(request, "direct")
        for q in spec.input.codes().tolist():
            exact = float(request.function(np.array([q * spec.input.scale]))[0])
            if np.isinf(exact):
                end = spec.output.max if exact > 0 else spec.output.min
                assert spec.compute(np.array([q]))[0] == end
                continue
            wanted = limit(half_up(Fraction(exact) * Fraction(2) ** spec.output.frac), spec.output)
            assert spec.compute(np.array([q]))[0] == wanted, (op, q)


@st.composite
def pwl_tables(draw):
    input_format = Format(draw(st.booleans()), draw(st.integers(2, 7)), draw(st.integers(-3, 9)))
    output = Format(draw(st.booleans()), draw(st.integers(1, 8)), draw(st.integers(-4, 8)))
    slope_frac = max(output.frac - input_format.frac, 0) + draw(st.integers(0, 6))
    slope = Format(draw(st.booleans()), draw(st.integers(1, 9)), slope_frac)
    intercept = Format(
        draw(st.booleans()), draw(st.integers(1, 9)),
        slope_frac + input_format.frac - draw(st.integers(0, 5)),
    )  # fmt: skip
    inside = st.integers(input_format.min, input_format.max)
    breakpoints = sorted(draw(st.sets(inside, max_size=5)))

    def values(form):
        count = len(breakpoints) + 1
        number = st.integers(form.min, form.max)
        return tuple(draw(st.lists(number, min_size=count, max_size=count)))

    return PwlTable(
        input_format, output, slope, intercept, tuple(breakpoints), values(slope), values(intercept)
    )


@quick
@given(pwl_tables())
def test_any_pwl_table(table):
    check_all_codes(PwlSpec(table))


@st.composite
def direct_specs(draw, input_format, output):
    count = 1 << input_format.bits
    code = st.integers(output.min, output.max)
    values = draw(st.lists(code, min_size=count, max_size=count))
    return DirectSpec(DirectTable(input_format, output, tuple(values)))


@st.composite
def exp_specs(draw):
    bits, value_bits = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    fraction = draw(
        direct_specs(Format(False, bits, bits), Format(False, value_bits, draw(st.integers(-2, 8))))
    )
    input_format = Format(draw(st.booleans()), draw(st.integers(2, 7)), draw(st.integers(-2, 6)))
    factor_frac = draw(st.integers(max(0, bits - input_format.frac), 12))
    factor = draw(st.integers(-(3 << factor_frac), 3 << factor_frac).filter(bool))
    output = Format(draw(st.booleans()), draw(st.integers(2, 10)), draw(st.integers(-3, 12)))
    return ExpSpec(input_format, output, fraction, factor, factor_frac)


@quick
@given(exp_specs())
def test_any_exp(spec):
    check_all_codes(spec)


@st.composite
def reciprocal_specs(draw):
    root = draw(st.booleans())
    inverse = not root or draw(st.booleans())
    input_format = Format(False, draw(st.integers(3, 8)), draw(st.integers(-3, 10)))
    width = input_format.bits + (root and (input_format.bits - input_format.frac) % 2)
    bits = draw(st.integers(2 if root else 1, width - (not root)))
    frac = bits - 2 if root else bits
    value = Format(False, draw(st.integers(1, 8)), draw(st.integers(0, 8)))
    mantissa = draw(direct_specs(Format(False, bits, frac), value))
    output = Format(False, draw(st.integers(2, 10)), draw(st.integers(-3, 8)))
    return input_format, output, mantissa, root, inverse


@quick
@given(reciprocal_specs())
def test_any_reciprocal_and_root(parts):
    input_format, output, mantissa, root, inverse = parts
    spec = ReciprocalSpec(input_format, output, mantissa, root, input_format.bits + 1, inverse)
    if min(spec.right_of(0), spec.right_of(spec.shifts)) < 0:  # `left` rules this out
        pytest.fail("the variable shift went left")
    check_all_codes(spec)


@st.composite
def sine_specs(draw):
    bits = draw(st.integers(1, 5))
    value = Format(False, draw(st.integers(1, 8)), draw(st.integers(-2, 8)))
    quarter = draw(direct_specs(Format(False, bits, bits), value))
    input_format = Format(draw(st.booleans()), draw(st.integers(2, 7)), draw(st.integers(-2, 6)))
    factor_frac = draw(st.integers(max(0, bits - input_format.frac), 12))
    output = Format(
        draw(st.booleans()), draw(st.integers(2, 10)), value.frac - draw(st.integers(0, 6))
    )
    factor = draw(st.integers(0, 3 << factor_frac))
    return SineSpec(input_format, output, quarter, factor, factor_frac, draw(st.booleans()))


@quick
@given(sine_specs())
def test_any_sine(spec):
    check_all_codes(spec)


@st.composite
def log_specs(draw):
    input_format = Format(False, draw(st.integers(2, 8)), draw(st.integers(-3, 10)))
    bits = draw(st.integers(1, input_format.bits - 1))
    value = Format(draw(st.booleans()), draw(st.integers(1, 8)), draw(st.integers(-2, 9)))
    mantissa = draw(direct_specs(Format(False, bits, bits), value))
    output = Format(draw(st.booleans()), draw(st.integers(2, 10)), draw(st.integers(-3, 12)))
    factor = draw(st.integers(-3000, 3000))
    return LogSpec(input_format, output, mantissa, factor, draw(st.integers(0, 12)))


@quick
@given(log_specs())
def test_any_log(spec):
    check_all_codes(spec)


def test_log_of_one_is_zero_and_of_powers_of_two_is_the_exponent():
    spec = design(Request("log", 12), "pwl")
    for exponent in range(-5, 4):
        code = 1 << (spec.input.frac + exponent)
        wanted = half_up(Fraction(exponent * np.log(2)) * 2**spec.output.frac)
        assert spec.compute(np.array([code])).tolist() == [wanted]


def test_normalisation_is_exact_up_to_wide_inputs():
    # frexp must give the bit length of every code, also next to powers of two.
    mantissa = DirectSpec(DirectTable(Format(False, 4, 4), Format(False, 8, 7), tuple(range(16))))
    spec = ReciprocalSpec(Format(False, 40, 20), Format(False, 30, 20), mantissa, False, 40)
    codes = [c for top in range(40) for c in ((1 << top) - 1, 1 << top, (1 << top) + 1)]
    codes += [(1 << 40) - 1, (1 << 40) - 2]
    assert spec.compute(np.array(codes)).tolist() == [naive(spec, q) for q in codes]
    spec = LogSpec(Format(False, 40, 20), Format(True, 30, 20), mantissa, 45426, 16)
    assert spec.compute(np.array(codes)).tolist() == [naive(spec, q) for q in codes]


def softmaxes():
    for arch in ("pwl", "direct"):
        for fold in FOLD_CHOICES:
            for bits, length in ((4, 1), (8, 7), (10, 128), (12, 3)):
                yield design(Request("softmax", bits, length=length, fold=fold), arch)


def test_softmax_is_its_naive_formulation():
    rng = np.random.default_rng(0)
    for spec in softmaxes():
        low, high = spec.input.min, spec.input.max
        rows = [[low] * spec.length, [high] * spec.length, [high] + [low] * (spec.length - 1)]
        for _ in range(6):
            size = int(rng.integers(1, spec.length, endpoint=True))
            rows.append(rng.integers(low, high, size, endpoint=True).tolist())
            narrow = rng.integers(high - 20 if spec.input.bits > 5 else 0, high, size)
            rows.append(narrow.tolist())
        for row in rows:
            assert spec.compute(np.array(row)).tolist() == naive_softmax(spec, row)


@quick
@given(st.data())
def test_softmax_of_any_row(data):
    spec = design(Request("softmax", 6, length=9), "pwl")
    row = data.draw(st.lists(st.integers(-32, 31), min_size=1, max_size=9))
    result = spec.compute(np.array(row)).tolist()
    assert result == naive_softmax(spec, row)
    order = data.draw(st.permutations(range(len(row))))
    assert spec.compute(np.array([row[i] for i in order])).tolist() == [result[i] for i in order]
    # Only distances from the maximum count.
    room = 31 - max(row)
    assert spec.compute(np.array(row) + room).tolist() == result


@pytest.mark.parametrize("shape", [(24,), (1, 24), (3, 8), (2, 3, 4), (24, 1), (2, 0, 4)])
def test_any_leading_shape_gives_the_same(shape):
    codes = np.random.default_rng(1).integers(-128, 128, shape)
    for op, arch in (("gelu", "pwl"), ("tanh", "direct"), ("exp", "pwl")):
        spec = design(Request(op, 8), arch)
        assert spec.input.signed
        wanted = [naive(spec, q) for q in codes.ravel().tolist()]
        assert spec.compute(codes).tolist() == np.array(wanted).reshape(shape).tolist()
    spec = design(Request("rsqrt", 8), "pwl")
    wanted = np.array([naive(spec, q + 128) for q in codes.ravel().tolist()])
    assert (spec.compute(codes + 128) == wanted.reshape(shape)).all()
    spec = design(Request("softmax", 8, length=32), "pwl")
    result = spec.compute(codes)
    assert result.shape == shape
    for index in np.ndindex(shape[:-1]):
        assert result[index].tolist() == naive_softmax(spec, codes[index].tolist())


def test_a_softmax_row_has_a_length_the_unit_takes():
    spec = design(Request("softmax", 8, length=5), "pwl")
    with pytest.raises(UsageError, match=r"^a row must have 1 to 5 elements, not 6$"):
        spec.compute(np.zeros(6, int))
    with pytest.raises(UsageError, match=r"^a row must have 1 to 5 elements, not 0$"):
        spec.compute(np.zeros((2, 0), int))


def test_inputs_are_not_changed():
    for spec in (
        design(Request("softmax", 8, length=5), "pwl"), design(Request("rsqrt", 8), "pwl"),
        design(Request("exp", 8), "pwl"), design(Request("gelu", 8), "pwl"),
    ):  # fmt: skip
        codes = np.array([5, 1, 3, 0])
        spec.compute(codes)
        assert codes.tolist() == [5, 1, 3, 0]


# Specifications as data.


def specs():
    yield design(Request("gelu", 8), "pwl")
    yield design(Request("gelu", 4), "direct")
    yield design(Request("exp", 8), "pwl")
    yield design(Request("rsqrt", 8), "pwl")
    yield design(Request("log", 8), "pwl")
    yield design(Request("sqrt", 8), "pwl")
    yield design(Request("cos", 8, input_frac=2), "pwl")
    yield design(Request("softmax", 8, length=16), "pwl")
    yield design(Request("softmax", 8, length=16), "direct")


def test_specs_survive_json():
    for spec in specs():
        again = spec_from_json(json.loads(json.dumps(spec.describe())))
        assert again == spec
        assert type(again) is type(spec)
        assert again.describe() == spec.describe()
        if isinstance(spec, UnarySpec):
            codes = spec.input.codes()
            assert (again.compute(codes) == spec.compute(codes)).all()


def test_specs_name_their_tables():
    spec = design(Request("softmax", 8, length=16), "pwl")
    assert dict(spec.tables()) == {
        "exp.fraction": spec.exp.fraction.table,
        "reciprocal.mantissa": spec.reciprocal.mantissa.table,
    }
    assert list(dict(design(Request("gelu", 8), "pwl").tables())) == ["table"]


def edit(spec, path, value):
    """Return the description of `spec` with the field at `path` set, or removed if it is `del`."""
    data = json.loads(json.dumps(spec.describe()))
    inner = data
    *way, name = path.split(".")
    for key in way:
        inner = inner[key]
    if value is DELETE:
        del inner[name]
    else:
        inner[name] = value
    return data


DELETE = object()
WRONG_KIND = f"spec: kind must be one of {', '.join(_KINDS)}"
GELU = ("gelu", "pwl")
EXP = ("exp", "pwl")
ROOT = ("rsqrt", "pwl")
LOG = ("log", "pwl")
SQRT = ("sqrt", "pwl")
SINE = ("sin", "pwl")
SOFTMAX = ("softmax", "pwl")
DIRECT_TABLE = DirectTable(Format(True, 1, 0), Format(True, 2, 0), (0, 1)).to_json()


@pytest.mark.parametrize(
    ("unit", "path", "value", "message"),
    [
        (GELU, "kind", "cubic",
         WRONG_KIND),
        (GELU, "kind", DELETE,
         WRONG_KIND),
        (GELU, "table", DELETE, "spec: pwl.table is missing"),
        (GELU, "table", DIRECT_TABLE, "spec: pwl.table must be a pwl"),
        (GELU, "table", 7, f"table: kind must be one of {', '.join(TABLE_KINDS)}"),
        (GELU, "table.slopes", [1], "table: breakpoints must have 0 values, not 15"),
        (EXP, "input", "8.4",
         "a format must read like s8.4 or u8.8 (sign, bits, fraction bits), not '8.4'"),
        (EXP, "input", None,
         "a format must read like s8.4 or u8.8 (sign, bits, fraction bits), not None"),
        (EXP, "input", "s99.4", "a format's width must be 1 to 48 bits, not 99"),
        (EXP, "factor", "1", "spec: exp.factor must be int, not '1'"),
        (EXP, "factor", 1.5, "spec: exp.factor must be int, not 1.5"),
        (EXP, "factor", True, "spec: exp.factor must be int, not True"),
        (EXP, "factor", DELETE, "spec: exp.factor is missing"),
        (EXP, "fraction", 3,
         WRONG_KIND),
        (EXP, "factor_frac", 0, "spec: exp.fraction must have at most 4 fraction bits, not 10"),
        (ROOT, "root", 1, "spec: reciprocal.root must be bool, not 1"),
        (ROOT, "shift_max", -1, "spec: reciprocal.shift_max must be >= 0, not -1"),
        (ROOT, "input", "s8.4", "spec: reciprocal.input must be unsigned, not s8.4"),
        (ROOT, "output", "s8.4", "spec: reciprocal.output must be unsigned, not s8.4"),
        (ROOT, "input", "u4.0", "spec: reciprocal.mantissa must see at most 4 bits, not 8"),
        (ROOT, "root", False, "spec: reciprocal.mantissa must see at most 7 bits, not 8"),
        (SQRT, "inverse", 1, "spec: reciprocal.inverse must be bool, not 1"),
        (SQRT, "input", "s8.4", "spec: reciprocal.input must be unsigned, not s8.4"),
        (SINE, "cosine", 0, "spec: sine.cosine must be bool, not 0"),
        (SINE, "factor_frac", 0, "spec: sine.quarter must have at most 2 fraction bits, not 11"),
        (SINE, "output", "s8.12", "spec: sine.quarter must give at least 12 fraction bits, not 11"),
        (SINE, "factor", 1 << 60, "spec: sine must multiply to at most 63 bits, not 69"),
        (SINE, "quarter", 3, WRONG_KIND),
        (LOG, "input", "s8.4", "spec: log.input must be unsigned, not s8.4"),
        (LOG, "input", "u7.3", "spec: log.mantissa must see at most 6 bits, not 7"),
        (LOG, "factor", None, "spec: log.factor must be int, not None"),
        (LOG, "factor", 1 << 60, "spec: log must add numbers of at most 62 bits, not 65"),
        (LOG, "factor_frac", -1, "spec: log.factor_frac must be >= 0, not -1"),
        (LOG, "factor_frac", 64, "spec: log must add numbers of at most 62 bits, not 66"),
        (LOG, "output", "s8.-60", "spec: log must add numbers of at most 62 bits, not 75"),
        (SOFTMAX, "length", 0, "spec: softmax.length must be at least 1, not 0"),
        (SOFTMAX, "length", "16", "spec: softmax.length must be int, not '16'"),
        (SOFTMAX, "input", "u8.4", "spec: softmax.input must be signed, not u8.4"),
        (SOFTMAX, "input", "s7.4",
         "spec: softmax.exp must take unsigned distances of at most 7 bits for logits s7.4, "
         "not u8.4"),
        (SOFTMAX, "exp.input", "s8.4",
         "spec: softmax.exp must take unsigned distances of at most 8 bits for logits s8.4, "
         "not s8.4"),
        (SOFTMAX, "input", "s8.3",
         "spec: softmax.exp must take distances with -5 to 3 fraction bits for logits s8.3, "
         "not u8.4"),
        (SOFTMAX, "input", "s8.13",
         "spec: softmax.exp must take distances with 5 to 13 fraction bits for logits s8.13, "
         "not u8.4"),
        (SOFTMAX, "length", 64, "spec: softmax.reciprocal must take u21.14, not u19.14"),
    ],
)  # fmt: skip
def test_wrong_descriptions_are_told(unit, path, value, message):
    op, arch = unit
    options = {"softmax": {"length": 16}, "sin": {"input_frac": 2}}
    spec = design(Request(op, 8, **options.get(op, {})), arch)
    with pytest.raises(UsageError) as raised:
        spec_from_json(edit(spec, path, value))
    assert str(raised.value) == message


def test_units_in_the_wrong_place_are_told():
    softmax = design(Request("softmax", 8, length=16), "pwl")
    exp = softmax.exp.describe()
    with pytest.raises(UsageError, match=r"^spec: softmax.reciprocal must not be of kind exp$"):
        spec_from_json(edit(softmax, "reciprocal", exp))
    with pytest.raises(UsageError, match=r"^spec: exp.fraction must not be of kind softmax$"):
        spec_from_json(edit(softmax.exp, "fraction", softmax.describe()))
    with pytest.raises(
        UsageError, match=r"exp.fraction must map u\*\.\* with no integer bits, not s8.4"
    ):
        spec_from_json(edit(softmax.exp, "fraction", design(Request("gelu", 8), "pwl").describe()))
    log = design(Request("log", 8), "pwl")
    with pytest.raises(
        UsageError, match=r"^spec: log.mantissa must map u\*\.\* with no integer bits, not s8.4$"
    ):
        spec_from_json(edit(log, "mantissa", design(Request("gelu", 8), "pwl").describe()))
    with pytest.raises(UsageError, match=r"^spec: log.mantissa must not be of kind softmax$"):
        spec_from_json(edit(log, "mantissa", softmax.describe()))
    for data in (None, [], "pwl", 3, {}):
        with pytest.raises(UsageError, match="kind must be one of"):
            spec_from_json(data)


def test_softmax_spec_is_what_its_latency_says():
    spec = design(Request("softmax", 8, length=16), "pwl")
    assert isinstance(spec, SoftmaxSpec)
    # exp: multiply, table of lines (3), shift; reciprocal: count, normalise, table (3), shift.
    assert spec.exp.latency == 5
    assert spec.reciprocal.latency == 6
    assert design(Request("log", 8), "pwl").latency == 6
    assert spec.latency_of(10) == 20 + 5 + 6 + 6
    assert design(Request("gelu", 8), "pwl").latency_of(1000) == 3
    assert design(Request("gelu", 8), "direct").latency_of(1) == 1
