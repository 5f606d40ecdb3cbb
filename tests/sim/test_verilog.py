import hashlib
import importlib.util
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from norms import affine

from hw.axi import data_bytes, ports
from hw.design import design
from hw.manifest import load_build, split_tables, write_folder
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError
from sim.vectors import make_vectors
from sim.verilog import simulate_verilog

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed"
)
needs_cocotb = pytest.mark.skipif(
    importlib.util.find_spec("cocotb") is None or importlib.util.find_spec("cocotbext") is None,
    reason="cocotb and cocotbext-axi are not installed",
)

UNITS = {
    "softmax": Request("softmax", 8, length=16),
    "rexp": Request("softmax", length=16, method="rexp"),
    "lut2d": Request("softmax", length=16, method="lut2d", precision="int16"),
    "base2": Request("softmax", length=16, method="base2"),
    "ibert_softmax": Request("softmax", length=16, method="ibert"),
    "ibert_layernorm": Request("layernorm", length=8, method="ibert"),
    "ibert_gelu": Request("gelu", method="ibert"),
    "ibert_exp": Request("exp", method="ibert"),
    "ibert_sqrt": Request("sqrt", method="ibert"),
    "layernorm": Request("layernorm", length=8, arch="direct"),
    "rmsnorm": Request("rmsnorm", length=12, lanes=4, arch="direct", **affine(12)),
    "gelu": Request("gelu", 8),
    "exp": Request("exp", 12),  # two bytes of tdata
    "reciprocal": Request("reciprocal", 8),
    "log": Request("log", 8),
    "shared": Request("gelu,exp,tanh", 6),
    "tanh": Request("tanh", 5, arch="direct"),
}


@pytest.fixture(autouse=True)
def _logs_are_cleaned_up(monkeypatch, tmp_path):
    # Logs of simulations that fail are kept; here beside the test's own files.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def spec_of(name):
    request = UNITS[name]
    return design(request, "direct" if request.arch == "direct" else "pwl")


@pytest.fixture(scope="session")
def parts():
    """Return what a build holds, made once a unit."""
    made = {}

    def make(name):
        if name not in made:
            spec = spec_of(name)
            made[name] = spec, to_verilog(spec, f"{name}_top", "a test"), make_vectors(spec)
        return made[name]

    return make


@pytest.fixture
def build(parts, tmp_path):
    """Return a function that writes a build folder; its parts can be replaced."""

    def make(name, *, verilog=None, vectors=None):
        spec, text, good = parts(name)
        widths = (8 * data_bytes(spec.input), 8 * data_bytes(spec.output))
        spec_json, files = split_tables(spec)
        files[f"{name}_top.v"] = (verilog or text).encode()
        made = good.files(widths, spec.user_bits) | ({"vectors.npz": vectors} if vectors else {})
        files |= {f"vectors/{file}": data for file, data in made.items()}
        manifest = {
            "verilog": f"{name}_top.v", "ports": [port.to_json() for port in ports(spec)],
            "spec": spec_json, "vectors": {"beats": len(good.input)},
        }  # fmt: skip
        write_folder(tmp_path / "build", f"{name}_top", manifest, files)
        return load_build(tmp_path / "build")

    return make


def archive(vectors):
    file = io.BytesIO()
    np.savez(file, **vectors)
    return file.getvalue()


@needs_icarus
@needs_cocotb
@pytest.mark.parametrize("name", UNITS)
def test_exported_verilog_equals_its_vectors(build, name, tmp_path):
    made = build(name)
    assert made.spec() == spec_of(name)
    beats = simulate_verilog(made, seed=3)
    # At full rate, and with stalls.
    assert beats == 2 * made.manifest["vectors"]["beats"]
    assert [p.name for p in tmp_path.iterdir()] == ["build"], "nothing is left behind"
    # Nor is anything changed in the build.
    for path, digest in made.manifest["files"].items():
        assert hashlib.sha256((made.folder / path).read_bytes()).hexdigest() == digest


DIFFERS = r"^the Verilog differs from its vectors: .*row \d+ must be \w+, not \w+"


