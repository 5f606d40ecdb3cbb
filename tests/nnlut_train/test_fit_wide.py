"""Fits of inputs that have too many codes to look at all of them."""

import dataclasses
import json

import numpy as np
import pytest

from nnlut_train import fit
from nnlut_train.certificate import check
from nnlut_train.errors import UsageError
from nnlut_train.fit.making import WIDE_BITS, make_problem
from nnlut_train.fit.problem import Problem
from nnlut_train.folding import Fold
from nnlut_train.formats import ENUMERATED_BITS, Format
from nnlut_train.functions import FUNCTIONS


def problem(name, bits=32, entries=16, **options):
    function = FUNCTIONS[name]
    inputs = function.input_format(bits)
    output = function.output_format(bits, inputs)
    target = function(inputs.real(inputs.grid()))
    return make_problem(name, target, inputs, output, entries, function, **options)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 8, ENUMERATED_BITS, ENUMERATED_BITS + 1, 32, 48])
def test_a_grid_is_all_codes_or_evenly_spaced_ones_and_the_last(signed, bits):
    form = Format(signed, bits, 3)
    grid = form.grid()
    assert (grid[0], grid[-1]) == (form.min, form.max)
    if bits <= ENUMERATED_BITS:
        assert grid.tolist() == form.codes().tolist()
    else:
        assert grid.size == 2**16 + 1
        assert set(np.diff(grid[:-1]).tolist()) == {2 ** (bits - 16)}
        assert not signed or 0 in grid


@pytest.mark.parametrize("name", FUNCTIONS)
def test_coefficients_of_32_bits_fit_the_sum(name):
    task = problem(name)
    assert task.intercept.bits <= WIDE_BITS
    # The slope has what is left of 63 bits, and not a bit less.
    assert task.slope.bits <= WIDE_BITS
    task.table((), (0,), (0,), {})
    if task.slope.bits < WIDE_BITS - 4:
        finer = Format(task.slope.signed, task.slope.bits + 1, task.slope.frac + 1)
        with pytest.raises(UsageError, match="must fit 63 bits"):
            dataclasses.replace(task, slope=finer).table((), (0,), (0,), {})


@pytest.fixture(scope="module")
def fitted():
    """A 32-bit problem and its optimum on the sample."""
    task = problem("gelu")
    return task, fit.fit(task, cache=False)


def test_a_table_says_of_how_many_codes_it_is_the_optimum(fitted):
    task, table = fitted
    assert task.sampled
    assert table.meta["samples"] == table.meta["certificate"]["samples"] == 2**16 + 1
    codes = task.codes
    line = np.abs(table.line(table.input.real(codes)) - task.target)
    assert table.meta["errors"]["line_max"] == line.max()
    assert table.meta["cost"] == pytest.approx(np.mean(line**2), rel=1e-9)
    assert set(table.breakpoints) <= set(codes.tolist())
    narrow = fit.fit(problem("gelu", 8), cache=False)
    assert "samples" not in narrow.meta
    assert "samples" not in narrow.meta["certificate"]


def test_the_optimum_of_32_bits_is_that_of_16(fitted):
    _, table = fitted
    coarse = fit.fit(problem("gelu", 16), cache=False)
    assert table.entries == coarse.entries
    assert table.meta["cost"] == pytest.approx(coarse.meta["cost"], rel=1e-2)


def test_the_certificate_is_proved_over_the_sample_only(fitted):
    task, table = fitted
    proof = check(task, table)
    assert proof.complete
    assert proof.how.endswith("over a sample of 65,537 of 2^32 codes")
    meta = json.loads(json.dumps(table.meta))
    del meta["certificate"]["samples"]
    everything = dataclasses.replace(table, meta=meta)
    message = (
        r"^certificate: its samples must be 65537, not None: a proof is of the codes that were "
        r"looked at$"
    )
    with pytest.raises(UsageError, match=message):
        check(task, everything)


def test_the_largest_error_over_a_sample():
    table = fit.fit(problem("tanh", entries=4, objective="max"), cache=False)
    assert table.meta["certificate"]["gap"] == 0.0
    assert table.meta["cost"] == pytest.approx(
        fit.fit(problem("tanh", 16, 4, objective="max"), cache=False).meta["cost"], rel=1e-2
    )


@pytest.mark.parametrize("method", ["linear", "lutapp", "equal_error", "continuous"])
def test_other_methods_take_wide_inputs(method, fitted):
    task, best = fitted
    table = fit.fit(task, method, cache=False)
    assert table.meta["cost"] >= best.meta["cost"]
    assert table.meta["errors"]["line_max"] < 1.0
    assert table.meta["samples"] == 2**16 + 1


def test_wide_inputs_are_neither_folded_nor_shared():
    task = problem("tanh")
    fields = {name: getattr(task, name) for name in ("input", "output", "slope", "intercept")}
    message = (
        r"^lines of an input of more than 20 bits must not be folded, nor shared by several scales$"
    )
    with pytest.raises(UsageError, match=message):
        Problem("tanh", task.target, **fields, fold=Fold("odd", Format(False, 31, 29)))
    with pytest.raises(UsageError, match=message):
        Problem("tanh", task.target, **fields, shared=(task.input, Format(True, 32, 28)))
    with pytest.raises(UsageError, match=r"^a problem's target must be 65537 numbers, one"):
        Problem("tanh", task.target[1:], **fields)
