"""Proofs of the stream contract: they hold, and a planted fault refutes each."""

import re

import pytest

from hw.design import design
from hw.prove import stream, stream_bench
from hw.prove.results import Task
from hw.prove.stream_engine import flatten, induct
from hw.prove.stream_faults import FAULTS, faulty
from hw.prove.stream_slots import slots_of
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError

_MADE = {}


def task(**options):
    """Return a unit with its Verilog."""
    key = repr(options)
    if key not in _MADE:
        request = Request(**options)
        spec = design(request, request.wanted[0])
        _MADE[key] = Task(spec, to_verilog(spec, "unit_under_proof", key), "unit_under_proof")
    return _MADE[key]


def unary():
    return task(op="gelu", bits=4, arch="direct")


def test_unary():
    proofs = stream.prove(unary())
    assert len(proofs) == 4
    assert all(proof.unbounded for proof in proofs)
    assert "no more than 1 are inside" in proofs[2].claim
    assert "Within 1 clocks" in proofs[3].claim


@pytest.mark.parametrize("name", ["payload changes in a stall", "valid is gated by ready",
                                  "valid comes after ready", "a beat is lost"])  # fmt: skip
def test_faults(name):
    with pytest.raises(StepError, match=f"refuted: .*({FAULTS[name].shown_by})"):
        stream.prove(faulty(unary(), name))


def inductive(unit):
    """Return whether the order of a row unit's beats is inductive."""
    flat = flatten(unit.verilog, unit.top, step="test")
    slots = slots_of(unit.spec, flat.wires)
    bench = stream_bench.order(unit.spec, unit.top, slots.count, slots)
    taps = slots.taps | stream_bench.SHOWN
    properties = stream_bench.properties()
    return induct(flat, properties, bench, taps, step="test", depth=1, timeout=60,
                  lemmas=stream_bench.LEMMAS)  # fmt: skip


@pytest.mark.parametrize("length", [2, 16])
def test_rows(length):
    unit = task(op="softmax", bits=4, length=length, method="kulisch")
    assert inductive(unit) == 1


def test_a_queue_with_a_fault():
    unit = task(op="softmax", bits=4, length=2, method="kulisch")
    # A queue that takes a word although it is full loses one.
    text, count = re.subn(r"(assign \\\$signal  = w_en) & w_rdy;", r"\1;", unit.verilog)
    assert count == 1
    with pytest.raises(StepError, match=r"refuted: (order|slot\w+)\."):
        stream.prove(Task(unit.spec, text, unit.top))


@pytest.mark.parametrize("name", ["a beat is doubled", "tlast is lost", "beats change places"])
def test_faults_of_rows(name):
    unit = task(op="softmax", bits=4, length=2, method="kulisch")
    with pytest.raises(StepError, match=f"refuted: .*({FAULTS[name].shown_by})"):
        stream.prove(faulty(unit, name))
