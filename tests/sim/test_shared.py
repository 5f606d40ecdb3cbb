from dataclasses import replace

import numpy as np
import pytest
from naive import naive_pwl

from hw.choices import FOLD_CHOICES
from hw.design import design
from hw.design.shared import SLACK_ULP
from hw.request import Request
from nnlut_train.errors import UsageError
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.functions import lookup
from nnlut_train.tables import PwlTable
from sim.accuracy import shared_accuracy, unary_accuracy
from sim.golden import PwlSpec, SharedSpec, spec_from_json
from sim.golden.shared import total
from sim.measure import measure

FIVE = "gelu,exp,tanh,sigmoid,silu"
ALL = f"{FIVE},reciprocal,rsqrt,log"


def of(ops, bits=8, **options):
    return design(Request(ops, bits, **options), "pwl")


def bits_of(code, form):
    return code % 2**form.bits


@pytest.mark.parametrize("fold", FOLD_CHOICES)
def test_every_function_at_every_code(fold):
    spec = of(ALL, fold=fold)
    assert (spec.input, spec.output) == (Format(False, 8, 0), Format(False, 8, 0))
    for user, table in enumerate(spec.functions):
        codes = table.input.codes()
        words = np.array([bits_of(code, table.input) for code in codes.tolist()])
        result = spec.compute(words, user)
        assert result.dtype == np.int64
        assert result.tolist() == [
            bits_of(naive_pwl(table, code), table.output) for code in codes.tolist()
        ]


def test_functions_of_one_format_have_its_codes():
    spec = of("gelu,silu")
    assert str(spec.input) == str(spec.output) == "s8.4"
    codes = spec.input.codes()
    for user, table in enumerate(spec.functions):
        assert spec.compute(codes, user).tolist() == table.lookup(codes).tolist()


def test_the_function_is_chosen_element_by_element():
    spec = of("gelu,silu,tanh", 6)
    rng = np.random.default_rng(0)
    codes, users = rng.integers(0, 64, (7, 30)), rng.integers(0, 3, (7, 30))
    result = spec.compute(codes, users)
    assert result.shape == codes.shape
    for at in np.ndindex(codes.shape):
        assert result[at] == spec.compute(codes[at], users[at])
    assert len({tuple(spec.compute(codes, user).ravel()) for user in range(3)}) == 3


def test_numbers_beyond_the_last_function_mean_the_last_and_none_means_the_first():
    spec = of(FIVE)
    assert spec.user_bits == 3
    codes = spec.input.codes()
    for user in (5, 6, 7):
        assert spec.compute(codes, user).tolist() == spec.compute(codes, 4).tolist()
    assert spec.compute(codes).tolist() == spec.compute(codes, 0).tolist()
    assert spec.compute(codes, 3).tolist() != spec.compute(codes, 4).tolist()


@pytest.mark.parametrize(
    ("codes", "users", "message"),
    [
        ([256], 0, "codes of format u8.0 must be 0 to 255, not 256 to 256"),
        ([0], 8, "codes of format u3.0 must be 0 to 7, not 8 to 8"),
        ([0], [-1], "codes of format u3.0 must be 0 to 7, not -1 to -1"),
        ([0.5], 0, "codes must be integers, not float64"),
    ],
)
def test_wrong_codes_are_told(codes, users, message):
    with pytest.raises(UsageError) as raised:
        of(FIVE).compute(np.array(codes), np.array(users))
    assert str(raised.value) == message


def test_the_specification_survives_json_and_names_its_tables():
    spec = of("gelu,exp,log")
    assert spec_from_json(spec.describe()) == spec
    assert dict(spec.tables()) == {f"functions.{i}": t for i, t in enumerate(spec.functions)}
    assert [table.meta["function"] for table in spec.functions] == ["gelu", "exp", "log"]


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        (lambda good: good[0], "spec: shared.functions must be a list of tables"),
        (lambda good: good[:1], "spec: shared.functions must be at least 2 tables, not 1"),
        (lambda good: [good[0], design(Request("gelu", 8), "direct").table.to_json()],
         "spec: shared.functions.1 must be a pwl"),
    ],
)  # fmt: skip
def test_wrong_descriptions_are_told(functions, message):
    spec = of("gelu,silu")
    data = spec.describe()
    with pytest.raises(UsageError) as raised:
        spec_from_json(data | {"functions": functions(data["functions"])})
    assert str(raised.value) == message


