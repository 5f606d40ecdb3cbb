"""Requests, and the specifications they become."""

import dataclasses
import math

import numpy as np
import pytest

from hw import options
from hw.choices import OPS, ROW_OPS
from hw.design import design
from hw.request import Request
from nnlut_train.errors import UsageError
from nnlut_train.files import load, save
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS, lookup
from nnlut_train.tables import DirectTable, PwlTable
from sim.golden import DirectSpec, ExpSpec, LogSpec, PwlSpec, ReciprocalSpec, SoftmaxSpec

S4 = Format(True, 4, 0)
REDUCED = {
    "exp": ExpSpec, "reciprocal": ReciprocalSpec, "rsqrt": ReciprocalSpec, "log": LogSpec,
    "sqrt": ReciprocalSpec, "exp2": ExpSpec,
}  # fmt: skip
# Each in another form than the module's, and by the scalar functions of `math`.
EXACT = {
    "exp": math.exp,
    "reciprocal": lambda x: 1 / x if x else math.inf,
    "rsqrt": lambda x: 1 / math.sqrt(x) if x else math.inf,
    "log": lambda x: math.log(x) if x else -math.inf,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "erf": lambda x: 1 - math.erfc(x) if x > 0 else math.erfc(-x) - 1,
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    "gelu_tanh": lambda x: x / (1 + math.exp(-math.sqrt(8 / math.pi) * x * (1 + 0.044715 * x * x))),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "hswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "softplus": lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
    "elu": lambda x: max(x, 0) + math.expm1(min(x, 0)),
    "mish": lambda x: x - 2 * x / ((1 + math.exp(x)) ** 2 + 1),
    "hsigmoid": lambda x: min(max(x / 6 + 0.5, 0), 1),
    "sqrt": math.sqrt,
    "exp2": lambda x: 2.0**x,
    "sin": math.sin,
    "cos": math.cos,
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NNLUT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tables(tmp_path):
    """Write a direct and a piecewise-linear table of 4 bits and return their paths."""
    form = Format(True, 4, 1)
    direct = DirectTable(form, form, tuple(range(-8, 8)))
    pwl = PwlTable(form, form, form, form, (0,), (2, 2), (0, 0))
    for name, table in (("direct", direct), ("pwl", pwl)):
        save(table, tmp_path / f"{name}.json")
    return {name: tmp_path / f"{name}.json" for name in ("direct", "pwl")}


@pytest.mark.parametrize("op", EXACT)
@pytest.mark.parametrize("bits", range(4, 13))
def test_direct_tables_are_rounded_correctly(op, bits):
    spec = design(Request(op, bits), "direct")
    assert isinstance(spec, DirectSpec)
    assert (spec.input.bits, spec.output.bits) == (bits, bits)
    codes = spec.input.codes()
    for code, value in zip(codes.tolist(), spec.compute(codes).tolist(), strict=True):
        exact = EXACT[op](math.ldexp(code, -spec.input.frac))
        scaled = min(max(math.ldexp(exact, spec.output.frac), spec.output.min), spec.output.max)
        assert value == math.floor(scaled + 0.5), code


def test_every_op_is_covered():
    assert (*ROW_OPS, *EXACT) == OPS
    assert tuple(FUNCTIONS) == tuple(EXACT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"op": "gleu"}, r"^--op must be one of softmax, layernorm, rmsnorm, exp, .*, not 'gleu'$"),
        ({"op": "a.b:c"}, r"^a\.b:c must be given a domain: --domain LO,HI$"),
        ({"domain": (1, 1)}, r"^a domain must be two finite numbers LO < HI, not \(1, 1\)$"),
        ({"op": "softmax", "domain": (0, 1)},
         r"^--domain goes with one unary function, not with softmax$"),
        ({"op": "softmax", "table": DirectTable(S4, S4, tuple(range(-8, 8)))},
         r"^--table goes with one unary function, not with softmax$"),
        ({"bits": 3}, r"^--bits must be 4 to 16, or 32 for gelu, not 3$"),
        ({"bits": 17}, r"^--bits must be 4 to 16, or 32 for gelu, not 17$"),
        ({"op": "softmax", "bits": 13}, r"^--bits must be 4 to 12 for softmax, not 13$"),
        ({"op": "softmax", "bits": 3}, r"^--bits must be 4 to 12 for softmax, not 3$"),
        ({"entries": 0}, r"^--entries must be 1 to 256, not 0$"),
        ({"entries": 257}, r"^--entries must be 1 to 256, not 257$"),
        ({"bits": 5, "entries": 33}, r"^--entries must be 1 to 32, not 33$"),
        ({"op": "softmax", "length": 0}, r"^--length must be 1 to 4096, not 0$"),
        ({"op": "softmax", "length": 4097}, r"^--length must be 1 to 4096, not 4097$"),
        ({"seed": -1}, r"^--seed must be 0 to 4294967295, not -1$"),
        ({"seed": 2**32}, r"^--seed must be 0 to 4294967295, not 4294967296$"),
        ({"input_frac": -17}, r"^--input-frac must be -16 to 24, not -17$"),
        ({"input_frac": 25}, r"^--input-frac must be -16 to 24, not 25$"),
        ({"output_frac": -17}, r"^--output-frac must be -16 to 24, not -17$"),
        ({"output_frac": 25}, r"^--output-frac must be -16 to 24, not 25$"),
        ({"fit": "best"}, r"^--fit must be one of optimal, nn, .*, not 'best'$"),
        ({"arch": "rom"}, r"^--arch must be one of auto, pwl, direct, .*, not 'rom'$"),
        ({"fold": "all"}, r"^--fold must be one of auto, none, not 'all'$"),
        ({"module": "2x"}, r"^--name must be a Verilog identifier, not '2x'$"),
        ({"arch": "direct", "bits": 13},
         r"^--arch direct must have --bits of at most 12, not 13$"),
    ],
)  # fmt: skip
def test_wrong_requests(options, message):
    with pytest.raises(UsageError, match=message):
        Request(**{"op": "gelu", **options})


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 4, "entries": 16}, {"bits": 16, "entries": 256}, {"entries": 1},
        {"op": "softmax", "length": 1},
        {"op": "softmax", "length": 4096}, {"seed": 2**32 - 1}, {"input_frac": -16},
        {"input_frac": 24},
        {"output_frac": -16}, {"output_frac": 24}, {"arch": "direct", "bits": 12},
        {"arch": "pwl", "bits": 16}, {"op": "softmax", "bits": 12}, {"op": "softmax", "bits": 4},
    ],
)  # fmt: skip
def test_both_ends_of_every_option_are_allowed(options):
    Request(**{"op": "gelu", **options})


