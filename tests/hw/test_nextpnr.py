import importlib.util
import sys

import pytest

from hw import nextpnr
from hw.devices import DEFAULTS, DEVICES
from nnlut_train.errors import StepError


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return what makes a program of Python code the nextpnr of both families."""

    def make(code):
        path = tmp_path / "nextpnr"
        path.write_text(f"#!{sys.executable}\nimport sys\nargv = sys.argv\n{code}\n")
        path.chmod(0o755)
        for family in nextpnr.FAMILIES.values():
            monkeypatch.setenv(family.variable, str(path))
        return path

    return make


def run(**more):
    return nextpnr.run("ice40", ["--up5k"], b"{}", seed=3, mhz=50.0, step="placing x", **more)


def test_program_of_the_user(program):
    program('print("nextpnr-ice40 -- Next Generation Place and Route (Version nextpnr-0.9)")')
    assert nextpnr.version("ice40") == "nextpnr-0.9 (nextpnr)"


def test_arguments_and_report(program):
    program(
        "import json\nassert open('netlist.json').read() == '{}'\n"
        "json.dump({'argv': argv[1:]}, open('report.json', 'w'))"
    )
    argv = run()["argv"]
    assert argv[:3] == ["--up5k", "--pcf-allow-unconstrained", "--quiet"]
    assert argv[argv.index("--seed") + 1] == "3"
    assert argv[argv.index("--freq") + 1] == "50"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('x'); print('ERROR: no such thing'); sys.exit(1)", "placing x: ERROR: no such thi"),
        ("print('ERROR: y, no BELs remaining to'); sys.exit(1)", "placing x: the device is too sm"),
        ("sys.exit(3)", "placing x: nextpnr ended with exit status 3"),
        ("", "placing x: the report of nextpnr cannot be read"),
        ("open('report.json', 'w').write('[]')", "placing x: the report of nextpnr cannot be read"),
    ],
)
def test_failures(program, code, message):
    program(code)
    with pytest.raises(StepError, match=f"^{message}"):
        run()


def test_missing_program(monkeypatch):
    monkeypatch.setenv("NEXTPNR_ECP5", "no-such-program")
    with pytest.raises(StepError, match=r"^NEXTPNR_ECP5 must be set to a nextpnr-ecp5 program, n"):
        nextpnr.find("ecp5")


def test_missing_package(monkeypatch):
    monkeypatch.delenv("NEXTPNR_ICE40", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StepError, match=r"^nextpnr for ice40 was not found: pip install 'nnlut\[f"):
        nextpnr.find("ice40")


def test_without_a_version(program):
    program("print('hello')")
    with pytest.raises(StepError, match=r"nextpnr does not tell its version: exit status 0, hello"):
        nextpnr.version("ecp5")


def test_devices():
    assert [DEFAULTS[target].name for target in ("ecp5", "ice40")] == ["lfe5u-25f", "up5k"]
    assert str(DEVICES["lfe5u-25f"]) == "LFE5U-25F CABGA381 speed 6"
    assert {device.target for device in DEVICES.values()} == set(nextpnr.FAMILIES)