def flat(inputs="s6.3", output="s6.3", slope="s5.3", intercept="s8.5", fold=None):
    """A table with one line."""
    forms = map(Format.parse, (inputs, output, slope, intercept))
    return PwlTable(*forms, (), (3,), (7,), fold=fold and Fold(*fold))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (flat(inputs="s5.3"), "must have the input bits of the first, 6, not 5"),
        (flat(output="u7.3"), "must have the output bits of the first, 6, not 7"),
        (flat(slope="s5.4"), "must have the shift of the first, 3, not 4"),
        (flat(intercept="s8.4"), "must have the align of the first, 1, not 2"),
        (flat(fold=("odd", Format(False, 5, 3))), "must have a magnitude of 6 bits, not 5"),
    ],
)
def test_tables_that_do_not_go_together_are_told(other, message):
    SharedSpec((flat(), flat("u6.2", "u6.4", "s5.5", "s8.6")))
    with pytest.raises(UsageError) as raised:
        SharedSpec((flat(), other))
    assert str(raised.value) == f"spec: shared.functions.1 {message}"


@pytest.mark.parametrize("ops", [FIVE, ALL, "gelu,silu"])
def test_common_formats_cost_little_accuracy(ops):
    spec, (accuracy, bound) = of(ops), measure(of(ops), ops.split(","))
    assert accuracy.max_ulp == bound < 1
    assert accuracy.codes == 256 * len(ops.split(","))
    for op, table in zip(ops.split(","), spec.functions, strict=True):
        function = lookup(op)
        own = unary_accuracy(PwlSpec(table), function)
        assert accuracy.functions[op] == own
        alone = unary_accuracy(design(Request(op, 8, fold="none"), "pwl"), function)
        # A fold halves the segments' lengths, and never makes it worse.
        assert own.max_ulp <= alone.max_ulp + SLACK_ULP
    data = accuracy.to_json()
    assert data["max_ulp"] == max(one["max_ulp"] for one in data["functions"].values())


def test_the_accuracy_is_each_function_s_own():
    spec = of("gelu,silu")
    functions = [lookup("gelu"), lookup("silu")]
    right = shared_accuracy(spec, functions)
    wrong = shared_accuracy(SharedSpec(spec.functions[::-1]), functions)
    assert right.max_ulp < 1 < wrong.max_ulp
    squares = [one.rms_ulp**2 for one in right.functions.values()]
    assert right.rms_ulp == pytest.approx(np.sqrt(np.mean(squares)))


def test_coefficients_are_narrower_than_those_of_single_units():
    spec = of(FIVE)
    for op, table in zip(FIVE.split(","), spec.functions, strict=True):
        alone = design(Request(op, 8, fold="none"), "pwl").table
        assert table.slope.bits < alone.slope.bits
        assert table.intercept.bits < alone.intercept.bits


@pytest.mark.parametrize("ops", ["tanh,sigmoid,cos", "exp,log"])
def test_sums_are_what_is_rounded(ops):
    for table in of(ops).functions:
        codes = table.input.codes()
        sums = (total(table, codes) + (1 << table.shift >> 1)) >> table.shift
        assert table.output.saturate(sums).tolist() == table.lookup(codes).tolist()


def test_segments_end_where_any_function_s_do():
    spec = of("tanh,exp")
    codes = spec.input.codes()
    changes = codes[1:][np.diff(spec.segment(codes)) != 0]
    tanh, exp = spec.functions
    edges = {edge % 256 for edge in exp.breakpoints}
    edges |= {e for b in tanh.breakpoints for e in (b, (1 - b) % 256)} - {0}
    assert set(changes.tolist()) == (edges - {0}) | {128}


def test_other_widths_and_too_wide_ones():
    spec = of("gelu,exp", 8, output_bits=12, entries=8)
    assert {table.output.bits for table in spec.functions} == {12}
    assert max(table.entries for table in spec.functions) == 8
    with pytest.raises(UsageError, match=r"^--bits must be 4 to 16 for gelu,exp, not 32$"):
        of("gelu,exp", 32)


def test_a_slope_that_cannot_be_negated_is_no_matter():
    # relu: the slope of x itself less that of the core.
    table = flat(slope="u5.3", fold=("relu", Format(False, 6, 3)))
    spec = SharedSpec((table, replace(table, slopes=(31,))))
    for user, one in enumerate(spec.functions):
        codes = one.input.codes()
        assert spec.compute(codes, user).tolist() == [naive_pwl(one, q) for q in codes.tolist()]
