"""What `fit` adds to a method: the cache, meta data and checks."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nnlut_train import fit as package
from nnlut_train.errors import UsageError
from nnlut_train.files import load, save
from nnlut_train.fit import Problem, cache_folder, fit, optimal
from nnlut_train.folding import Fold
from nnlut_train.formats import Format
from nnlut_train.tables import DirectTable

INPUT, OUTPUT = Format(True, 5, 2), Format(True, 6, 4)
SLOPE, INTERCEPT = Format(True, 8, 6), Format(True, 9, 7)
X = INPUT.real(INPUT.codes())


def problem(**changes):
    values = {
        "function": "tanh", "target": np.tanh(X), "input": INPUT, "output": OUTPUT,
        "slope": SLOPE, "intercept": INTERCEPT, "entries": 4,
    }  # fmt: skip
    return Problem(**(values | changes))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("NNLUT_CACHE", str(folder))
    return folder


@pytest.fixture
def unsolvable(monkeypatch):
    def solve(*_):
        raise AssertionError("it was solved again")

    monkeypatch.setattr(optimal, "solve", solve)


def key(task, method="optimal", seed=0):
    return package._key(task, method, seed)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fitting_twice_gives_the_same_bytes(cache):
    first = fit(problem())
    before = content(cache)
    for path in cache.iterdir():
        path.unlink()
    second = fit(problem())
    assert content(cache) == before
    assert second == first
    assert second.meta == first.meta


def test_the_second_fit_comes_from_the_cache(cache, request):
    first = fit(problem())
    before = content(cache)
    assert [path.name for path in cache.iterdir()] == [f"{key(problem())}.json"]
    request.getfixturevalue("unsolvable")
    again = fit(problem())
    assert again == first
    assert again.meta == json.loads(json.dumps(first.meta))
    assert content(cache) == before


@pytest.mark.usefixtures("unsolvable")
def test_without_an_entry_it_is_solved(cache):
    with pytest.raises(AssertionError, match="it was solved again"):
        fit(problem())
    assert not cache.exists()


def test_without_cache_nothing_is_written_or_read(cache, request):
    table = fit(problem(), cache=False)
    assert not cache.exists()
    save(table, cache / f"{key(problem())}.json")
    request.getfixturevalue("unsolvable")
    with pytest.raises(AssertionError, match="it was solved again"):
        fit(problem(), cache=False)


@pytest.mark.parametrize("damage", ["empty", "cut", "integer", "direct"])
def test_a_damaged_cache_file_is_fitted_anew(cache, damage):
    first = fit(problem())
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    if damage == "direct":
        save(DirectTable(Format(False, 1, 0), OUTPUT, (0, 1)), path)
    elif damage == "integer":
        data = json.loads(whole)
        data["slopes"][0] += 1
        path.write_text(json.dumps(data))
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    assert fit(problem()) == first
    assert path.read_bytes() == whole


def test_key_depends_on_all_that_the_result_depends_on(monkeypatch):
    other = np.tanh(X)
    other[7] += 1e-9
    weights = np.ones(X.size)
    lighter = weights.copy()
    lighter[3] = 0.5
    problems = [
        problem(),
        problem(function="tanh2"),
        problem(target=other),
        problem(input=Format(True, 5, 3)),
        problem(output=Format(True, 6, 3)),
        problem(slope=Format(True, 9, 6)),
        problem(intercept=Format(True, 10, 7)),
        problem(entries=5),
        problem(objective="max"),
        problem(weights=weights),
        problem(weights=lighter),
        problem(nn_range=(-1, 1)),
        problem(nn_signs=(1, -1)),
        problem(objective="mixed"),
        problem(objective="mixed", mix=0.5),
        problem(fold=Fold("odd", Format(False, 4, 2))),
        problem(fold=Fold("even", Format(False, 4, 2))),
        problem(fold=Fold("odd", Format(False, 3, 2))),
        problem(shared=(INPUT,)),
        problem(shared=(INPUT, Format(True, 5, 1))),
        problem(limits=(-1, 1)),
        problem(limits=(-1, 0.5)),
        problem(exact=(0,)),
        problem(exact=(0, 4)),
        problem(monotone=True),
        problem(max_ulp=1),
        problem(max_ulp=2),
    ]
    keys = [key(p) for p in problems]
    keys += [key(problem(), seed=1), key(problem(), "nn"), key(problem(), "genetic")]
    monkeypatch.setitem(package.METHODS, "optimal", package.METHODS["optimal"] + 1)
    keys.append(key(problem()))
    assert len(set(keys)) == len(keys)


def test_key_is_of_the_problem_as_solved():
    # What the output cannot hold is clipped, so it does not matter how large it was.
    big, bigger = np.tanh(X), np.tanh(X)
    big[-1], bigger[-1] = 100.0, math.inf
    assert key(problem(target=big)) == key(problem(target=bigger))
    assert problem(target=big).target[-1] == OUTPUT.real(OUTPUT.max)
    assert key(problem()) == key(problem(reference=np.tanh))


def test_another_seed_is_another_entry(cache):
    tables = [fit(problem(), seed=seed) for seed in (0, 1)]
    assert len(content(cache)) == 2
    assert [table.meta["seed"] for table in tables] == [0, 1]


def test_cache_folder(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("NNLUT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "nnlut" / "tables"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "nnlut" / "tables"


def test_an_unknown_method_is_refused():
    methods = "optimal, nn, genetic, linear, lutapp, equal_error, continuous"
    with pytest.raises(UsageError, match=f"^the method must be one of {methods}, not 'guess'$"):
        fit(problem(), "guess")


@pytest.mark.parametrize("method", [name for name in package.METHODS if name != "optimal"])
@pytest.mark.parametrize(
    "constraint", [{"limits": (-1, 1)}, {"exact": (0,)}, {"monotone": True}, {"max_ulp": 2}]
)
def test_only_the_optimal_method_takes_constraints(method, constraint, cache):
    if method == "nn":
        pytest.importorskip("torch", reason="NN-LUT is trained with torch")
    message = f"^constraints go with the method optimal, not with {method}$"
    with pytest.raises(UsageError, match=message):
        fit(problem(**constraint), method)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": np.zeros(31)}, r"^a problem's target must be 32 numbers, one an input code$"),
        ({"target": np.zeros((2, 16))}, r"^a problem's target must be 32 numbers"),
        ({"target": np.where(X == 1, np.nan, X)}, r"^a problem's target must be 32 numbers"),
        ({"entries": 0}, r"^entries must be 1 to 32, not 0$"),
        ({"entries": 33}, r"^entries must be 1 to 32, not 33$"),
        ({"objective": "l1"}, r"^the objective must be one of mse, max, mixed, not 'l1'$"),
        ({"weights": np.ones(31)}, r"^weights must be 32 numbers >= 0, not all zero$"),
        ({"weights": np.zeros(32)}, r"^weights must be 32 numbers >= 0, not all zero$"),
        ({"weights": np.where(X == 1, -1, 1)}, r"^weights must be 32 numbers >= 0"),
        ({"weights": np.where(X == 1, np.nan, 1)}, r"^weights must be 32 numbers >= 0"),
        ({"weights": [1.0] * 31}, r"^weights must be 32 numbers >= 0"),
        ({"fold": Fold("odd", Format(False, 3, 2)), "entries": 9}, r"^entries must be 1 to 8"),
        ({"shared": (Format(True, 5, 3),)}, r"^formats that share lines must be no finer than "),
        ({"shared": (Format(False, 5, 2),)}, r"^formats that share lines .* not u5\.2$"),
        (
            {"shared": (INPUT,), "monotone": True},
            r"^lines that several scales share must not be folded, monotone, ",
        ),
        (
            {"shared": (INPUT,), "max_ulp": 1},
            r"^lines that several scales share must not be folded, monotone, ",
        ),
        ({"shared": (INPUT,), "fold": Fold("odd", Format(False, 4, 2))}, r"^lines that several "),
        ({"max_ulp": 0.4}, r"^the largest error of a rounded output must be 0\.5 ulp or more"),
        ({"max_ulp": math.nan}, r"^the largest error of a rounded output must be 0\.5 ulp"),
    ],
)
def test_wrong_problems(changes, message):
    with pytest.raises(UsageError, match=message):
        problem(**changes)


@pytest.mark.parametrize("entries", [1, 32])
def test_least_and_most_entries(entries):
    assert 1 <= fit(problem(entries=entries)).entries <= entries


@pytest.mark.parametrize("objective", ["mse", "max"])
@pytest.mark.parametrize("weighted", [False, True])
def test_meta_holds_errors_that_can_be_recomputed(cache, objective, weighted):
    weights = np.where(X < 0, 0.0, 1 + X) if weighted else None
    # The top is beyond the output: the error is against what the output can hold.
    table = fit(problem(target=2.5 * np.tanh(X), objective=objective, weights=weights), seed=7)
    assert load(next(cache.iterdir())).meta == table.meta
    expected = {
        "function": "tanh", "method": "optimal", "revision": package.METHODS["optimal"],
        "seed": 7, "objective": objective, "weighted": weighted, "entries": 4,
        "problem": problem(
            target=2.5 * np.tanh(X), objective=objective, weights=weights
        ).digest(),
    }  # fmt: skip
    assert {name: table.meta[name] for name in expected} == expected
    squares, lines, ulps, total = 0.0, [], [], 0.0
    for position, code in enumerate(range(-16, 16)):
        weight = 1.0 if weights is None else float(weights[position])
        if weight == 0:
            continue
        wanted = min(max(2.5 * math.tanh(code / 4), -2.0), 31 / 16)
        i = sum(code >= p for p in table.breakpoints)
        line = table.slopes[i] / 64 * code / 4 + table.intercepts[i] / 128
        result = min(max(math.floor(line * 16 + 0.5), -32), 31)
        lines.append(abs(line - wanted))
        ulps.append(abs(result - wanted * 16))
        squares += weight * lines[-1] ** 2
        total += weight
    assert table.meta["errors"] == pytest.approx({
        "line_mse": squares / total,
        "line_max": max(lines),
        "max_ulp": max(ulps),
        "rms_ulp": math.sqrt(sum(e * e for e in ulps) / len(ulps)),
    }, rel=1e-12)  # fmt: skip
    cost = {"mse": squares / total, "max": max(lines)}[objective]
    assert table.meta["cost"] == pytest.approx(cost, rel=1e-9)


@pytest.mark.parametrize("objective", ["mse", "max"])
@pytest.mark.parametrize("hidden", [X < -2, X > 1, np.abs(X) < 1, np.arange(32) % 3 == 1])
def test_codes_of_weight_zero_do_not_count(objective, hidden):
    weights = np.where(hidden, 0.0, 1.0)
    wild = np.where(hidden, np.where(np.arange(32) % 2, 9.0, -9.0), np.tanh(X))
    calm, upset = (
        fit(problem(target=target, objective=objective, weights=weights), cache=False)
        for target in (np.tanh(X), wild)
    )
    # The wild codes change neither the lines elsewhere nor any measured error.
    shown = INPUT.codes()[~hidden]
    assert upset.lookup(shown).tolist() == calm.lookup(shown).tolist()
    assert upset.meta["errors"] == pytest.approx(calm.meta["errors"], rel=1e-12)
    # And fewer codes are never harder.
    every = fit(problem(objective=objective), cache=False)
    name = {"mse": "line_mse", "max": "line_max"}[objective]
    lines = np.abs(lines_of(every) - np.tanh(X))[~hidden]
    there = np.mean(lines**2) if objective == "mse" else lines.max()
    assert upset.meta["errors"][name] <= there * (1 + 1e-9)


def lines_of(table):
    i = table.segment(INPUT.codes())
    return SLOPE.real(table.slopes)[i] * X + INTERCEPT.real(table.intercepts)[i]


def test_weights_pull_the_lines():
    base = problem(entries=1)
    pulled = dataclasses.replace(base, weights=np.where(X > 2, 1000.0, 1.0))
    errors = [np.abs(lines_of(fit(p)) - np.tanh(X))[X > 2].max() for p in (base, pulled)]
    assert errors[1] < errors[0] / 2
