"""What is folded on request, in which formats, and how accurate it is."""

import numpy as np
import pytest

import hw.choices
from hw import options
from hw.design import FOLDED_DIRECT_BITS_MIN, design
from hw.request import Request
from nnlut_train.errors import UsageError
from nnlut_train.files import save
from nnlut_train.fit import Problem, coefficient_formats
from nnlut_train.folding import FOLDS, Fold, core
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.tables import DirectTable, PwlTable
from sim.accuracy import unary_accuracy
from sim.golden import DirectSpec, PwlSpec

SYMMETRIC = [name for name, function in FUNCTIONS.items() if function.reduction in FOLDS]


@pytest.mark.parametrize("op", FUNCTIONS)
def test_symmetric_functions_are_folded_on_request(op):
    folded = design(Request(op, 6), "pwl")
    plain = design(Request(op, 6, fold="none"), "pwl")
    assert plain.table.fold is None
    assert (folded.input, folded.output) == (plain.input, plain.output)
    if FUNCTIONS[op].symmetry is not None:
        assert folded.table.fold.kind == FUNCTIONS[op].symmetry
        assert folded.latency == plain.latency == 3
        # A wave goes on: its magnitude has all bits, and saves none.
        assert folded.table.storage_bits < plain.table.storage_bits or op not in SYMMETRIC
    else:
        assert [table.fold for _, table in folded.tables()] == [None]


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("bits", [FOLDED_DIRECT_BITS_MIN - 1, FOLDED_DIRECT_BITS_MIN, 12])
def test_direct_tables_are_folded_where_it_pays(op, bits):
    spec = design(Request(op, bits), "direct")
    assert design(Request(op, bits, fold="none"), "direct").table.fold is None
    folds = op in SYMMETRIC and bits >= FOLDED_DIRECT_BITS_MIN
    assert (spec.table.fold is not None) == folds
    assert spec.latency == (2 if folds else 1)
    if folds:
        assert len(spec.table.values) <= 1 << (bits - 1)


def test_domains_on_one_side_of_zero_are_not_folded():
    for domain in ((0, 4), (-4, 0)):
        for arch in ("pwl", "direct"):
            assert design(Request("tanh", 11, domain=domain), arch).table.fold is None
    assert design(Request("tanh", 11, domain=(-1, 4)), "direct").table.fold is not None


def test_functions_of_the_users_are_not_folded():
    assert design(Request("numpy:tanh", 6, domain=(-4, 4)), "pwl").table.fold is None


def test_the_softmax_is_as_before():
    request = Request("softmax", 6, length=4)
    for arch in request.possible:
        assert {table.fold for _, table in design(request, arch).tables()} == {None}


def test_known_formats():
    forms = {}
    for op in ("gelu", "sigmoid", "tanh"):
        table = design(Request(op, 8), "pwl").table
        forms[op] = [str(getattr(table, name)) for name in ("argument", "slope", "intercept")]
    # sigmoid(m) - 1/2 is tanh(m / 2) / 2: the same codes but for the intercepts.
    assert forms == {
        "gelu": ["u6.4", "s5.4", "u6.7"], "sigmoid": ["u7.4", "u8.9", "u11.11"],
        "tanh": ["u7.5", "u8.7", "u10.10"],
    }  # fmt: skip


@pytest.mark.parametrize("op", SYMMETRIC)
def test_coefficient_formats_are_those_of_the_core(op):
    spec = design(Request(op, 8), "pwl")
    table, function = spec.table, FUNCTIONS[op]
    m = table.argument.real(table.argument.codes())
    wanted = coefficient_formats(
        core(function, function.reduction)(m), table.argument, table.output, 16
    )
    assert (table.slope, table.intercept) == wanted


@pytest.mark.parametrize("op", SYMMETRIC)
@pytest.mark.parametrize("bits", [6, 8])
def test_folded_coefficients_cost_little(op, bits):
    # Lines at every code: left are the rounding of the output and of slope and intercept, and what
    # the magnitude's saturation costs, each at most 1/16 ulp.
    request = Request(op, bits, entries=1 << bits)
    spec = design(request, "pwl")
    assert spec.table.fold is not None
    assert unary_accuracy(spec, request.function).max_ulp <= 0.5 + 3 / 16