@needs_icarus
@needs_cocotb
@pytest.mark.parametrize("field", ["output", "output_last", "input"])
def test_corrupted_vectors_are_caught(build, parts, field):
    arrays = {key: value.copy() for key, value in parts("tanh")[2].arrays().items()}
    if field == "output_last":
        index = int(np.flatnonzero(arrays[field])[1])
        arrays[field][index] = False
    else:
        # A code in the steep part of the function.
        arrays[field][np.flatnonzero(arrays["input"] == 1)[1]] ^= 4
    made = build("tanh", vectors=archive(arrays))
    with pytest.raises(StepError, match=DIFFERS):
        simulate_verilog(made)


def flip_a_constant(name, text):
    """Return the Verilog with one bit of one constant of its table flipped."""
    if name == "tanh":
        found = re.search(r"^ +\\?\S+ ?\[(?:9|09)\] = \d+'h([0-9a-f]+);", text, re.MULTILINE)
    else:
        found = re.search(r"\? \d+'h([0-9a-f]+) : \d+'h[0-9a-f]+;", text)
    assert found is not None
    start, end = found.span(1)
    return text[:start] + f"{int(text[start:end], 16) ^ 2:x}".rjust(end - start, "0") + text[end:]


@needs_icarus
@needs_cocotb
@pytest.mark.parametrize("name", ["gelu", "tanh"])
def test_a_flipped_constant_of_the_verilog_is_caught(build, parts, name):
    text = parts(name)[1]
    bad = flip_a_constant(name, text)
    assert len(bad) == len(text)
    assert sum(a != b for a, b in zip(bad, text, strict=True)) == 1
    made = build(name, verilog=bad)
    with pytest.raises(StepError, match=DIFFERS):
        simulate_verilog(made)


@needs_icarus
@needs_cocotb
def test_verilog_that_does_not_compile_is_told(build, parts):
    text = parts("gelu")[1].replace("endmodule", "endmodul", 1)
    with pytest.raises(StepError, match=r"^Icarus Verilog failed: "):
        simulate_verilog(build("gelu", verilog=text))


def test_a_missing_simulator_is_told(build, monkeypatch):
    made = build("gelu")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StepError, match=r"^Icarus Verilog \(iverilog\) was not found: install it"):
        simulate_verilog(made)


@needs_icarus
def test_missing_cocotb_is_told(build, monkeypatch):
    made = build("gelu")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StepError, match=r"^cocotb was not found: pip install 'nnlut\[dev\]'$"):
        simulate_verilog(made)


# The .hex files, as a Verilog testbench without Python reads them.

TESTBENCH = """\
`timescale 1ns/1ps
module testbench;
  reg aclk = 0, aresetn = 0;
  always #5 aclk = ~aclk;

  reg [{iw}:0] inputs [0:{beats}-1];
  reg [{ow}:0] outputs [0:{beats}-1];
  integer sent = 0, received = 0, errors = 0, clocks = 0;

  wire [{iw}:0] next = inputs[sent];
  wire s_ready, m_valid, m_last;
  wire [{ow}-1:0] m_data;
  wire s_valid = aresetn && sent < {beats};

  {top} dut (
    .aclk(aclk), .aresetn(aresetn),
    .s_axis_tdata(next[{iw}-1:0]), .s_axis_tlast(next[{iw}]),
    .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
    .m_axis_tdata(m_data), .m_axis_tlast(m_last),
    .m_axis_tvalid(m_valid), .m_axis_tready(1'b1){more}
  );

  initial begin
    $readmemh("input.hex", inputs);
    $readmemh("output.hex", outputs);
    #42 aresetn = 1;
  end

  always @(posedge aclk) begin
    clocks <= clocks + 1;
    if (s_valid && s_ready) sent <= sent + 1;
    if (aresetn && m_valid) begin
      if ({{m_last, m_data}} !== outputs[received]) errors <= errors + 1;
      received <= received + 1;
    end
    if (received == {beats} || clocks == 20 * {beats} + 1000) begin
      $display("received %0d errors %0d", received, errors);
      $finish;
    end
  end
endmodule
"""


