"""Unary units, bit-exact against their golden models, and the bench itself."""

import random

import numpy as np
import pytest
from benching import check
from faults import spec_of

from hw.choices import FOLD_CHOICES
from hw.design import design
from hw.request import Request
from hw.units import unit_of
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.tables import DirectTable, PwlTable
from sim.bench import run_bench
from sim.golden import DirectSpec, ExpSpec, LogSpec, PwlSpec, ReciprocalSpec
from sim.sampling import boundaries
from sim.stimuli import Stimulus, stimuli

UNARY = tuple(FUNCTIONS)


@pytest.mark.parametrize("fold", FOLD_CHOICES)
@pytest.mark.parametrize("op", UNARY)
def test_every_function_as_lines(op, fold):
    spec = spec_of(op, fold=fold)
    reduced = fold == "auto" and op in ("exp", "reciprocal", "rsqrt", "log", "sqrt", "exp2")
    assert (spec.kind != "pwl") == reduced
    report = check(spec)
    assert report.throughput == 1.0
    full = next(run for run in report.runs if run.name == "all rows at full rate")
    assert full.beats == 256


@pytest.mark.parametrize("op", UNARY)
def test_every_function_as_a_direct_table(op):
    assert check(spec_of(op, arch="direct")).latency == {1: 1}


@pytest.mark.parametrize(
    ("op", "bits", "arch"),
    [
        ("gelu", 4, "pwl"), ("exp", 4, "pwl"), ("reciprocal", 4, "pwl"), ("rsqrt", 4, "pwl"),
        ("rsqrt", 5, "pwl"), ("log", 4, "pwl"), ("sigmoid", 4, "direct"),
        ("exp", 10, "pwl"), ("exp", 10, "direct"), ("rsqrt", 10, "pwl"), ("rsqrt", 9, "direct"),
        ("gelu", 12, "pwl"), ("exp", 12, "pwl"), ("reciprocal", 12, "pwl"), ("silu", 12, "direct"),
        ("log", 12, "direct"),
    ],
)  # fmt: skip
def test_other_widths_at_every_code(op, bits, arch):
    spec = spec_of(op, bits, arch)
    report = check(spec)
    full = next(run for run in report.runs if run.name == "all rows at full rate")
    assert full.beats == 1 << bits


@pytest.mark.parametrize("arch", ["pwl", "direct"])
@pytest.mark.parametrize("op", FUNCTIONS)
def test_12_bits_at_every_code(op, arch):
    spec = spec_of(op, 12, arch, **({"entries": 16} if arch == "pwl" else {}))
    runs = [run for run in stimuli(spec) if run.name == "all rows at full rate"]
    assert check(spec, runs).beats == 1 << 12


@pytest.mark.parametrize("op", FUNCTIONS)
def test_16_bits_at_every_segment_boundary(op):
    # One of the standard runs is enough here.
    spec = spec_of(op, 16, entries=16)
    (run,) = [run for run in stimuli(spec) if run.name == "all rows at full rate"]
    report = check(spec, [run])
    assert 3500 < report.beats < 1 << 13
    seen = set(np.concatenate(run.rows).tolist())
    for code in boundaries(spec).tolist():
        assert {code - 1, code, min(code + 1, spec.input.max)} <= seen


@pytest.mark.parametrize(
    ("op", "input_frac", "output_frac"),
    [("exp", 2, 4), ("exp", 6, 12), ("reciprocal", 0, 10), ("reciprocal", 8, 0), ("rsqrt", 3, 4),
     ("rsqrt", 8, 9), ("log", 0, 3), ("log", 9, 7), ("log", 3, -2), ("gelu", 7, 3), ("tanh", 2, 9),
     ("sigmoid", -2, 8)],
)  # fmt: skip
def test_unusual_formats(op, input_frac, output_frac):
    for arch in ("pwl", "direct"):
        check(spec_of(op, 7, arch, input_frac=input_frac, output_frac=output_frac))


@pytest.mark.parametrize(
    ("op", "options"),
    [("exp", {"input_frac": 12, "output_frac": 2}),
     ("softmax", {"input_frac": 24, "output_frac": 3, "length": 3})],
)  # fmt: skip
def test_arguments_so_fine_that_the_exponent_never_changes(op, options):
    check(spec_of(op, 4, "pwl", **options))


@pytest.mark.parametrize("entries", [1, 2, 3, 5, 64])
def test_any_number_of_segments(entries):
    spec = spec_of("gelu", 6, entries=entries)
    assert spec.table.entries <= entries
    check(spec)


def random_table(draw, form, output):
    values = [draw.randint(output.min, output.max) for _ in range(1 << form.bits)]
    return DirectSpec(DirectTable(form, output, tuple(values)))