def test_tables_of_another_width_or_kind_are_refused(tables):
    with pytest.raises(UsageError) as error:
        Request("gelu", 8, table=load(tables["pwl"]))
    assert str(error.value) == "--bits must be the table's 4, not 8"
    for arch, kind in (("pwl", "direct"), ("direct", "pwl")):
        with pytest.raises(UsageError) as error:
            Request("gelu", 4, arch=arch, table=load(tables[kind]))
        assert str(error.value) == f"--arch must be the table's, {kind}, not {arch}"
        assert Request("gelu", 4, arch=kind, table=load(tables[kind])).wanted == (kind,)


def asked(*words):
    """Return the request of a command line."""
    parser = options.build_parser()
    return options.request(
        parser.parse_args(["--op", "gelu", "--bits", "4", *[str(word) for word in words]])
    )


@pytest.mark.parametrize(
    "words", [("--entries", 3), ("--fit", "nn"), ("--input-frac", 2), ("--output-frac", 2)]
)
def test_what_a_table_fixes_must_not_be_given(tables, words):
    with pytest.raises(UsageError, match=f"{words[0]} must not be given with --table"):
        asked("--table", tables["pwl"], *words)


def test_table_files_are_checked(tables, tmp_path):
    with pytest.raises(UsageError, match=r"missing\.json: cannot be read: "):
        asked("--table", tmp_path / "missing.json")
    text = tables["direct"].read_text()
    tables["direct"].write_text(text.replace("-8,", "-7,"))
    with pytest.raises(UsageError, match=r"direct\.json: table: sha256 does not match"):
        asked("--table", tables["direct"])


@pytest.mark.parametrize("kind", ["direct", "pwl"])
def test_a_table_file_is_built_as_it_is(tables, kind):
    request = asked("--table", tables[kind])
    assert request.possible == (kind,)
    spec = design(request, kind)
    assert type(spec) is {"direct": DirectSpec, "pwl": PwlSpec}[kind]
    assert spec.table == load(tables[kind])


@pytest.mark.parametrize(
    ("op", "bits", "name"),
    [
        ("gelu", 8, "gelu_int8"),
        ("softmax", 12, "softmax_int12"),
        ("math:sqrt", 4, "math_sqrt_int4"),
        ("os.path:join", 10, "os_path_join_int10"),
    ],
)
def test_name(op, bits, name):
    domain = (0, 1) if ":" in op else None
    assert Request(op, bits, domain=domain).name == name


