"""Indexed and shift-add tables: arithmetic, exactness of the fit, bounds, files, errors."""

import json
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from nnlut_train.errors import InfeasibleError, UsageError
from nnlut_train.files import from_json, load, save
from nnlut_train.fit.indexed import Layout, Lines
from nnlut_train.fit.indexed_bounds import Bounds, bounds
from nnlut_train.fit.indexed_search import search, size
from nnlut_train.folding import Fold, fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.indexed import IndexedTable, ShiftAddTable, signed_powers


def bounds_of(op, bits, most, folded=True):
    function = FUNCTIONS[op]
    inputs = function.input_format(bits)
    output = function.output_format(bits, inputs)
    fold = None
    if folded and function.symmetry:
        fold = fold_for(function, function.symmetry, inputs, output, rounded=True)
    return bounds(function(inputs.real(inputs.codes())), inputs, output, most, fold=fold)


def error(table, op):
    target = table.output.clip(FUNCTIONS[op](table.input.real(table.input.codes())))
    found = table.output.real(table.lookup(table.input.codes()))
    return np.abs(found - target).max() / table.output.scale


def small(**changes):
    fields = {
        "input": Format(True, 4, 2), "output": Format(True, 5, 3), "slope": Format(True, 3, 2),
        "intercept": Format(True, 6, 5), "layout": (2, 3, 0), "slopes": (1, -2),
        "intercepts": (-7, 3, 9, 20),
    }  # fmt: skip
    return IndexedTable(**(fields | changes))


