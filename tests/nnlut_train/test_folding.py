"""Folds: their rules, their choice, and the direct tables made by them."""

import math
from fractions import Fraction

import numpy as np
import pytest

from nnlut_train.direct import direct_table
from nnlut_train.errors import UsageError
from nnlut_train.folding import FOLDS, Fold, answering, core, fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS

SYMMETRIC = [name for name, f in FUNCTIONS.items() if f.reduction in FOLDS]
HALF = Format(False, 3, 1)


def formats(name, bits):
    function = FUNCTIONS[name]
    inputs = function.input_format(bits)
    return function, inputs, function.output_format(bits, inputs)


def test_magnitudes():
    fold = Fold("odd", Format(False, 3, 1))
    codes = np.array([[-16, -8, -7], [-1, 0, 1], [7, 8, 15]])
    assert fold.arguments(codes).tolist() == [[7, 7, 7], [1, 0, 1], [7, 7, 7]]
    assert fold.arguments(np.array([-2.5, 6.75, 7.25])).tolist() == [2.5, 6.75, 7.0]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("even", [5, 6, 7, 8]),
        ("odd", [-5, -6, 7, 8]),
        ("complement", [16 - 5, 16 - 6, 7, 8]),
        ("relu", [-5, -6, -7, 4 * 3 - 8]),
    ],
)
def test_unfolding(kind, wanted):
    fold = Fold(kind, Format(False, 3, 2))
    codes, values = np.array([-4, -1, 0, 3]), np.array([5, 6, 7, 8])
    assert fold.unfold(codes, values, 16, 4).tolist() == wanted
    assert fold.refold(codes, np.array(wanted), 16, 4).tolist() == values.tolist()


@pytest.mark.parametrize("name", SYMMETRIC)
def test_unfolding_the_core_gives_the_function(name):
    function = FUNCTIONS[name]
    x = np.linspace(*function.domain, 333)
    fold = Fold(function.reduction, Format(False, 8, 4))
    values = core(function, fold.kind)(np.abs(x))
    np.testing.assert_allclose(fold.unfold(x, values, 1.0, 1.0), function(x), rtol=0, atol=4e-15)


@pytest.mark.parametrize(
    ("kind", "magnitude", "message"),
    [
        ("mirror", HALF, r"^a fold must be one of even, odd, complement, relu, not 'mirror'$"),
        (["odd"], HALF, r"^a fold must be one of even, odd, complement, relu, not \['odd'\]$"),
        ("odd", Format(True, 3, 1), r"^a fold's magnitude must be unsigned, not s3\.1$"),
    ],
)
def test_wrong_folds(kind, magnitude, message):
    with pytest.raises(UsageError, match=message):
        Fold(kind, magnitude)


@pytest.mark.parametrize(
    "data", [None, "odd", {}, {"kind": "odd"}, {"kind": "odd", "magnitude": "u3.1", "sign": 1}]
)
def test_wrong_folds_in_files(data):
    with pytest.raises(UsageError, match=r"^a fold must have the fields kind and magnitude, not "):
        Fold.from_json(data)


def test_folds_in_files():
    fold = Fold("relu", Format(False, 7, 4))
    assert fold.to_json() == {"kind": "relu", "magnitude": "u7.4"}
    assert Fold.from_json(fold.to_json()) == fold
    with pytest.raises(UsageError, match=r"^a format must read like .*, not 7$"):
        Fold.from_json({"kind": "relu", "magnitude": 7})


# Which magnitude a function needs.


def saturation_cost(name, bits, fold):
    """The largest error in ulp that the limit of the magnitude alone makes, code by code."""
    function, inputs, output = formats(name, bits)
    worst = 0.0
    for code in inputs.codes().tolist():
        x = code * inputs.scale
        m = min(abs(code), 2**fold.magnitude.bits - 1) * inputs.scale
        y, at_m = (float(function(np.array([v]))[0]) for v in (x, m))
        found = {
            "odd": math.copysign(at_m, x), "complement": 1 - at_m if x < 0 else at_m,
            "relu": max(x, 0.0) - (m - at_m),
        }[fold.kind]  # fmt: skip
        low, high = output.min * output.scale, output.max * output.scale
        error = min(max(found, low), high) - min(max(y, low), high)
        worst = max(worst, abs(error) / output.scale)
    return worst


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("bits", [4, 8, 10])
def test_the_magnitude_of_lines_is_the_narrowest_that_costs_little(name, bits):
    function, inputs, output = formats(name, bits)
    fold = fold_for(function, function.reduction, inputs, output)
    assert fold.kind == function.reduction
    assert (fold.magnitude.signed, fold.magnitude.frac) == (False, inputs.frac)
    assert saturation_cost(name, bits, fold) <= 1 / 16
    assert 1 < fold.magnitude.bits <= bits
    narrower = Fold(fold.kind, Format(False, fold.magnitude.bits - 1, inputs.frac))
    assert saturation_cost(name, bits, narrower) > 1 / 16


