"""Faults planted in the folding: the bench must catch each."""

from dataclasses import replace

import pytest
from amaranth.hdl import Const, Mux
from faults import caught, folded_spec
from folded import spec_of, table_of

import hw.units.direct
import hw.units.pwl
from hw.fixed import round_shift, saturate
from hw.pipeline import Pipe
from hw.units import unit_of
from hw.units.fold import magnitude, rest, unfold
from nnlut_train.folding import FOLDS, Fold
from nnlut_train.formats import Format
from sim.bench import run_bench

BOTH = pytest.mark.parametrize("arch", ["pwl", "direct"])
SPECS = {
    "odd": lambda arch: folded_spec("tanh", 7, arch),
    "complement": lambda arch: folded_spec("sigmoid", 7, arch),
    "relu": lambda arch: folded_spec("gelu", 7, arch),
    "even": lambda arch: spec_of(table_of("even", arch)),
}


def plant(monkeypatch, spec, name, fault):
    """Check the unit without the fault, plant it, and return what the bench says."""
    run_bench(spec, unit_of(spec))
    module = hw.units.pwl if spec.kind == "pwl" else hw.units.direct
    monkeypatch.setattr(module, name, fault)
    return caught(spec)


def the_sign_inverted(code, fold):
    left = rest(code, fold)
    return Mux(code < 0, code, 0) if fold.kind == "relu" else ~left


def the_sign_of_zero(code, fold):
    return code <= 0


def always_positive(code, fold):
    return Const(0, 1)


@BOTH
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("odd", the_sign_inverted), ("complement", the_sign_inverted), ("relu", the_sign_inverted),
        ("odd", always_positive), ("complement", always_positive), ("relu", always_positive),
    ],
)  # fmt: skip
def test_a_wrong_sign_is_caught(monkeypatch, kind, fault, arch):
    assert "must be" in plant(monkeypatch, SPECS[kind](arch), "rest", fault)


@BOTH
def test_a_wrong_sign_of_zero_is_caught(monkeypatch, arch):
    # Where the core at 0 is not its own mirror image.
    plant(monkeypatch, spec_of(table_of("odd", arch)), "rest", the_sign_of_zero)


def wraps(code, fold):
    positive = Mux(code < 0, -code, code)[: len(code)].as_unsigned()
    return positive[: fold.magnitude.bits]


def without_its_lowest_bit(code, fold):
    # The complement in place of the negation: the usual shortcut, off by one.
    return saturate(Mux(code < 0, ~code, code)[: len(code)].as_unsigned(), fold.magnitude)


def not_folded(code, fold):
    return saturate(code, fold.magnitude)


@BOTH
@pytest.mark.parametrize("kind", FOLDS)
@pytest.mark.parametrize("fault", [wraps, without_its_lowest_bit, not_folded])
def test_a_wrong_magnitude_is_caught(monkeypatch, kind, fault, arch):
    plant(monkeypatch, SPECS[kind](arch), "magnitude", fault)


@BOTH
@pytest.mark.parametrize("kind", FOLDS)
def test_a_magnitude_that_saturates_one_bit_early_is_caught(monkeypatch, kind, arch):
    def early(code, fold):
        form = Format(False, fold.magnitude.bits - 1, fold.magnitude.frac)
        return magnitude(code, Fold(fold.kind, form))

    plant(monkeypatch, spec_of(table_of(kind, arch)), "magnitude", early)


@BOTH
def test_a_most_negative_code_without_a_magnitude_is_caught(monkeypatch, arch):
    def narrow(code, fold):
        # The negation in as many bits as the code has: of the most negative one, it is negative.
        negative = (-code)[: len(code)].as_signed()
        positive = Mux(code < 0, negative, code)
        return saturate(Mux(positive < 0, 0, positive).as_unsigned(), fold.magnitude)

    plant(monkeypatch, spec_of(table_of("even", arch, magnitude=5)), "magnitude", narrow)


@BOTH
@pytest.mark.parametrize("off", [-1, 1])
def test_a_one_of_the_complement_that_is_off_by_one_is_caught(monkeypatch, arch, off):
    def shifted(left, value, fold, one, ramp):
        return unfold(left, value, fold, one + off, ramp)

    plant(monkeypatch, SPECS["complement"](arch), "unfold", shifted)


@BOTH
def test_a_complement_one_step_short_is_caught(monkeypatch, arch):
    def short(left, value, fold, one, ramp):
        return Mux(left, (1 << one) - 1 - value, value)

    # A step of the sum, below the output's: seen where it moves a tie.
    spec = spec_of(table_of("complement", arch))
    plant(monkeypatch, spec, "unfold", short)


@BOTH
def test_a_relu_of_the_wrong_scale_is_caught(monkeypatch, arch):
    def shifted(left, value, fold, one, ramp):
        return unfold(left, value, fold, one, ramp + 1)

    plant(monkeypatch, SPECS["relu"](arch), "unfold", shifted)


@BOTH
@pytest.mark.parametrize("kind", FOLDS)
def test_another_kind_of_fold_is_caught(monkeypatch, kind, arch):
    spec = spec_of(table_of(kind, arch))
    run_bench(spec, unit_of(spec))
    for other in FOLDS:
        if other != kind:
            fold = replace(spec.table.fold, kind=other)
            caught(spec, unit_of(replace(spec, table=replace(spec.table, fold=fold))))


@BOTH
@pytest.mark.parametrize("kind", ["odd", "complement", "relu"])
@pytest.mark.parametrize("change", [1, -1])
def test_a_rest_of_another_beat_is_caught(monkeypatch, kind, arch, change):
    spec = SPECS[kind](arch)
    run_bench(spec, unit_of(spec))
    align, hits = Pipe.align, []

    def faulty(self, value, stage, name, *, reset=False):
        if name != "rest":
            return align(self, value, stage, name, reset=reset)
        hits.append(name)
        if change < 0:
            return align(self, value, stage + 1, name, reset=reset)
        value = align(self, value, stage, name, reset=reset)
        return self._register("rest_late", value, self.stage)

    monkeypatch.setattr(Pipe, "align", faulty)
    caught(spec)
    assert hits


@BOTH
@pytest.mark.parametrize("kind", FOLDS)
def test_a_dropped_saturation_of_the_unfolded_result_is_caught(monkeypatch, kind, arch):
    # The magnitude's saturation stays: it is another module's.
    def cut_off(value, form):
        value = value[: form.bits]
        return value.as_signed() if form.signed else value

    table = table_of(kind, arch)
    output = Format(True, 4, table.output.frac)
    spec = spec_of(replace(table, output=output))
    assert {output.min, output.max} & set(spec.compute(spec.input.codes()).tolist())
    plant(monkeypatch, spec, "saturate", cut_off)


@BOTH
def test_unfolding_after_rounding_is_caught(monkeypatch, arch):
    # Of a tie, the sign decides in which direction it goes.
    spec = spec_of(table_of("odd", arch))
    module = hw.units.pwl if arch == "pwl" else hw.units.direct
    run_bench(spec, unit_of(spec))
    signs = []

    def keep(left, value, fold, one, ramp):
        signs.append(left)
        return value

    def late(value, shift):
        rounded = round_shift(value, shift)
        return Mux(signs[-1], -rounded, rounded)

    monkeypatch.setattr(module, "unfold", keep)
    monkeypatch.setattr(module, "round_shift", late)
    caught(spec)
