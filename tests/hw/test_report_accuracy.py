"""What a build says of its accuracy, for every kind of unit and of proof."""

from dataclasses import replace

import numpy as np
import pytest

from hw.design import design
from hw.report_accuracy import accuracy_lines
from hw.request import Request
from hw.result import Candidate
from nnlut_train.formats import Format
from sim.golden import DirectSpec
from sim.measure import measure


def candidate(spec, request, arch, rows=100):
    accuracy, bound = measure(spec, request.ops, rows=rows if spec.longest else None)
    return Candidate(arch, spec, "", accuracy, bound, None)


def said(op, arch=None, **options):
    request = Request(op, **options)
    arch = arch or request.wanted[0]
    return accuracy_lines(candidate(design(request, arch), request, arch))


def above(lines):
    return [line for line in lines if "above 1 ulp" in line]


@pytest.mark.parametrize(
    ("op", "options", "wanted"),
    [
        ("layernorm", {"method": "ibert", "length": 16}, "above 1 ulp: --method nnlut"),
        ("softmax", {"method": "ibert", "bits": 12, "length": 16}, "above 1 ulp: --method nnlut"),
        ("exp", {"method": "ibert", "bits": 12}, "above 1 ulp: --method nnlut"),
        ("softmax", {"method": "rexp", "length": 16}, "above 1 ulp: --method nnlut"),
        ("layernorm", {"entries": 2, "length": 16}, "above 1 ulp: more --entries"),
        ("layernorm", {"arch": "direct", "output_bits": 16, "length": 16},
         "above 1 ulp: --arch pwl"),
        ("softmax", {"method": "base2", "entries": 2, "length": 16}, "above 1 ulp: more --entries"),
        ("softmax", {"fold": "none", "length": 16}, "above 1 ulp: more --entries"),
    ],
)  # fmt: skip
def test_more_than_one_ulp_is_said_with_what_to_do(op, options, wanted):
    assert above(said(op, **options)) == [f"{wanted} would lower it"]


def test_what_is_not_proved_to_be_below_one_ulp_may_be_above():
    request = Request("layernorm", arch="direct", output_bits=12, length=16)
    found = candidate(design(request, "direct"), request, "direct")
    assert found.accuracy.max_ulp < 1 < found.bound_ulp
    assert above(accuracy_lines(found)) == ["may be above 1 ulp: --arch pwl would lower it"]


@pytest.mark.parametrize(
    ("op", "options"),
    [("layernorm", {}), ("rmsnorm", {"arch": "direct"}), ("softmax", {}), ("gelu", {}),
     ("softmax", {"method": "base2"})],
)  # fmt: skip
def test_units_below_one_ulp_have_no_such_line(op, options):
    lines = said(op, **options)
    assert not above(lines)
    assert not any("tables of the build" in line for line in lines)


def test_each_kind_has_its_own_reason_for_no_bound():
    def line(spec, request, arch="direct"):
        (found,) = [text for text in accuracy_lines(candidate(spec, request, arch, 2))
                    if text.startswith("no bound holds: ")]  # fmt: skip
        return found.removeprefix("no bound holds: ")

    request = Request("softmax", 4, length=2)
    spec = design(request, "direct")
    zeros = replace(spec.exp.table, values=(0,) * len(spec.exp.table.values))
    spec = replace(spec, exp=DirectSpec(zeros))
    assert line(spec, request).startswith("exp(0) of the table is 0")
    request = Request("softmax", 6, method="base2", length=32, input_frac=0)
    spec = replace(design(request, "direct"), block=1)
    assert line(spec, request).endswith("a sum may be lost below its maximum")
    request = Request("layernorm", length=16)
    spec = design(request, "direct")
    narrow = Format(True, spec.scaled.bits - 2, spec.scaled.frac)
    assert line(replace(spec, scaled=narrow), request).startswith("a format inside is too narrow")


@pytest.mark.parametrize("op", ["layernorm", "softmax"])
def test_what_can_be_written_is_told_apart_from_the_build(op):
    first, proved, *_ = said(op, tables="writable", length=16)
    assert first.endswith("elements), with the tables of the build")
    start = {
        "layernorm": "proved for every row, any gamma and beta, and the lines of the build: max at",
        "softmax": "proved for every row and the tables of the build: max at",
    }[op]
    assert proved.startswith(start)


def test_a_writable_function_is_measured_with_the_tables_of_the_build():
    lines = said("gelu", tables="writable", fold="none", entries=8)
    assert "over all 256 input codes, with the tables of the build" in lines[0]


def test_the_bound_of_a_norm_does_not_depend_on_what_it_starts_with():
    gammas = tuple(np.full(16, 0.1).tolist())
    ends = {said("layernorm", tables="writable", length=16, **more)[1] for more in
            ({}, {"gamma": gammas})}  # fmt: skip
    assert len(ends) == 1