@pytest.mark.parametrize("seed", range(8))
def test_random_tables_of_lines(seed):
    # Extreme coefficients of random formats: every carry, both saturations.
    draw = random.Random(seed)
    form = Format(bool(seed & 1), 6, draw.randint(-1, 7))
    output = Format(bool(seed & 2), draw.randint(3, 8), draw.randint(-2, 6))
    slope = Format(bool(seed & 4), 6, max(output.frac - form.frac, 0) + draw.randint(0, 5))
    intercept = Format(not seed & 1, 7, slope.frac + form.frac - draw.randint(0, 4))
    edges = sorted(draw.sample(range(form.min, form.max + 1), 6))
    table = PwlTable(
        form, output, slope, intercept, tuple(edges),
        tuple(draw.choice([slope.min, slope.max, draw.randint(slope.min, slope.max)])
              for _ in range(7)),
        tuple(draw.choice([intercept.min, intercept.max, 0]) for _ in range(7)),
    )  # fmt: skip
    check(PwlSpec(table))


@pytest.mark.parametrize("seed", range(8))
def test_random_reciprocals_and_exponentials(seed):
    draw = random.Random(seed)
    root = bool(seed & 1)
    form = Format(False, draw.randint(4, 7), draw.randint(-2, 9))
    odd = root and (form.bits - form.frac) % 2
    bits = draw.randint(2, form.bits + odd - (not root))
    mantissa = random_table(draw, Format(False, bits, bits - 2 * root), Format(False, 6, 5))
    output = Format(False, draw.randint(4, 9), draw.randint(-1, 8))
    check(ReciprocalSpec(form, output, mantissa, root, draw.randint(0, form.bits)))
    fraction = random_table(draw, Format(False, 4, 4), Format(False, 7, draw.randint(3, 7)))
    form = Format(bool(seed & 2), 6, draw.randint(0, 4))
    output = Format(bool(seed & 4), draw.randint(4, 9), draw.randint(0, 9))
    factor = draw.choice([-1, 1]) * draw.randint(1, 200)
    check(ExpSpec(form, output, fraction, factor, draw.randint(4, 8)))


@pytest.mark.parametrize("seed", range(8))
def test_random_logarithms(seed):
    draw = random.Random(seed)
    form = Format(False, draw.randint(2, 7), draw.randint(-2, 9))
    bits = draw.randint(1, form.bits - 1)
    value = Format(bool(seed & 1), 6, draw.randint(3, 7))
    mantissa = random_table(draw, Format(False, bits, bits), value)
    output = Format(bool(seed & 2), draw.randint(4, 9), draw.randint(-1, 9))
    check(LogSpec(form, output, mantissa, draw.randint(-100, 300), draw.randint(0, 9)))


def test_many_beats_under_random_stalls():
    spec = spec_of("exp")
    rng = np.random.default_rng(0)
    codes = rng.integers(spec.input.min, spec.input.max, 20_500, endpoint=True)
    rows = np.split(codes, np.flatnonzero(rng.random(len(codes)) < 0.05))
    rows = [row for row in rows if len(row)]
    run = Stimulus("many", rows, source_stall=0.2, sink_stall=0.25)
    assert check(spec, [run]).beats == 20_500


@pytest.mark.parametrize(("op", "arch"), [("gelu", "pwl"), ("exp", "pwl"), ("tanh", "direct")])
def test_reset_at_many_points_of_a_unary_unit(op, arch):
    spec = spec_of(op, 6, arch)
    rows = [np.arange(-10, 10)]
    check(spec, [Stimulus(f"reset after {at}", rows, 0, 0.4, reset_after=at) for at in range(1, 9)])


# The bench itself.


def test_the_same_seed_gives_the_same_run():
    spec = spec_of("softmax", 5, length=4)
    first, again, other = (check(spec, seed=seed) for seed in (1, 1, 2))
    assert first.runs == again.runs
    assert first.runs != other.runs
    assert first.beats == sum(run.beats for run in first.runs) > 0


def test_the_waveform_is_written_on_request(tmp_path):
    path = tmp_path / "gelu.vcd"
    spec = spec_of("gelu", 4)
    run_bench(spec, unit_of(spec), [Stimulus("few", [np.array([1, 2])])], vcd=path)
    text = path.read_text()
    assert "$var" in text
    assert "i__valid" in text
    assert list(tmp_path.iterdir()) == [path]


def test_every_architecture_has_a_unit():
    request = Request("gelu", 8)
    for arch in request.possible:
        spec = design(request, arch)
        unit = unit_of(spec)
        assert unit.spec is spec
        run_bench(spec, unit, [Stimulus("few", [np.array([1, 2])])])
    with pytest.raises(UsageError, match=r"^no unit builds a Format$"):
        unit_of(Format(True, 8, 4))
