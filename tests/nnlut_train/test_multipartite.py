"""Multipartite tables: the arithmetic, the file, the windows, the search against brute force."""

import dataclasses
import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from nnlut_train.decomposition import Decomposition, Search
from nnlut_train.errors import InfeasibleError, UsageError
from nnlut_train.files import from_json, load, save
from nnlut_train.filling import Filling
from nnlut_train.folding import Fold, fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.multipartite import MultipartiteTable
from nnlut_train.multipartite_search import multipartite_table, multipartite_tables
from nnlut_train.windows import windows

U8, U9 = Format(False, 8, 8), Format(False, 9, 8)
X = U8.real(U8.codes())


def naive(table, code):
    """One code with Python's integers, from the class' text."""
    fold = table.fold
    at = code - table.input.min
    bits = table.input.bits
    if fold is not None:
        at, bits = min(abs(code), fold.magnitude.max), fold.magnitude.bits
    text = format(at, f"0{bits}b")
    head = text[: bits - sum(table.pieces)]
    total = table.initial[int(head or "0", 2)]
    start, offsets = len(head), list(table.offsets)
    for piece, width in zip(table.pieces, table.heads, strict=True):
        part = text[start : start + piece]
        start += piece
        mine, offsets = (offsets[: 2 ** (width + piece - 1)], offsets[2 ** (width + piece - 1) :])
        upper = part[0] == "1"
        row = "".join(bit if upper else "10"[int(bit)] for bit in part[1:])
        value = mine[int(text[:width] + row or "0", 2)]
        total += value if upper else -1 - value
    kept = 0 if fold is None else fold.lacks(table.output.frac)
    core = Fraction(
        math.floor(total / Fraction(2) ** (table.value.frac - table.output.frac - kept))
    )
    real = core / Fraction(2) ** (table.output.frac + kept)
    if fold is not None and fold.kind == "relu":
        real = max(Fraction(code) / Fraction(2) ** table.input.frac, 0) - real
    elif fold is not None and fold.kind != "even" and code < 0:
        real = (1 if fold.kind == "complement" else 0) - real
    result = math.floor(real * Fraction(2) ** table.output.frac)
    return min(max(result, table.output.min), table.output.max)


def made(op, bits=8, **options):
    function = FUNCTIONS[op]
    inputs = function.input_format(bits)
    output = function.output_format(bits, inputs)
    target = function(inputs.real(inputs.codes()))
    if options.pop("folded", False):
        options["fold"] = fold_for(function, function.symmetry, inputs, output)
    return multipartite_table(op, target, inputs, output, **options), output.clip(target)


def errors(table, target):
    found = table.output.real(table.lookup(table.input.codes()))
    return np.abs(found - target) / table.output.scale


CASES = [
    ("tanh", 8, False), ("tanh", 8, True), ("sigmoid", 8, True), ("gelu", 8, True),
    ("silu", 9, True), ("gelu", 8, False), ("exp", 8, False), ("reciprocal", 7, False),
    ("rsqrt", 8, False), ("log", 8, False), ("sin", 8, False), ("tanh", 10, True),
]  # fmt: skip


@pytest.mark.parametrize(("op", "bits", "folded"), CASES)
def test_a_table_is_faithful_and_looks_up_what_its_text_says(op, bits, folded):
    table, target = made(op, bits, folded=folded)
    error = errors(table, target)
    assert error.max() < 1
    assert table.meta["errors"]["max_ulp"] == pytest.approx(error.max())
    codes = table.input.codes()
    assert table.lookup(codes).tolist() == [naive(table, code) for code in codes.tolist()]
    assert (table.fold is not None) == folded


def test_a_fold_whose_argument_is_finer_than_the_output_keeps_its_bits():
    inputs, output = Format(True, 8, 5), Format(True, 8, 2)
    function = FUNCTIONS["gelu"]
    target = function(inputs.real(inputs.codes()))
    fold = fold_for(function, "relu", inputs, output)
    table = multipartite_table("gelu", target, inputs, output, fold=fold)
    assert table.kept == 3
    assert errors(table, target).max() < 1
    codes = inputs.codes()
    assert table.lookup(codes).tolist() == [naive(table, code) for code in codes.tolist()]


