import shutil

import numpy as np
import pytest
from timed_library import library

from hw import activity, asic, gate_sim, liberty, synth, vcd
from hw.design import design
from hw.manifest import write_folder
from hw.netlist import Netlist
from hw.request import Request
from hw.verilog import to_verilog
from hw.yosys import run as run_yosys
from nnlut_train.errors import StepError, UsageError
from sim.vectors import make_vectors

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"
)

# Some interfaces; `bench/gates.py` takes all kinds of the catalogue.
SMALL = {
    "direct": {"op": "gelu", "bits": 4, "arch": "direct"},
    "lanes": {"op": "sigmoid", "bits": 4, "arch": "direct", "lanes": 2},
    "writable": {"op": "gelu", "bits": 4, "entries": 4, "tables": "writable"},
    "softmax": {"op": "softmax", "bits": 4, "length": 2, "arch": "direct", "mask": True},
}


def mapped(request, libraries, **options):
    """Return specification, name and gates of a small unit."""
    request = Request(**request)
    spec = design(request, request.arch if request.arch != "auto" else request.compared[0])
    verilog = to_verilog(spec, request.name, "test")
    found = asic.gates(verilog, request.name, libraries, own=True, netlist=True, **options)
    return spec, request.name, found


@pytest.fixture(scope="module")
def own():
    return liberty.read_all([synth.GENERIC_LIBERTY])


@pytest.fixture
def timed(tmp_path):
    path = tmp_path / "timed.lib"
    path.write_text(library(inverting=3))
    return liberty.read_all([path])


@pytest.mark.parametrize("kind", SMALL)
def test_gates_equal_the_golden_model(kind, own):
    spec, name, gates = mapped(SMALL[kind], own)
    vectors = make_vectors(spec)
    beats = gate_sim.compare(gates.verilog, name, own, vectors, spec.user_bits)
    assert beats == 2 * len(vectors.output)


def test_wrong_gate_is_found(own):
    spec, name, gates = mapped(SMALL["direct"], own)
    pairs = [("NAND2", "NOR2"), ("NOR2", "NAND2"), ("XNOR2", "XOR2"), ("OR2", "AND2")]
    found = [pair for pair in pairs if f"  {pair[0]} " in gates.verilog]
    assert found
    for old, new in found:
        wrong = gates.verilog.replace(f"  {old} ", f"  {new} ", 1)
        with pytest.raises(StepError, match=r"^netlist: simulation of the gates: "):
            gate_sim.compare(wrong, name, own, make_vectors(spec), spec.user_bits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: np.append(v[:-1], v[-1] ^ 1), "beat 15 must be "),
        (lambda v: v[:-1], "more than the 15 beats that it must"),
        (lambda v: np.append(v, v[-1]), "it stopped after 16 of 16 beats in, 16 of 17 out"),
    ],
)
def test_other_vectors_are_found(own, monkeypatch, change, message):
    monkeypatch.setattr("hw.gate_bench.PATIENCE", 1000)
    spec, name, gates = mapped(SMALL["direct"], own)
    vectors = activity.realistic(spec, beats=16).vectors
    short = {field: array[:16] for field, array in vectors.arrays().items()}
    short["output"] = change(short["output"])
    short["output_last"] = np.resize(short["output_last"], len(short["output"]))
    with pytest.raises(StepError, match=message):
        gate_sim.compare(gates.verilog, name, own, type(vectors)(**short), spec.user_bits)


def netlist_of(gates, name):
    script = "read_verilog n.v\nwrite_json n.json\n"
    written = run_yosys(script, {"n.v": gates.verilog}, ["n.json"])["n.json"]
    return Netlist.from_json(written, name, "test")


def test_toggles_are_those_of_the_data(own):
    spec, name, gates = mapped(SMALL["direct"], own)
    netlist = netlist_of(gates, name)
    stimuli = activity.realistic(spec, beats=512)
    measured = gate_sim.activity(gates.verilog, netlist, name, own, stimuli, step="test")
    clocks = measured.activity.clocks
    assert 512 - 8 < clocks <= 512
    codes, bits = stimuli.vectors.output, netlist.ports["m_axis_tdata"][1]
    for index in range(spec.output.bits):
        if isinstance(bits[index], str):
            continue
        column = codes >> index & 1
        toggles, high = measured.rates[bits[index]]
        # A few beats at both ends are outside of what is counted.
        assert toggles * clocks == pytest.approx(np.abs(np.diff(column)).sum(), abs=4)
        assert high == pytest.approx(column.mean(), abs=0.02)
    assert measured.rates[netlist.ports["m_axis_tvalid"][1][0]] == (0.0, 1.0)
    # The mean is over what switches, without the clock.
    clock = netlist.ports["aclk"][1][0]
    assert measured.rates[clock][0] == pytest.approx(2.0, abs=0.01)
    assert measured.activity.nets < len(measured.rates)
    assert 0.05 < measured.activity.toggles < 0.6


