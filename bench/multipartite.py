"""Multipartite tables: decompositions, sizes and errors, beside FloPoCo, direct tables and lines.

``python bench/multipartite.py [--part flopoco|small|wide] [--candidates N] [--json FILE]``

flopoco
    1/(1+x), 1/sqrt(1+x) and exp(-8x), x in [0, 1), faithful, 12 fraction bits out. FloPoCo's
    circuits (piecewise linear, of the same formats) are combinational: ``core`` is the same of
    ours, ``unit`` has the AXI4-Stream handshake and the registers. About two minutes.
small
    Faithful functions of 8 bits, units beside the correctly rounded direct table.
wide
    Units of 16 bits beside learned lines. Several minutes.

LUTs are without block RAM; neither has a multiplier, so there is no DSP.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from common import table

from hw.core import core_verilog
from hw.design import design
from hw.request import Request
from hw.synth import synthesize_all
from hw.verilog import to_verilog
from nnlut_train.formats import Format
from nnlut_train.multipartite import MultipartiteTable
from nnlut_train.multipartite_search import multipartite_tables
from sim.golden import MultipartiteSpec, Spec
from sim.measure import measure

TARGETS = ("xilinx", "ice40", "generic")
OUTPUT = Format(False, 13, 12)
#: Name to function, bits of the argument, and FloPoCo's LUT6 and LUT4.
FLOPOCO: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int, tuple[int, int]]] = {
    "1/(1+x)": (lambda x: 1 / (1 + x), 12, (130, 436)),
    "1/sqrt(1+x)": (lambda x: 1 / np.sqrt(1 + x), 12, (123, 346)),
    "exp(-8x)": (lambda x: np.exp(-8 * x), 11, (838, 1111)),
}
SMALL = ("gelu", "silu", "sigmoid", "tanh", "exp", "reciprocal", "rsqrt")
WIDE = ("gelu", "silu", "sigmoid", "tanh", "exp")
PARTS = ("flopoco", "small", "wide")
HEAD = ("function", "what", "pieces", "heads", "guard", "bits", "max ulp", "bound", "xc7 LUT",
        "iCE40 LUT4", "GE")  # fmt: skip


def costs(verilog: str, top: str) -> list[float]:
    """Return LUTs of Xilinx 7 and iCE40, and gate equivalents."""
    return [cost.size for cost in synthesize_all(verilog, top, TARGETS, bram="off")]


def described(found: MultipartiteTable) -> list[Any]:
    """Return what says how a table is cut, and how good it is."""
    return [found.pieces, found.heads, found.shift, found.storage_bits,
            round(found.meta["errors"]["max_ulp"], 4), round(found.meta["bound"], 3)]  # fmt: skip


def flopoco(candidates: int) -> Iterator[list[Any]]:
    """Yield the cheapest decompositions by the search's estimate; the smallest core as a unit."""
    for name, (function, bits, peer) in FLOPOCO.items():
        yield [name, "FloPoCo, core", *[""] * 6, *peer, ""]
        inputs = Format(False, bits, bits)
        target = function(inputs.real(inputs.codes()))
        best: tuple[float, MultipartiteTable] | None = None
        for found in islice(multipartite_tables(name, target, inputs, OUTPUT), candidates):
            sizes = costs(core_verilog(MultipartiteSpec(found), "core"), "core")
            yield [name, "core", *described(found), *sizes]
            # The sum of the shares of FloPoCo's LUTs decides.
            share = sizes[0] / peer[0] + sizes[1] / peer[1]
            best = min(best or (share, found), (share, found), key=lambda one: one[0])
        assert best is not None
        unit = to_verilog(MultipartiteSpec(best[1]), "unit", name)
        yield [name, "unit", *described(best[1]), *costs(unit, "unit")]


def _unit(request: Request, arch: str) -> tuple[Spec, list[Any]]:
    spec = design(request, arch)
    error = measure(spec, request.ops)[0].max_ulp
    tables = [found for _, found in spec.tables()]
    cut: list[Any] = ["", "", "", sum(found.storage_bits for found in tables), round(error, 4), ""]
    if len(tables) == 1 and isinstance(tables[0], MultipartiteTable):
        cut[:3] = described(tables[0])[:3]
    return spec, [*cut, *costs(to_verilog(spec, request.name, arch), request.name)]


def units(ops: tuple[str, ...], bits: int, other: str) -> Iterator[list[Any]]:
    """Yield the units of two architectures, with the AXI4-Stream handshake."""
    for op in ops:
        request = Request(op, bits=bits)
        for arch in (other, "multipartite"):
            spec, cells = _unit(request, arch)
            what = arch if spec.kind == arch else f"{arch} in {spec.kind}"
            yield [f"{op}, {bits} bit", what, *cells]


def main(argv: list[str] | None = None) -> int:
    """Print one table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, default="flopoco", help="default: %(default)s")
    parser.add_argument("--candidates", type=int, default=3, metavar="N",
                        help="flopoco: cuts to synthesise. Default: %(default)s")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here, too")
    options = parser.parse_args(argv)
    if options.candidates < 1:
        parser.error(f"--candidates must be at least 1, not {options.candidates}")
    rows = {
        "flopoco": lambda: flopoco(options.candidates),
        "small": lambda: units(SMALL, 8, "direct"),
        "wide": lambda: units(WIDE, 16, "pwl"),
    }[options.part]()
    done: list[list[Any]] = []

    def kept() -> Iterator[list[Any]]:
        for row in rows:
            done.append(row)
            yield row

    table(HEAD, kept())
    if options.json is not None:
        listed = [dict(zip(HEAD, row, strict=True)) for row in done]
        options.json.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