def naive(table, code):
    """The result of one input code, from the documentation, in exact fractions."""
    low, group, down = table.layout
    argument = code
    if table.fold is not None:
        argument = min(abs(code), table.fold.magnitude.max)
    at = argument - table.argument.min
    r = at % 2**low
    r = 2**low - 1 - r if down else r
    slope = Fraction(table.slopes[at // 2**group]) / Fraction(2) ** table.slope.frac
    intercept = Fraction(table.intercepts[at // 2**low]) / Fraction(2) ** table.intercept.frac
    real = slope * r / Fraction(2) ** table.input.frac + intercept
    core = Fraction((real * Fraction(2) ** table.core_frac).__floor__())
    core /= Fraction(2) ** table.core_frac
    kind = "even" if table.fold is None else table.fold.kind
    if kind == "relu":
        core = max(Fraction(code) / Fraction(2) ** table.input.frac, Fraction(0)) - core
    elif kind == "complement" and code < 0:
        core = 1 - core
    elif kind == "odd" and code < 0:
        core = -core
    rounded = (core * Fraction(2) ** table.output.frac + Fraction(1, 2)).__floor__()
    return min(max(rounded, table.output.min), table.output.max)


@pytest.mark.parametrize("down", [0, 1])
@pytest.mark.parametrize("kind", [None, "even", "odd", "complement", "relu"])
def test_arithmetic(kind, down):
    rng = np.random.default_rng(7)
    for slope_frac, intercept_frac, output_frac in [(2, 5, 3), (4, 3, 3), (3, 6, 0)]:
        fold = None if kind is None else Fold(kind, Format(False, 4, 2))
        output = Format(True, 5, output_frac)
        frac = output_frac + (fold.lacks(output_frac) if fold else 0)
        table = small(
            output=output, slope=Format(True, 3, slope_frac), layout=(2, 3, down),
            intercept=Format(True, 6, max(intercept_frac, frac)), fold=fold,
            slopes=tuple(rng.integers(-4, 4, 2).tolist()),
            intercepts=tuple(rng.integers(-32, 32, 4).tolist()),
        )  # fmt: skip
        codes = table.input.codes()
        assert table.lookup(codes).tolist() == [naive(table, code) for code in codes.tolist()]
        cores = table.cores(table.argument.codes())
        assert table.core_range == (cores.min(), cores.max())


def test_saturation_is_known():
    assert not small().saturates
    wide = small(intercept=Format(True, 7, 5), intercepts=(-7, 3, 9, 62), slopes=(1, 3))
    assert wide.saturates
    assert wide.lookup(wide.input.codes()).max() == wide.output.max


# The bounds.


@pytest.mark.parametrize(
    ("op", "folded"), [("gelu", True), ("tanh", True), ("sigmoid", True), ("gelu", False)]
)
def test_a_core_is_allowed_exactly_if_every_result_of_it_is_near(op, folded):
    most = 0.8
    within = bounds_of(op, 6, most, folded)
    inputs, output, function, fold = within.input, within.output, FUNCTIONS[op], within.fold
    exact = output.clip(function(inputs.real(inputs.codes()))) / output.scale
    argument = inputs if fold is None else fold.magnitude
    magnitudes = inputs.codes() if fold is None else fold.arguments(inputs.codes())
    for number, code in enumerate(argument.codes().tolist()):
        own = inputs.codes()[magnitudes == code]
        if not own.size:
            continue
        # Without saturation where that is possible.
        allowed = cores_near(within, own, exact, most, False) or cores_near(
            within, own, exact, most, True
        )
        assert [within.low[number], within.high[number]] == [allowed[0], allowed[-1]]


def cores_near(within, codes, exact, most, saturated):
    """The cores whose results are near enough at all of `codes`, which have one magnitude."""
    inputs, output, found = within.input, within.output, []
    for core in range(-70, 80):
        value = np.full(codes.size, core)
        if within.fold is not None:
            value = within.fold.unfold(
                codes, value, 1 << output.frac, 1 << (output.frac - inputs.frac)
            )
        limited = output.saturate(value)
        near = np.abs(limited - exact[codes - inputs.min]) <= most
        if near.all() and (saturated or (limited == value).all()):
            found.append(core)
    # Beyond the range the results are all alike: two of these cores are enough.
    return found[:2] if saturated else found


def test_codes_of_weight_0_are_free():
    inputs, output = Format(False, 4, 4), Format(False, 4, 4)
    target = inputs.real(inputs.codes()) ** 2
    target[5] = 0.9
    weights = np.ones(16)
    weights[5] = 0
    assert not Lines(bounds(target, inputs, output, 0.8), 2).fits(2)
    assert Lines(bounds(target, inputs, output, 0.8, weights), 2).fits(2)


# The fit.


def exhaustive(within, low, layout):
    """Whether any integer coefficients keep within the bounds: all of them are tried."""
    shift = layout.shift
    lower, upper = within.low * 2**shift, (within.high + 1) * 2**shift - 1
    r = np.arange(1 << within.bits) % (1 << low)
    for start in range(0, 1 << within.bits, 1 << layout.group):
        for slope in range(-40, 41):
            product_ = slope * r * 2 ** (shift - layout.slope_guard)
            good = True
            for first in range(start, start + (1 << layout.group), 1 << low):
                part = slice(first, first + (1 << low))
                step = 2 ** (shift - layout.intercept_guard)
                bottom = max((lower - product_)[part])
                top = min((upper - product_)[part])
                good &= -(-bottom // step) <= top // step
            if good:
                break
        else:
            return False
    return True


def test_the_fit_is_exact():
    rng = np.random.default_rng(3)
    form, seen = Format(False, 4, 4), set()
    for trial in range(50):
        slope = rng.uniform(-2, 2)
        centre = slope * np.arange(16) + rng.uniform(-1.5, 1.5, 16)
        low = np.floor(centre)
        within = Bounds(form, Format(True, 8, 4), None, low, low + trial % 3, centre)
        low_bits, more = 1 + trial % 3, trial % 2
        guards = product((-1, 0, 1, 2), (0, 1, 2))
        for slope_guard, intercept_guard in guards:
            layout = Layout(low_bits + more, slope_guard, intercept_guard)
            lines = Lines(within, low_bits)
            table = lines.table(layout, {})
            assert (table is not None) == exhaustive(within, low_bits, layout)
            seen.add(table is not None)
            if table is not None:
                cores = table.cores(form.codes())
                assert (cores >= within.low).all()
                assert (cores <= within.high).all()
                assert lines.fits(layout.group)
    assert seen == {True, False}


@pytest.mark.parametrize(("bits", "most"), [(6, 0.5), (8, 0.75), (10, 1.5)])
@pytest.mark.parametrize("op", ["exp", "gelu", "sigmoid", "tanh", "reciprocal"])
def test_every_result_is_within_the_bound(op, bits, most):
    # Two terms do not make every slope that steep or correctly rounded lines ask for.
    for terms in (0, 2) if most > 1.0 and op != "reciprocal" else (0,):
        table = search(bounds_of(op, bits, most), {}, terms)
        assert error(table, op) <= most
        # Results saturate only where folding wants it.
        assert not table.saturates or table.fold.kind in ("odd", "complement")


def test_16_bits_are_few_segments():
    table = search(bounds_of("sigmoid", 16, 36.0), {})
    assert error(table, "sigmoid") <= 36.0
    assert table.entries <= 128


def test_a_larger_error_is_cheaper():
    sizes = [size(search(bounds_of("sigmoid", 10, most), {})) for most in (0.6, 1.2, 4.8)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[2]


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_slopes_have_few_terms(terms):
    table = search(bounds_of("gelu", 8, 0.7), {}, terms)
    assert isinstance(table, ShiftAddTable)
    assert max(len(signed_powers(slope)) for slope in table.slopes) <= terms
    for slope, own in zip(table.slopes, table.of_slopes, strict=True):
        assert slope == sum((1 if t > 0 else -1) << (abs(t) - 1) for t in own if t)


def test_falling_lines_need_no_sign():
    table = search(bounds_of("reciprocal", 8, 1.0), {})
    assert table.layout[2] == 1
    assert not table.slope.signed


def test_signed_powers_are_the_fewest():
    fewest = {0: 0}
    for count in (1, 2, 3):
        for terms in product(range(-7, 8), repeat=count):
            value = sum((1 if t > 0 else -1) * 2 ** (abs(t) - 1) for t in terms if t)
            fewest.setdefault(value, count)
    for value in range(-40, 41):
        terms = signed_powers(value)
        assert sum((1 if t > 0 else -1) * 2 ** (abs(t) - 1) for t in terms) == value
        assert len(terms) == fewest[value]


def test_no_result_within_the_bound():
    with pytest.raises(InfeasibleError, match="largest error must be so large"):
        search(bounds_of("exp", 6, 0.3), {})


# Files and errors.


@pytest.mark.parametrize("terms", [0, 2])
def test_file(tmp_path, terms):
    table = search(bounds_of("tanh", 8, 1.0), {"function": "tanh"}, terms)
    save(table, tmp_path / "t.json")
    again = load(tmp_path / "t.json")
    assert again == table
    assert type(again) is (ShiftAddTable if terms else IndexedTable)
    assert again.sha256 == table.sha256
    data = json.loads((tmp_path / "t.json").read_text())
    data["intercepts"][0] ^= 1
    with pytest.raises(UsageError, match="sha256"):
        from_json(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": (0, 3, 0)}, "layout must be 1 to 4 bits of a segment"),
        ({"layout": (3, 2, 0)}, "as many of a group or more"),
        ({"layout": (2, 3, 2)}, "and 0 or 1, not"),
        ({"layout": (2, 3)}, "layout must have 3 values, not 2"),
        ({"slopes": (1,)}, "slopes must have 2 values, not 1"),
        ({"slopes": (1, 4)}, r"slopes\[1\] must be -4 to 3, not 4"),
        ({"intercepts": (1, 2, 3, 99)}, r"intercepts\[3\] must be -32 to 31, not 99"),
        ({"slope": Format(True, 3, -9), "intercept": Format(True, 6, 1)}, "more than the 3 of"),
        ({"fold": Fold("odd", Format(False, 3, 1))}, "fraction bits of the magnitude"),
        ({"slope": Format(True, 3, 34), "intercept": Format(True, 48, 20),
          "output": Format(True, 40, 4)}, "fit 63 bits"),
    ],
)  # fmt: skip
def test_bad_table(changes, message):
    with pytest.raises(UsageError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ((), "1 or more, for each of 2 slopes, not 0"),
        ((1, 2, 3), "not 3 in all"),
        ((1, 2), r"the terms of slopes\[1\] must add up to -2, not 2"),
        ((1, 9), r"terms\[1\] must be -4 to 4, not 9"),
    ],
)
def test_bad_terms(terms, message):
    table = small()
    fields = {name: getattr(table, name) for name in (
        "input", "output", "slope", "intercept", "layout", "slopes", "intercepts")}  # fmt: skip
    assert ShiftAddTable(**fields, terms=(1, -2)).of_slopes == [(1,), (-2,)]
    with pytest.raises(UsageError, match=message):
        ShiftAddTable(**fields, terms=terms)


def test_a_segment_must_have_bits():
    with pytest.raises(UsageError, match="a segment must have 1 to 6 bits, not 0"):
        Lines(bounds_of("exp", 6, 1.0), 0)