@pytest.mark.parametrize("limit", [0.6, 0.75, 1.0, 2.0])
def test_the_error_is_at_most_what_is_asked_for(limit):
    table, target = made("sigmoid", 8, max_error=limit)
    assert errors(table, target).max() <= limit


def test_a_larger_error_makes_smaller_tables():
    bits = [made("exp", 8, max_error=limit)[0].storage_bits for limit in (0.6, 1.0, 2.0)]
    assert bits == sorted(bits, reverse=True)
    assert bits[0] > bits[-1]


def test_codes_without_weight_may_have_any_result():
    weights = (np.arange(256) >= 128).astype(float)
    target = np.where(weights > 0, 1 / (1 + X), np.sin(1000 * X) ** 2)
    free = multipartite_table("f", target, U8, U9, weights=weights)
    assert errors(free, target)[128:].max() < 1


def test_what_a_fold_contradicts_is_refused():
    form = Format(True, 8, 4)
    fold = Fold("odd", Format(False, 7, 4))
    with pytest.raises(InfeasibleError, match=r"f from s8\.4 to s8\.4 has an error of below 1 ulp"):
        multipartite_table("f", form.real(form.codes()) / 2 + 1, form, form, fold=fold)


@pytest.mark.parametrize("tables", [1, 2, 3])
def test_no_cut_that_is_cheaper_and_needs_no_repair_is_missed(tables):
    """All cuts of a small argument, each tried without the search's bound or order."""
    inputs, output = Format(False, 6, 6), Format(False, 7, 6)
    target = 1 / np.sqrt(1 + inputs.real(inputs.codes()))
    found = multipartite_table("f", target, inputs, output, tables=tables)
    search = Search(target * 64, 6)
    best = []
    for low in range(1, 6):
        for count in range(1, tables + 1):
            for pieces in itertools.product(range(1, 6), repeat=count):
                for heads in itertools.product(range(7 - low), repeat=count):
                    falls = all(a >= b for a, b in itertools.pairwise(heads))
                    if sum(pieces) != low or not falls:
                        continue
                    cut = Decomposition(pieces, heads, 0.0)
                    for guard in range(6):
                        window = windows(target, inputs, output, guard, 1.0)
                        if Filling(search, cut, window, guard).lack == 0:
                            best.append(search.cost(cut, guard))
    assert best
    assert found.meta["cost"] <= min(best)
    assert len(found.pieces) <= tables


@pytest.mark.parametrize("name", ["1/(1+x)", "exp(-x)", "sin"])
def test_the_bound_holds_for_every_decomposition(name):
    """Offsets and initial values as real numbers: no error is above the bound (convex pieces)."""
    values = {"1/(1+x)": 1 / (1 + X), "exp(-x)": np.exp(-X), "sin": np.sin(X)}[name] * 256
    search = Search(values, 8)
    cuts = list(search.decompositions(2.0, 2))
    assert len(cuts) > 100
    codes = np.arange(256)
    for cut in cuts[::7]:
        low, offsets = sum(cut.pieces), np.zeros(256)
        for piece, head in zip(cut.pieces, cut.heads, strict=True):
            low -= piece
            _, slopes = search.slopes(low, piece, head)
            part = (codes >> low & (1 << piece) - 1) - ((1 << piece) - 1) / 2
            offsets += slopes[codes >> (8 - head)] * part * (1 << low)
        rest = (values - offsets).reshape(1 << (8 - sum(cut.pieces)), -1)
        error = (rest.max(axis=1) - rest.min(axis=1)).max() / 2
        # What is curved inside one piece, to which the paper's bound is blind, is of second order.
        curved = np.abs(np.diff(values, 2)).max() * (1 << sum(cut.pieces)) ** 2 / 8
        assert error <= cut.error + curved


