"""Plain torch models: which operations are met, and as what."""

import math
import warnings

import pytest

torch = pytest.importorskip("torch", reason="networks need torch: pip install 'nnlut[train]'")

from networks import HEADS, Calls, X, as_module, check, data, module, plan_for, randomised  # noqa: E402
from networks import untouched as untouched  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from nnlut_train.errors import UsageError  # noqa: E402
from nnlut_train.network import functions_replaced, replace, replaced, restore  # noqa: E402
from nnlut_train.network.calls import attention  # noqa: E402


@pytest.mark.parametrize(
    ("op", "call"),
    [
        ("gelu", nn.GELU()), ("gelu", F.gelu), ("gelu_tanh", nn.GELU("tanh")),
        ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")),
        ("silu", nn.SiLU()), ("silu", F.silu), ("silu", nn.SiLU(inplace=True)),
        ("silu", lambda x: F.silu(x, inplace=True)), ("silu", lambda x: F.silu(x, True)),
        ("sigmoid", torch.sigmoid), ("sigmoid", nn.Sigmoid()), ("sigmoid", torch.special.expit),
        ("sigmoid", lambda x: x.sigmoid()), ("sigmoid", lambda x: x.sigmoid_()),
        ("sigmoid", torch.sigmoid_), ("sigmoid", F.sigmoid),
        ("sigmoid", lambda x: torch.sigmoid(input=x)),
        ("sigmoid", lambda x: torch.sigmoid(x, out=torch.empty_like(x))),
        ("tanh", nn.Tanh()), ("tanh", torch.tanh), ("tanh", lambda x: x.tanh()),
        ("hswish", nn.Hardswish()), ("hsigmoid", nn.Hardsigmoid()), ("mish", nn.Mish()),
        ("softplus", nn.Softplus()), ("softplus", lambda x: F.softplus(x, 1, 20)),
        ("elu", nn.ELU()), ("elu", nn.ELU(inplace=True)), ("erf", torch.erf),
        ("exp", torch.exp), ("sin", torch.sin), ("cos", lambda x: x.cos()),
        ("sqrt", lambda x: x**0.5), ("rsqrt", lambda x: x.pow(-0.5)),
        ("sqrt", lambda x: torch.pow(x, 0.5)), ("reciprocal", lambda x: x**-1),
    ],
)  # fmt: skip
def test_functions_of_one_element(op, call):
    x = X.abs() + 0.1 if op in ("sqrt", "rsqrt", "reciprocal") else X
    wanted = module(op)(x)
    exact = call(x.clone())
    model = as_module(call)
    with replaced(model, plan_for([op]), strict=True) as report:
        given = x.clone()
        assert torch.equal(model(given), wanted)
        in_place = not torch.equal(given, x)
        if in_place:
            assert torch.equal(given, wanted)
    assert report.replaced == {op: op}
    assert torch.equal(model(x.clone()), exact)
    again = x.clone()
    call(again)
    assert in_place == (not torch.equal(again, x))


def test_out_is_filled():
    out = torch.empty(4, 6, 8)
    model = Calls(lambda x: torch.sigmoid(x, out=out))
    with replaced(model, plan_for(["sigmoid"])):
        assert model(X) is out
    assert torch.equal(out, module("sigmoid")(X))


def test_a_quotient_of_a_constant_is_a_reciprocal():
    x = X.abs() + 0.1
    check(Calls(lambda x: 3 / x), ["reciprocal"], 3 * module("reciprocal")(x), x)
    check(Calls(lambda x: 2**x), ["exp2"], module("exp2")(-x), -x)


@pytest.mark.parametrize(
    "call",
    [
        nn.Softmax(-1), lambda x: F.softmax(x, -1), lambda x: F.softmax(x, dim=2),
        lambda x: torch.softmax(x, -1), lambda x: x.softmax(-1), lambda x: x.softmax(dim=-1),
        lambda x: torch.special.softmax(x, 2), lambda x: torch.softmax(x, axis=-1),
        lambda x: torch.softmax(input=x, dim=-1, dtype=torch.float32),
    ],
)  # fmt: skip
def test_softmaxes(call):
    check(as_module(call), ["softmax"], module("softmax")(X), X)


