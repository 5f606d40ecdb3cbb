"""Indexed and shift-add units: equal to their models, also inside others; faults are caught."""

from dataclasses import replace

import numpy as np
import pytest
from benching import check
from faults import caught, spec_of

import hw.units.indexed
from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.units import unit_of
from hw.verilog import to_verilog
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.indexed import ShiftAddTable
from sim.accuracy import unary_accuracy
from sim.bench import run_bench
from sim.golden import IndexedSpec, ShiftAddSpec, spec_from_json
from sim.stimuli import Stimulus

ARCHS = pytest.mark.parametrize("arch", ["indexed", "shiftadd"])


@pytest.mark.parametrize(
    ("arch", "op", "bits", "stages", "options"),
    [
        ("indexed", "sigmoid", 8, 2, {}),
        ("indexed", "exp", 8, 1, {"fold": "none"}),
        ("indexed", "reciprocal", 8, 3, {"fold": "none"}),
        ("indexed", "gelu", 10, 1, {"output_bits": 6, "output_frac": 2}),
        ("shiftadd", "tanh", 8, 3, {"max_error": 2.0}),
        ("shiftadd", "elu", 10, 2, {}),
    ],
)
def test_every_code(arch, op, bits, stages, options):
    spec = replace(spec_of(op, bits, arch, **options), stages=stages)
    assert isinstance(spec, ShiftAddSpec if arch == "shiftadd" else IndexedSpec)
    check(spec, [Stimulus("all codes", [spec.input.codes()])])


@ARCHS
def test_every_stream(arch):
    report = check(spec_of("gelu", 5, arch))
    assert report.throughput == 1
    assert report.latency == {1: 1}


@pytest.mark.parametrize(
    ("arch", "op"), [("indexed", "exp"), ("indexed", "rsqrt"), ("shiftadd", "reciprocal")]
)
def test_inside_a_range_reduction(arch, op):
    spec = spec_of(op, 8, arch)
    assert spec.kind in ("exp", "reciprocal")
    assert {table.kind for _, table in spec.tables()} == {arch}
    check(spec, [Stimulus("all codes", [spec.input.codes()])])
    assert unary_accuracy(spec, FUNCTIONS[op]).max_ulp < 1.0


@ARCHS
def test_inside_a_softmax(arch):
    spec = design(Request("softmax", 6, length=8), arch)
    assert {table.kind for _, table in spec.tables()} == {arch}
    rng = np.random.default_rng(2)
    rows = [rng.choice(spec.input.codes(), length) for length in (1, 5, 8, 8)]
    check(spec, [Stimulus("rows", rows)])


@pytest.mark.parametrize("op", ["gelu", "tanh"])
@pytest.mark.parametrize("most", [0.6, 2.5])
def test_the_largest_error_is_kept(op, most):
    for arch in ("indexed", "shiftadd") if most > 1.0 else ("indexed",):
        spec = spec_of(op, 9, arch, max_error=most)
        assert unary_accuracy(spec, FUNCTIONS[op]).max_ulp <= most


@ARCHS
def test_manifest(arch):
    spec = replace(spec_of("gelu", 8, arch), stages=3)
    assert spec_from_json(spec.describe()) == spec
    assert spec_of("gelu", 8, arch).segment(np.array([-128, -1, 0, 127])).tolist()[1:3] == [-1, 0]


@pytest.mark.parametrize("arch", ["indexed", "shiftadd"])
def test_every_number_of_stages(arch):
    # A fold, slopes of both signs; all steps but rounding.
    spec = spec_of("gelu", 7, arch, max_error=0.6 if arch == "indexed" else 1.0)
    most = len(spec.steps.names)
    assert most >= 5
    for stages in range(1, most + 1):
        cut = replace(spec, stages=stages)
        check(cut, [Stimulus("all codes", [spec.input.codes()])])
    for stages in (0, most + 1):
        with pytest.raises(UsageError, match=f"{arch}.stages must be 1 to {most}, not {stages}"):
            replace(spec, stages=stages)


def test_options_of_learned_lines_are_refused():
    with pytest.raises(UsageError, match="--entries goes with --arch pwl"):
        Request("gelu", arch="indexed", entries=8)


# Faults.


@pytest.mark.parametrize("name", ["slopes", "intercepts"])
def test_flipped_bits_are_caught(name):
    spec = spec_of("exp", 6, "indexed", fold="none", max_error=2.0)
    run_bench(spec, unit_of(spec))
    good, tried = spec.compute(spec.input.codes()), 0
    values = getattr(spec.table, name)
    form = getattr(spec.table, name[:-1])
    for index, bit in [(i, b) for i in range(0, len(values), 3) for b in (0, form.bits - 1)]:
        changed = (*values[:index], values[index] ^ (1 << bit), *values[index + 1 :])
        if not form.min <= changed[index] <= form.max:
            continue
        bad = replace(spec, table=replace(spec.table, **{name: changed}))
        if (bad.compute(spec.input.codes()) != good).any():
            tried += 1
            caught(spec, unit_of(bad))
    assert tried >= 3


def test_a_lost_sign_is_caught(monkeypatch):
    # Slopes 3 = 4 - 1 and -2.
    table = ShiftAddTable(
        Format(True, 4, 2), Format(True, 5, 3), Format(True, 3, 2), Format(True, 6, 5), (2, 3, 0),
        (3, -2), (-7, 3, 9, 20), terms=(3, -1, 0, -2),
    )  # fmt: skip
    spec = ShiftAddSpec(table)
    check(spec)
    slot = hw.units.indexed._slot

    def unsigned(table, number):
        exponents, chosen, negative = slot(table, number)
        return exponents, chosen, [0] * len(negative)

    monkeypatch.setattr(hw.units.indexed, "_slot", unsigned)
    caught(spec)


def test_a_wrong_order_of_decisions_is_caught(monkeypatch):
    spec = spec_of("gelu", 8, "indexed")
    good = hw.units.indexed.decisions
    monkeypatch.setattr(
        hw.units.indexed, "decisions",
        lambda pipe, values, shape, index, name: good(pipe, values, shape, index[::-1], name),
    )  # fmt: skip
    caught(spec)


# Cost.


def test_9_bits_take_less_than_half_of_16_learned_lines():
    lines = design(Request("sigmoid", 9, arch="pwl", entries=16), "pwl")
    most = unary_accuracy(lines, FUNCTIONS["sigmoid"])
    spec = spec_of("sigmoid", 9, "indexed", max_error=most.max_ulp)
    found = unary_accuracy(spec, FUNCTIONS["sigmoid"])
    assert found.max_ulp <= most.max_ulp
    area = [synthesize(to_verilog(s, "unit", ""), "unit", "generic").size for s in (spec, lines)]
    assert area[0] < area[1] / 2


@ARCHS
def test_a_table_file_is_built(arch):
    spec = spec_of("gelu", 8, arch)
    request = Request("gelu", table=spec.table)
    assert request.possible == (arch,)
    assert design(request, arch) == spec
