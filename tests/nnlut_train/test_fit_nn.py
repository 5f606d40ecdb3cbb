"""NN-LUT: the conversion against the network, the rounding, and what training promises."""

import sys

import numpy as np
import pytest

from nnlut_train.errors import UsageError
from nnlut_train.fit import Problem, fit, nn
from nnlut_train.fit.making import quantize
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS

torch = pytest.importorskip("torch", reason="NN-LUT is trained with torch")

Q1_6 = Format(True, 8, 6)


def problem(name, bits=8, entries=16, coefficients=None, **changes):
    function = FUNCTIONS[name]
    inputs = function.input_format(bits)
    outputs = function.output_format(bits, inputs)
    coefficients = coefficients or Format(True, 16, 10)
    fields = {
        "function": name, "target": function(inputs.real(inputs.codes())), "input": inputs,
        "output": outputs, "slope": coefficients, "intercept": coefficients, "entries": entries,
        "reference": function, "nn_range": function.nn_range, "nn_signs": function.nn_signs,
    }  # fmt: skip
    return Problem(**fields | changes)


def network(m, n, b):
    return nn.Network(*(np.array(v, dtype=np.float64) for v in (m, n, b)))


def evaluate(breakpoints, slopes, intercepts, x):
    i = np.searchsorted(breakpoints, x, side="right")
    return slopes[i] * x + intercepts[i]