def test_a_softmax_of_integers():
    x = (3 * X).int()
    model = Calls(lambda x: F.softmax(x, -1, dtype=torch.float32))
    check(model, ["softmax"], module("softmax")(x.float()), x)


@pytest.mark.parametrize("dim", [0, 1])
def test_a_softmax_over_another_dimension(dim):
    wanted = module("softmax")(X.movedim(dim, -1)).movedim(-1, dim)
    check(nn.Softmax(dim), ["softmax"], wanted, X)


def test_softmax2d_and_the_dimension_of_old():
    x = data(2, 3, 4, 5)
    check(nn.Softmax2d(), ["softmax"], module("softmax")(x.movedim(1, -1)).movedim(-1, 1), x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(Calls(F.softmax), ["softmax"], module("softmax")(X.movedim(0, -1)).movedim(-1, 0), X)


@pytest.mark.parametrize("op", ["layernorm", "rmsnorm"])
def test_norms(op):
    kind = nn.LayerNorm if op == "layernorm" else nn.RMSNorm
    function = F.layer_norm if op == "layernorm" else F.rms_norm
    eps = {"layernorm": 1e-5, "rmsnorm": 1e-6}[op]
    norm = randomised(kind(8, eps=eps))
    rows = list(norm.parameters())
    wanted = module(op)(X, *rows).detach()
    with torch.no_grad():
        check(norm, [op], wanted, X)
        check(Calls(lambda x: function(x, (8,), *rows, eps=eps)), [op], wanted, X)
        check(Calls(lambda x: function(x, [8], eps=eps)), [op], module(op)(X), X)
        both = randomised(kind((4, 8), eps=eps))
        x = data(3, 4, 8)
        flat = [row.flatten() for row in both.parameters()]
        check(both, [op], module(op)(x.flatten(1), *flat).view(3, 4, 8), x)
        strided = data(8, 6, 4).movedim(0, -1)
        check(norm, [op], module(op)(strided, *rows), strided)


def by_hand(q, k, v, mask=None, scale=None):
    scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    return module("softmax")(scores if mask is None else scores + mask) @ v


def causal(rows, columns):
    return torch.full((rows, columns), -math.inf).triu(1)


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, None),
        ({"is_causal": True}, causal(5, 5)),
        ({"attn_mask": causal(5, 5)}, causal(5, 5)),
        ({"attn_mask": torch.full((5, 5), -1e4).triu(1)}, causal(5, 5)),
        ({"attn_mask": torch.full((5, 5), torch.finfo(torch.float32).min).triu(1)}, causal(5, 5)),
        ({"attn_mask": causal(5, 5) == 0}, causal(5, 5)),
        ({"scale": 0.5}, None),
    ],
)
def test_attention(options, mask):
    wanted = by_hand(*HEADS, mask, options.get("scale"))
    model = Calls(F.scaled_dot_product_attention)
    check(model, ["softmax"], wanted, *HEADS, **options)
    # Three dimensions.
    check(model, ["softmax"], wanted[0], *(v[0] for v in HEADS), **options)


def test_attention_of_grouped_queries():
    q, k, v = HEADS[0], *(v[:, :2] for v in HEADS[1:])
    wanted = by_hand(q, *(v.repeat_interleave(2, 1) for v in (k, v)))
    check(Calls(F.scaled_dot_product_attention), ["softmax"], wanted, q, k, v, enable_gqa=True)


