"""Proofs of tables and netlists: they hold, and a planted fault refutes each."""

import dataclasses
import json
import re

import numpy as np
import pytest

from hw import synth
from hw.asic import gates
from hw.design import design
from hw.manifest import load_build, split_tables, write_folder
from hw.prove import command, cones, netlist, stream_faults, tables
from hw.prove.circuit import compiled
from hw.prove.claims import Claims
from hw.prove.exhaustive import compare, reference
from hw.prove.graph import TRUE, Graph
from hw.prove.record import to_json
from hw.prove.results import Inapplicable, Proof, Task
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError

UNITS = {
    "direct": {"op": "gelu", "bits": 4, "arch": "direct"},
    "serial": {"op": "sigmoid", "bits": 4, "lanes": 2, "interval": 2, "arch": "direct"},
    "writable": {"op": "gelu", "bits": 4, "entries": 2, "tables": "writable"},
}
_MADE = {}


def task(name):
    """Return a unit with its Verilog."""
    if name not in _MADE:
        request = Request(**UNITS[name])
        spec = design(request, request.wanted[0])
        _MADE[name] = Task(spec, to_verilog(spec, "unit_under_proof", name), "unit_under_proof")
    return _MADE[name]


def changed(name, old, new):
    """Return a unit with one place of its Verilog changed."""
    right = task(name)
    text, count = re.subn(old, new, right.verilog, count=1)
    assert count == 1
    assert text != right.verilog
    return dataclasses.replace(right, verilog=text)


@pytest.mark.parametrize("name", UNITS)
def test_tables(name):
    (proof,) = tables.prove(task(name))
    assert proof.unbounded
    assert "16 arguments" in proof.claim
    assert ("nothing is written" in " ".join(proof.assumptions)) == (name == "writable")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("direct", r"(rom\d*\[3\] = 4'h)(\w)", lambda m: m[1] + f"{int(m[2], 16) ^ 1:x}",
         "argument 0x3 gives"),
        ("direct", r"always @\(posedge clk\)\s+s1_last <= [^;]+;",
         r"always @* s1_last = \\i__payload.last ;", "tlast of a result is that of its beat"),
        ("direct", r"always @\(posedge clk\)\s+s1_last <= [^;]+;",
         r"always @(posedge clk) s1_last <= \\i__payload.last ;", "a stall leaves"),
        ("direct", r"always @\(posedge clk\)\s+o__valid <= [^;]+;",
         "always @(posedge clk) o__valid <= (~o__valid | o__ready) ? i__valid : o__valid;",
         "before a reset"),
        ("serial", r"always @\(posedge clk\)\s+waiting <= [^;]+;",
         "always @(posedge clk) waiting <= 4'h5;", "lane 0: counterexample"),
    ],
)  # fmt: skip
def test_tables_with_a_fault(name, old, new, said):
    with pytest.raises(StepError, match=said) as caught:
        tables.prove(changed(name, old, new))
    assert "\n" not in str(caught.value)
    assert "counterexample" in str(caught.value)


def test_a_result_that_only_a_beat_after_a_reset_shows(monkeypatch):
    fault = stream_faults.FAULTS["payload changes in a stall"]
    text = """reg first = 0;
  always @(posedge aclk) first <= !aresetn;
  assign m_axis_tvalid = o_valid || (first && s_axis_tvalid);"""
    monkeypatch.setitem(stream_faults.FAULTS, "a ghost", fault._replace(text=text))
    with pytest.raises(StepError, match=r"refuted: .* before a reset"):
        tables.prove(stream_faults.faulty(task("direct"), "a ghost"))


def test_tables_of_a_row_unit():
    request = Request("softmax", bits=4, length=2)
    spec = design(request, request.wanted[0])
    with pytest.raises(Inapplicable, match="row"):
        tables.prove(Task(spec, "", "top"))


def test_netlist_and_a_netlist_with_another_gate():
    unit = task("direct")
    libraries = synth.libraries_of(())
    text = gates(unit.verilog, unit.top, libraries, own=True, netlist=True).verilog
    rtl = compiled({"design.v": unit.verilog}, unit.top, step="test")
    mapped = netlist.gates_circuit(text, unit.top, libraries, step="test")
    proof = netlist.equivalent(rtl, mapped, step="test", what="own cells", timeout=60)
    assert proof.depth == 1
    assert f"{len(mapped.registers)} of the" in proof.claim
    wrong, count = re.subn(r"\bNAND2\b", "NOR2", text, count=1)
    assert count == 1
    mapped = netlist.gates_circuit(wrong, unit.top, libraries, step="test")
    with pytest.raises(StepError, match=r"refuted: .* counterexample: "):
        netlist.equivalent(rtl, mapped, step="test", what="own cells", timeout=60)