def test_known_magnitudes():
    found = {}
    for name in SYMMETRIC:
        function, *forms = formats(name, 8)
        found[name] = str(fold_for(function, function.reduction, *forms).magnitude)
    # From 4 on, what GELU is short of max(x, 0) is less than 1/16 of 1/16; SiLU's tail is longer.
    assert found == {
        "sigmoid": "u7.4", "tanh": "u7.5", "erf": "u7.5", "gelu": "u6.4", "gelu_tanh": "u6.4",
        "silu": "u7.4", "hswish": "u6.4", "softplus": "u7.4", "hsigmoid": "u7.5",
    }  # fmt: skip


def test_a_function_that_does_not_settle_keeps_the_most_negative_magnitude():
    inputs, output = Format(True, 5, 2), Format(False, 12, 4)
    fold = fold_for(np.square, "even", inputs, output)
    assert fold == Fold("even", Format(False, 5, 2))
    assert fold.arguments(np.array([-16])).tolist() == [16]


def test_folds_for_unsigned_inputs_and_unknown_symmetries_are_refused():
    with pytest.raises(UsageError, match=r"^a folded input must be signed, not u3\.1$"):
        fold_for(np.tanh, "odd", HALF, HALF)
    with pytest.raises(UsageError, match=r"^a fold must be one of .*, not 'base2'$"):
        fold_for(np.tanh, "base2", Format(True, 4, 1), HALF)


def test_of_two_mirrored_codes_those_that_the_output_holds_better_answer():
    output = Format(True, 4, 0)  # -8 to 7
    #                  -4    -3    -2    -1    0    1    2    3
    target = np.array([-9.0, -7.8, -8.0, 3.0, 9.0, 8.0, 8.5, 7.5])
    assert answering(target, output).tolist() == [
        True, True, True, True, True, False, False, False,
    ]  # fmt: skip
    # Both beyond the output, by as much: neither has the better claim.
    output = Format(False, 3, 0)
    assert answering(np.array([0.0, -1, 2, 8]), output).all()


# Direct tables.


def rounded(function, inputs, output):
    """The correctly rounded and limited results, code by code."""
    found = []
    for code in inputs.codes().tolist():
        exact = Fraction(float(function(np.array([code * inputs.scale]))[0])) / Fraction(
            output.scale
        )
        found.append(min(max(math.floor(exact + Fraction(1, 2)), output.min), output.max))
    return found


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("bits", [6, 8, 9])
def test_folded_direct_tables_are_rounded_correctly(name, bits):
    function, inputs, output = formats(name, bits)
    fold = fold_for(function, function.reduction, inputs, output, rounded=True)
    target = function(inputs.real(inputs.codes()))
    table = direct_table(name, target, inputs, output, fold=fold)
    assert table.fold == fold
    assert len(table.values) == 1 << fold.magnitude.bits < 1 << bits
    assert table.lookup(inputs.codes()).tolist() == rounded(function, inputs, output)
    assert table.meta["function"] == name
    assert table.meta["errors"]["max_ulp"] <= 0.5
    # One bit less would not do, not even with the best values.
    narrower = Fold(fold.kind, Format(False, fold.magnitude.bits - 1, inputs.frac))
    table = direct_table(name, target, inputs, output, fold=narrower)
    assert table.fold is None
    assert table.lookup(inputs.codes()).tolist() == rounded(function, inputs, output)


def test_values_have_one_bit_more_where_the_core_reaches_what_the_output_does_not():
    # Without it, -1 and 0 would be out of reach, or off by 1 ulp.
    for name, value in (("tanh", "u8.7"), ("sigmoid", "u9.8")):
        function, inputs, output = formats(name, 8)
        fold = fold_for(function, function.reduction, inputs, output, rounded=True)
        target = function(inputs.real(inputs.codes()))
        table = direct_table(name, target, inputs, output, fold=fold)
        assert str(table.value) == value
        assert table.lookup(np.array([-128, 127])).tolist() == [output.min, output.max]


def test_values_keep_the_fraction_bits_of_an_input_that_is_added():
    inputs, output = Format(True, 7, 5), Format(True, 5, 1)
    function = FUNCTIONS["gelu"]
    fold = fold_for(function, "relu", inputs, output, rounded=True)
    target = function(inputs.real(inputs.codes()))
    table = direct_table("gelu", target, inputs, output, fold=fold)
    if table.fold is not None:
        assert table.value.frac == 5
    assert table.lookup(inputs.codes()).tolist() == rounded(function, inputs, output)


def test_a_tie_that_goes_up_on_both_sides_cannot_be_folded():
    # 3 x / 2 is a tie at every odd code: 1.5 goes to 2, and -1.5 to -1.
    inputs, output = Format(True, 4, 0), Format(True, 6, 0)
    target = 1.5 * inputs.codes()
    table = direct_table("f", target, inputs, output, fold=Fold("odd", Format(False, 3, 0)))
    assert table.fold is None
    assert table.values == tuple(np.floor(target + 0.5).astype(int).tolist())


def test_a_table_that_would_not_be_shorter_is_not_folded():
    inputs, output = Format(True, 4, 0), Format(False, 8, 0)
    target = inputs.codes().astype(float) ** 2
    table = direct_table("f", target, inputs, output, fold=Fold("even", Format(False, 4, 0)))
    assert (table.fold, len(table.values)) == (None, 16)
