"""A build of a unit with writable tables: what lies beside the Verilog."""

import json
import re

from building import content, one_error, small
from faults import spec_of
from writing import driver_of

from hw import build as hw_build
from hw.axi import ports
from hw.manifest import check_folder, load_build
from sim.golden import WritableSpec
from sim.golden.register_files import files_of
from sim.golden.register_map import register_map

WORDS = ["--op", "tanh", "--bits", 4, "--entries", 3, "--fold", "none", "--tables", "writable"]


def test_header_driver_and_map_are_written(tmp_path, own_folder, capsys):
    folder = tmp_path / "out"
    small(*WORDS, "--out", folder)
    name = "tanh_int4_writable"
    listed = capsys.readouterr().out
    build = load_build(folder)
    spec, registers = build.spec(), register_map(build.spec())
    assert isinstance(spec, WritableSpec)
    files = content(folder)
    for file, text in files_of(registers, name).items():
        assert files[file] == text
        assert file in listed
        assert file in build.manifest["files"]
    assert build.manifest["registers"] == json.loads(json.dumps(registers.to_json()))
    assert build.manifest["registers"] == driver_of(spec, name).REGISTERS
    ports = {port["name"]: (port["direction"], port["width"]) for port in build.manifest["ports"]}
    bus = {key.removeprefix("s_axil_"): port for key, port in ports.items() if "axil" in key}
    assert bus == {
        "awaddr": ("input", 12), "awprot": ("input", 3), "awvalid": ("input", 1),
        "awready": ("output", 1), "wdata": ("input", 32), "wstrb": ("input", 4),
        "wvalid": ("input", 1), "wready": ("output", 1), "bresp": ("output", 2),
        "bvalid": ("output", 1), "bready": ("input", 1), "araddr": ("input", 12),
        "arprot": ("input", 3), "arvalid": ("input", 1), "arready": ("output", 1),
        "rdata": ("output", 32), "rresp": ("output", 2), "rvalid": ("output", 1),
        "rready": ("input", 1),
    }  # fmt: skip
    head = re.match(r"(//.*\n)+", files[f"{name}.v"].decode())[0]
    assert all(re.search(rf"^//   {port} +\w+ +\d+  .+", head, re.M) for port in ports)
    # It may be built again over itself.
    assert check_folder(folder) == build.manifest["command"]


def test_a_unit_of_constants_has_no_registers(tmp_path, own_folder):
    small("--op", "tanh", "--bits", 4, "--arch", "direct", "--out", tmp_path / "out")
    assert "registers" not in load_build(tmp_path / "out").manifest
    names = content(tmp_path / "out")
    assert not [name for name in names if "driver" in name or "regs" in name]


def test_the_ports_say_what_clears_the_flags():
    spec = spec_of("softmax", 5, length=6, lanes=2, entries=4)
    for unit, clears in ((spec, False), (WritableSpec(spec), True)):
        meanings = {port.name: port.meaning for port in ports(unit)}
        for flag in ("overlong", "holes"):
            assert "stays high until reset" in meanings[flag]
            assert meanings[flag].endswith("or CONTROL.clear") == clears


def test_direct_tables_cannot_be_writable(own_folder, capsys):
    words = ["--op", "tanh", "--arch", "direct", "--tables", "writable"]
    assert hw_build.main(words) == 2
    assert "--tables writable" in one_error(capsys)