def assert_exact(net, x):
    table = nn.to_float_table(net)
    assert table[1].size == table[2].size == table[0].size + 1
    assert (np.diff(table[0]) >= 0).all()
    x = np.concatenate((x, table[0][np.isfinite(table[0])]))
    want = np.array([sum(net.m * np.maximum(net.n * v + net.b, 0.0)) for v in x])
    scale = 1.0 + np.abs(want).max()
    np.testing.assert_allclose(net(x), want, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(evaluate(*table, x), want, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("seed", range(50))
def test_the_conversion_equals_a_random_network(seed):
    rng = np.random.default_rng(seed)
    m, n, b = rng.normal(size=(3, rng.integers(0, 20)))
    n[rng.random(n.size) < 0.2] = 0.0
    twin = np.flatnonzero(n)[:3]  # other slopes, same breakpoints
    m, n, b = (np.append(v, f * v[twin]) for v, f in ((m, 1.5), (n, -2.0), (b, -2.0)))
    assert_exact(network(m, n, b), np.linspace(-6, 6, 401))


def test_the_conversion_by_hand():
    # |x - 1|, 2 relu(3) everywhere, relu(-1) nowhere, and a second kink at 1
    net = network([1, 1, 2, 5, 1], [1, -1, 0, 0, 2], [-1, 1, 3, -1, -2])
    d, s, t = nn.to_float_table(net)
    assert d.tolist() == [1, 1, 1]
    assert (s[0], t[0], s[-1], t[-1]) == (-1, 7, 3, 3)
    assert_exact(net, np.array([-2.0, 0.0, 1.0, 3.0]))


def test_a_breakpoint_may_be_infinitely_far_away():
    assert_exact(network([1, 1, 1], [1e-310, -1e-310, 1], [1, 1, 0]), np.linspace(-3, 3, 13))


@pytest.mark.parametrize("name", ["gelu", "exp", "reciprocal", "rsqrt"])
def test_the_conversion_equals_a_trained_network(name):
    function = FUNCTIONS[name]
    low, high = function.nn_range
    net = nn.train(function, (low, high), 16, function.nn_signs, steps=300)
    assert net.m.dtype == net.n.dtype == net.b.dtype == np.float64
    assert net.m.shape == net.n.shape == net.b.shape == (15,)
    assert_exact(net, np.linspace(low, high, 2001))


def test_rounding_drops_segments_without_a_code():
    form = Format(True, 4, 1)  # codes -8 to 7 stand for -4 to 3.5
    p = Problem("f", np.zeros(16), form, Format(True, 8, 4), Q1_6, Q1_6)
    d = np.array([-np.inf, -4.2, -4.0, -3.9, -3.6, 0.0, 0.5, 0.51, 3.5, 3.51, 9.0])
    s = np.arange(12) / 64
    breakpoints, slopes, intercepts = quantize(p, d, s, s + 2)
    # -4 holds segment 3; ties belong to the right, and of one code's segments the last one counts
    assert breakpoints.tolist() == [-7, 0, 1, 2, 7]
    assert slopes.tolist() == [3, 5, 6, 7, 8, 9]
    assert intercepts.tolist() == [127] * 6  # saturated
    x = form.real(form.codes())
    i = np.searchsorted(breakpoints, form.codes(), side="right")
    assert (slopes[i] == np.searchsorted(d, x, side="right")).all()


@pytest.mark.parametrize("edge", [-4.0, -9.0, -np.inf, 3.6, np.inf])
def test_rounding_keeps_one_segment(edge):
    form = Format(True, 4, 1)
    p = Problem("f", np.zeros(16), form, Format(True, 8, 4), Q1_6, Q1_6)
    breakpoints, slopes, _ = quantize(p, np.array([edge]), np.array([0.0, 1.0]), np.zeros(2))
    assert breakpoints.size == 0
    assert slopes.tolist() == [64 if edge < 0 else 0]


def test_coefficients_are_rounded_half_up():
    p = problem("gelu", coefficients=Q1_6)
    values = np.array([1.5, -1.5, 0.49, 500, -500]) / 64
    _, slopes, _ = quantize(p, np.arange(4.0), values, values)
    assert slopes.tolist() == [2, -1, 0, 127, -128]


def train(seed=0, steps=200, name="gelu", entries=16):
    function = FUNCTIONS[name]
    return nn.train(function, function.nn_range, entries, function.nn_signs, seed, steps=steps)


def content(net):
    return net.m.tobytes() + net.n.tobytes() + net.b.tobytes()


def test_training_is_deterministic_and_leaves_the_process_alone():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(5)
        state = torch.get_rng_state()
        first = train()
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        torch.manual_seed(6)
        with torch.no_grad():
            assert content(train()) == content(first)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert content(train(seed=1)) != content(first)


@pytest.mark.parametrize("name", ["exp", "reciprocal", "rsqrt"])
def test_the_initial_signs_are_the_published_ones(name):
    net = train(steps=0, name=name)
    n_sign, b_sign = FUNCTIONS[name].nn_signs
    assert (np.sign(net.n) == n_sign).all()
    assert (np.sign(net.b) == b_sign).all()


@pytest.mark.parametrize("signs", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("train_range", [(-3, 1), (2, 5), (-5, -2)])
def test_any_initial_signs_are_honoured(signs, train_range):
    net = nn.train(np.abs, train_range, 16, signs, steps=0)
    for values, sign in ((net.n, signs[0]), (net.b, signs[1])):
        assert sign == 0 or (np.sign(values) == sign).all()


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_all_breakpoints_start_inside_the_range(name):
    function = FUNCTIONS[name]
    low, high = function.nn_range or function.domain
    net = nn.train(function, (low, high), 16, function.nn_signs, steps=0)
    d = nn.to_float_table(net)[0]
    assert ((d >= low) & (d <= high)).all()
    assert np.unique(d).size == 15


@pytest.mark.parametrize("name", ["gelu", "exp", "reciprocal", "rsqrt"])
def test_training_reduces_the_loss(name):
    losses = [train(steps=steps, name=name).loss for steps in (0, 200, 2000)]
    assert losses[0] > 2 * losses[1] > 4 * losses[2]


def test_the_loss_is_the_mean_absolute_error():
    net = train(steps=500)
    x = np.linspace(-5, 5, 20001)
    assert net.loss == pytest.approx(np.abs(net(x) - FUNCTIONS["gelu"](x)).mean(), rel=0.02)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("name", ["gelu", "exp", "reciprocal", "rsqrt"])
def test_tables_are_valid_and_near_the_function(name, bits, monkeypatch):
    monkeypatch.setattr(nn, "STEPS", 1500)
    p = problem(name, bits)
    table = fit(p, "nn", cache=False)  # building it checks order and ranges
    meta = table.meta
    assert table.entries + meta["dead_breakpoints"] == 16
    assert p.input.min not in table.breakpoints
    low, high = meta["train_range"]
    x = p.input.real(p.input.codes())
    assert low == max(x[0], p.nn_range[0])
    assert high == min(x[-1], p.nn_range[1])
    assert meta["steps"] == 1500
    assert meta["torch"] == torch.__version__
    # Inside the trained range a table this fine costs little beside the network's own error.
    inside = (x >= low) & (x <= high)
    error = np.abs(p.output.real(table.lookup(p.input.codes())) - p.target)[inside]
    assert error.mean() < 2 * meta["loss"] + p.output.scale
    assert meta["float_mse"] <= meta["float_max"] ** 2


def test_the_table_is_deterministic(monkeypatch):
    monkeypatch.setattr(nn, "STEPS", 100)
    tables = [fit(problem("gelu"), "nn", seed=seed, cache=False) for seed in (0, 0, 1)]
    assert tables[0].to_json() == tables[1].to_json()
    assert tables[0].sha256 != tables[2].sha256


def test_without_a_reference_it_learns_lines_between_the_codes(monkeypatch):
    monkeypatch.setattr(nn, "STEPS", 100)
    x = np.arange(-8, 8)
    bent = {"target": np.abs(x) / 4, "input": Format(True, 4, 0), "reference": None}
    lines = fit(problem("gelu", nn_range=None, **bent), "nn", cache=False)
    given = bent | {"reference": lambda v: np.interp(v, x, np.abs(x) / 4)}
    assert (
        lines.to_json() == fit(problem("gelu", nn_range=None, **given), "nn", cache=False).to_json()
    )


@pytest.mark.parametrize("nn_range", [None, (100, 200), (-30, -8)])
def test_without_a_range_it_trains_on_the_codes(nn_range, monkeypatch):
    monkeypatch.setattr(nn, "STEPS", 10)
    table = fit(problem("gelu", nn_range=nn_range), "nn", cache=False)
    assert table.meta["train_range"] == [-8, 7.9375]


def test_what_the_output_cannot_hold_is_clipped(monkeypatch):
    monkeypatch.setattr(nn, "STEPS", 10)
    p = problem("reciprocal", nn_range=(0, 16))  # infinite at 0
    assert np.isfinite(fit(p, "nn", cache=False).meta["loss"])


def test_one_entry_is_the_empty_network(monkeypatch):
    monkeypatch.setattr(nn, "STEPS", 10)
    table = fit(problem("gelu", entries=1), "nn", cache=False)
    assert (table.breakpoints, table.slopes, table.intercepts) == ((), (0,), (0,))


def test_an_infinite_function_is_refused():
    with pytest.raises(UsageError, match=r"must be finite on the training range \(-1, 1\)"):
        nn.train(lambda x: np.where(x < 0, np.inf, 0.0), (-1, 1), 16, steps=10)


def test_progress_goes_to_standard_error_only_if_wanted(monkeypatch, capsys):
    monkeypatch.setattr(nn, "STEPS", 100)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(problem("gelu"), "nn", cache=False)
    assert capsys.readouterr() == ("", "")
    fit(problem("gelu"), "nn", cache=False, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "loss=" in err


def test_a_missing_torch_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError) as caught:
        fit(problem("gelu"), "nn", cache=False)
    assert str(caught.value) == (
        "--fit nn needs torch, which is not installed: pip install 'nnlut[train]'"
    )
