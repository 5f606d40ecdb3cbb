"""Proofs of tables and netlists of every kind of unit: ``python bench/prove.py``.

A row is a unit. Each claim is proved, and then refuted of something that is wrong: of the table one
bit of one result; of the unit a gate that gives the opposite, and a stage too few; of the netlist a
NAND2 that is a NOR2. Seconds are those that processors worked, on all cores together: first of what
both proofs need, the compilation of the Verilog to a circuit. A dash: there is nothing to prove.
``--liberty`` has netlists of other cells (their NAND2 is not planted).
"""

import argparse
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from common import table, worked

from hw import synth
from hw.asic import gates
from hw.catalogue import KINDS
from hw.design import design
from hw.prove import netlist, tables
from hw.prove.circuit import Circuit, compiled
from hw.prove.results import Inapplicable
from hw.request import Request
from hw.verilog import to_verilog
from nnlut_train.errors import StepError
from sim.golden import Spec

WIDE: dict[str, dict[str, Any]] = {
    "pwl, 16 bits": {"op": "gelu", "bits": 16},
    "indexed, 16 bits": {"op": "gelu", "bits": 16, "arch": "indexed"},
    "multipartite, 16 bits": {"op": "tanh", "bits": 16, "arch": "multipartite"},
    "i-sqrt, 16 bits": {"op": "sqrt", "bits": 16, "method": "ibert"},
    "fp16": {"op": "gelu", "precision": "fp16"},
}
TOP = "unit_under_proof"
HEAD = ("unit", "gates", "registers", "compiled, s", "tables, s", "clocks", "faults refuted",
        "netlist, s", "NOR2 refuted")  # fmt: skip


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what some work gives, and the processor's seconds it took."""
    before = worked()
    result = work()
    return result, worked() - before


def refuted(claim: Callable[[], Any]) -> bool:
    """Whether a claim is refuted, with a counterexample or with the value that is wrong."""
    try:
        claim()
    except StepError as error:
        return "refuted: " in str(error)
    return False


def opposite(circuit: Circuit) -> Circuit:
    """Return a circuit in which what a result's lowest bit takes is inverted."""
    (bit, *_) = circuit.outputs["m_axis_tdata"]
    changed = tuple(
        dataclasses.replace(register, following=register.following ^ 1)
        if register.now == bit & ~1 else register
        for register in circuit.registers
    )  # fmt: skip
    if changed == circuit.registers:
        # It is no register: a gate itself is inverted.
        ands = tuple((gate, left ^ (left & ~1 == bit & ~1), right ^ (right & ~1 == bit & ~1))
                     for gate, left, right in circuit.ands)  # fmt: skip
        data = [bit ^ 1, *circuit.outputs["m_axis_tdata"][1:]]
        outputs = circuit.outputs | {"m_axis_tdata": data}
        return dataclasses.replace(circuit, ands=ands, outputs=outputs)
    return dataclasses.replace(circuit, registers=changed)


def planted(spec: Spec, circuit: Circuit, timeout: int) -> Iterator[bool]:
    """Yield whether each fault is refuted."""

    def check(what: Circuit = circuit) -> Any:
        return tables.check(spec, what, step="bench", what="it", timeout=timeout)

    right = tables.golden(spec)
    wrong = right.copy()
    wrong.flat[np.random.default_rng(0).integers(wrong.size)] ^= 1
    with mock.patch.object(tables, "golden", return_value=wrong):
        yield refuted(check)
    yield refuted(lambda: check(opposite(circuit)))
    late = spec.latency_of(1) + 1
    with mock.patch.object(type(spec), "latency_of", return_value=late):
        yield refuted(check)


def rows(requests: dict[str, dict[str, Any]], liberty: list[Path], timeout: int) -> Iterator[Any]:
    """Yield a row of the table for each request."""
    libraries = synth.libraries_of(liberty)
    for name, options in requests.items():
        request = Request(**options)
        spec = design(request, request.wanted[0])
        verilog = to_verilog(spec, TOP, name)
        circuit, compiling = seconds(lambda v=verilog, n=name: compiled({"v.v": v}, TOP, step=n))
        try:
            proof, tabled = seconds(lambda s=spec, c=circuit, n=name: tables.check(
                s, c, step=n, what="the Verilog", timeout=timeout))  # fmt: skip
            faults = list(planted(spec, circuit, timeout))
            first = f"{tabled:.1f}", proof.depth, f"{sum(faults)} of {len(faults)}"
        except Inapplicable:
            first = ("-", "-", "-")
        except StepError as error:
            first = (str(error), "", "")
        try:
            second = gate_level(spec, verilog, circuit, libraries, liberty, name, timeout)
        except StepError as error:
            second = (str(error), "")
        yield name, len(circuit.ands), len(circuit.registers), f"{compiling:.1f}", *first, *second


def gate_level(
    spec: Spec,
    verilog: str,
    circuit: Circuit,
    libraries: Any,
    liberty: list[Path],
    name: str,
    timeout: int,
) -> tuple[str, str]:
    """Return the seconds of a netlist's proof, and whether that of a wrong one is refuted."""
    text = gates(verilog, TOP, libraries, own=not liberty, netlist=True).verilog

    def prove(text: str) -> Any:
        mapped = netlist.gates_circuit(text, TOP, libraries, step=name)
        return netlist.check(spec, circuit, mapped, step=name, what="x", timeout=timeout)

    _, spent = seconds(lambda: prove(text))
    wrong, count = re.subn(r"\bNAND2 ", "NOR2 ", text, count=1)
    return f"{spent:.1f}", ("yes" if refuted(lambda: prove(wrong)) else "NO") if count else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = KINDS | WIDE
    parser.add_argument("--kinds", nargs="+", choices=list(every), metavar="KIND",
                        help=f"default: all, which are {'; '.join(every)}")  # fmt: skip
    parser.add_argument("--liberty", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--timeout", type=int, default=600, metavar="S", help="default: 600")
    options = parser.parse_args()
    chosen = {name: every[name] for name in options.kinds or every}
    table(HEAD, rows(chosen, options.liberty, options.timeout))


if __name__ == "__main__":
    main()
