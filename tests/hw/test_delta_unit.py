"""The delta unit, bit-exact against its golden model at every code."""

import json

import numpy as np
import pytest
from benching import check
from faults import spec_of

from hw.design import design
from hw.request import Request
from nnlut_train.delta import BASES, DeltaTable
from nnlut_train.errors import UsageError
from nnlut_train.files import load, save
from nnlut_train.formats import Format
from sim.golden import DeltaSpec, MinimisedSpec, spec_from_json


@pytest.mark.parametrize(("op", "bits"), [("silu", 7), ("reciprocal", 5)])
def test_a_unit_is_correctly_rounded_at_every_code(op, bits):
    spec = spec_of(op, bits, "delta")
    assert spec.kind == "delta"
    report = check(spec)
    assert (report.latency, report.throughput) == ({1: 1}, 1.0)
    direct = design(Request(op, bits, arch="direct"), "direct")
    codes = spec.input.codes()
    assert spec.compute(codes).tolist() == direct.compute(codes).tolist()
    assert spec_from_json(json.loads(json.dumps(spec.describe()))) == spec


@pytest.mark.parametrize("seed", range(6))
def test_any_table(seed):
    rng = np.random.default_rng(seed)
    signed = seed % 4 > 0
    inputs = Format(signed, 5, 2)
    bits = int(rng.integers(0, 6 - signed))
    table = DeltaTable(
        inputs, Format(True, 9, 0), (seed % len(BASES), int(rng.integers(-5, 3))),
        tuple(rng.integers(-40, 40, 2).tolist()), (bits, seed // 4 * signed),
        tuple(rng.integers(-20, 20 * (seed > 1) + 1, 1 << (bits + signed)).tolist()),
    )  # fmt: skip
    spec = DeltaSpec(table)
    assert check(spec).latency == {1: 1}
    segments = spec.segment(inputs.codes())
    assert (segments == 0).sum() == len(table.residuals)
    assert (np.diff(segments) >= 0).all()


@pytest.mark.parametrize(("arch", "kind"), [("delta", DeltaSpec), ("minimised", MinimisedSpec)])
def test_a_table_file_builds_its_kind(arch, kind, tmp_path):
    options = {"logic": "lut4"} if arch == "minimised" else {}
    spec = design(Request("gelu", 5, arch=arch, **options), arch)
    save(spec.table, tmp_path / "gelu.json")
    request = Request("gelu", 5, table=load(tmp_path / "gelu.json"))
    (found,) = request.wanted
    again = design(request, found)
    assert (found, type(again), again) == (arch, kind, spec)


def test_requests():
    assert "delta" in Request("gelu").possible
    assert "delta" not in Request("gelu", 13).possible
    with pytest.raises(UsageError, match="--arch delta must have --bits of at most 12, not 13"):
        Request("gelu", 13, arch="delta")
