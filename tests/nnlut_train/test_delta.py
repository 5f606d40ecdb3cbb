"""Delta tables: exact at every code, the arithmetic by hand, the file, and what is refused."""

import numpy as np
import pytest

from nnlut_train.delta import BASES, DeltaTable, addressed, delta_table
from nnlut_train.errors import UsageError
from nnlut_train.files import from_json
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS

S4, S8, U8 = Format(True, 4, 0), Format(True, 8, 4), Format(False, 8, 8)
#: max(x, 0) / 2 with a bump of 1 at -1, 0 and 1, in a window of 1 bit.
BUMP = DeltaTable(S4, S4, (2, -1), (0, 0), (1, 0), (0, 1, 1, 1))


def naive(table, code):
    """One code, in plain integers, as the docstring has it."""
    value = {"zero": 0, "argument": code, "positive": max(code, 0)}[table.sort]
    base = value * 2 ** table.base[1] if table.base[1] >= 0 else value // 2 ** -table.base[1]
    level = table.levels[0] if code < 0 else table.levels[1]
    low = -(1 << table.window[0]) if table.input.signed else 0
    inside = low <= code < 1 << table.window[0]
    return base + level + (table.residuals[code - low] if inside else 0)


def test_a_table_by_hand():
    assert BUMP.lookup(S4.codes()).tolist() == [0] * 7 + [1, 1, 1, 1, 1, 2, 2, 3, 3]
    assert (BUMP.first, str(BUMP.residual), BUMP.storage_bits) == (-2, "u1.0", 4)


@pytest.mark.parametrize(
    ("op", "inputs", "output"),
    [("gelu", S8, S8), ("silu", S8, S8), ("sigmoid", S8, U8), ("tanh", S8, Format(True, 8, 7)),
     ("exp", S8, U8), ("reciprocal", Format(False, 8, 4), Format(False, 8, 4)),
     ("gelu", Format(True, 9, 5), Format(True, 9, 5)), ("silu", Format(True, 5, 1), S8)],
)  # fmt: skip
def test_correctly_rounded_at_every_code(op, inputs, output):
    with np.errstate(divide="ignore"):
        target = FUNCTIONS[op](inputs.real(inputs.codes()))
    table = delta_table(op, target, inputs, output)
    found = table.lookup(inputs.codes())
    assert found.tolist() == output.quantize(target).tolist()
    assert found.tolist() == [naive(table, code) for code in inputs.codes().tolist()]
    assert table.meta["errors"]["max_ulp"] <= 0.5
    assert from_json(table.to_json()) == table


def test_gelu_and_silu_are_their_positive_part_and_little_more():
    for op, most in (("gelu", 2), ("silu", 3)):
        table = delta_table(op, FUNCTIONS[op](S8.real(S8.codes())), S8, S8)
        assert table.sort == "positive"
        assert table.residual.bits <= most


@pytest.mark.parametrize(
    ("values", "sort", "shift"),
    [([7] * 16, "zero", 0), (range(-8, 8), "argument", 0), ([0] * 8 + [0, 0, 1, 1, 2, 2, 3, 3],
     "positive", -1), ([-8, *range(-7, 1), *[7] * 7], None, None)],
)  # fmt: skip
def test_a_base_alone_has_no_residuals(values, sort, shift):
    table = delta_table("f", np.array(values, float), S4, S4)
    assert table.lookup(S4.codes()).tolist() == list(values)
    if sort is not None:
        assert (table.sort, table.base[1]) == (sort, shift)
        assert set(table.residuals) == {0}


@pytest.mark.parametrize("mirrored", [0, 1])
def test_the_order_of_the_address(mirrored):
    values = addressed(range(-4, 4), True, mirrored).tolist()
    for code in range(-4, 4):
        sign, pattern = int(code < 0), code & 3
        at = ((pattern ^ 3 * sign) << 1 | sign) if mirrored else sign << 2 | pattern
        assert values[at] == code
    assert addressed([5, 6], False, 0).tolist() == [5, 6]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"base": (3, 0)}, r"base\[0\] must be 0 to 2, not 3"),
     ({"base": (0,)}, "base must have 2 values, not 1"),
     ({"base": (1, 17)}, r"base\[1\] must be -4 to 16, not 17"),
     ({"window": (4, 0)}, "window must be at most 3 bits"),
     ({"window": (1, 2)}, r"window must be at most 3 bits, and 0 or 1, not \[1, 2\]"),
     ({"residuals": (0, 1, 1)}, "residuals must have 4 values, not 3"),
     ({"levels": (0, 5)}, "results must be -8 to 7, not 0 to 8"),
     ({"input": Format(True, 17, 0)}, "must have at most 16 bits, not 17")],
)  # fmt: skip
def test_what_a_table_refuses(changed, said):
    fields = {"input": S4, "output": S4, "base": BUMP.base, "levels": BUMP.levels,
              "window": BUMP.window, "residuals": BUMP.residuals}  # fmt: skip
    assert DeltaTable(**fields) == BUMP
    with pytest.raises(UsageError, match=said):
        DeltaTable(**fields | changed)


def test_random_tables_equal_the_words_of_the_docstring():
    rng = np.random.default_rng(1)
    for number in range(60):
        signed = bool(number % 2)
        inputs, output = Format(signed, 5, 2), Format(True, 9, 0)
        bits = int(rng.integers(0, 6 - signed))
        table = DeltaTable(
            inputs, output, (int(rng.integers(len(BASES))), int(rng.integers(-5, 3))),
            tuple(rng.integers(-40, 40, 2).tolist()), (bits, number // 2 % 2 * signed),
            tuple(rng.integers(-20, 20, 1 << (bits + signed)).tolist()),
        )  # fmt: skip
        codes = inputs.codes()
        assert table.lookup(codes).tolist() == [naive(table, code) for code in codes.tolist()]
