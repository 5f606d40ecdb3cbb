"""Every function against a second formula, default formats, and functions of the user's."""

import math
import sys
import warnings

import numpy as np
import pytest

from nnlut_train.errors import UsageError
from nnlut_train.folding import FOLDS
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS, lookup

# Each in another form than the module's, and by the scalar functions of `math`.
REFERENCE = {
    "exp": math.exp,
    "reciprocal": lambda x: 1 / x,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "log": lambda x: 2 * math.atanh((x - 1) / (x + 1)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x)),
    "erf": lambda x: math.copysign(1 - math.erfc(abs(x)), x),
    "tanh": lambda x: math.copysign(math.expm1(2 * abs(x)) / (math.expm1(2 * abs(x)) + 2), x),
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    # 0.5 (1 + tanh(t)) is the sigmoid of 2 t.
    "gelu_tanh": lambda x: x / (1 + math.exp(-math.sqrt(8 / math.pi) * x * (1 + 0.044715 * x * x))),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "hswish": lambda x: 0 if x <= -3 else x if x >= 3 else (x * x + 3 * x) / 6,
    "softplus": lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
    "elu": lambda x: max(x, 0) + math.expm1(min(x, 0)),
    # tanh(ln(u)) is (u^2 - 1) / (u^2 + 1).
    "mish": lambda x: x - 2 * x / ((1 + math.exp(x)) ** 2 + 1),
    "hsigmoid": lambda x: 0 if x <= -3 else 1 if x >= 3 else x / 6 + 0.5,
    "sqrt": lambda x: math.exp(0.5 * math.log(x)) if x else 0.0,
    "exp2": lambda x: math.exp(x * math.log(2)),
    "sin": lambda x: 2 * math.sin(x / 2) * math.cos(x / 2),
    "cos": lambda x: 1 - 2 * math.sin(x / 2) ** 2,
}


