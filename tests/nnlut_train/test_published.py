"""The published tables: their lines against the functions, and what is built of them."""

import json
import math

import numpy as np
import pytest

from nnlut_train.errors import UsageError
from nnlut_train.fit import nn
from nnlut_train.functions import FUNCTIONS

torch = pytest.importorskip("torch", reason="the published tables are applied to tensors")

from nnlut_train.evaluate import published  # noqa: E402


@pytest.fixture
def short(monkeypatch, tmp_path):
    """Train for a moment, with a cache of one's own."""
    monkeypatch.setattr(nn, "STEPS", 300)
    monkeypatch.setenv("NNLUT_CACHE", str(tmp_path))
    return tmp_path


def test_a_table_by_hand():
    lines = (np.array([0.0, 2.0]), np.array([-1.0, 0.0, 3.0]), np.array([0.0, 0.5, -5.5]))
    table = published.RealTable("f", (-1, 3), *lines)
    x = torch.tensor([-10.0, -0.5, 0.0, 1.0, 2.0, 100.0, math.nan], requires_grad=True)
    y = table(x)
    # a breakpoint belongs to the right segment, and the outer lines run on
    assert y[:-1].tolist() == [10, 0.5, 0.5, 0.5, 0.5, 294.5]
    assert y[-1].isnan()
    y.sum().backward()
    assert x.grad.tolist() == [-1, -1, 0, 0, 3, 3, 3]
    assert table(torch.zeros(2, 3, dtype=torch.float64)).dtype == torch.float64
    assert table(torch.zeros(2, 3)).shape == (2, 3)


@pytest.mark.parametrize("name", ["gelu", "exp", "reciprocal", "rsqrt"])
def test_uniform_lines_are_the_least_squares_ones(name):
    table = published.uniform_table(name, 16)
    low, high = table.domain
    assert (low, high) == FUNCTIONS[name].nn_range
    edges = np.linspace(low, high, 17)
    np.testing.assert_array_equal(table.breakpoints, edges[1:-1])
    for j in (0, 7, 15):
        x = edges[j] + (edges[j + 1] - edges[j]) * (np.arange(6250) + 0.5) / 6250
        slope, intercept = np.polyfit(x, FUNCTIONS[name](x), 1)
        assert table.slopes[j] == pytest.approx(slope, rel=1e-6, abs=1e-12)
        assert table.intercepts[j] == pytest.approx(intercept, rel=1e-6, abs=1e-12)


def test_many_segments_come_near_the_function():
    x = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    table = published.uniform_table("gelu", 256)
    assert (table(x) - torch.nn.functional.gelu(x)).abs().max() < 2e-4


def test_the_first_segment_of_a_wide_range_is_all_that_counts():
    # The collapse: variances are below 64, and one line stands for all of them.
    rsqrt = published.uniform_table("rsqrt", 16)
    small = rsqrt(torch.tensor([0.002, 0.2, 0.5, 1.0]))
    assert rsqrt.breakpoints[0] > 64
    assert small.max() / small.min() < 1.02  # of the function 22


def test_a_trained_table_is_the_network(short):
    table = published.nn_table("gelu", 8)
    network = nn.train(FUNCTIONS["gelu"], (-5, 5), 8)
    x = np.linspace(-20, 20, 801)  # beyond its range, too
    found = table(torch.tensor(x)).numpy()
    np.testing.assert_allclose(found, network(x), rtol=0, atol=1e-9)
    assert table.domain == (-5, 5)