def test_windows_are_exactly_the_sums_that_are_right():
    inputs, output = Format(True, 4, 2), Format(True, 4, 2)
    for op in ("gelu", "tanh", "sigmoid"):
        function = FUNCTIONS[op]
        target = function(inputs.real(inputs.codes()))
        for fold in (None, fold_for(function, function.symmetry, inputs, output)):
            argument = inputs if fold is None else fold.magnitude
            window = windows(target, inputs, output, 2, 1.0, fold=fold)
            for total in range(-200, 200):
                value = Format(True, 12, output.frac + 2)
                table = MultipartiteTable(
                    inputs, output, value, Format(True, 1, 0), (1,), (0,),
                    (total,) * (1 << argument.bits - 1), (0,), fold=fold,
                )  # fmt: skip
                sums = table.sums(argument.codes())
                inside = (window.low <= sums) & (sums <= window.high)
                error = np.abs(output.real(table.lookup(inputs.codes())) - output.clip(target))
                right = np.ones(1 << argument.bits, dtype=bool)
                at = inputs.codes() - inputs.min
                if fold is not None:
                    at = fold.arguments(inputs.codes())
                np.logical_and.at(right, at, error < output.scale * (1 - 2.0**-21))
                assert (inside == right).all()


def test_the_same_table_every_time_and_others_after_it():
    target = 1 / (1 + X)
    first = list(itertools.islice(multipartite_tables("f", target, U8, U9), 5))
    again = list(itertools.islice(multipartite_tables("f", target, U8, U9), 5))
    assert first == again
    assert len({(t.pieces, t.heads, t.shift) for t in first}) == 5
    costs = [table.meta["cost"] for table in first]
    assert costs == sorted(costs)


TABLE = multipartite_table("f", 1 / (1 + X), U8, U9)


def test_a_file_is_read_back(tmp_path):
    for table in (TABLE, made("tanh", folded=True)[0]):
        save(table, tmp_path / "table.json")
        assert load(tmp_path / "table.json") == table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pieces": ()}, "table: pieces must be a list of 1 to 4 integers"),
        ({"pieces": (0,)}, r"table: pieces\[0\] must be 1 to 8, not 0"),
        ({"pieces": (8, 8)}, "table: pieces must have at most the 8 bits of the argument, not 16"),
        ({"pieces": (8,), "heads": (1,)}, r"table: heads\[0\] must be 0 to 0, not 1"),
        ({"initial": TABLE.initial[1:]}, "table: initial must have"),
        ({"initial": (1 << 30, *TABLE.initial[1:])}, r"table: initial\[0\] must be"),
        ({"offsets": TABLE.offsets[1:]}, "table: offsets must have"),
        ({"offsets": (999, *TABLE.offsets[1:])}, r"table: offsets\[0\] must be"),
        ({"offsets": (0.5, *TABLE.offsets[1:])}, "table: offsets must be a list of integers"),
        ({"value": Format(False, 16, 4)}, "table: initial values must have 0 to 32 fraction bits"),
    ],
)
def test_wrong_values_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(TABLE, **change)


def test_a_changed_file_is_refused():
    data = json.loads(json.dumps(TABLE.to_json()))
    data["initial"][0] ^= 1
    with pytest.raises(UsageError, match="sha256 does not match"):
        from_json(data)
    del data["offsets"]
    with pytest.raises(UsageError, match="offsets is missing"):
        from_json(data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_error": 0.4}, "must be allowed to be 0.5 ulp, not 0.4"),
        ({"tables": 5}, "tables of offsets must be 1 to 4, not 5"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        multipartite_table("f", 1 / (1 + X), U8, U9, **options)


def test_too_wide_an_input_is_refused():
    wide = Format(False, 19, 19)
    with pytest.raises(InfeasibleError, match=r"input of at most 18 bits, not u19\.19"):
        multipartite_table("f", np.ones(1 << 19), wide, U9)