@pytest.mark.parametrize("options", [
    {}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": data(5, 5)},
    {"attn_mask": causal(5, 5) == 0},
])  # fmt: skip
def test_attention_by_softmax_is_that_of_torch(options):
    wanted = F.scaled_dot_product_attention(*HEADS, **options)
    assert torch.allclose(attention(*HEADS, **options), wanted, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_multi_head_attention(training, need_weights):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(16, 2, batch_first=True).train(training)
    x = data(3, 5, 16)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[:, 3:] = True
    with torch.no_grad(), replaced(layer, plan_for(["softmax"]), strict=True) as report:
        found, _ = layer(x, x, x, need_weights=need_weights, key_padding_mask=padding)
        short, _ = layer(x[:, :3], x[:, :3], x[:, :3], need_weights=need_weights)
    assert report.replaced == {"softmax": "softmax"}
    assert report.calls == {"softmax": 2}
    assert torch.allclose(found[:, :3], short, atol=1e-6)
    q, k, v = (
        part.view(3, 5, 2, 8).transpose(1, 2)
        for part in F.linear(x, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)
    )
    mask = torch.zeros(5).masked_fill(padding[0], -math.inf)
    wanted = layer.out_proj(by_hand(q, k, v, mask).transpose(1, 2).reshape(3, 5, 16))
    assert torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_a_transformer_does_not_take_a_faster_path(training):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, F.gelu, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).train(training)
    sites = [
        f"layers.{number}.{site}"
        for number in range(2)
        for site in ("self_attn.softmax", "norm1.layernorm", "gelu", "norm2.layernorm")
    ]
    x = data(3, 5, 16)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[:, 4:] = True
    with torch.no_grad(), replaced(model, plan_for(sites), strict=True) as report:
        found = model(x, src_key_padding_mask=padding)
        assert list(report.replaced) == sites
        short = model(x[:, :4])
    assert torch.allclose(found[:, :4], short, atol=1e-5)


def test_sites_are_named_by_the_module_and_the_call():
    inner = Calls(lambda x: F.gelu(F.gelu(torch.softmax(x, -1))))
    shared = nn.GELU()
    model = Calls(
        lambda x: F.softmax(model.one(model.two(model.parts(inner(x)))), -1),
        inner=inner, one=shared, two=shared, parts=nn.Sequential(nn.GELU(), nn.Softmax(-1)),
    )  # fmt: skip
    sites = ["inner.softmax", "inner.gelu", "inner.gelu.1", "parts.0.gelu", "parts.1.softmax",
             "one.gelu", "softmax"]  # fmt: skip
    with replaced(model, plan_for(sites), strict=True) as report:
        model(X)
        assert list(report.replaced) == sites
        # A shared module counts at its first path.
        assert report.calls == dict.fromkeys(sites, 1) | {"one.gelu": 2}
        model(X)
        assert report.calls["inner.gelu.1"] == 2
        # A part that runs alone.
        assert torch.equal(model.parts[0](X), module("gelu")(X))
        assert report.calls["parts.0.gelu"] == 3
    # What a plan leaves out is still counted.
    with replaced(model, plan_for(["inner.gelu.1"])) as report:
        model(X)
    assert list(report.replaced) == ["inner.gelu.1"]
    assert set(report.left) == {*sites} - {"inner.gelu.1"}