def test_power_comes_with_the_activity(timed):
    if shutil.which("sta") is None:
        pytest.skip("OpenSTA is not installed")
    spec, name, gates = mapped(SMALL["direct"], timed, clock_ns=2.0)
    stimuli = activity.realistic(spec, beats=256)
    verilog = to_verilog(spec, name, "test")
    cost = asic.gates(verilog, name, timed, own=False, clock_ns=2.0, stimuli=stimuli).cost
    assert cost.timing.activity.source == stimuli.source
    assert cost.timing.activity.beats == 256
    assert cost.timing.iverilog.startswith("Icarus Verilog ")
    # Each flip-flop's clock takes 0.02 pJ at each of two edges in 2 ns.
    assert cost.timing.power.internal > cost.flip_flops * 2 * 0.02 / 2
    # Data that does not change switches nothing.
    still = activity.Stimuli("one code", activity.vectors_of(
        spec, [activity.Stimulus("still", [np.full(4, 3)] * 128)]), 0)  # fmt: skip
    quiet = asic.gates(verilog, name, timed, own=False, clock_ns=2.0, stimuli=still).cost
    assert quiet.timing.power.switching < cost.timing.power.switching / 2
    assert quiet.timing.slack_ns == cost.timing.slack_ns
    # A clock twice as fast is for twice the power, but for leakage.
    assert gates.cost.timing.power is None


DUMP = """\
$timescale 1ns $end
$scope module dut $end
$var wire 1 ! clk $end
$var wire 1 " \\unit.q[0] $end
$var wire 2 # bus [1:0] $end
$var wire 1 % alias $end
$upscope $end
$enddefinitions $end
#5
$dumpvars
0!
x"
bx #
x%
$end
#10
1"
1%
b0 #
#20
0"
0%
b10 #
#35
1"
1%
b11 #
#50
0"
0%
"""


def test_toggles_of_a_dump_by_hand(tmp_path):
    path = tmp_path / "x.vcd"
    path.write_text(DUMP)
    signals = {"clk": [2], "unit.q[0]": [3], "bus": [4, 5], "alias": [3]}
    netlist = Netlist({}, {}, {}, signals)
    # X to 1 is no transition; the time is 10 to 50.
    assert vcd.toggles(path, netlist, 10, 50) == {2: (0, 0), 3: (2, 25), 4: (1, 15), 5: (1, 30)}
    assert vcd.toggles(path, netlist, 15, 36)[3] == (2, 5 + 1)
    with pytest.raises(StepError, match=r"x\.vcd: clk is no signal of the netlist"):
        vcd.toggles(path, Netlist({}, {}, {}, {}), 0, 9)


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [("gelu", -40, 40), ("exp", -128, 0), ("reciprocal", 16, 192), ("rsqrt", 1, 64)],
)
def test_realistic_data_by_op(op, low, high):
    request = Request(op=op)
    spec = design(request, "direct")
    stimuli = activity.realistic(spec)
    codes = stimuli.vectors.input
    assert len(codes) == activity.BEATS
    assert low <= np.quantile(codes, 0.1) <= np.quantile(codes, 0.9) <= high
    assert np.array_equal(stimuli.vectors.output, spec.compute(codes))
    assert activity.realistic(spec).digest() == stimuli.digest()
    assert activity.realistic(spec, seed=1).digest() != stimuli.digest()


def test_vectors_of_the_user(tmp_path):
    spec = design(Request(**SMALL["softmax"]), "direct")
    path = tmp_path / "x.npy"
    np.save(path, np.arange(-8, -2).reshape(6, 1))
    vectors = activity.user_stimuli(spec, path).vectors
    assert np.array_equal(vectors.input, np.arange(-8, -2))
    assert vectors.input_last.all()
    np.save(path, np.arange(-8, -3))
    lasts = np.flatnonzero(activity.user_stimuli(spec, path).vectors.input_last)
    assert lasts.tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros(3), "it is no array of integers"),
        (np.zeros((0,), int), r"its shape is \(0,\)"),
        (np.array([8]), "codes must be of s4.2, -8 to 7"),
        (np.zeros((2, 5), int), "a row must have at most 2 codes, not 5"),
    ],
)
def test_wrong_vectors_of_the_user(tmp_path, array, why):
    spec = design(Request(**SMALL["softmax"], input_frac=2), "direct")
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(
        UsageError, match=f"--vectors must be a .npy file of integer codes, .*{why}"
    ):
        activity.user_stimuli(spec, tmp_path / "x.npy")


def test_command(small_build, capsys, tmp_path):
    netlist, report = tmp_path / "n.v", tmp_path / "r.json"
    argv = [str(small_build), "--simulate", "--netlist", str(netlist), "--json", str(report)]
    for cache in (["--cache", str(tmp_path / "kept")], ["--no-cache"]):
        assert synth.main([*argv, *cache]) == 0
        assert "beats of the golden vectors through the gates, all equal" in capsys.readouterr().out
        assert netlist.read_text().count("module") == 2
        assert '"simulation"' in report.read_text()
    assert len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--simulate", "--target", "ice40"], "--simulate goes with the target generic"),
        (["--vectors", "x.npy"], "--vectors goes with --clock-ns: there is no power without a cl"),
        (["--netlist", "/nowhere/n.v"], "--netlist must name a file in a folder that exists"),
        (["--cache", "/dev/null"], "the cache must be a folder that can be written, not /dev/null"),
        (["--cache", "x", "--no-cache"], "--cache and --no-cache exclude each other"),
        (["--clock-ns", "0"], "the clock's period must be above 0 ns, not 0"),
    ],
)
def test_command_refuses_bad_flags(tmp_path, capsys, flags, message):
    folder = tmp_path / "build"
    text = "module top(input a, output y); assign y = ~a; endmodule\n"
    write_folder(folder, "top", {"verilog": "top.v"}, {"top.v": text.encode()})
    assert synth.main([str(folder), *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"hw.synth: error: {message}")
    assert error.count("\n") == 1
