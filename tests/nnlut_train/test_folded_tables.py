"""Folded tables: their lookup against a slow scalar reference, their files, other scales."""

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
from folded import folded_direct, folded_pwl, naive_argument, naive_unfold
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlut_train.errors import UsageError
from nnlut_train.files import dump, from_json, load, save
from nnlut_train.folding import FOLDS, Fold
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable

quick = settings(derandomize=True, deadline=None, max_examples=150)

S5, U3 = Format(True, 5, 2), Format(False, 3, 2)
DIRECT = DirectTable(
    S5, Format(True, 5, 2), (0, 1, 3, 5, 6, 7, 7, 8), {"function": "f"}, Format(False, 4, 3),
    fold=Fold("odd", U3),
)  # fmt: skip
PWL = PwlTable(
    S5, Format(True, 6, 3), Format(True, 5, 3), Format(True, 6, 4), (2, 5), (7, -3, 0), (0, 9, 4),
    {"function": "g"}, fold=Fold("relu", U3),
)  # fmt: skip
BOTH = pytest.mark.parametrize("table", [DIRECT, PWL], ids=["direct", "pwl"])


def naive_line(table, q):
    """The real value of the lines at the argument `q`, in codes."""
    i = sum(q >= p for p in table.breakpoints)
    value = Fraction(table.slopes[i]) / Fraction(2) ** table.slope.frac
    value *= Fraction(q) / Fraction(2) ** table.input.frac
    return value + Fraction(table.intercepts[i]) / Fraction(2) ** table.intercept.frac


@quick
@given(folded_pwl())
def test_folded_lines_are_exact(table):
    def slow(code):
        return naive_unfold(table, code, naive_line(table, naive_argument(table, code)))

    codes = table.input.codes()
    assert table.lookup(codes).tolist() == [slow(code) for code in codes.tolist()]


@quick
@given(folded_direct())
def test_folded_direct_tables_are_exact(table):
    def slow(code):
        value = table.values[naive_argument(table, code)]
        return naive_unfold(table, code, Fraction(value) / Fraction(2) ** table.value.frac)

    codes = table.input.codes()
    assert table.lookup(codes).tolist() == [slow(code) for code in codes.tolist()]


@quick
@given(folded_pwl())
def test_real_lines_are_what_lookup_rounds(table):
    codes = table.input.codes()
    line = table.line(table.input.real(codes))
    assert table.lookup(codes).tolist() == table.output.quantize(line).tolist()


@quick
@given(folded_pwl() | folded_direct())
def test_folded_tables_round_trip(table):
    again = from_json(json.loads(dump(table.to_json())))
    assert again == table
    assert (again.fold, again.sha256) == (table.fold, table.sha256)


def test_known_folded_lookups():
    # 7 / 4 at the magnitude 3 and 5 / 8 at 1, of 8ths to be rounded to quarters: half up.
    assert DIRECT.lookup(np.array([-16, -8, -3, -1, 0, 1, 3, 8, 15])).tolist() == [
        -4, -4, -2, 0, 0, 1, 3, 4, 4
    ]  # fmt: skip
    assert (DIRECT.shift, DIRECT.storage_bits) == (1, 8 * 4)
    # At the magnitude 1, the core is 7 / 8 of 1 / 4; the input 1 is 1 / 4.
    assert PWL.lookup(np.array([-1, 1])).tolist() == [-2, 0]
    # Beyond 7 / 4 it keeps its value there, 1 / 4; 4 - 1 / 4 is what the input leaves.
    assert PWL.lookup(np.array([-16, -7, 7, 15])).tolist() == [-2, -2, 12, 28]
    assert PWL.storage_bits == 2 * 3 + 3 * (5 + 6)
    assert PWL.segment(np.array([-16, -5, -4, -2, -1, 1, 2, 4, 5])).tolist() == [
        2, 2, 1, 1, 0, 0, 1, 1, 2
    ]  # fmt: skip


def test_lines_between_the_codes():
    # The core at 0.3 is 7/8 0.3, at 0.9 9/16 - 3/8 0.9; beyond 7/4 it is 1/4.
    x = np.array([[-0.3, 0.3], [-0.9, 0.9], [-3.7, 3.7]])
    core = np.array([7 / 8 * 0.3, 9 / 16 - 3 / 8 * 0.9, 1 / 4])
    np.testing.assert_allclose(PWL.line(x), np.stack([-core, x[:, 1] - core], 1), atol=1e-15)


@BOTH
def test_file_round_trip(tmp_path, table):
    save(table, tmp_path / "table.json")
    again = load(tmp_path / "table.json")
    assert (again, again.fold, again.meta) == (table, table.fold, table.meta)


@BOTH
def test_a_removed_fold_is_detected(table):
    data = table.to_json()
    del data["fold"]
    # Without it a direct table has neither a format of its values nor so few of them.
    with pytest.raises(UsageError, match=r"^table: (unknown field 'value'|sha256 does not match)"):
        from_json(data)
    data.pop("value", None)
    with pytest.raises(UsageError, match=r"^table: (values must have 32|sha256 does not match)"):
        from_json(data)


def test_an_added_fold_is_detected():
    plain = PwlTable(S5, S5, S5, S5, (3,), (1, 2), (0, 1))
    data = plain.to_json() | {"fold": {"kind": "odd", "magnitude": "u4.2"}}
    with pytest.raises(UsageError, match=r"^table: sha256 does not match the integers"):
        from_json(data)


