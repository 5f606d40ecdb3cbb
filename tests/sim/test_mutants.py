"""Faults that Yosys plants: a small sample; `bench/mutants.py` has the large ones."""

import json
import shutil

import numpy as np
import pytest

from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError
from sim.mutants.command import main
from sim.mutants.coverage import Coverage, Survivor, coverage
from sim.mutants.kill import built, outcomes
from sim.mutants.plant import CLOCKS, Mutant, candidates, planted, prepared, sample
from sim.mutants.prove import Verdict, judged
from sim.mutants.rows import every_row
from sim.scenes import encoded, standard_scenes

needs_verilator = pytest.mark.skipif(
    shutil.which("verilator") is None or shutil.which("g++") is None,
    reason="needs Verilator (verilator) and g++",
)


@pytest.fixture(scope="module")
def unit():
    request = Request("tanh", 4, arch="direct")
    spec = design(request, "direct")
    return spec, to_verilog(spec, "top", "a test")


@pytest.fixture(scope="module")
def netlist(unit):
    return prepared(unit[1], "top")


@pytest.fixture(scope="module")
def everything(netlist):
    return candidates(netlist, "top")


@pytest.fixture(scope="module")
def program(unit, netlist, everything, tmp_path_factory):
    """The program of the first 40 mutants: compiling takes the longest."""
    mutants = dict(enumerate(sample(everything, 40, 0), 1))
    return built(unit[0], netlist, "top", mutants, tmp_path_factory.mktemp("program"))


@needs_verilator
def test_the_standard_bench_kills_what_is_not_equivalent(unit, program, monkeypatch):
    spec, verilog = unit
    steps = []

    def run(spec, netlist, top, mutants, scenes, *, checked, told):
        return outcomes(program, list(mutants), scenes, checked=checked, told=told)

    monkeypatch.setattr("sim.mutants.coverage.killed", run)
    found = coverage(spec, verilog, "top", count=40, told=lambda *words: steps.append(words))
    assert found.mutants == 40
    assert found.killed + found.equivalent + len(found.survivors) == 40
    assert found.survivors == ()
    assert found.killed > 20
    assert found.score == 1.0
    assert sum(found.scenes.values()) == found.killed
    assert {step for step, _, _ in steps} == {"simulate", "prove"}
    assert json.loads(json.dumps(found.to_json()))["killed"] == found.killed


@needs_verilator
def test_a_bench_that_compares_nothing_kills_nothing(unit, program):
    spec, _ = unit
    scenes = encoded(spec, standard_scenes(spec))
    found = outcomes(program, range(1, 41), scenes, checked=False)
    assert [outcome.fault for outcome in found.values()] == [""] * 40


def test_what_shows_is_not_proved_equivalent(unit, netlist, everything):
    # Faults of the valid bit, and of the argument.
    shown = {
        1: next(m for m in everything if m.mode == "inv" and m.wire.startswith("m_axis_tvalid")),
        2: next(m for m in everything if m.mode == "inv" and m.wire.startswith("s_axis_tdata")),
    }
    assert set(judged(unit[0], netlist, "top", shown).values()) == {Verdict.DIFFERENT}
    assert judged(unit[0], netlist, "top", {}) == {}


def test_the_sample_is_spread_over_the_cells_and_grows(everything):
    few, many = sample(everything, 20, 3), sample(everything, 60, 3)
    assert many[:20] == few == sample(everything, 20, 3)
    assert few != sample(everything, 20, 4)
    assert len({mutant.cell for mutant in few}) == 20
    assert len({mutant.key() for mutant in many}) == 60
    assert len(sample(everything, 10**6, 0)) == len(everything)
    assert not {mutant.port for mutant in everything} & set(CLOCKS)
    assert {mutant.mode for mutant in everything} == {"inv", "const0", "const1", "cnot0", "cnot1"}
    assert any("." in mutant.source for mutant in everything)


def test_a_planted_fault_is_in_effect_for_its_number_only(netlist, everything):
    verilog = planted(netlist, "top", {5: everything[0]}, "write_verilog out.v", "out.v")
    assert "input [15:0] mutant" in verilog
    assert "16'h0005" in verilog


def test_a_result_says_what_is_left_and_where():
    mutant = Mutant("inv", "$add$1", "A", 3, -1, "sum[3]", "12.3-12.9")
    left = Survivor(mutant, Verdict.DIFFERENT)
    found = Coverage("unit", 100, 10, 6, 3, (left,), {}, 0, 1.0)
    assert found.score == 6 / 7
    assert left.line() == "different: inv of sum[3], line 12.3-12.9"
    assert found.line() == (
        "unit: 10 mutants, 6 killed, 3 proved equivalent, 1 survivors, score 85.71%"
    )
    assert Coverage("unit", 9, 3, 0, 3, (), {}, 0, 1.0).score is None


def test_wrong_use_is_told(tmp_path, capsys):
    for words, told in (
        ((tmp_path / "none",), "BUILD_DIR must be a folder made by hw.build"),
        ((tmp_path, "--count", "0"), "--count must be 1 to 65535, not 0"),
        ((tmp_path, "--jobs", "0"), "--jobs must be at least 1, not 0"),
        ((tmp_path, "--json", tmp_path / "no" / "file"), "--json must name a file in a folder"),
    ):
        assert main([str(word) for word in words]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"sim.mutants: error: {told}")
        assert err.count("\n") == 1


def test_a_missing_verilator_is_told(unit, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StepError, match=r"^Verilator \(verilator\) was not found"):
        coverage(*unit, "top", count=1)


def test_the_kinds_of_the_bench_are_in_the_catalogue():
    kinds = ("pwl", "direct", "reciprocal", "softmax", "layernorm", "writable")
    assert set(kinds) <= set(KINDS)


def test_every_row_of_a_small_unit(unit):
    request = Request("softmax", 4, length=2, mask=True)
    spec = design(request, "direct")
    for scene in every_row(spec):
        codes, masks = scene.vectors.input, scene.vectors.input_user
        ends = np.flatnonzero(scene.vectors.input_last)
        elements = list(zip(codes.tolist(), masks.tolist(), strict=True))
        rows = {tuple(elements[first + 1 : last + 1])
                for first, last in zip([-1, *ends[:-1]], ends, strict=True)}  # fmt: skip
        assert len(rows) == len(ends) == 32 + 32**2
    assert every_row(unit[0]) is None
    assert every_row(design(Request(**KINDS["softmax"]), "direct")) is None
