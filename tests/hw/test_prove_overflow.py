"""Proofs that nothing overflows: they hold, and a narrower accumulator, or cut, refutes them."""

import re

import pytest

from hw.design import design
from hw.fixed import claiming
from hw.prove import overflow
from hw.prove.results import Inapplicable, Task
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError


def task(**options):
    request = Request(**options)
    return Task(design(request, request.wanted[0]), "", "unit_under_proof")


EXP = {"op": "exp", "bits": 6}
ROWS = {"op": "softmax", "bits": 4, "length": 6, "method": "rexp"}


@pytest.mark.parametrize(("options", "places"), [(EXP, 1), (ROWS, 6)])
def test_no_overflow(options, places):
    (proof,) = overflow.prove(task(**options))
    assert proof.unbounded
    assert re.search(r"lost, in (\d+) places", proof.claim)[1] == str(places)
    assert ("rows of up to 6" in proof.claim) == (options is ROWS)


def test_nothing_is_cut():
    with pytest.raises(Inapplicable, match="no value is cut"):
        overflow.prove(task(op="gelu", bits=4, arch="direct"))


@pytest.mark.parametrize(("options", "name"), [(EXP, "shift"), (ROWS, "total")])
def test_one_bit_fewer(options, name):
    spec = overflow.bare(task(**options).spec)
    circuit, claims, steps = overflow.claims_of(spec, step="test", fewer=1)
    graph, literals, _ = overflow.unrolled(circuit, claims, steps, "test")
    (one,) = [claim for claim in claims if claim.endswith(f"_{name}")]
    with pytest.raises(StepError, match=f"refuted: lost.*_{name} loses a bit; counterexample: i_"):
        overflow.settled(graph, {one: literals[one]}, "test", 60)


def test_other_builds_have_no_claims():
    spec = task(**EXP).spec
    before = to_verilog(spec, "unit", "test")
    with claiming() as claims:
        assert "lost0_shift" in to_verilog(spec, "unit", "test")
    assert claims == ["lost0_shift"]
    assert to_verilog(spec, "unit", "test") == before
    assert "lost" not in before