def test_a_trained_table_is_kept(short, monkeypatch):
    first = published.nn_table("exp", 4, seed=1)
    (path,) = short.iterdir()
    monkeypatch.setattr(nn, "train", lambda *_: pytest.fail("was trained again"))
    again = published.nn_table("exp", 4, seed=1)
    for name in ("breakpoints", "slopes", "intercepts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    for other in ({"seed": 2}, {"seed": 1, "cache": False}, {"seed": 1, "domain": (-8, 0)}):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            published.nn_table("exp", 4, **other)
    data = json.loads(path.read_text())
    data["slopes"][0] += 1.0
    for damaged in (json.dumps(data), "{", "[]", "{}", ""):
        path.write_text(damaged)
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            published.nn_table("exp", 4, seed=1)


def test_a_damaged_table_is_trained_anew(short):
    first = published.nn_table("exp", 4)
    (path,) = short.iterdir()
    kept = path.read_bytes()
    path.write_text("{")
    np.testing.assert_array_equal(published.nn_table("exp", 4).slopes, first.slopes)
    assert path.read_bytes() == kept


def test_softmax_of_exact_functions_is_softmax():
    x = 3 * torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0))
    softmax = published.softmax()
    torch.testing.assert_close(softmax(x), x.softmax(-1))
    for mask in (-math.inf, torch.finfo(torch.float32).min, -10000.0):
        masked = x.clone()
        masked[..., 4:] = mask
        found = softmax(masked)
        torch.testing.assert_close(found[..., :4], x[..., :4].softmax(-1))
        assert (found[..., 4:] == 0).all()
        assert (softmax(torch.full((2, 3), mask)) == 0).all()


def test_softmax_reads_the_tables_where_it_should():
    seen = {}

    def spy(name, function):
        def evaluate(x):
            seen[name] = x
            return function(x)

        return evaluate

    x = torch.tensor([[1.0, 3.0, -math.inf], [0.0, 0.0, 0.0]])
    exp = published.uniform_table("exp", 16)
    found = published.softmax(spy("exp", exp), spy("reciprocal", torch.reciprocal))(x)
    assert seen["exp"].max() == 0
    power = exp(torch.tensor([[-2.0, 0.0], [0.0, 0.0]]))
    total = torch.stack((power[0].sum(), 3 * power[1, 0]))[:, None]
    torch.testing.assert_close(seen["reciprocal"], total)
    torch.testing.assert_close(found[:, :2], power / total)


@pytest.mark.parametrize("affine", [True, False])
def test_layernorm_of_the_exact_function_is_layernorm(affine):
    generator = torch.Generator().manual_seed(1)
    x = 5 + 2 * torch.randn(3, 4, 16, generator=generator)
    weight, bias = torch.randn(2, 16, generator=generator) if affine else (None, None)
    found = published.layernorm(torch.rsqrt)(x, weight, bias, 0.5)
    want = torch.nn.functional.layer_norm(x, (16,), weight, bias, 0.5)
    torch.testing.assert_close(found, want)


def test_small_arguments_are_scaled():
    rsqrt = published.scaled(lambda x: 1 / x.sqrt().clamp(min=1))  # wrong below 1
    x = torch.tensor([0.002, 0.5, 0.999, 1.0, 7.0])
    torch.testing.assert_close(rsqrt(x), x.rsqrt())


def test_a_method_has_the_three_operations(short):
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(2))
    for method, options in (("uniform", {}), ("uniform", {"scaling": True}), ("nn", {})):
        found = published.functions(method, 4, **options)
        assert sorted(found) == ["gelu", "layernorm", "softmax"]
        assert found["softmax"](x).shape == found["gelu"](x).shape == x.shape
        assert found["layernorm"](x, None, None, 1e-5).shape == x.shape
    plain, scaled = (
        published.functions("uniform", scaling=s)["layernorm"](x, None, None, 1e-5)
        for s in (False, True)
    )
    assert not torch.equal(plain, scaled)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: published.uniform_table("gleu", 8), "a function must be one of exp, .*not 'gleu'"),
        (lambda: published.uniform_table("gelu", 0), "entries must be 1 or more, not 0"),
        (lambda: published.uniform_table("silu", 8), "silu must be given a domain"),
        (lambda: published.nn_table("silu", 8), "silu must be given a domain"),
        (lambda: published.uniform_table("gelu", 8, (1, 1)), r"LO < HI, not \(1, 1\)"),
        (
            lambda: published.uniform_table("exp", 8, (0, 1000)),
            r"exp must be finite on all of its range, not \(0.0, 1000.0\)",
        ),
        (lambda: published.functions("lut"), "must be uniform or nn, not 'lut'"),
    ],
)
def test_a_bad_request_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
