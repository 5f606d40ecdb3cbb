"""Softmax units whose exp table sees less than the exact distance, and how they are asked for."""

from dataclasses import replace

import pytest
from benching import check
from faults import caught, spec_of

import hw.build
import hw.units.softmax
from hw.design import design
from hw.planned import PlannedUnit
from hw.request import Request
from hw.units import unit_of
from hw.verilog import to_verilog
from nnlut_train.errors import UsageError
from sim.bench import run_bench


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 8, "distance_bits": 6, "length": 16},
        {"bits": 8, "distance_bits": 5, "length": 12, "lanes": 4, "mask": True},
        {"bits": 6, "distance_bits": 6, "distance_frac": 1, "length": 8, "mask": True},
        {"bits": 6, "distance_bits": 4, "distance_frac": 2, "length": 8, "lanes": 2},
        {"bits": 6, "distance_bits": 4, "distance_frac": -4, "length": 8},
        {"bits": 6, "distance_bits": 4, "length": 8, "fold": "none"},
    ],
)
@pytest.mark.parametrize("arch", ["pwl", "direct"])
def test_units(options, arch):
    options = {name: value for name, value in options.items() if (name, arch) != ("fold", "direct")}
    spec = spec_of("softmax", arch=arch, **options)
    assert spec.exp.input != spec.distance
    report = check(spec)
    assert report.throughput == spec.lanes
    if arch == "direct":
        assert len(spec.exp.table.values) == 1 << options["distance_bits"]


def test_the_largest_unit():
    spec = spec_of("softmax", 12, "direct", length=5, distance_bits=8, output_bits=8)
    wide = spec_of("softmax", 12, "direct", length=5, output_bits=8)
    runs = run_bench(spec, unit_of(spec)).latency
    assert runs == {n: wide.latency_of(n) for n in (1, 3, 5)}


def test_a_writable_unit():
    check(spec_of("softmax", 6, length=4, distance_bits=4, entries=4, tables="writable"))


def test_all_of_the_distance_is_the_usual_unit():
    asked = Request("softmax", 6, length=4, distance_bits=6, distance_frac=2)
    usual = Request("softmax", 6, length=4)
    for arch in ("pwl", "direct"):
        assert design(asked, arch) == design(usual, arch)
    verilog = [to_verilog(design(each, "direct"), "top", "a test") for each in (asked, usual)]
    assert verilog[0] == verilog[1]


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ({"bits": 12, "distance_bits": 8}, "u8.4"),
        ({"bits": 12, "distance_bits": 4}, "u4.0"),
        ({"bits": 12, "distance_bits": 8, "distance_frac": 5}, "u8.5"),
        ({"bits": 12, "distance_bits": 12}, "u12.8"),
        # Not finer than the logits ...
        ({"bits": 12, "input_frac": 2, "distance_bits": 8}, "u8.2"),
        # ... and no further than there are distances.
        ({"bits": 12, "input_frac": 10, "distance_bits": 8}, "u8.6"),
        ({"bits": 12, "input_frac": 24, "distance_bits": 8}, "u8.20"),
        ({"bits": 12}, "u12.8"),
    ],
)
def test_format_of_the_distance(options, form):
    request = Request("softmax", length=2, output_bits=6, **options)
    assert str(request.distance) == form
    if request.input_frac != 24:
        assert str(design(request, "pwl").exp.input) == form


def test_name_and_segments():
    request = Request("softmax", 12, distance_bits=8, lanes=2, mask=True)
    assert request.name == "softmax_int12_d8_x2_masked"
    assert (request.segments, Request("softmax", 12).segments) == (16, 64)


