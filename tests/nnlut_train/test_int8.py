"""INT8 linear layers: the product against NumPy's integers, and what a model computes."""

import numpy as np
import pytest

from nnlut_train.errors import UsageError

torch = pytest.importorskip("torch", reason="INT8 is simulated with torch")

from nnlut_train.evaluate import int8  # noqa: E402


def codes(rng, *shape):
    return rng.integers(-127, 128, shape)


@pytest.mark.parametrize("depth", [1, 384, int8.DEPTH, int8.DEPTH + 1, 1536, 3000])
def test_the_product_is_the_integers(depth):
    rng = np.random.default_rng(depth)
    a, w = codes(rng, 3, 5, depth), codes(rng, 7, depth)
    a[0, 0], w[0] = 127, 127  # the largest sum
    a[0, 1] = -127
    a[0, 2] = np.where(np.arange(depth) % 2, 127, -127)  # large, and cancels
    found = int8.product(*(torch.tensor(v, dtype=torch.float32) for v in (a, w)))
    assert (found.numpy().astype(np.int64) == a.astype(np.int64) @ w.T.astype(np.int64)).all()
    assert found[0, 0, 0] == 127 * 127 * depth


def test_the_depth_is_what_float32_holds():
    assert int8.DEPTH * 127**2 <= 2**24 < (int8.DEPTH + 1) * 127**2


def test_codes_are_rounded_half_up():
    x = torch.tensor([[127.0, 0.5, -0.5, 1.5, -1.5, 0.49999997, -127.0]])
    found, scale = int8.quantize(x)
    assert scale.tolist() == [[1]]
    assert found.tolist() == [[127, 1, 0, 2, -1, 0, -127]]


def test_each_vector_has_its_own_scale():
    x = torch.tensor([[1.0, -254.0], [0.0, 0.0], [1e-3, 2e-3]])
    found, scale = int8.quantize(x)
    assert found.tolist() == [[1, -127], [0, 0], [64, 127]]
    assert scale[:, 0].tolist() == pytest.approx([2, 1, 2e-3 / 127])
    for bad in (float("nan"), float("inf")):
        assert int8.quantize(torch.tensor([[1.0, bad]]))[0].isnan().any()


def reference(x, weight, bias):
    """Compute a layer with NumPy's int64 in between; scales in float32 as in the simulation."""
    sx = np.abs(x).max(-1, keepdims=True) / np.float32(127)
    sw = np.abs(weight).max(-1, keepdims=True) / np.float32(127)
    qx, qw = (np.floor((v / s).astype(np.float64) + 0.5).astype(np.int64)
              for v, s in ((x, sx), (weight, sw)))  # fmt: skip
    return (qx @ qw.T) * sx.astype(np.float64) * sw[:, 0] + bias


@pytest.mark.parametrize("width", [64, 1536])
def test_a_model_computes_with_int8(width):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(width, 40), torch.nn.GELU())
    x = torch.randn(2, 3, width) * torch.tensor([0.01, 1.0, 100.0])[:, None]
    layer = model[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        exact = model(x)
        with int8.int8(model) as names:
            found = layer(x)
            quantised = model(x)
        assert torch.equal(model(x), exact)
    assert names == ["0"]
    want = reference(x.numpy(), *(v.detach().numpy() for v in (layer.weight, layer.bias)))
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
    assert torch.equal(quantised, torch.nn.functional.gelu(found))
    assert not torch.equal(quantised, exact)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_layer_may_lack_a_bias():
    layer = torch.nn.Linear(4, 2, bias=False)
    with torch.inference_mode(), int8.int8(layer) as names:
        assert layer(torch.zeros(1, 4)).tolist() == [[0, 0]]
    assert names == [""]
    assert "forward" not in vars(layer)


def test_the_model_is_restored_after_an_error():
    layer = torch.nn.Linear(4, 2)
    with pytest.raises(RuntimeError, match="shape"), int8.int8(layer):
        layer(torch.zeros(1, 3))
    assert "forward" not in vars(layer)


class Own(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda: torch.nn.MultiheadAttention(4, 2), "not in MultiheadAttention at part"),
        (lambda: Own(4, 4), "not in Own at part"),
        (torch.nn.ReLU, "must find nn.Linear in a model: ModuleDict has none"),
    ],
)
def test_hidden_products_are_refused(part, message):
    model = torch.nn.ModuleDict({"part": part()})
    with pytest.raises(UsageError, match=message), int8.int8(model):
        pass


def test_it_does_not_nest():
    layer = torch.nn.Linear(4, 4)
    with int8.int8(layer):
        with pytest.raises(UsageError, match="INT8 must find matrix products"), int8.int8(layer):
            pass
        assert "forward" in vars(layer)