@BOTH
def test_a_changed_fold_is_detected(table):
    fold = table.fold.to_json()
    changes = [{"kind": kind} for kind in FOLDS if kind != fold["kind"]]
    if table is PWL:
        changes += [{"magnitude": "u4.2"}, {"magnitude": "u5.2"}]
    for change in changes:
        with pytest.raises(UsageError, match=r"^table: sha256 does not match the integers"):
            from_json(table.to_json() | {"fold": fold | change})
    for wrong in ({"kind": "odder"}, {"magnitude": "s3.2"}, {"more": 1}):
        with pytest.raises(UsageError, match=r"^a fold"):
            from_json(table.to_json() | {"fold": fold | wrong})
    with pytest.raises(UsageError, match=r"^a fold must have the fields"):
        from_json(table.to_json() | {"fold": None})


def test_a_changed_format_of_the_values_is_detected():
    with pytest.raises(UsageError, match=r"^table: sha256 does not match the integers"):
        from_json(DIRECT.to_json() | {"value": "u5.3"})


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        (PWL, {"input": Format(False, 5, 2)},
         r"^table: a folded input must be signed and have the fraction bits of the magnitude "
         r"u3\.2, not u5\.2$"),
        (PWL, {"input": Format(True, 5, 1)},
         r"^table: a folded input must be signed and have the fraction bits of the magnitude "
         r"u3\.2, not s5\.1$"),
        (PWL, {"fold": Fold("relu", Format(False, 6, 2))},
         r"^table: the magnitude of input s5\.2 must have at most 5 bits, not 6$"),
        (PWL, {"breakpoints": (2, 8)}, r"^table: breakpoints\[1\] must be 0 to 7, not 8$"),
        (PWL, {"breakpoints": (-1, 5)}, r"^table: breakpoints\[0\] must be 0 to 7, not -1$"),
        (PWL, {"slope": Format(True, 5, -1), "intercept": Format(True, 6, 0),
               "output": Format(True, 6, 0)},
         r"^table: what the fold relu of input s5\.2 unfolds must have at least 2 fraction bits, "
         r"not 1$"),
        (DIRECT, {"values": tuple(range(7))}, r"^table: values must have 8 values, not 7$"),
        (DIRECT, {"values": (*range(7), 16)}, r"^table: values\[7\] must be 0 to 15, not 16$"),
        (DIRECT, {"value": Format(False, 4, 1)},
         r"^table: values must have the format of the output s5\.2, and if folded at least its "
         r"fraction bits, not u4\.1$"),
        (DIRECT, {"value": Format(False, 4, -1), "output": Format(True, 5, -1),
                  "fold": Fold("complement", U3)},
         r"^table: what the fold complement of input s5\.2 unfolds must have at least 0 fraction "
         r"bits, not -1$"),
        (DIRECT, {"fold": None, "values": (0,) * 32},
         r"^table: values must have the format of the output s5\.2, and if folded at least its "
         r"fraction bits, not u4\.3$"),
    ],
)  # fmt: skip
def test_wrong_folded_tables(table, change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(table, **change)


def test_sums_that_the_unfolding_makes_too_wide_are_refused():
    # Nothing is added by the first; the input, of 5 bits, and 1 are too large for the others.
    wide = Format(False, 48, 60)
    values = (0,) * 8
    DirectTable(S5, S5, values, {}, wide, fold=Fold("odd", U3))
    for kind, frac in (("relu", 60), ("complement", 62)):
        with pytest.raises(UsageError, match=rf"unfolded from values u48\.{frac} and input s5\.2"):
            DirectTable(S5, S5, values, {}, Format(False, 48, frac), fold=Fold(kind, U3))
    slope, output = Format(False, 2, 58), Format(True, 8, 0)
    with pytest.raises(UsageError, match=r"must fit 63 bits$"):
        PwlTable(S5, output, slope, Format(False, 2, 60), (), (1,), (0,), fold=Fold("relu", U3))


# Other scales.


@quick
@given(folded_pwl(), st.integers(0, 3))
def test_the_same_lines_at_a_coarser_scale(table, drop):
    form = Format(True, 4, table.input.frac - drop)
    product = table.slope.frac + form.frac
    if product < table.intercept.frac or (table.fold.kind == "complement" and product < 0):
        with pytest.raises(UsageError, match=r"must have at least"):
            table.at(form)
        return
    coarse = table.at(form)
    step = 1 << drop
    assert (coarse.input, coarse.fold.kind) == (form, table.fold.kind)
    assert coarse.argument.frac == form.frac
    assert coarse.argument.bits == min(4, max(1, table.fold.magnitude.bits - drop))
    # Each breakpoint goes to the nearest code; what lies between them keeps its line.
    for q in range(coarse.argument.max + 1):
        i = sum(q >= (p + step // 2) // step for p in table.breakpoints)
        j = int(coarse.segment(np.array(q)))
        assert (coarse.slopes[j], coarse.intercepts[j]) == (table.slopes[i], table.intercepts[i])
    assert coarse.output.frac == min(table.output.frac, table.slope.frac + form.frac)


def test_lines_at_a_coarser_scale_keep_their_values_at_its_codes():
    coarse = PWL.at(Format(True, 4, 1))
    assert (str(coarse.input), str(coarse.fold.magnitude)) == ("s4.1", "u2.1")
    assert coarse.breakpoints == (1, 3)
    x = coarse.input.real(np.array([-3, -2, -1, 0, 1, 2, 3]))
    assert coarse.line(x).tolist() == pytest.approx(PWL.line(x).tolist())


@pytest.mark.parametrize("form", [Format(True, 5, 3), Format(False, 5, 2)])
def test_finer_scales_and_other_signs_are_refused(form):
    with pytest.raises(UsageError, match=r"^table: an input of format s5\.2 can be rounded to "):
        PWL.at(form)