def run_testbench(made, folder):
    spec = made.spec()
    widths = (8 * data_bytes(spec.input), 8 * data_bytes(spec.output))
    more = ", .overlong()" if any(p["name"] == "overlong" for p in made.manifest["ports"]) else ""
    bench = TESTBENCH.format(
        iw=widths[0], ow=widths[1], beats=made.manifest["vectors"]["beats"], top=made.name,
        more=more,
    )  # fmt: skip
    (folder / "testbench.v").write_text(bench)
    compiled = subprocess.run(
        ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", folder / "testbench.vvp",
         "-s", "testbench", folder / "testbench.v", made.verilog],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "error" not in compiled.stderr
    result = subprocess.run(
        ["vvp", "-n", folder / "testbench.vvp"],
        cwd=made.folder / "vectors", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "WARNING" not in result.stdout + result.stderr, "$readmemh must take the file whole"
    (line,) = re.findall(r"^received (\d+) errors (\d+)$", result.stdout, re.MULTILINE)
    return int(line[0]), int(line[1])


@needs_icarus
@pytest.mark.parametrize("name", ["softmax", "exp", "gelu"])
def test_hex_files_serve_a_plain_verilog_testbench(build, name, tmp_path):
    made = build(name)
    beats = made.manifest["vectors"]["beats"]
    assert run_testbench(made, tmp_path) == (beats, 0)
    # And it would tell: one wrong line of the results is one error.
    path = made.folder / "vectors" / "output.hex"
    lines = path.read_text().splitlines()
    lines[5] = f"{int(lines[5], 16) ^ 1:0{len(lines[5])}x}"
    path.write_text("\n".join(lines) + "\n")
    assert run_testbench(made, tmp_path) == (beats, 1)


# The text.


@pytest.mark.parametrize("name", ["gelu", "softmax"])
def test_export_is_deterministic(parts, name):
    spec, text, _ = parts(name)
    assert to_verilog(spec, f"{name}_top", "a test") == text
    assert to_verilog(spec_of(name), f"{name}_top", "a test") == text


@pytest.mark.parametrize("name", UNITS)
def test_ports_are_the_documented_ones(parts, name):
    spec, text, _ = parts(name)
    found = re.search(rf"^module {name}_top\((.*?)\);(.*?)^endmodule", text, re.M | re.S)
    assert found is not None
    declared = {
        port: (direction, int(high or 0) + 1)
        for direction, high, port in re.findall(
            r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", found[2], re.MULTILINE
        )
    }
    wide = 16 if name in ("exp", "layernorm", "ibert_layernorm") else 8
    result = 16 if name in ("exp", "lut2d") else 8
    wanted = {
        "aclk": ("input", 1), "aresetn": ("input", 1),
        "s_axis_tdata": ("input", wide), "s_axis_tvalid": ("input", 1),
        "s_axis_tready": ("output", 1), "s_axis_tlast": ("input", 1),
        "m_axis_tdata": ("output", result), "m_axis_tvalid": ("output", 1),
        "m_axis_tready": ("input", 1), "m_axis_tlast": ("output", 1),
    }  # fmt: skip
    if UNITS[name].length is not None:
        wanted["overlong"] = ("output", 1)
    if name == "shared":
        wanted["s_axis_tuser"] = ("input", 2)
    if name == "rmsnorm":  # four lanes, of 16 bits in and 8 bits out
        wanted |= {
            "s_axis_tdata": ("input", 64), "s_axis_tkeep": ("input", 8),
            "m_axis_tdata": ("output", 32), "m_axis_tkeep": ("output", 4), "holes": ("output", 1),
        }  # fmt: skip
    assert declared == wanted
    assert set(re.split(r",\s*", found[1])) == set(wanted)
    assert {p.name: (p.direction, p.width) for p in ports(spec)} == wanted


@pytest.mark.parametrize("name", UNITS)
def test_the_header_documents_the_ports(parts, name):
    spec, text, _ = parts(name)
    head = text.split("module ", 1)[0]
    assert head.startswith(f"// {name}_top: a test\n// Generated by nnlut; do not edit.")
    for port in ports(spec):
        assert re.search(rf"^//   {port.name} +{port.direction} +{port.width}  ", head, re.M)
    assert f"[{spec.input}]" in head
    assert f"[{spec.output}]" in head
    # Nothing of the machine that it was made on.
    assert "src =" not in text
    assert "/root" not in text
    assert "/home" not in text
    assert ".py" not in text


@pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Verilator (verilator)")
@pytest.mark.parametrize("name", ["softmax", "rexp", "lut2d", "gelu", "exp", "reciprocal", "log"])
def test_verilator_has_no_complaint(build, name):
    made = build(name)
    done = subprocess.run(
        ["verilator", "--lint-only", str(made.verilog)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