FOR_NNLUT = "goes with softmax by nnlut, not with"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"op": "gelu", "distance_bits": 6}, f"--distance-bits {FOR_NNLUT} gelu"),
        ({"op": "layernorm", "distance_bits": 8}, f"--distance-bits {FOR_NNLUT} layernorm"),
        ({"method": "base2", "distance_bits": 6}, f"--distance-bits {FOR_NNLUT} softmax by base2"),
        ({"method": "ibert", "distance_frac": 2}, f"--distance-frac {FOR_NNLUT} softmax by ibert"),
        ({"distance_frac": 2}, "--distance-frac needs --distance-bits"),
        ({"distance_bits": 3}, "--distance-bits must be 4 to 8 for logits s8.4, not 3"),
        ({"distance_bits": 9}, "--distance-bits must be 4 to 8 for logits s8.4, not 9"),
        ({"distance_bits": 6, "distance_frac": 5},
         "--distance-frac must be -4 to 4 for logits s8.4, not 5"),
        ({"distance_bits": 6, "distance_frac": -5},
         "--distance-frac must be -4 to 4 for logits s8.4, not -5"),
        ({"distance_bits": 6, "entries": 65}, "--entries must be 1 to 64, not 65"),
    ],
)  # fmt: skip
def test_what_does_not_go(options, message):
    with pytest.raises(UsageError) as raised:
        Request(**{"op": "softmax", "length": 4 if options.get("op") != "gelu" else None} | options)
    assert str(raised.value) == message


def test_too_coarse_for_the_range_reduction():
    request = Request("softmax", 12, input_frac=-1, output_bits=4, output_frac=0, length=2,
                      distance_bits=6, distance_frac=-6)  # fmt: skip
    message = r"^--distance-frac must be at least -4 for the range reduction of exp, not -6; "
    with pytest.raises(UsageError, match=message):
        design(request, "pwl")


def test_a_plan_has_the_distance_of_its_request():
    request = Request("softmax", 6, length=4, distance_bits=5, distance_frac=0)
    spec = design(request, "direct")
    PlannedUnit(request, "direct", spec)
    for change, message in (
        ({"distance_bits": 4}, "distance bits, 4, not 5"),
        ({"distance_frac": 1}, "distance fraction bits, 1, not 0"),
        ({"distance_bits": None, "distance_frac": None}, "distance bits, 6, not 5"),
    ):
        with pytest.raises(UsageError, match=f"^spec must have the request's {message}$"):
            PlannedUnit(replace(request, **change), "direct", spec)


def test_a_build_tells_the_format(tmp_path, capsys):
    words = ["--op", "softmax", "--bits", "5", "--distance-bits", "4", "--length", "2", "--arch",
             "direct", "--target", "generic", "--out", str(tmp_path / "out")]  # fmt: skip
    assert hw.build.main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("softmax_int5_d4: INT5 softmax of rows of up to 2 elements, 4-bit dist")
    assert (
        "  distance      u4.0 (unsigned, 1 ulp = 2^0): max - x, which is u5.1, rounded half up and "
        "saturated\n"
    ) in said
    assert "above 1 ulp: more --distance-bits would lower it\n" in said
    assert (tmp_path / "out" / "softmax_int5_d4.v").exists()


# Faults in the distance alone: probabilities are rounded and saturated as they should be.


def faulty(monkeypatch, name, fault, spec):
    """Plant `fault` in place of a helper of the pass that makes the distances."""
    apply = hw.units.softmax.NarrowDistances.apply

    def planted(self, row, statistic):
        with monkeypatch.context() as patch:
            patch.setattr(hw.units.softmax, name, fault)
            return apply(self, row, statistic)

    run_bench(spec, unit_of(spec))
    monkeypatch.setattr(hw.units.softmax.NarrowDistances, "apply", planted)
    return caught(spec)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("saturate", lambda value, form: value[: form.bits]),
        ("round_shift", lambda value, shift: value >> shift),
        ("round_shift", lambda value, shift: (value + (1 << (shift - 1)) - 1) >> shift),
    ],
    ids=["cut off", "truncated", "rounded half down"],
)
def test_a_fault_in_the_distance_is_caught(monkeypatch, name, fault):
    spec = spec_of("softmax", 7, "direct", length=8, distance_bits=5, distance_frac=2)
    assert spec.distance_shift == 1
    assert "must be" in faulty(monkeypatch, name, fault, spec)