def test_netlist_of_rows_with_another_gate():
    request = Request("softmax", bits=4, length=2)
    unit = to_verilog(design(request, request.wanted[0]), "unit_under_proof", "rows")
    libraries = synth.libraries_of(())
    text = gates(unit, "unit_under_proof", libraries, own=True, netlist=True).verilog
    rtl = compiled({"design.v": unit}, "unit_under_proof", step="test")
    mapped = netlist.gates_circuit(text, "unit_under_proof", libraries, step="test")
    proof = netlist.equivalent(rtl, mapped, step="test", what="own cells", timeout=60)
    assert re.search(r"evaluation of all values for [1-9]", proof.engine)
    wrong = re.sub(r"\bNAND2\b", "NOR2", text, count=1)
    mapped = netlist.gates_circuit(wrong, "unit_under_proof", libraries, step="test")
    with pytest.raises(StepError, match=r"refuted: .* counterexample: "):
        netlist.equivalent(rtl, mapped, step="test", what="own cells", timeout=60)


@pytest.mark.parametrize("wrong", [False, True])
def test_wide_cones_are_evaluated(wrong):
    graph = Graph()
    a, b = graph.variables("a", 9), graph.variables("b", 9)

    def product(one, other):
        """Return the product of two numbers, by rows of full adders."""
        total = [0] * 18
        for at, bit in enumerate(one):
            carry = 0
            for place in range(18 - at):
                added = graph.all((bit, other[place])) if place < len(other) else 0
                here = total[at + place]
                half = graph.differ(here, added)
                total[at + place] = graph.differ(half, carry)
                carry = graph.any((graph.all((here, added)), graph.all((half, carry))))
        return total

    claims = Claims(graph, "test")
    right = product(b, a)
    # A register that keeps what it holds: only that bit depends on it.
    keeps = graph.variables("keeps", 18)
    advance = graph.variable("advance")
    if wrong:
        right[12] = graph.differ(right[12], graph.all((*a, *b)))

    def held(bits):
        return [graph.any((graph.all((advance, bit)), graph.all((advance ^ 1, old))))
                for bit, old in zip(bits, keeps, strict=True)]  # fmt: skip

    claims.equal("a product", held(product(a, b)), held(right))
    if wrong:
        with pytest.raises(StepError, match=r"refuted: a product; counterexample: a\[0\] = 1"):
            claims.evaluate(60)
    else:
        assert claims.evaluate(60) > 5


def test_a_cone_that_one_value_makes_always_true():
    graph = Graph()
    keeps, other = graph.variables("x", 2)
    group = cones.Group((2,), ((other, {keeps: 0}), (TRUE, {keeps: 1})))
    assert cones.satisfied(graph, group) == {"x[0]": 1}


def test_reference_is_the_table():
    graph, table = Graph(), np.random.default_rng(1).integers(-8, 8, (1, 128))
    argument = graph.variables("x", 7)
    found = reference(graph, argument, table, 4)
    compare(graph, argument, found, table, 7, "test")
    table[0, 100] ^= 4
    with pytest.raises(StepError, match="argument 0x64 gives"):
        compare(graph, argument, found, table, 7, "test")


@pytest.fixture
def folder(tmp_path):
    """A build of `UNITS`' first, with what a proof needs."""
    unit = task("direct")
    spec, files = split_tables(unit.spec)
    manifest = {"verilog": f"{unit.top}.v", "spec": spec}
    files[manifest["verilog"]] = unit.verilog.encode()
    write_folder(tmp_path / "build", unit.top, manifest, files)
    return tmp_path / "build"


def test_command(folder, capsys):
    report = folder.parent / "report.json"
    assert command.main([str(folder), "--only", "tables", "--json", str(report)]) == 0
    build = load_build(folder)
    (proof,) = build.manifest["proofs"]["results"]["tables"]["proved"]
    assert json.loads(report.read_text())["proofs"]["tables"]["proved"] == [proof]
    assert "tables: the Verilog gives" in capsys.readouterr().out
    # Other Verilog: the earlier proofs are not of it.
    text = build.verilog.read_text()
    build.verilog.write_text(re.sub(r"(\[3\] = 4'h)\w", r"\g<1>9", text, count=1))
    assert command.main([str(folder), "--only", "tables"]) == 1
    said = capsys.readouterr()
    assert "earlier proofs are of other Verilog" in said.out
    assert "argument 0x3 gives 0xf9" in said.err
    assert load_build(folder).manifest["proofs"]["results"] == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--timeout", "0"], "--timeout must be"), (["--only", "beauty"], "invalid choice"),
     (["--liberty", "x.lib", "--only", "tables"], "--liberty goes with"),
     (["--json", "/nowhere/x.json"], "--json must name")],
)  # fmt: skip
def test_command_with_wrong_options(folder, capsys, arguments, said):
    assert command.main([str(folder), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_claim_that_is_not_decided_is_a_failure(monkeypatch):
    open_ = Proof("it ends", "an engine", 7, False, 0.1, decided=False)
    monkeypatch.setattr(command, "PROVERS", (("streams", lambda task: [open_]),))
    lines = []
    outcomes, failures = command.run(Task(None, "", "unit"), ["streams"], lines.append)
    assert to_json(outcomes["streams"])["undecided"][0]["claim"] == "it ends"
    assert failures == ["proof of the streams of unit: undecided: it ends"]
    assert lines == ["streams: UNDECIDED: it ends [an engine; depth 7 from reset; 0.1 s]"]
