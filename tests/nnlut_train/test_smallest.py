"""The fewest entries and the fewest coefficient bits that meet an error, against brute force."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from nnlut_train import fit
from nnlut_train.errors import UsageError
from nnlut_train.fit import optimal
from nnlut_train.fit.making import make_problem
from nnlut_train.folding import fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS, lookup

ERRORS = (0.5, 0.6, 1.0, 1.5, 2.5)


def problem(name, bits, max_ulp, *, fold=False, slope=None, intercept=None, **others):
    function = lookup(name)
    inputs = function.input_format(bits)
    output = function.whole_output_format(bits, inputs)
    x = inputs.real(inputs.codes())
    inside = (x >= function.domain[0]) & (x <= function.domain[1])
    others.setdefault("weights", None if inside.all() else inside.astype(float))
    folded = fold_for(function, function.reduction, inputs, output) if fold else None
    return make_problem(
        name, function(x), inputs, output, 1 << bits, function, fold=folded, objective="max",
        max_ulp=max_ulp, slope=slope, intercept=intercept, **others,
    )  # fmt: skip


def good_codes(task):
    """Which output codes are near enough at every input code that counts: from the text alone."""
    scale, codes = task.output.scale, task.output.codes()
    return {
        int(q): {int(y) for y in codes if abs(y * scale - t) <= (task.max_ulp + 1e-9) * scale}
        for q, t, used in zip(task.input.codes(), task.target, task.used, strict=True) if used
    }  # fmt: skip


def lengths(task):
    """Over every line of both formats: from each code that counts, how many one line can serve."""
    good = good_codes(task)
    codes = sorted(good)
    fits = np.zeros((task.slope.codes().size * task.intercept.codes().size, len(codes)), dtype=bool)
    lines = itertools.product(task.slope.codes().tolist(), task.intercept.codes().tolist())
    for row, (k, b) in enumerate(lines):
        table = task.table((), (k,), (b,), {})
        got = table.lookup(np.array(codes)).tolist()
        fits[row] = [y in good[q] for q, y in zip(codes, got, strict=True)]
    longest = []
    for i in range(len(codes)):
        run = np.logical_and.accumulate(fits[:, i:], axis=1).sum(axis=1)
        longest.append(int(run.max()))
    return longest


def fewest(task):
    """The fewest segments, by dynamic programming over every partition; None if none serves."""
    longest = lengths(task)
    least = [0] + [None] * len(longest)
    for i, most in enumerate(longest):
        if least[i] is None:
            continue
        for j in range(i + 1, i + most + 1):
            if least[j] is None or least[j] > least[i] + 1:
                least[j] = least[i] + 1
    return least[-1]


SMALL = [
    ("gelu", 4, "s4.2", "s5.2"),
    ("tanh", 4, "s4.3", "s4.3"),
    ("exp", 4, "u4.4", "s7.4"),
    ("sigmoid", 5, "u4.5", "u6.6"),
    ("reciprocal", 4, "s6.3", "u6.3"),  # nothing to round: sum and output have as many bits
    ("softplus", 4, "u3.2", "s5.2"),
]


@pytest.mark.parametrize("max_ulp", ERRORS)
@pytest.mark.parametrize(("name", "bits", "slope", "intercept"), SMALL)
def test_fewest_entries_equal_enumeration(name, bits, slope, intercept, max_ulp):
    formats = {"slope": Format.parse(slope), "intercept": Format.parse(intercept)}
    task = problem(name, bits, max_ulp, **formats)
    least = fewest(task)
    if least is None:
        with pytest.raises(UsageError, match="cannot meet the constraints with any number of"):
            optimal.fewest_entries(task)
        return
    assert optimal.fewest_entries(task) == least
    table = fit.fit(replace(task, entries=least), cache=False)
    assert table.entries <= least
    good = good_codes(task)
    codes = np.array(sorted(good))
    assert all(y in good[q] for q, y in zip(codes.tolist(), table.lookup(codes), strict=True))
    if least > 1:
        with pytest.raises(UsageError, match=f"at most {least - 1} entries"):
            fit.fit(replace(task, entries=least - 1), cache=False)


def test_with_one_entry_fewer_no_table_at_all_is_good():
    """Every breakpoint, slope and intercept of a tiny case, looked up."""
    formats = {"slope": Format(True, 3, 1), "intercept": Format(True, 3, 0)}
    task = problem("gelu", 3, 0.5, **formats)
    good = good_codes(task)
    codes = np.array(sorted(good))

    def serves(entries):
        ks, bs = (form.codes().tolist() for form in (task.slope, task.intercept))
        for cut in itertools.combinations(codes[1:].tolist(), entries - 1):
            for lines in itertools.product(itertools.product(ks, bs), repeat=entries):
                table = task.table(cut, *zip(*lines, strict=True), {})
                got = table.lookup(codes).tolist()
                if all(y in good[q] for q, y in zip(codes.tolist(), got, strict=True)):
                    return True
        return False

    least = optimal.fewest_entries(task)
    assert least == 2
    assert serves(least)
    assert not serves(least - 1)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "silu"])
def test_a_larger_error_needs_no_more(name, fold):
    counts = []
    for max_ulp in ERRORS[::2]:
        task = problem(name, 8, max_ulp, fold=fold)
        counts.append(optimal.fewest_entries(task))
        table = fit.fit(replace(task, entries=counts[-1]), cache=False)
        assert table.entries <= counts[-1]
        codes = task.input.codes()[task.used]
        exact = task.output.clip(FUNCTIONS[name](task.input.real(codes)))
        ulp = np.abs(table.output.real(table.lookup(codes)) - exact) / table.output.scale
        assert ulp.max() <= max_ulp + 1e-9
        if counts[-1] > 1:
            with pytest.raises(UsageError, match="entries with these formats"):
                fit.fit(replace(task, entries=counts[-1] - 1), cache=False)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


def narrowed(form):
    """The formats of one bit less whose values the format has, too."""
    signs = {False, form.signed}
    lower = [Format(sign, form.bits - 1, form.frac) for sign in signs if form.bits > 1]
    return lower + [Format(form.signed, form.bits - 1, form.frac - 1) for _ in lower[:1]]


def trimmed(form, frac):
    return Format(form.signed, form.bits + frac - form.frac, frac)


@pytest.mark.parametrize(
    ("name", "bits", "entries", "max_ulp", "fold"),
    [
        ("gelu", 4, 3, 1.0, False),
        ("tanh", 4, 3, 0.75, False),
        ("tanh", 4, 2, 0.75, True),
        ("sigmoid", 4, 2, 1.0, True),
        ("exp", 4, 4, 0.6, False),
        ("softplus", 4, 3, 0.75, False),
    ],
)
def test_no_fewer_bits_are_enough(name, bits, entries, max_ulp, fold):
    task = replace(problem(name, bits, max_ulp, fold=fold), entries=entries)
    found = optimal.fewest_bits(task)
    # Signs and integer bits as they are: never better than with these taken away.
    widths = []
    for k, b in itertools.product(range(-8, 12), range(-8, 12)):
        try:
            formats = trimmed(task.slope, k), trimmed(task.intercept, b)
            candidate = replace(task, slope=formats[0], intercept=formats[1])
            candidate.table((), (0,), (0,), {})  # the shifts of the hardware must not be negative
            if optimal.fewest_entries(candidate) <= entries:
                widths.append(formats[0].bits + formats[1].bits)
        except UsageError:
            continue
    assert found[0].bits + found[1].bits <= min(widths)
    narrower = [(form, found[1]) for form in narrowed(found[0])]
    narrower += [(found[0], form) for form in narrowed(found[1])]
    for slope, intercept in narrower:
        with pytest.raises(UsageError, match=r"no table of at most|^table: slope"):
            fit.fit(replace(task, slope=slope, intercept=intercept), cache=False)
    table = fit.fit(replace(task, slope=found[0], intercept=found[1]), cache=False)
    codes = task.input.codes()[task.used]
    ulp = np.abs(table.output.real(table.lookup(codes)) - task.target[task.used])
    assert ulp.max() <= (max_ulp + 1e-9) * task.output.scale


@pytest.mark.parametrize("name", ["gelu", "tanh", "sigmoid"])
def test_a_larger_error_needs_no_more_bits(name):
    sums = []
    for max_ulp in ERRORS[1::2]:
        found = optimal.fewest_bits(replace(problem(name, 6, max_ulp), entries=8))
        sums.append(found[0].bits + found[1].bits)
    assert sums == sorted(sums, reverse=True)


def test_what_cannot_be_met():
    task = replace(problem("gelu", 6, 0.5), entries=1)
    with pytest.raises(UsageError, match="at most 1 entries with these formats meets"):
        optimal.fewest_bits(task)
    with pytest.raises(UsageError, match="fewest entries are not known for monotone tables"):
        optimal.fewest_entries(replace(problem("tanh", 6, 1.0), monotone=True))


@pytest.mark.parametrize("limits", [(-0.25, 8.0), (0.0, 8.0)])
def test_limits_count(limits):
    task = problem("gelu", 6, 1.0, limits=limits)
    least = optimal.fewest_entries(task)
    assert least >= optimal.fewest_entries(replace(task, limits=None))
    table = fit.fit(replace(task, entries=least), cache=False)
    line = table.line(table.input.real(table.input.codes()))
    assert line.min() >= limits[0]
    assert line.max() <= limits[1]