def test_every_function_has_a_reference_and_its_own_name():
    assert FUNCTIONS.keys() == REFERENCE.keys()
    assert all(name == function.name for name, function in FUNCTIONS.items())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_over_its_domain(name):
    function = FUNCTIONS[name]
    x = np.linspace(*function.domain, 999)
    y = function(x.reshape(3, 333))
    assert y.dtype == np.float64
    assert y.shape == (3, 333)
    wanted = [REFERENCE[name](v) for v in x.tolist()]
    np.testing.assert_allclose(y.ravel(), wanted, rtol=1e-12, atol=2e-15)


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("reciprocal", 0.0, math.inf),
        ("rsqrt", 0.0, math.inf),
        ("log", 0.0, -math.inf),
        ("exp", 1e4, math.inf),
        ("exp", -1e4, 0.0),
        ("sigmoid", -1e4, 0.0),
        ("sigmoid", 1e4, 1.0),
        ("softplus", 1e4, 1e4),
        ("softplus", -1e4, 0.0),
        ("hswish", -1e4, 0.0),
        ("gelu", 1e4, 1e4),
        ("elu", 1e4, 1e4),
        ("elu", -1e4, -1.0),
        ("mish", 1e4, 1e4),
        ("mish", -1e4, 0.0),
        ("hsigmoid", -1e4, 0.0),
        ("hsigmoid", 1e4, 1.0),
        ("sqrt", 0.0, 0.0),
        ("exp2", 1e4, math.inf),
    ],
)
def test_singularities_and_far_ends_give_no_warning(name, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert FUNCTIONS[name](np.array([x, 1.0]))[0] == y


@pytest.mark.parametrize(
    ("name", "inputs", "output"),
    [
        ("exp", "s8.4", "u8.8"),
        ("gelu", "s8.4", "s8.4"),
        ("gelu_tanh", "s8.4", "s8.4"),
        ("silu", "s8.4", "s8.4"),
        ("hswish", "s8.4", "s8.4"),
        ("reciprocal", "u8.4", "u8.4"),
        ("rsqrt", "u8.4", "u8.6"),
        ("log", "u8.4", "s8.5"),
        ("sigmoid", "s8.4", "u8.8"),
        ("tanh", "s8.5", "s8.7"),
        ("erf", "s8.5", "s8.7"),
        ("softplus", "s8.4", "u8.5"),
        ("elu", "s8.4", "s8.4"),
        ("mish", "s8.4", "s8.4"),
        ("hsigmoid", "s8.5", "u8.8"),
        ("sqrt", "u8.4", "u8.6"),
        ("exp2", "s8.4", "u8.8"),
        ("sin", "s8.5", "s8.7"),
        ("cos", "s8.5", "s8.7"),
    ],
)
def test_default_formats(name, inputs, output):
    function = FUNCTIONS[name]
    form = function.input_format(8)
    assert str(form) == inputs
    assert str(function.output_format(8, form)) == output


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("bits", [4, 7, 16])
def test_default_formats_are_the_finest_that_hold_the_function(name, bits):
    function = FUNCTIONS[name]
    low, high = function.domain
    inputs = function.input_format(bits)
    finer = Format(inputs.signed, bits, inputs.frac + 1)
    # The last code step may be missing at the upper end, as 8 is in s8.4.
    assert inputs.signed == (low < 0)
    assert inputs.real(inputs.min) <= low or not inputs.signed
    assert inputs.real(inputs.max + 1) >= high
    assert (finer.signed and finer.real(finer.min) > low) or finer.real(finer.max + 1) < high
    output = function.output_format(bits, inputs)
    x = inputs.real(inputs.codes())
    y = function(x[(x >= low) & (x <= high)])
    assert output.signed == (y < 0).any()
    # 2**-10 of the octave is what softplus(8) = 8.0003 needs.
    assert np.abs(y).max() <= output.real(output.max + 1) * 2 ** (2**-10)
    assert np.abs(y).max() > output.real(output.max + 1) / 2


def test_given_fraction_bits_replace_the_default_ones():
    gelu = FUNCTIONS["gelu"]
    assert gelu.input_format(8, 6) == Format(True, 8, 6)
    assert gelu.output_format(8, Format(True, 8, 6), -1) == Format(True, 8, -1)


def test_output_format_looks_only_at_codes_inside_the_domain():
    # Codes from -8 to 8, but negative results only left of the domain.
    double = lookup("exp", (-1, 3))
    assert double.output_format(8, Format(True, 8, 4)) == Format(False, 8, 3)
    # No code at all is inside: all of them count.
    outside = lookup("exp", (0.01, 0.02))
    assert outside.output_format(8, Format(False, 4, 1)) == Format(False, 8, -3)


def test_another_domain_of_a_registered_function():
    function = lookup("rsqrt", (1, 4))
    assert function.domain == (1, 4)
    assert str(function.input_format(8)) == "u8.6"
    original = FUNCTIONS["rsqrt"]
    for name in ("name", "formula", "evaluate", "reduction", "nn_range", "nn_signs"):
        assert getattr(function, name) is getattr(original, name)
    assert lookup("rsqrt") is original


SYMMETRIC = {
    "sigmoid": "complement", "tanh": "odd", "erf": "odd", "gelu": "relu", "gelu_tanh": "relu",
    "silu": "relu", "hswish": "relu", "softplus": "relu", "hsigmoid": "complement", "sin": "odd",
    "cos": "even",
}  # fmt: skip


def test_reductions():
    found = {name: function.symmetry for name, function in FUNCTIONS.items()}
    assert {name: kind for name, kind in found.items() if kind is not None} == SYMMETRIC
    reduced = {
        "exp": "base2", "reciprocal": "mantissa", "rsqrt": "mantissa4", "log": "mantissa",
        "sqrt": "mantissa4", "exp2": "base2", "sin": "quarter", "cos": "quarter",
        "elu": None, "mish": None,
    }  # fmt: skip
    assert {name: f.reduction for name, f in FUNCTIONS.items()} == SYMMETRIC | reduced


def test_a_reduced_function_gives_the_whole_one():
    f = np.linspace(0, 1, 65)[:-1]
    # What is left is put back by what the hardware does: shifts, and a sum.
    back = {
        "exp": (lambda i: i + f, f, lambda i, y: y * 2.0**i),
        "reciprocal": (lambda k: (1 + f) * 2.0**k, f, lambda k, y: y / 2.0**k),
        "rsqrt": (lambda k: (1 + 3 * f) * 4.0**k, 1 + 3 * f, lambda k, y: y / 2.0**k),
        "log": (lambda k: (1 + f) * 2.0**k, f, lambda k, y: y + k * math.log(2)),
        "exp2": (lambda i: i + f, f, lambda i, y: y * 2.0**i),
        "sqrt": (lambda k: (1 + 3 * f) * 4.0**k, 1 + 3 * f, lambda k, y: y * 2.0**k),
        # Whole turns, and the quarters before and behind.
        "sin": (lambda k: 2 * math.pi * k + math.pi / 2 * f, f, lambda k, y: y),
        "cos": (lambda k: 2 * math.pi * k - math.pi / 2 * (1 - f), f, lambda k, y: y),
    }
    for name, function in FUNCTIONS.items():
        reduced = function.reduced
        if name not in back:
            assert reduced is function
            continue
        argument, seen, whole = back[name]
        assert (seen >= reduced.domain[0]).all()
        assert (seen < reduced.domain[1]).all()
        assert reduced.reduction is None
        for k in (-3, 0, 2):
            x = argument(k) * (math.log(2) if name == "exp" else 1)
            np.testing.assert_allclose(whole(k, reduced(seen)), function(x), rtol=1e-12, atol=1e-15)


def test_a_domain_without_a_reduction_leaves_the_function():
    function = lookup("reciprocal", (-1, 3))
    assert function.reduced is function


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_functions_are_symmetric(name):
    # Both signs tell the same core, by the definition of the symmetry.
    function = FUNCTIONS[name]
    m = np.linspace(0, 2 * max(function.domain), 1001)
    right, left = function(m), function(-m)
    core = {
        "odd": (right, -left), "complement": (right, 1 - left), "relu": (m - right, -left),
        "even": (right, left),
    }[SYMMETRIC[name]]  # fmt: skip
    np.testing.assert_allclose(*core, rtol=0, atol=4e-15)


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize(
    ("domain", "folds"),
    [((-2, 2), True), ((-1, 9), True), ((-9, 0.5), True), ((0, 4), False), ((1, 4), False),
     ((-4, 0), False), ((-4, -1), False)],
)  # fmt: skip
def test_a_symmetry_needs_a_domain_on_both_sides_of_zero(name, domain, folds):
    function = lookup(name, domain)
    assert function.symmetry == (SYMMETRIC[name] if folds else None)
    if FUNCTIONS[name].reduction in FOLDS:
        assert function.reduction == function.symmetry
    else:  # quarters of a wave need no sign
        assert function.reduction == "quarter"
    assert function.input_format(8).signed == (domain[0] < 0)


@pytest.mark.parametrize("name", ["reciprocal", "rsqrt", "log", "sqrt"])
def test_a_mantissa_needs_a_domain_without_negative_numbers(name):
    assert lookup(name, (0, 3)).reduction == FUNCTIONS[name].reduction
    assert lookup(name, (-1, 3)).reduction is None


@pytest.mark.parametrize("domain", [(-3, 2), (0, 1), (-5, -1)])
def test_exp_is_reduced_over_any_domain(domain):
    assert lookup("exp", domain).reduction == lookup("exp2", domain).reduction == "base2"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wide_formats_are_those_of_16_bits_and_16_bits_more(name):
    # Found from a sample of the codes.
    function = FUNCTIONS[name]
    narrow, wide = function.input_format(16), function.input_format(32)
    assert (wide.signed, wide.frac) == (narrow.signed, narrow.frac + 16)
    output = function.output_format(16, narrow)
    found = function.output_format(32, wide)
    assert (found.signed, found.frac) == (output.signed, output.frac + 16)
    assert function.whole_output_format(32, wide).bits == 32


@pytest.mark.parametrize(
    "domain", [(1, 1), (2, 1), (-math.inf, 0), (0, math.inf), (math.nan, 1), (0, math.nan)]
)
@pytest.mark.parametrize("name", ["gelu", "anything:else"])
def test_empty_and_infinite_domains_are_refused(name, domain):
    with pytest.raises(UsageError, match=r"^a domain must be two finite numbers LO < HI, not \("):
        lookup(name, domain)


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Write a module of the user's and return its name."""

    def write(text, name="user_functions"):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    yield write
    for name in [n for n in sys.modules if n.split(".")[0] == "user_functions"]:
        del sys.modules[name]


def test_function_of_the_users(user_module):
    name = user_module("import numpy as np\ndef cube(x):\n    return x ** 3\nscale = 2\n")
    function = lookup(f"{name}:cube", (-2, 1))
    assert function(np.array([[-2.0], [0.5]])).tolist() == [[-8.0], [0.125]]
    assert function.name == function.formula == f"{name}:cube"
    assert (function.reduction, function.nn_range, function.nn_signs) == (None, None, (0, 0))
    inputs = function.input_format(8)
    assert str(inputs) == "s8.6"
    assert str(function.output_format(8, inputs)) == "s8.4"


def test_function_of_the_users_in_a_package(tmp_path, user_module):
    user_module("", "unrelated")
    package = tmp_path / "user_functions"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("half = lambda x: x / 2\n")
    assert lookup("user_functions.inner:half", (0, 1))(np.array([3.0])).tolist() == [1.5]


def test_function_of_the_users_needs_a_domain(user_module):
    name = user_module("def f(x):\n    return x\n")
    with pytest.raises(UsageError, match=rf"^{name}:f must be given a domain: --domain LO,HI$"):
        lookup(f"{name}:f")


@pytest.mark.parametrize("name", ["", "gleu", "a.b", "a:", ":f", "1a:f", "a:b.c", "a b:f", "a:f:g"])
def test_names_of_no_form_are_refused(name):
    message = (
        r"^a function must be one of exp, reciprocal, rsqrt, .*cos, or "
        r"package\.module:callable, not '"
    )
    with pytest.raises(UsageError, match=message) as error:
        lookup(name, (0, 1))
    assert str(error.value).endswith(repr(name))


@pytest.mark.parametrize(
    ("text", "attribute", "message"),
    [
        (None, "f", r"user_functions:f cannot be imported: No module named 'user_functions'$"),
        ("import nowhere_to_be_found", "f", r":f cannot be imported: No module named 'nowhere_to"),
        ("g = 1", "f", r":f cannot be imported: module 'user_functions' has no attribute 'f'$"),
        ("f = 2", "f", r"^user_functions:f must be callable, not int$"),
    ],
)
def test_functions_that_cannot_be_had(user_module, text, attribute, message):
    if text is not None:
        user_module(text)
    with pytest.raises(UsageError, match=message):
        lookup(f"user_functions:{attribute}", (0, 1))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('no such luck')",
         r"must take a float64 array, but raised RuntimeError\('no such luck'\)$"),
        ("return 1.0 if x > 0 else 0.0", r"must take a float64 array, but raised ValueError\("),
        ("return x * 1j", r"must return real numbers, not complex ones$"),
        ("return 'text'", r"must take a float64 array, but raised ValueError\("),
        ("return x * float('nan')", r"must return a number for every argument, .* returned NaN$"),
        ("return x - x if x[0] else (x - 1) ** 0.5", r"but returned NaN$"),
        ("return 1.0", r"for every argument, but returned shape \(\)$"),
        ("return x[:-1]", r"for every argument, but returned shape \(3,\)$"),
    ],
)  # fmt: skip
def test_functions_that_fail(user_module, body, message):
    name = user_module(f"def f(x):\n    {body}\n")
    function = lookup(f"{name}:f", (0, 1))
    with pytest.raises(UsageError, match=rf"^function {name}:f .*{message}"):
        function(np.array([0.0, 1.0, 2.0, 3.0]))
