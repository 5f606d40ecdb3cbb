"""Minimised tables as hardware: equal at every code, LUT for LUT, and the core alone."""

import json
import math

import numpy as np
import pytest

from hw import yosys
from hw.core import core_verilog
from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.units import unit_of
from hw.verilog import to_verilog
from nnlut_train.errors import UsageError
from nnlut_train.formats import Format
from nnlut_train.minimised import minimised_table
from sim.bench import run_bench
from sim.golden import DirectSpec, MinimisedSpec, spec_from_json

CODE = Format(True, 5, 2)


def gelu(x):
    return 0.5 * x * (1.0 + np.array([math.erf(v / math.sqrt(2.0)) for v in x]))


def spec_of(logic, lut, steps=100):
    target = gelu(CODE.real(CODE.codes()))
    return MinimisedSpec(minimised_table("g", target, CODE, CODE, logic=logic, steps=steps), lut)


@pytest.mark.parametrize(("logic", "lut"), [("gates", 0), ("lut4", 4), ("lut6", 6)])
def test_every_code(logic, lut):
    spec = spec_of(logic, lut)
    report = run_bench(spec, unit_of(spec))
    assert report.latency == {1: 1}
    assert report.throughput == 1.0
    assert spec_from_json(json.loads(json.dumps(spec.describe()))) == spec
    assert (spec.segment(CODE.codes()) == 0).all()


def test_a_node_is_a_lut():
    spec = spec_of("lut4", 4)
    cost = synthesize(core_verilog(spec, "f"), "f", "ice40", bram="off")
    # Unused inputs and equal nodes are found by synthesis, too.
    assert 0 < cost.luts <= spec.table.meta["cost"]
    assert cost.flip_flops == 0


@pytest.mark.parametrize(("logic", "lut"), [("gates", 0), ("lut4", 4)])
def test_the_core_equals_the_table(logic, lut):
    spec = spec_of(logic, lut)
    rows = "".join(
        f"      5'd{code & 31}: y = 5'd{value & 31};\n"
        for code, value in zip(CODE.codes().tolist(), spec.table.values, strict=True)
    )
    gold = f"module gold(input [4:0] x, output reg [4:0] y);\n  always @*\n    case (x)\n{rows}"
    gold += "    endcase\nendmodule\n"
    script = (
        "read_verilog gold.v gate.v\nsetattr -mod -unset keep_hierarchy\nproc -norom\nflatten\n"
        "miter -equiv -flatten gold gate miter\n"
        "sat -verify -prove trigger 0 -show-inputs miter\ntee -o done.txt stat miter\n"
    )
    files = {"gold.v": gold, "gate.v": core_verilog(spec, "gate")}
    assert yosys.run(script, files, ["done.txt"])
    wrong = {**files, "gold.v": gold.replace("5'd15: y = 5'd15", "5'd15: y = 5'd14")}
    assert wrong != files
    with pytest.raises(Exception, match="Yosys"):
        yosys.run(script, wrong, ["done.txt"])


def test_the_same_bytes_and_the_attribute():
    spec = spec_of("lut4", 4)
    first, second = (to_verilog(spec, "f", "x") for _ in range(2))
    assert first == second
    assert first.count('(* keep_hierarchy = "yes" *)') == len(spec.table.network)
    assert "keep_hierarchy" not in to_verilog(spec_of("gates", 0), "f", "x")


def test_requests():
    request = Request("tanh", 5, arch="minimised", logic="lut4", max_error=1.0)
    spec = design(request, "minimised")
    assert (spec.kind, spec.lut, spec.table.meta["max_error"]) == ("minimised", 4, 1.0)
    assert "minimised" not in Request("tanh", 5).possible
    with pytest.raises(UsageError, match="--logic goes with --arch minimised, not with --arch pwl"):
        Request("tanh", arch="pwl", logic="lut4")
    with pytest.raises(UsageError, match="must have --bits of at most 10, not 11"):
        Request("tanh", 11, arch="minimised")
    with pytest.raises(UsageError, match="--logic must be one of gates, lut4, lut6"):
        Request("tanh", arch="minimised", logic="lut5")


def test_what_has_no_core():
    direct = design(Request("tanh", 5), "direct")
    assert isinstance(direct, DirectSpec)
    with pytest.raises(UsageError, match="registers"):
        core_verilog(direct, "f")
    with pytest.raises(UsageError, match=r"minimised.lut must be 0, 4 or 6, not 5"):
        MinimisedSpec(spec_of("gates", 0, 10).table, 5)