def test_default_segments():
    assert [Request("gelu", bits).segments for bits in range(4, 17)] == [
        16, 16, 16, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256
    ]  # fmt: skip
    assert Request("gelu", 16, entries=5).segments == 5


@pytest.mark.parametrize("op", OPS)
def test_plain_lines_are_wanted_where_a_range_could_be_reduced(op):
    assert {"pwl", "direct"} <= set(Request(op).wanted)
    reducible = op in (*ROW_OPS, *REDUCED, "sin", "cos")
    assert Request(op, fold="none").wanted == (("pwl",) if reducible else Request(op).wanted)


@pytest.mark.parametrize("option", [{"entries": 4}, {"fit": "nn"}, {"fit": "optimal"}])
def test_options_of_lines_imply_lines(option):
    assert Request("gelu", **option).wanted == ("pwl",)
    (name,) = option
    with pytest.raises(UsageError, match=rf"^--{name} goes with --arch pwl, not"):
        Request("gelu", arch="direct", **option)
    with pytest.raises(UsageError, match=r"^--fold none goes with --arch pwl"):
        Request("softmax", arch="direct", fold="none")


def test_architectures():
    assert {"pwl", "direct"} < set(Request("gelu", 12).possible)
    assert "direct" not in Request("gelu", 13).possible
    assert Request("softmax", 12).possible == ("pwl", "direct")


def test_function_and_domain():
    assert Request("gelu").function is FUNCTIONS["gelu"]
    request = Request("gelu", domain=(-2, 2))
    assert request.function == lookup("gelu", (-2, 2))
    assert design(request, "direct").input == Format(True, 8, 6)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_kinds_of_units(op):
    lines = design(Request(op, 5), "pwl")
    assert type(lines) is REDUCED.get(op, PwlSpec)
    plain = design(Request(op, 5, fold="none"), "pwl")
    assert type(plain) is PwlSpec
    assert type(design(Request(op, 5), "direct")) is DirectSpec
    assert lines.input == plain.input
    assert lines.output == plain.output
    assert [table.kind for _, table in lines.tables()] == ["pwl"]


@pytest.mark.parametrize("op", ["gelu", "exp", "rsqrt", "log"])
@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_fraction_bits_take_effect(op, arch):
    base = design(Request(op, 5), arch)
    spec = design(Request(op, 5, input_frac=0, output_frac=1), arch)
    assert (str(spec.input)[1:], str(spec.output)[1:]) == ("5.0", "5.1")
    assert (spec.input, spec.output) != (base.input, base.output)
    # They are independent of each other.
    only_input = design(Request(op, 5, input_frac=0), arch)
    assert only_input.input == spec.input
    only_output = design(Request(op, 5, output_frac=1), arch)
    assert only_output.input == base.input
    assert only_output.output.frac == 1


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("entries", [1, 3])
def test_entries_take_effect(op, entries):
    bits = 8 if op == "exp2" else 6  # its table sees the fraction bits alone
    for fold in ("auto", "none"):
        spec = design(Request(op, bits, entries=entries, fold=fold), "pwl")
        assert [table.entries for _, table in spec.tables()] == [entries]


def test_entries_are_at_most_the_codes_of_a_table():
    # The mantissa of 4-bit codes has 3 bits.
    spec = design(Request("reciprocal", 4, entries=16), "pwl")
    assert spec.mantissa.table.entries <= 8


def test_log_formats():
    spec = design(Request("log", 8), "pwl")
    assert (str(spec.input), str(spec.output)) == ("u8.4", "s8.5")
    # Four bits finer than the output; the table sees all that m has.
    assert (str(spec.mantissa.input), str(spec.mantissa.output)) == ("u7.7", "u9.9")
    # The exponent is -4 to 3: ln 2 times it is off by at most 4 halves of a step.
    assert 4 * 2.0 ** -(spec.factor_frac + 1) <= spec.output.scale / 64
    assert spec.factor == math.floor(math.log(2) * 2**spec.factor_frac + 0.5)
    # Coarse outputs need less of m, and no result below 0 needs no sign.
    assert str(design(Request("log", 8, output_frac=1), "pwl").mantissa.input) == "u5.5"
    assert str(design(Request("log", 8, domain=(1, 16)), "pwl").output) == "u8.6"
    assert str(design(Request("log", 8, output_frac=-9), "pwl").mantissa.input) == "u1.1"