def test_the_report():
    model = Calls(lambda x, gelu: F.log_softmax(F.gelu(x) if gelu else x, -1).tanh())
    with replaced(model, plan_for(["gelu", "gelu.1"])) as report:
        assert report.unseen == ("gelu", "gelu.1")
        with pytest.warns(UserWarning, match=r"^site log_softmax: log_softmax is left as it is: "):
            model(X, True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model(X, True)  # once
    assert report.unseen == ("gelu.1",)
    assert report.left == {"log_softmax": "no unit computes it", "tanh": "not in the plan"}
    assert str(report) == (
        "gelu         on unit gelu, 2 calls\n"
        "log_softmax  left: no unit computes it, 2 calls\n"
        "tanh         left: not in the plan, 2 calls\n"
        "gelu.1       in the plan, not run yet\n"
        "1 replaced, 2 left, 1 not run yet"
    )


UNSUPPORTED = [
    ("log_softmax", lambda x: F.log_softmax(x, -1)), ("log_softmax", nn.LogSoftmax(-1)),
    ("group_norm", nn.GroupNorm(2, 6)), ("instance_norm", nn.InstanceNorm1d(6)),
    ("batch_norm", nn.BatchNorm1d(6)), ("glu", nn.GLU()), ("selu", nn.SELU()),
    ("normalize", lambda x: F.normalize(x)), ("norm", lambda x: x / x.norm().item()),
    ("std", lambda x: x.std(-1)), ("vector_norm", lambda x: torch.linalg.vector_norm(x, dim=-1)),
    ("div", lambda x: x / x.sum(-1, keepdim=True)), ("div", lambda x: torch.div(x, x)),
    ("div", lambda x: x.clone().div_(x)), ("div", lambda x: x.true_divide(x)),
    ("pow", lambda x: x**1.5), ("pow", lambda x: x**x), ("pow", lambda x: 3**x),
    ("pow", lambda x: torch.pow(x, 0.3)), ("pow", lambda x: torch.pow(2.0, x)),
    ("softplus", nn.Softplus(2.0)), ("elu", nn.ELU(0.5)), ("tan", torch.tan),
    ("lstm", nn.LSTM(8, 4)), ("gru", nn.GRU(8, 4)), ("rnn_tanh", nn.RNN(8, 4)),
    ("leaky_relu", nn.LeakyReLU()),
]  # fmt: skip


@pytest.mark.parametrize(("op", "call"), UNSUPPORTED)
def test_what_no_unit_computes_is_told(op, call):
    model = Calls(lambda x: model.part(x), part=as_module(call))
    x = X.abs()
    with torch.no_grad():
        if op != "batch_norm":
            exact = model(x)
        with replaced(model, plan_for([])) as report:
            with pytest.warns(UserWarning, match=rf"^site part\.{op}: {op} is left as it is: "):
                found = model(x)
            assert list(report.left) == [f"part.{op}"]
        if op in ("div", "tan", "lstm"):
            torch.testing.assert_close(found, exact, rtol=0, atol=0, equal_nan=True)
        message = rf"^site part\.{op}: {op} cannot run on the hardware: .*no unit computes it$"
        with (
            replaced(model, plan_for([]), strict=True), pytest.raises(UsageError, match=message),
        ):  # fmt: skip
            model(x)


@pytest.mark.parametrize("call", [
    lambda x: x / 3 + x / torch.tensor(2.0), lambda x: x**2 + x**3 + torch.pow(x, 2.0),
    lambda x: torch.relu(x) + x.clamp(-1, 1) + F.dropout(x), nn.ReLU(), nn.BatchNorm1d(6).eval(),
    lambda x: x + torch.arange(8) // 3 + torch.exp(torch.arange(8)).sum() * 0,
    lambda x: torch.exp(torch.complex(x, x)).real,
])  # fmt: skip
def test_what_needs_no_unit_is_not_told(call):
    model = as_module(call)
    with replaced(model, plan_for([]), strict=True) as report:
        model(X)
    assert report.left == {}


def scripted():
    return torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.GELU()))


def compiled():
    model = nn.Sequential(nn.Linear(8, 8), nn.GELU())
    model.compile(backend="eager")
    return model


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("make", [scripted, compiled])
def test_compiled_modules_are_told(make):
    model = nn.Sequential(nn.Sequential(make()), nn.Softmax(-1))
    plan = plan_for(["1.softmax"])
    message = r"^site 0\.0: a compiled module is left as it is: functions of compiled code are "
    with pytest.warns(UserWarning, match=message):
        report = replace(model, plan)
    assert list(report.left) == ["0.0"]
    assert not report.calls
    restore(model)
    message = r"^site 0\.0: a compiled module cannot run on the hardware: functions of compiled "
    with pytest.raises(UsageError, match=message):
        replace(model, plan, strict=True)
    with functions_replaced(model, {}) as report:
        assert list(report.left) == ["0.0"]
