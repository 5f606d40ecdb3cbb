"""The multipartite unit, bit-exact against its golden model at every code."""

import dataclasses

import numpy as np
import pytest
from benching import check
from faults import spec_of

from hw.design import design
from hw.request import Request
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.functions import FUNCTIONS
from nnlut_train.multipartite import MultipartiteTable
from nnlut_train.multipartite_search import multipartite_table
from sim.golden import MultipartiteSpec, spec_from_json
from sim.measure import measure


@pytest.mark.parametrize(
    ("op", "bits"),
    [("gelu", 8), ("sigmoid", 8), ("exp", 8), ("reciprocal", 6), ("tanh", 9)],
)
def test_a_unit_is_faithful_and_equal_at_every_code(op, bits):
    spec = spec_of(op, bits, "multipartite")
    assert spec.kind == "multipartite"
    report = check(spec)
    assert report.throughput == 1.0
    assert report.latency == {1: 1}
    full = next(run for run in report.runs if run.name == "all rows at full rate")
    assert full.beats == 1 << bits
    accuracy, bound = measure(spec, (op,))
    assert accuracy.max_ulp == bound < 1


@pytest.mark.parametrize("stages", [2, 3])
@pytest.mark.parametrize(("op", "folded"), [("gelu", True), ("sin", False)])
def test_registers_between_the_stages(op, folded, stages):
    spec = spec_of(op, 7, "multipartite")
    if (spec.table.fold is not None) != folded:
        function, inputs = FUNCTIONS[op], spec.input
        target = function(inputs.real(inputs.codes()))
        spec = MultipartiteSpec(multipartite_table(op, target, inputs, spec.output))
    report = check(dataclasses.replace(spec, stages=stages))
    assert report.latency == {1: stages}
    assert report.throughput == 1.0


def random_table(rng, signed, sizes):
    """Any integers: offsets of both signs, of one sign, and all alike."""
    inputs = Format(signed, 6, 3)
    pieces, heads = sizes
    values, offsets = Format(True, 9, 6), Format(True, 5, 0)
    initial = rng.integers(values.min, values.max + 1, 1 << (6 - sum(pieces)))
    ranges = [(-16, 15), (0, 7), (-8, -1), (-3, -3)]
    drawn = [
        rng.integers(low, high + 1, 1 << (piece + head - 1))
        for (low, high), piece, head in zip(ranges, pieces, heads, strict=False)
    ]
    return MultipartiteTable(
        inputs, Format(signed, 6, 4), values, offsets, pieces, heads, tuple(initial.tolist()),
        tuple(np.concatenate(drawn).tolist()),
    )  # fmt: skip


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("sizes", [((2, 1, 1, 1), (1, 1, 1, 0)), ((6,), (0,)), ((1, 1), (0, 4))])
def test_any_integers(sizes, signed):
    table = random_table(np.random.default_rng(5), signed, sizes)
    check(MultipartiteSpec(table, stages=1 + signed))


def test_a_description_is_read_back_and_a_wrong_one_refused():
    spec = spec_of("tanh", 8, "multipartite")
    assert spec_from_json(spec.describe()) == spec
    with pytest.raises(UsageError, match=r"multipartite.stages must be 1 to 4, not 5"):
        dataclasses.replace(spec, stages=5)


def test_segments_are_initial_values_by_sign():
    spec = spec_of("tanh", 8, "multipartite")
    segments = spec.segment(spec.input.codes())
    assert spec.table.fold is not None
    assert len(set(segments[segments >= 0].tolist())) == len(spec.table.initial)
    assert (segments[:128] < 0).all()


def test_it_is_the_table_inside_other_units():
    spec = design(Request("softmax", bits=6, length=8), "multipartite")
    assert {table.kind for _, table in spec.tables()} == {"multipartite"}
    check(spec)
    wide = design(Request("reciprocal", bits=13, arch="multipartite"), "multipartite")
    assert wide.kind == "reciprocal"
    assert wide.mantissa.kind == "multipartite"
    assert measure(wide, ("reciprocal",))[0].max_ulp < 1