def softmax(arch="pwl", **options):
    return design(
        Request(**{"op": "softmax", "bits": 4, "length": 6, "entries": 3} | options), arch
    )


def test_softmax_formats():
    spec = softmax()
    assert isinstance(spec, SoftmaxSpec)
    assert (str(spec.input), str(spec.output), spec.length) == ("s4.0", "u4.4", 6)
    assert (type(spec.exp), type(spec.reciprocal)) == (ExpSpec, ReciprocalSpec)
    assert str(spec.exp.input) == "u4.0"
    # log2(6) rounded up, and 2 bits more.
    assert spec.exp.output.frac == 4 + 3 + 2
    other = softmax(input_frac=2, output_frac=5)
    assert (str(other.input), str(other.output), str(other.exp.input)) == ("s4.2", "u4.5", "u4.2")
    assert other.exp.output.frac == 5 + 3 + 2


def test_softmax_length_takes_effect():
    specs = {length: softmax(length=length) for length in (1, 5, 64)}
    assert [spec.length for spec in specs.values()] == [1, 5, 64]
    assert [spec.exp.output.frac for spec in specs.values()] == [6, 9, 12]
    for length, spec in specs.items():
        assert spec.reciprocal.input.max >= length * spec.exp.output.max
        row = np.full(length, spec.input.min)
        wanted = min(max(round(16 / length), 0), 15)
        assert spec.compute(row).tolist() == [wanted] * length


def test_softmax_entries_and_fold_take_effect():
    assert [table.entries for _, table in softmax().tables()] == [3, 3]
    assert [table.entries for _, table in softmax(entries=2).tables()] == [2, 2]
    plain = softmax(fold="none")
    assert (type(plain.exp), type(plain.reciprocal)) == (PwlSpec, ReciprocalSpec)


def test_softmax_of_direct_tables():
    spec = softmax("direct")
    assert [table.kind for _, table in spec.tables()] == ["direct", "direct"]
    frac = spec.exp.output.frac
    assert spec.exp.table.values == tuple(
        min(math.floor(math.exp(-d) * 2**frac + 0.5), spec.exp.output.max) for d in range(16)
    )


def test_fit_and_seed_reach_the_fitter(monkeypatch):
    seen = []

    def record(problem, method, *, seed, progress):
        seen.append((problem.function, method, seed, progress))
        return PwlTable(
            problem.input, problem.output, problem.slope, problem.intercept, (), (0,), (0,)
        )

    monkeypatch.setattr("hw.design.archs.fit.fit", record)
    design(Request("gelu", 4, fit="nn", seed=5), "pwl", progress=True)
    design(Request("gelu", 4), "pwl")
    design(Request("gelu", 4, fit="nn"), "direct")
    assert seen == [("gelu", "nn", 5, True), ("gelu", "optimal", 0, False)]


def test_the_fitted_table_says_what_it_is_of():
    spec = design(Request("gelu", 4, entries=3, seed=2), "pwl")
    names = ("function", "method", "seed", "entries", "objective")
    assert [spec.table.meta[name] for name in names] == ["gelu", "optimal", 2, 3, "mse"]


@pytest.mark.parametrize("op", FUNCTIONS)
def test_coefficients_cost_little(op):
    # Lines at every code: what is left is the rounding of the coefficients and of the output.
    request = Request(op, 5, entries=32, fold="none")
    spec = design(request, "pwl")
    x = spec.input.real(spec.input.codes())
    wanted = spec.output.clip(request.function(x))
    error = np.abs(spec.output.real(spec.compute(spec.input.codes())) - wanted)
    assert error.max() <= (0.5 + 2 / 16) * spec.output.scale


def test_a_request_is_not_changed_by_its_design():
    request = Request("exp", 4, entries=2)
    copy = dataclasses.replace(request)
    design(request, "pwl")
    assert request == copy


@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_tables_say_where_they_come_from(arch):
    ((_, table),) = design(Request("tanh", 5), arch).tables()
    assert table.meta["function"] == "tanh"
    assert table.meta["method"] == {"pwl": "optimal", "direct": "direct"}[arch]
    assert table.meta["domain"] == [-4.0, 3.75]
    codes = table.input.codes()
    wanted = table.output.clip(np.tanh(table.input.real(codes)))
    error = np.abs(table.output.real(table.lookup(codes)) - wanted) / table.output.scale
    assert table.meta["errors"]["max_ulp"] == pytest.approx(error.max())
