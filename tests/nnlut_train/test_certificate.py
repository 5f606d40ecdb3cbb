"""The checker: it proves what enumeration finds, and refuses what is not so."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fit_constrained import CONSTRAINTS, Everything, problems

from nnlut_train import certificate, protocol
from nnlut_train.certificate import check
from nnlut_train.errors import UsageError
from nnlut_train.fit import Problem, coefficient_formats, fit, optimal
from nnlut_train.folding import Fold, fold_for
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS

TINY = 1e-13


def altered(table, changes=None, **claims):
    """The table with other meta data, and with other entries of its certificate."""
    meta = json.loads(json.dumps(table.meta)) | (changes or {})
    meta["certificate"] |= claims
    return dataclasses.replace(table, meta=meta)


def claiming(table, bound):
    """The table with another lower bound, and the gap that belongs to it."""
    cost = table.meta["cost"]
    return altered(table, lower_bound=bound, gap=(cost - bound) / cost)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(task=problems(None, ("mse", "max")))
def test_what_is_proved_is_the_optimum(task):
    table = fit(task, cache=False)
    proof = check(task, table)
    least = Everything(task).least()
    assert proof.complete
    assert proof.cost == table.meta["cost"]
    assert proof.claimed_bound == table.meta["certificate"]["lower_bound"]
    assert proof.proved_bound == pytest.approx(least, rel=1e-8, abs=TINY)
    assert proof.cost == pytest.approx(least, rel=1e-8, abs=TINY)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(task=problems(None, ("mse",)), factor=st.floats(0, 3))
def test_a_bound_is_proved_if_and_only_if_it_is_one(task, factor):
    # The programme alone, with any goal.
    least = Everything(task).least()
    goal = least * factor
    proved = certificate._Squares(task, task.points(), 1).prove(goal, False)
    assert proved == pytest.approx(min(goal, least), rel=1e-9, abs=TINY)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@settings(derandomize=True, deadline=None, max_examples=50)
@given(data=st.data())
def test_bounds_of_constrained_problems(constraint, data):
    objectives = ("mse",) if constraint == "monotone" else ("mse", "max")
    task = data.draw(problems(constraint, objectives))
    if constraint == "several" and task.objective == "mse":
        task = dataclasses.replace(task, monotone=False)
    least = Everything(task).least()
    if not np.isfinite(least):
        return
    proof = check(task, fit(task, cache=False))
    assert proof.proved_bound <= least * (1 + 1e-9) + TINY
    if not task.monotone:
        assert proof.complete
        assert proof.proved_bound == pytest.approx(least, rel=1e-8, abs=TINY)


@pytest.mark.parametrize("constraint", [None, "limits", "max_ulp"])
@settings(derandomize=True, deadline=None, max_examples=15)
@given(data=st.data())
def test_a_mixed_bound_is_that_of_both_errors_apart(constraint, data):
    task = data.draw(problems(constraint, ("mixed",), most_bits=3))
    every = Everything(task)
    if not np.isfinite(least := every.least()):
        return
    proof = check(task, fit(task, cache=False))
    apart = every.join(every.squares) + task.mix * every.join(every.most, np.maximum) ** 2
    assert proof.proved_bound == pytest.approx(apart, rel=1e-8, abs=TINY)
    assert proof.proved_bound <= least * (1 + 1e-9) + TINY
    assert proof.complete == (proof.proved_bound >= proof.claimed_bound * (1 - 1e-9) - TINY)
    assert proof.complete or "weaker than the claim" in proof.how


@pytest.mark.parametrize("name", ["mse", "mixed"])
def test_what_is_not_proved_is_said(name):
    # Coarse lines step back where they are free to.
    form = Format(True, 7, 4)
    x, coarse = form.real(form.codes()), Format(True, 5, 3)
    task = Problem(
        "tanh",
        np.tanh(x),
        form,
        Format(True, 8, 6),
        coarse,
        coarse,
        8,
        name,
        monotone=True,
        mix=1.0,
    )
    proof = check(task, fit(task, cache=False))
    assert not proof.complete
    assert 0 < proof.proved_bound < proof.claimed_bound <= proof.cost
    assert "monotone" in proof.how


def problem(name, bits, entries=8, objective="mse", wide=False, **changes):
    function = FUNCTIONS[name]
    inputs = function.input_format(bits)
    output = function.output_format(bits, inputs)
    target = function(inputs.real(inputs.codes()))
    slope = intercept = Format(True, 8, 6)
    if wide:
        slope, intercept = coefficient_formats(output.clip(target), inputs, output, entries)
    return Problem(
        name, target, inputs, output, slope, intercept, entries, objective, **changes
    )  # fmt: skip


KINDS = {
    "plain": problem("tanh", 8),
    "finer coefficients": problem("tanh", 9, wide=True),
    "weighted": problem("gelu", 8, weights=np.exp(-(np.linspace(-3, 3, 256) ** 2))),
    "one scale": protocol.problem("exp", 8, scales=[4]),
    "shared": protocol.problem("gelu", 8),
    "folded": dataclasses.replace(
        problem("silu", 8),
        fold=fold_for(FUNCTIONS["silu"], "relu", Format(True, 8, 4), Format(True, 8, 4)),
    ),
    "limits": problem("tanh", 8, 6, limits=(-1.0, 1.0)),
    "near": problem("tanh", 8, 6, max_ulp=4.0),
}


@pytest.fixture(scope="module")
def tables():
    tasks = {
        (kind, objective): dataclasses.replace(task, objective=objective)
        for kind, task in KINDS.items()
        for objective in ("mse", "max")
    }
    return {name: (task, fit(task, cache=False)) for name, task in tasks.items()}


@pytest.mark.parametrize("objective", ["mse", "max"])
@pytest.mark.parametrize("kind", KINDS)
def test_true_certificates_are_proved_and_false_ones_refused(kind, objective, tables):
    task, table = tables[kind, objective]
    cost = table.meta["cost"]
    proof = check(task, altered(table))  # as read from a file
    assert proof.complete
    assert proof.proved_bound == pytest.approx(cost, rel=1e-7)
    # A table that is worse cannot claim a bound between the optimum and its own cost.
    worse = worsened(task, table)
    assert worse.meta["cost"] > cost * 1.01
    honest = claiming(worse, cost)
    assert check(task, honest).complete
    with pytest.raises(UsageError, match=r"^certificate: a lower bound of .* cannot be proved"):
        check(task, claiming(worse, cost * 1.01))


def worsened(task, table):
    """The table with another slope or intercept, still inside the constraints, and its cost."""
    for name, position, step in itertools.product(
        ("intercepts", "slopes"), range(table.entries), (1, -1, 2, -2)
    ):
        integers = list(getattr(table, name))
        integers[position] += step
        form = getattr(table, name[:-1])
        if form.min <= integers[position] <= form.max:
            worse = dataclasses.replace(table, **{name: tuple(integers)})
            if task.meets(worse) and (cost := task.cost(worse)) > 1.01 * table.meta["cost"]:
                return altered(worse, {"cost": cost})
    raise AssertionError("no line can be moved")


@pytest.mark.parametrize("objective", ["mse", "max"])
def test_claims_that_contradict_the_table_are_refused(objective, tables):
    task, table = tables["plain", objective]
    meta = table.meta
    bound, cost = meta["certificate"]["lower_bound"], meta["cost"]
    other = dataclasses.replace(task, entries=9)
    finer = dataclasses.replace(task, slope=Format(True, 9, 7))
    one = r"^certificate: the table must have one: fit it with the method optimal$"
    for wrong, against, message in [
        (claiming(table, bound * 1.01), task, r"cannot be proved: the table's cost is"),
        (altered(table, lower_bound=-1.0), task, r"cannot be proved: the table's cost is"),
        (altered(table, lower_bound=float("nan")), task, r"cannot be proved"),
        (
            altered(table, lower_bound=bound * 0.9),
            task,
            r"the gap must be that of the bound, not 0",
        ),
        (altered(table, gap=0.5), task, r"the gap must be that of the bound, not 0\.5$"),
        (altered(table, {"cost": cost * 1.01}), task, r"the table's cost must be "),
        (altered(table, {"cost": cost * 0.99}), task, r"the table's cost must be "),
        (altered(table, {"cost": None}), task, one),
        (altered(table, gap="0"), task, one),
        (altered(table), other, r"the table must be one of the given problem$"),
        (altered(table), finer, r"the table must be one of the given problem$"),
        (
            altered(table, {"problem": other.digest()}),
            other,
            r"cannot be proved$|must be 9 blocks, not",
        ),
        (altered(table, {"problem": finer.digest()}), finer, r"the table must be one of"),
        (fit(task, "linear", cache=False), task, one),
    ]:
        with pytest.raises(UsageError, match=message):
            check(against, wrong)
    lines = dataclasses.replace(task, entries=table.entries - 1)
    with pytest.raises(UsageError, match=r"^certificate: the table must have at most . entries$"):
        check(lines, altered(table, {"problem": lines.digest()}))
    tight = dataclasses.replace(task, limits=(-0.5, 0.5))
    with pytest.raises(UsageError, match=r"^certificate: the table must meet the problem's const"):
        check(tight, altered(table, {"problem": tight.digest()}))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_checked(kind, tables):
    task, table = tables[kind, "max"]
    blocks = table.meta["certificate"]["blocks"]
    assert len(blocks) == task.entries
    wrong = {
        "shorter": [[first, last - 1] for first, last in blocks],
        "shifted left": [[first - 1, last - 1] for first, last in blocks],
        "nowhere": [[first + 100000, last + 100000] for first, last in blocks],
        "reversed": [[last, first] for first, last in blocks],
        "overlapping": [[first, last + 1] for first, last in blocks],
        "one missing": blocks[1:],
        "one twice": [blocks[0], *blocks[:-1]],
        "one code": [blocks[0], [blocks[1][0]] * 2],
        "none": [],
        "no list": None,
        "no ranges": [[first] for first, _ in blocks],
        "no codes": [[str(first), str(last)] for first, last in blocks],
    }
    for name, claimed in wrong.items():
        if (kind, name) == ("shared", "shorter"):
            continue  # not every code of the grid is one at which points begin
        with pytest.raises(UsageError, match=r"^certificate: "):
            check(task, altered(table, blocks=claimed))


def test_one_code_that_no_line_meets_is_a_proof():
    # Two values at one magnitude: whatever the entries, the core can only be between them.
    form = Format(True, 3, 0)
    target = np.array([0.0, 0, 0, 0, 0, 0, 2.0, 0])
    task = Problem(
        "odd one out", target, form, Format(True, 4, 1), Format(True, 4, 1), Format(True, 4, 1), 6,
        "max", fold=Fold("even", Format(False, 3, 0)),
    )  # fmt: skip
    table = fit(task, cache=False)
    blocks = table.meta["certificate"]["blocks"]
    assert blocks[-1] == [2, 2]
    assert len(blocks) < 6
    proof = check(task, table)
    assert proof.complete
    assert proof.proved_bound == pytest.approx(1.0)
    with pytest.raises(UsageError, match=r"cannot be proved: a line has less error from code 1 to"):
        check(task, altered(table, blocks=[[1, 1]]))


@pytest.mark.parametrize("objective", ["mse", "max", "mixed"])
def test_an_exact_table_needs_no_proof(objective):
    task = dataclasses.replace(problem("tanh", 6), objective=objective, target=np.zeros(64))
    proof = check(task, fit(task, cache=False))
    assert (proof.cost, proof.claimed_bound, proof.proved_bound) == (0, 0, 0)
    assert proof.complete


@settings(derandomize=True, deadline=None, max_examples=100)
@given(task=problems(None, ("mse",)))
def test_bounds_of_a_grid_are_bounds(task):
    least = Everything(task).least()
    grid = 2
    proved = certificate._Squares(task, task.points(), grid).prove(least * 2 + 1, False)
    assert proved <= least * (1 + 1e-9) + TINY


@settings(derandomize=True, deadline=None, max_examples=100)
@given(task=problems(None, ("mse",)))
def test_gaps_are_proved(task):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimal, "MAX_STARTS", 4)
        patch.setattr(certificate, "MAX_GROUPS", 4)
        proof = check(task, fit(task, cache=False))
    assert proof.complete
    assert proof.proved_bound <= Everything(task).least() * (1 + 1e-9) + TINY


def test_a_gap_of_many_codes_is_proved(monkeypatch):
    task = problem("gelu", 10)
    monkeypatch.setattr(optimal, "MAX_STARTS", 1 << 8)
    monkeypatch.setattr(certificate, "MAX_GROUPS", 1 << 8)
    table = fit(task, cache=False)
    assert 0 < table.meta["certificate"]["gap"] < 0.5
    proof = check(task, table)
    assert proof.complete
    assert "blocks of 4 codes" in proof.how
    with pytest.raises(UsageError, match=r"cannot be proved"):
        check(task, claiming(table, table.meta["certificate"]["lower_bound"] * 1.01))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(task=problems(None, ("mse", "max")))
def test_work_may_be_cut_into_small_chunks(task):
    table = fit(task, cache=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate, "CHUNK", 20)
        assert check(task, table).complete
        patch.setattr(certificate, "MAX_SLOPES", 0)  # then real lines are all that is known
        if task.objective == "mse":
            goal = Everything(task).least() + 1
            bound = certificate._Squares(task, task.points(), 1).prove(goal, False)
            assert bound <= (goal - 1) * (1 + 1e-9) + TINY


def test_large_constrained_problems_are_bounded_without_their_constraints(monkeypatch):
    limited = KINDS["near"]
    mixed = dataclasses.replace(KINDS["plain"], objective="mixed", mix=1.0, entries=6)
    tables = [fit(task, cache=False) for task in (limited, mixed)]
    monkeypatch.setattr(certificate, "MAX_TRIED", 0)
    with pytest.raises(UsageError, match=r"^certificate: a lower bound of .* cannot be proved$"):
        check(limited, tables[0])
    proof = check(mixed, tables[1])
    assert not proof.complete
    assert 0 < proof.proved_bound < proof.claimed_bound
    assert "without constraints" in proof.how


def test_no_progress_bar_without_a_terminal(capsys):
    task = problem("tanh", 6)
    check(task, fit(task, cache=False), progress=True)
    assert capsys.readouterr() == ("", "")
