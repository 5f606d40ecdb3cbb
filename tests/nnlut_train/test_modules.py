"""The torch modules, against the golden models that the hardware is held against."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the modules need torch: pip install 'nnlut[train]'")

from building import small  # noqa: E402
from norms import affine  # noqa: E402
from torch.nn import functional  # noqa: E402

from hw.catalogue import KINDS  # noqa: E402
from hw.design import design  # noqa: E402
from hw.request import Request  # noqa: E402
from nnlut_train.errors import UsageError  # noqa: E402
from nnlut_train.formats import Format  # noqa: E402
from nnlut_train.functions import FUNCTIONS  # noqa: E402
from nnlut_train.modules import Activation, load, module_of  # noqa: E402
from nnlut_train.modules.codes import OnDevice, quantize  # noqa: E402
from nnlut_train.modules.module import straight_through  # noqa: E402

UNITS = [
    (name, options, arch)
    for name, options in {
        **KINDS,
        "4 bits": {"op": "silu", "bits": 4},
        "12 bits": {"op": "gelu", "bits": 12, "output_bits": 16, "entries": 8},
        "16 bits": {"op": "gelu", "bits": 16, "entries": 8, "fit": "linear"},
        "softmax, whole": {"op": "softmax", "bits": 4, "length": 5, "fold": "none"},
        "softmax, narrow": {
            "op": "softmax", "bits": 10, "length": 40, "distance_bits": 6, "mask": True
        },
        "softmax, 12 bits": {"op": "softmax", "bits": 12, "output_bits": 16, "length": 128,
                             "arch": "direct"},
        "rexp, lanes": {"op": "softmax", "method": "rexp", "length": 24, "lanes": 2,
                        "precision": "int16"},
        "base2, mask": {"op": "softmax", "method": "base2", "length": 24, "mask": True},
        "ibert, mask": {"op": "softmax", "method": "ibert", "length": 24, "mask": True},
        "layernorm, affine": {"op": "layernorm", "bits": 12, "length": 20, **affine(20)},
        "layernorm, writable": {"op": "layernorm", "length": 20, "entries": 8,
                                "tables": "writable", **affine(20)},
        "rmsnorm, affine": {"op": "rmsnorm", "bits": 16, "output_bits": 16, "length": 96,
                            "eps": 1e-3, "gamma": affine(96)["gamma"], "arch": "direct"},
    }.items()
    for arch in Request(**options).wanted
]  # fmt: skip
IDS = [f"{name}, {arch}" for name, _, arch in UNITS]
ROWS = [unit for unit in UNITS if unit[1]["op"] in ("softmax", "layernorm", "rmsnorm")]
ROW_IDS = [f"{name}, {arch}" for name, _, arch in ROWS]


@cache
def _spec(items, arch):
    return design(Request(**dict(items)), arch)


def spec_of(arch="pwl", /, **options):
    return _spec(tuple(options.items()), arch)


def row_codes(form, size):
    """Random rows of full and of small range, and the corners."""
    rng = np.random.default_rng(size)
    corners = [[form.min] * size, [form.max] * size, [0] * size, [form.min, form.max] * size]
    return np.concatenate([
        rng.integers(form.min, form.max + 1, (60, size)),
        rng.integers(-4, 5, (20, size)),
        [row[:size] for row in corners],
    ])  # fmt: skip


@pytest.mark.parametrize(("name", "options", "arch"), UNITS, ids=IDS)
def test_equal_to_the_golden_model_bit_for_bit(name, options, arch):
    spec = spec_of(arch, **options)
    module = module_of(spec)
    if not spec.longest:
        codes = module.bare.input.codes()
        found = module.compute(torch.from_numpy(codes))
        assert found.dtype == torch.int64
        assert found.tolist() == module.bare.compute(codes).tolist()
        return
    for size in {1, 2, spec.longest - 1, spec.longest}:
        codes = row_codes(spec.input, size)
        found = module.compute(torch.from_numpy(codes))
        assert found.dtype == torch.int64
        assert found.tolist() == spec.compute(codes).tolist()
        if spec.mask:
            mask = np.random.default_rng(size).random(codes.shape) < 0.3
            mask[:2] = True
            found = module.compute(*map(torch.from_numpy, (codes, mask)))
            assert found.tolist() == spec.compute(codes, mask).tolist()
            assert not found[:2].any()


@pytest.mark.parametrize(("name", "options", "arch"), UNITS, ids=IDS)
def test_real_numbers_go_through_codes(name, options, arch):
    module = module_of(spec_of(arch, **options))
    x = 3 * torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    wanted = module.dequantize(module.compute(module.quantize(x)))
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        typed = x.clone().to(dtype).requires_grad_()
        y = module(typed)
        assert (y.dtype, y.shape) == (dtype, x.shape)
        if dtype == torch.float32:
            assert torch.equal(y, wanted)
        else:
            again = module.compute(module.quantize(typed))
            assert torch.equal(y, module.dequantize(again, dtype))
        y.float().square().sum().backward()
        assert torch.isfinite(typed.grad).all()
        with torch.inference_mode():
            assert torch.equal(module(typed), y)
    # And from inference to training.
    assert torch.equal(module(x.clone().requires_grad_()), wanted)


@pytest.mark.parametrize(("name", "options", "arch"), ROWS, ids=ROW_IDS)
def test_rows_of_any_shape(name, options, arch):
    module = module_of(spec_of(arch, **options))
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(2))
    y = module(x)
    assert torch.equal(module(x[1, 2]), y[1, 2])
    assert torch.equal(module(x.transpose(0, 1)), y.transpose(0, 1))
    assert module(x[:0]).shape == (0, 3, 4)
    for bad in (torch.zeros(2, module.bare.length + 1), torch.zeros(3, 0), torch.tensor(1.0)):
        with pytest.raises(UsageError, match=r"^a row must have 1 to \d+ elements, not \d+$"):
            module(bad)
        with pytest.raises(UsageError, match=r"^a row must have 1 to \d+ elements, not \d+$"):
            module.compute(bad.long())


def test_32_bits_take_the_golden_model_itself():
    spec = spec_of(op="gelu", bits=32, fold="none", entries=8, fit="linear")
    module = module_of(spec, FUNCTIONS["gelu"])
    form = spec.input
    rng = np.random.default_rng(1)
    corners = [form.min, form.min + 1, -1, 0, 1, form.max]
    codes = np.append(rng.integers(form.min, form.max + 1, 1000), corners)
    assert module.compute(torch.from_numpy(codes)).tolist() == spec.compute(codes).tolist()
    x = torch.tensor([-20.0, -1.0, 0.5, 2.0, 20.0], dtype=torch.float64, requires_grad=True)
    y = module(x)
    assert y.tolist() == spec.output.real(spec.compute(form.quantize(x.detach().numpy()))).tolist()
    y.sum().backward()
    assert x.grad[0] == x.grad[-1] == 0
    exact = x.detach().clone().requires_grad_()
    functional.gelu(exact).sum().backward()
    assert torch.allclose(x.grad[1:-1], exact.grad[1:-1], atol=0.15)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_shared_units_by_number(number):
    spec = spec_of(**KINDS["shared"])
    module = module_of(spec, number=number)
    codes = spec.functions[number].input.codes()
    assert module.compute(torch.from_numpy(codes)).tolist() == (
        spec.functions[number].lookup(codes).tolist()
    )


@pytest.mark.parametrize("number", [-1, 3])
def test_a_shared_unit_has_only_so_many_functions(number):
    with pytest.raises(UsageError, match=f"^the function's number must be 0 to 2, not {number}$"):
        module_of(spec_of(**KINDS["shared"]), number=number)


@pytest.mark.parametrize("form", [
    Format(True, 8, 4), Format(False, 8, 0), Format(True, 16, 12), Format(True, 12, -3),
    Format(True, 22, 10), Format(True, 23, 3), Format(False, 32, 20),
], ids=str)  # fmt: skip
def test_quantize_is_that_of_the_format(form):
    rng = np.random.default_rng(3)
    near = [form.min, form.min + 1, -1, 0, 1, form.max - 1, form.max]
    codes = np.array([*near, *rng.integers(form.min, form.max + 1, 200)], np.float64)
    # On codes, on ties, on either side of ties.
    x = np.concatenate([codes, codes + 0.5, codes - 0.5, codes + 0.499, codes - 0.501]) * form.scale
    x = np.concatenate([x, [np.inf, -np.inf, 1e30, -1e30, 1e-40, -1e-40, 0.0, -0.0]])
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        given = torch.from_numpy(x).to(dtype)
        found = quantize(given, form)
        assert found.dtype == torch.int64
        assert found.tolist() == form.quantize(given.double().numpy()).tolist()
    half = torch.from_numpy(np.clip(x, -6e4, 6e4)).half()
    assert quantize(half, form).tolist() == form.quantize(half.double().numpy()).tolist()


def test_quantize_leaves_its_argument_alone_and_refuses_nan():
    x = torch.tensor([0.26, -7.0])
    assert quantize(x, Format(True, 4, 2)).tolist() == [1, -8]
    assert x.tolist() == torch.tensor([0.26, -7.0]).tolist()
    with pytest.raises(UsageError, match=r"^what is quantised must be numbers, not NaN$"):
        quantize(torch.tensor([1.0, np.nan]), Format(True, 8, 4))


@pytest.mark.parametrize("op", FUNCTIONS)
def test_an_activations_derivative_is_the_functions(op):
    function = FUNCTIONS[op]
    spec = spec_of(op=op, bits=10, output_bits=10, entries=4, fit="linear")
    form = spec.input
    codes = form.codes()[8:-8]
    x = torch.from_numpy(form.real(codes))
    reach = 8 * form.scale
    wanted = (function(x.numpy() + reach) - function(x.numpy() - reach)) / (2 * reach)
    for given, tolerance in ((function, 0.02), (None, 0.2)):
        module = module_of(spec, given)
        at = x.clone().requires_grad_()
        module(at).sum().backward()
        # Not where 1/x runs off, nor where exp does.
        usual = (np.abs(wanted) < 2) & (x.numpy() < function.domain[1])
        assert np.abs(at.grad.numpy() - wanted)[usual].mean() < tolerance
        beyond = torch.tensor([form.min - 1.0, form.max + 1.0]) * form.scale
        beyond.requires_grad_()
        module(beyond).sum().backward()
        assert beyond.grad.tolist() == [0.0, 0.0]


def test_a_softmaxs_derivative_is_that_of_its_own_probabilities():
    module = module_of(spec_of(op="softmax", bits=8, length=8, mask=True))
    x = torch.tensor([[0.5, -1.0, -np.inf, 2.0], [0.0, 0.0, 0.0, -5000.0]], requires_grad=True)
    g = torch.tensor([[1.0, -2.0, 3.0, 0.5], [0.0, 1.0, 2.0, 3.0]])
    p = module(x)
    p.backward(g)
    p = p.detach()
    wanted = p * (g - (g * p).sum(-1, keepdim=True))
    assert p[0, 2] == p[1, 3] == 0
    assert torch.allclose(x.grad, wanted, atol=1e-6)
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("op", ["layernorm", "rmsnorm"])
def test_a_norms_derivatives_are_those_of_the_exact_norm(op):
    rows = affine(12)
    values = {name: rows[name] for name in ("gamma", "beta")[: 1 + (op == "layernorm")]}
    module = module_of(spec_of("direct", op=op, length=12, **values))
    generator = torch.Generator().manual_seed(4)
    given = [torch.randn(3, 12, generator=generator)]
    given += [torch.tensor(row) for row in values.values()]
    found = [v.clone().requires_grad_() for v in given]
    exact = [v.clone().requires_grad_() for v in given]
    y = module(*found)
    wanted = module.exact(*exact, *[None] * (3 - len(exact)))
    g = torch.randn(3, 12, generator=generator)
    y.backward(g)
    wanted.backward(g)
    assert not torch.equal(y, wanted)
    assert torch.allclose(y, wanted, atol=0.05)
    for one, other in zip(found, exact, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5)
    # Its own gain and offset are those that were given: as codes, they are the same.
    assert torch.equal(module(given[0]), y)
    # Constant rows, too.
    flat = torch.ones(1, 12, requires_grad=True)
    module(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()


def test_gain_and_offset_take_the_place_of_the_units_own():
    module = module_of(spec_of("direct", op="layernorm", length=12, **affine(12)))
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(5))
    gamma, beta = torch.linspace(-1, 1, 8), torch.linspace(0, 2, 8)
    rows = {"gamma": gamma, "beta": beta}
    codes = {name: module.affine_codes(name, row) for name, row in rows.items()}
    assert torch.equal(
        module(x, gamma, beta), module.dequantize(module.compute(module.quantize(x), **codes))
    )
    assert torch.equal(module(x, gamma, beta)[..., 3], module(x, gamma.clone(), beta)[..., 3])
    assert not torch.equal(module(x, gamma, beta), module(x))


def test_a_norms_input_may_have_another_scale():
    module = module_of(spec_of("direct", op="layernorm", bits=12, length=8, eps=0.0))
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(6))
    frac = module.bare.input.frac
    # Without an epsilon, a norm of twice as large numbers at half the scale is the same.
    assert torch.equal(module(2 * x, input_frac=frac - 1), module(x))
    assert not torch.equal(module(x, input_frac=frac - 4), module(x))
    unit = module_of(spec_of("direct", op="layernorm", bits=12, length=8))
    assert unit.eps(frac) == unit.eps() == pytest.approx(1e-5, rel=0.1)
    assert unit.eps(frac - 1) == 4 * unit.eps()


def test_ibert_leaves_gain_and_offset_to_real_numbers():
    module = module_of(spec_of("integer", op="layernorm", method="ibert", length=8))
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(7))
    gamma, beta = torch.linspace(-1, 1, 8), torch.linspace(0, 2, 8)
    assert torch.equal(module(x, gamma, beta), module(x) * gamma + beta)


def test_masks_are_minus_infinity_or_far_below():
    module = module_of(spec_of(op="softmax", bits=8, length=8, mask=True))
    x = torch.tensor([[1.0, 0.5, -1.0, 2.0]])
    short = module(x[:, :3])
    for low in (-np.inf, torch.finfo(torch.float32).min, -10000.0, -10000.0 + 2.0):
        masked = torch.cat([x[:, :3], torch.tensor([[low]])], -1)
        assert module(masked)[:, :3].tolist() == short.tolist()
        assert module(masked)[0, 3] == 0
        assert not module(torch.full((2, 4), low)).any()
    half = torch.tensor([[1.0, 0.5, -1.0, torch.finfo(torch.float16).min]]).half()
    assert module(half)[0, :3].tolist() == short[0].half().tolist()
    # A unit without masks sees the lowest code instead.
    plain = module_of(spec_of(op="softmax", bits=8, length=8))
    assert plain(torch.full((1, 4), -np.inf)).tolist() == [[0.25] * 4]


def test_nan_is_refused():
    for op, more in (("gelu", {}), ("softmax", {"length": 8}), ("layernorm", {"length": 8})):
        module = module_of(spec_of("direct", op=op, bits=8, **more))
        with pytest.raises(UsageError, match="must be numbers, not NaN"):
            module(torch.tensor([[1.0, np.nan]]))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(1, 2), r"^codes must be integers, not torch\.float32$"),
        (torch.zeros(1, 2, dtype=torch.bool), r"^codes must be integers, not torch\.bool$"),
        (torch.tensor([[0, 128]]), r"^codes of format s8\.\d must be -128 to 127, not 0 to 128$"),
        (torch.tensor([[-129, 0]]), r"^codes of format s8\.\d must be -128 to 127, not -129 to 0$"),
    ],
)
@pytest.mark.parametrize("op", ["gelu", "softmax", "layernorm"])
def test_bad_codes(op, codes, message):
    options = {"op": op, "bits": 8} | ({} if op == "gelu" else {"length": 8})
    module = module_of(spec_of("direct", **options))
    with pytest.raises(UsageError, match=message):
        module.compute(codes)


def test_narrow_integers_are_codes_too():
    module = module_of(spec_of("direct", op="layernorm", bits=8, length=64))
    codes = torch.from_numpy(row_codes(module.bare.input, 64))
    assert torch.equal(module.compute(codes.to(torch.int8)), module.compute(codes))


def test_bad_rows():
    softmax = module_of(spec_of("direct", op="softmax", bits=8, length=8))
    codes = torch.zeros(2, 4, dtype=torch.int64)
    for mask in (torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 4)):
        with pytest.raises(UsageError, match=r"^a mask must be bool with the codes' shape \(2, 4"):
            softmax.compute(codes, mask)
    plain = module_of(spec_of("direct", op="layernorm", bits=8, length=8))
    for use in (lambda: plain(torch.zeros(1, 4), torch.ones(4)),
                lambda: plain.compute(codes, torch.ones(4, dtype=torch.int64))):  # fmt: skip
        with pytest.raises(UsageError, match=r"^the unit must have gamma: the layer has it$"):
            use()
    full = module_of(spec_of("direct", op="layernorm", bits=8, length=12, **affine(12)))
    with pytest.raises(UsageError, match=r"^beta must have a code for each of the 4 elements, "):
        full.compute(codes, beta=torch.zeros(5, dtype=torch.int64))
    with pytest.raises(UsageError, match=r"^gamma: codes of format s\d+\.\d+ must be "):
        full.compute(codes, gamma=torch.full((4,), 1 << 30))


def test_a_build_is_loaded(own_folder, no_yosys, capsys):
    words = ["--op", "softmax", "--bits", "4", "--length", "4", "--entries", "2", "--mask"]
    small(*words, "--out", "built")
    capsys.readouterr()
    module = load("built")
    assert module.spec == spec_of(op="softmax", bits=4, length=4, entries=2, mask=True)
    x = torch.tensor([[0.5, 1.0, -3.0, -np.inf]])
    assert torch.equal(module(x), module_of(module.spec)(x))
    table = next(path for path in Path("built").rglob("*.json") if "tables" in path.parts)
    table.write_text(table.read_text().replace("1", "2"))
    with pytest.raises(UsageError):
        load("built")


def test_a_folder_that_is_no_build(tmp_path):
    with pytest.raises(UsageError):
        load(tmp_path / "none")


def test_a_module_has_no_state_and_can_be_copied():
    module = module_of(spec_of("direct", op="layernorm", bits=8, length=12, **affine(12)))
    assert not module.state_dict()
    assert not list(module.parameters())
    x = torch.randn(2, 12, generator=torch.Generator().manual_seed(8))
    assert torch.equal(copy.deepcopy(module)(x), module(x))
    assert str(module) == f"Norm(norm, {module.bare.input} to {module.bare.output})"


def test_constants_are_copied_to_each_device_once():
    constant = OnDevice([1, 2, 3])
    cpu, meta = (constant.on(torch.device(name)) for name in ("cpu", "meta"))
    assert (cpu.device.type, meta.device.type) == ("cpu", "meta")
    assert constant.on(torch.device("cpu")) is cpu
    assert constant.on(torch.device("meta")) is meta


def test_straight_through_is_exact_and_passes_gradients():
    x = torch.tensor([0.1, 0.2], requires_grad=True)
    value = torch.tensor([1e8, 3.0])
    y = straight_through(3 * x, value)
    assert torch.equal(y, value)
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_whole_function_is_an_activation():
    assert isinstance(module_of(spec_of(**KINDS["writable"])), Activation)
    assert isinstance(module_of(spec_of("direct", **KINDS["lanes"])), Activation)
