"""Random rows through the Verilog of every kind of unit, both sides stalling.

`bench/stress.py` does the same with 100,000 beats each.
"""

import re
import shutil
import subprocess

import numpy as np
import pytest

from hw.catalogue import KINDS
from hw.choices import METHODS
from hw.design import design
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError
from nnlut_train.functions import FUNCTIONS
from sim.stimuli import Stimulus
from sim.stress import random_run, stress_verilog

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="needs Icarus Verilog (iverilog)"
)


def unit(options, folder):
    """Return a unit's specification and its Verilog."""
    request = Request(**options)
    spec = design(request, request.wanted[0])
    path = folder / "unit.v"
    path.write_text(to_verilog(spec, "top", "a test"))
    return spec, path


@needs_icarus
@pytest.mark.parametrize("name", KINDS)
def test_no_beat_is_lost_doubled_or_wrong(name, tmp_path):
    spec, verilog = unit(KINDS[name], tmp_path)
    done = stress_verilog(spec, verilog, "top", 2000, seed=1)
    assert done.beats >= 2000
    assert done.clocks > 1.25 * done.beats
    if spec.longest:
        assert done.rows > done.beats * spec.lanes / spec.longest


#: What `KINDS` leaves out: every function in both architectures, wide codes, methods with all that
#: rows can have.
MORE = [
    *({"op": op, "arch": arch} for op in FUNCTIONS for arch in ("pwl", "direct")),
    {"op": "tanh", "bits": 12}, {"op": "exp", "bits": 16, "entries": 16},
    {"op": "mish", "bits": 32},
    {"op": "exp", "precision": "fp32", "entries": 4, "tables": "writable"},
    *({"op": "softmax", "bits": 5, "length": 12, "method": method, "lanes": 4, "mask": True}
      for method in METHODS["softmax"]),
    {"op": "softmax", "bits": 5, "length": 8, "method": "rexp", "precision": "int16"},
    {"op": "softmax", "bits": 5, "length": 8, "method": "lut2d", "precision": "uint2"},
    {"op": "layernorm", "bits": 8, "length": 12, "method": "ibert", "lanes": 2},
    {"op": "layernorm", "bits": 9, "length": 4, "lanes": 2, "beta": (0.5, -1.0, 0.0, 3.0),
     "gamma": (1.0, 0.5, -2.0, 0.0)},
    {"op": "rmsnorm", "bits": 8, "length": 12, "tables": "writable"},
    {"op": "softmax", "bits": 5, "length": 12, "tables": "writable", "lanes": 2},
    {"op": "gelu,exp", "bits": 6, "lanes": 2, "tables": "writable"},
]  # fmt: skip


@needs_icarus
@pytest.mark.parametrize("options", MORE, ids=lambda options: " ".join(map(str, options.values())))
def test_every_op_by_every_method(options, tmp_path):
    spec, verilog = unit(options, tmp_path)
    assert stress_verilog(spec, verilog, "top", 600).beats >= 600


FAULTS = {
    "a result": (r"assign m_axis_tdata = ", "assign m_axis_tdata = 8'h01 ^ "),
    "an end": (r"assign m_axis_tlast = ", "assign m_axis_tlast = 1'b1 ^ "),
    "lost, where the sink stalls": (r"\.o__ready\(m_axis_tready\)", ".o__ready(1'b1)"),
    "doubled, where the source does": (r"\.i__valid\(s_axis_tvalid\)", ".i__valid(1'b1)"),
}


@needs_icarus
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told(fault, tmp_path):
    spec, verilog = unit(KINDS["pwl"], tmp_path)
    text = verilog.read_text()
    changed, count = re.subn(*FAULTS[fault], text)
    assert count == 1
    verilog.write_text(changed)
    with pytest.raises(StepError, match=r"^the Verilog differs from its model: "):
        stress_verilog(spec, verilog, "top", 500)


@needs_icarus
@pytest.mark.parametrize("standard", ["-g2005", "-g2012"])
@pytest.mark.parametrize(
    "options",
    [{"op": "layernorm", "bits": 8, "length": 1, "method": "ibert"}, KINDS["softmax, lanes"],
     {"op": "softmax", "bits": 4, "length": 4, "entries": 2, "tables": "writable"}],
)  # fmt: skip
def test_rows_that_never_change_are_right_in_verilog_and_systemverilog(
    options, standard, tmp_path, monkeypatch
):
    # A block that waits for a change of its inputs must run even if there is none.
    def constant(spec, beats, seed):
        return Stimulus("zeros", [np.zeros(spec.longest, dtype=np.int64)] * beats,
                        users=[np.zeros(spec.longest, dtype=np.int64)] * beats)  # fmt: skip

    real = subprocess.run

    def run(command, **options):
        return real([standard if word == "-g2005" else word for word in command], **options)

    monkeypatch.setattr("sim.stress.random_run", constant)
    monkeypatch.setattr("sim.stress.interrupt.run", run)
    monkeypatch.setattr("sim.stress._flags", lambda spec, run: "0" * (1 + (spec.lanes > 1)))
    spec, verilog = unit(options, tmp_path)
    assert stress_verilog(spec, verilog, "top", 8).rows == 8


@needs_icarus
def test_verilog_that_cannot_be_read_is_told(tmp_path):
    spec, verilog = unit(KINDS["direct"], tmp_path)
    verilog.write_text("module top(; endmodule\n")
    with pytest.raises(StepError, match=r"^iverilog failed: "):
        stress_verilog(spec, verilog, "top", 500)


def test_random_runs_hold_all_that_a_unit_can_meet(tmp_path):
    request = Request(**KINDS["softmax, lanes"])
    spec = design(request, "direct")
    run = random_run(spec, 2000, 0)
    lengths = [len(row) for row in run.rows]
    assert sum(map(spec.beats, lengths)) >= 2000
    assert min(lengths) == 1
    assert max(lengths) > spec.length
    assert {length % 4 for length in lengths} == {0, 1, 2, 3}
    masked = [user.mean() for user in run.users]
    assert 0.0 in masked
    assert 1.0 in masked
    assert any(not keep.all() for keep in run.keeps)
    again = random_run(spec, 2000, 0)
    assert all((a == b).all() for a, b in zip(run.rows, again.rows, strict=True))
