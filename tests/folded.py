"""Folded tables by hand and at random, and a slow scalar reference for them."""

import math
from fractions import Fraction

from hypothesis import strategies as st

from nnlut_train.folding import FOLDS, Fold
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import DirectSpec, PwlSpec


def naive_argument(table, code):
    """What is looked up: the magnitude, limited."""
    return min(abs(code), 2**table.fold.magnitude.bits - 1)


def naive_unfold(table, code, value):
    """The output code for an input code and the core's real value (a Fraction) there."""
    x = Fraction(code) / Fraction(2) ** table.input.frac
    value = {
        "even": value,
        "odd": value if code >= 0 else -value,
        "complement": value if code >= 0 else 1 - value,
        "relu": max(x, 0) - value,
    }[table.fold.kind]
    rounded = math.floor(value * Fraction(2) ** table.output.frac + Fraction(1, 2))
    return min(max(rounded, table.output.min), table.output.max)


@st.composite
def _inputs(draw):
    """A signed input of 4 to 6 bits, and a fold of it."""
    inputs = Format(True, draw(st.integers(4, 6)), draw(st.integers(-2, 5)))
    bits = draw(st.integers(1, inputs.bits))
    return inputs, Fold(draw(st.sampled_from(FOLDS)), Format(False, bits, inputs.frac))


def _codes(form, count):
    # The ends are where everything overflows that can.
    ends = st.sampled_from([form.min, form.max])
    return st.lists(ends | st.integers(form.min, form.max), min_size=count, max_size=count)


@st.composite
def folded_pwl(draw):
    """Any folded table of lines."""
    inputs, fold = draw(_inputs())
    least = {"relu": 0, "complement": -inputs.frac}.get(fold.kind, -4)
    slope = Format(draw(st.booleans()), draw(st.integers(1, 8)), draw(st.integers(least, 7)))
    product = slope.frac + inputs.frac
    intercept = Format(
        draw(st.booleans()), draw(st.integers(1, 9)), product - draw(st.integers(0, 6))
    )
    output = Format(draw(st.booleans()), draw(st.integers(1, 8)), product - draw(st.integers(0, 7)))
    magnitude = st.integers(0, fold.magnitude.max)
    edges = sorted(draw(st.sets(magnitude, max_size=min(5, fold.magnitude.max))))
    count = len(edges) + 1
    return PwlTable(
        inputs, output, slope, intercept, tuple(edges), tuple(draw(_codes(slope, count))),
        tuple(draw(_codes(intercept, count))), fold=fold,
    )  # fmt: skip


@st.composite
def folded_direct(draw):
    """Any folded direct table."""
    inputs, fold = draw(_inputs())
    least = {"relu": inputs.frac, "complement": 0}.get(fold.kind, -4)
    value = Format(draw(st.booleans()), draw(st.integers(1, 9)), least + draw(st.integers(0, 6)))
    output = Format(
        draw(st.booleans()), draw(st.integers(1, 8)), value.frac - draw(st.integers(0, 6))
    )
    values = tuple(draw(_codes(value, 1 << fold.magnitude.bits)))
    return DirectTable(inputs, output, values, {}, value, fold=fold)


def table_of(kind, arch, bits=5, magnitude=3):
    """A table by hand, whose core neither decays nor is steady where the magnitude saturates."""
    inputs = Format(True, bits, 1)
    fold = Fold(kind, Format(False, magnitude, 1))
    output = Format(True, 9, 3)
    if arch == "direct":
        values = tuple((5 * m * m + 3 * m - 17) % 64 for m in range(1 << magnitude))
        return DirectTable(inputs, output, values, {}, Format(False, 6, 4), fold=fold)
    return PwlTable(
        inputs, output, Format(True, 5, 3), Format(True, 7, 4), (1, 3, 6), (5, -7, 12, 15),
        (-3, 20, -60, 11), fold=fold,
    )  # fmt: skip


def spec_of(table):
    """Return the specification of a table's unit."""
    return (PwlSpec if table.kind == "pwl" else DirectSpec)(table)
