"""Exported Verilog of writable units: the generated driver loads tables in traffic."""

import importlib.util
import shutil

import pytest
from faults import spec_of
from norms import affine, norm_spec
from writing import EagerRegisters

from hw.axi import data_bytes, ports
from hw.manifest import load_build, split_tables, write_folder
from hw.verilog import to_verilog
from nnlut_train.errors import StepError
from sim.golden import LanesSpec, WritableSpec
from sim.golden.register_files import files_of
from sim.golden.register_map import register_map
from sim.vectors import make_vectors
from sim.verilog import simulate_verilog

pytestmark = [
    pytest.mark.skipif(
        shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("cocotb") is None or importlib.util.find_spec("cocotbext") is None,
        reason="cocotb and cocotbext-axi are not installed",
    ),
]

UNITS = {
    "gelu": lambda: spec_of("gelu", 6, entries=8),
    "plain_lanes": lambda: LanesSpec(spec_of("gelu", 6, fold="none", entries=4), 2),
    "exp": lambda: spec_of("exp", 6, entries=4),
    "softmax": lambda: spec_of("softmax", 5, length=6, entries=4),
    "norm": lambda: norm_spec("layernorm", "pwl", bits=8, length=6, entries=4, **affine(6)),
}


@pytest.fixture(autouse=True)
def _logs_are_cleaned_up(monkeypatch, tmp_path):
    # Logs of simulations that fail are kept; here beside the test's own files.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def build_of(name, folder):
    """Write a build folder."""
    spec, top = WritableSpec(UNITS[name]()), f"{name}_top"
    vectors, registers = make_vectors(spec), register_map(spec)
    widths = tuple(8 * spec.lanes * data_bytes(form) for form in (spec.input, spec.output))
    spec_json, files = split_tables(spec)
    files |= {f"{top}.v": to_verilog(spec, top, "a test").encode(), **files_of(registers, top)}
    files |= {
        f"vectors/{file}": data for file, data in vectors.files(widths, spec.user_bits).items()
    }
    manifest = {
        "verilog": f"{top}.v", "ports": [port.to_json() for port in ports(spec)],
        "spec": spec_json, "registers": registers.to_json(),
        "vectors": {"beats": len(vectors.input)},
    }  # fmt: skip
    write_folder(folder, top, manifest, files)
    return load_build(folder)


@pytest.mark.parametrize("name", UNITS)
def test_the_driver_loads_tables_in_traffic(name, tmp_path):
    made = build_of(name, tmp_path / "build")
    assert simulate_verilog(made, seed=2) == 2 * made.manifest["vectors"]["beats"]


def test_a_commit_that_does_not_wait_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr("hw.units.writable.Registers", EagerRegisters)
    with pytest.raises(
        StepError, match=r"^the Verilog differs from its vectors: .*is neither of the old nor"
    ):
        simulate_verilog(build_of("softmax", tmp_path / "build"), seed=2)