@pytest.mark.parametrize("op", SYMMETRIC)
def test_folded_lines_are_about_as_accurate_and_smaller(op):
    folded, plain = (
        design(request, "pwl") for request in (Request(op, 8), Request(op, 8, fold="none"))
    )
    function = FUNCTIONS[op]
    assert unary_accuracy(folded, function).max_ulp <= unary_accuracy(plain, function).max_ulp
    assert folded.table.storage_bits < plain.table.storage_bits


@pytest.mark.parametrize("op", ["sigmoid", "tanh"])
def test_16_bits_by_the_default_number_of_lines_stay_below_one_ulp(op):
    request = Request(op, 16)
    assert unary_accuracy(design(request, "pwl"), request.function).max_ulp < 0.75


def test_a_limit_that_binds_one_sign_only_does_not_spoil_the_other():
    # tanh and erf reach -1, but not 1: a core between 127/128 and 1 would be off by 1 ulp at both.
    for op in ("tanh", "erf"):
        spec = design(Request(op, 8), "pwl")
        codes = np.array([-128, -127, 126, 127])
        assert spec.compute(codes).tolist() == [-128, -128, 127, 127]


@pytest.mark.parametrize("op", SYMMETRIC)
@pytest.mark.parametrize("input_frac", [-16, 24])
@pytest.mark.parametrize("output_frac", [-16, 24])
def test_the_ends_of_the_fraction_bits(op, input_frac, output_frac):
    request = Request(op, 4, input_frac=input_frac, output_frac=output_frac)
    for arch in ("pwl", "direct"):
        spec = design(request, arch)
        assert (spec.input.frac, spec.output.frac) == (input_frac, output_frac)
        spec.compute(spec.input.codes())
    wanted = spec.output.quantize(request.function(spec.input.real(spec.input.codes())))
    assert spec.compute(spec.input.codes()).tolist() == wanted.tolist()


def test_the_problem_of_a_folded_fit(monkeypatch):
    seen = []

    def record(problem, method, *, seed, progress):
        seen.append(problem)
        return problem.table((), (0,), (0,), {})

    monkeypatch.setattr("hw.design.archs.fit.fit", record)
    spec = design(Request("tanh", 6, entries=5), "pwl")
    (problem,) = seen
    assert isinstance(problem, Problem)
    assert problem.fold == spec.table.fold == Fold("odd", Format(False, 5, 3))
    assert problem.entries == 5
    # From tanh = 31.5/32 on, the positive codes saturate; their mirror images answer for them.
    x = spec.input.real(spec.input.codes())
    assert problem.weights.tolist() == (np.tanh(x) <= 31 / 32).astype(float).tolist()
    np.testing.assert_array_equal(problem.reference(x), np.tanh(x))
    design(Request("gelu", 6, entries=99 - 35), "pwl")
    # No more segments than magnitudes.
    assert seen[-1].entries == 1 << seen[-1].fold.magnitude.bits < 64
    assert seen[-1].weights is None


# Given tables.

S4, U3 = Format(True, 4, 1), Format(False, 3, 1)
GIVEN = {
    "direct": DirectTable(S4, S4, tuple(range(8)), {}, U3, fold=Fold("odd", U3)),
    "pwl": PwlTable(S4, S4, S4, S4, (3,), (2, 1), (0, 1), fold=Fold("relu", U3)),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_a_given_table_is_built_as_it_is(kind, tmp_path):
    save(GIVEN[kind], tmp_path / "table.json")
    parser = options.build_parser()
    words = ["--op", "gelu", "--bits", "4", "--table", str(tmp_path / "table.json")]
    request = options.request(parser.parse_args(words))
    assert request.possible == request.wanted == (kind,)
    spec = design(request, kind)
    assert type(spec) is {"direct": DirectSpec, "pwl": PwlSpec}[kind]
    assert (spec.table, spec.table.fold) == (GIVEN[kind], GIVEN[kind].fold)
    with pytest.raises(UsageError) as error:
        options.request(parser.parse_args([*words, "--fold", "none"]))
    assert str(error.value) == (
        f"--fold must be auto with a --table that is folded ({GIVEN[kind].fold.kind}), not none"
    )


def test_a_given_table_that_is_not_folded_goes_with_any_fold():
    table = PwlTable(S4, S4, S4, S4, (0,), (0, 2), (0, 0))
    for fold in ("auto", "none"):
        assert design(Request("gelu", 4, table=table, fold=fold), "pwl").table == table


def test_the_widths_of_direct_tables_that_are_folded_are_those_of_requests():
    assert 4 < FOLDED_DIRECT_BITS_MIN <= hw.choices.DIRECT_BITS_MAX
