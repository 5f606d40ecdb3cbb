"""Valid files, small ones, for the mutators to damage."""

import contextlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hw.design import design
from hw.manifest import split_tables, write_folder
from hw.plan import Plan, PlannedSite, PlannedUnit
from hw.request import Request
from nnlut_train.__main__ import main as train
from sim.golden import Spec, WritableSpec
from sim.golden.register_files import files_of
from sim.golden.register_map import register_map
from sim.vectors import make_vectors

__all__ = ["LIBERTY", "Seeds"]

LIBERTY = b"""library (small) {
  time_unit : "1ns"; capacitive_load_unit (1, pf); voltage_map (VDD, 1.2);
  lu_table_template (t) { variable_1 : input_net_transition; index_1 ("0.1, 0.2"); }
  cell (INV) { area : 1.5; cell_leakage_power : 0.1;
    pin (A) { direction : input; capacitance : 0.001; }
    pin (Y) { direction : output; function : "!A"; timing () { related_pin : "A";
      cell_rise (t) { values ("0.1, 0.2"); } } } }
  cell (NAND2) { area : 2.0; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A & B)"; } }
  cell (DFF) { area : 7.25; ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    pin (C) { direction : input; clock : true; } pin (D) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; } }
  /* a comment */ cell (LATCH) { dont_use : true; area : 4; latch (IQ, IQN) { enable : "E"; } }
}
"""
#: A request of each kind of table, and of units around them.
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "pwl": ("pwl", {"op": "gelu", "bits": 6, "entries": 4}),
    "folded": ("pwl", {"op": "tanh", "bits": 6, "entries": 4, "fold": "auto"}),
    "direct": ("direct", {"op": "gelu", "bits": 5}),
    "delta": ("delta", {"op": "silu", "bits": 6}),
    "minimised": ("minimised", {"op": "gelu", "bits": 4}),
    "multipartite": ("multipartite", {"op": "tanh", "bits": 8}),
    "indexed": ("indexed", {"op": "gelu", "bits": 6}),
    "shiftadd": ("shiftadd", {"op": "exp", "bits": 6, "fold": "none"}),
    "float": ("pwl", {"op": "gelu", "precision": "fp16", "entries": 4}),
    "reciprocal": ("pwl", {"op": "reciprocal", "bits": 6, "entries": 4}),
    "softmax": ("pwl", {"op": "softmax", "bits": 6, "length": 8, "entries": 4}),
    "norm": ("pwl", {"op": "layernorm", "bits": 8, "length": 4, "entries": 4,
                     "tables": "writable"}),
    "shared": ("pwl", {"op": "gelu,tanh", "bits": 6, "entries": 4}),
}  # fmt: skip
#: Kinds of `REQUESTS` that are one table.
TABLES = ("pwl", "folded", "direct", "delta", "minimised", "multipartite", "indexed", "shiftadd",
          "float")  # fmt: skip


@dataclass(frozen=True)
class Seeds:
    """Valid inputs, each made when it is first asked for.

    Parameters
    ----------
    folder : Path
        Where files go that must be on disk.
    """

    folder: Path

    @cached_property
    def units(self) -> dict[str, tuple[Request, str, Spec]]:
        """Request, architecture and specification of each of `REQUESTS`."""
        found = {}
        for name, (arch, options) in REQUESTS.items():
            request = Request(**options)
            found[name] = request, arch, design(request, arch)
        return found

    @cached_property
    def tables(self) -> dict[str, Any]:
        """Tables as JSON, by their kinds."""
        return {name: self.units[name][2].bare.table.to_json() for name in TABLES}

    @cached_property
    def plan(self) -> dict[str, Any]:
        """A plan as JSON."""
        units = {name: PlannedUnit(*self.units[name]) for name in ("pwl", "norm", "softmax")}
        sites = {"a.gelu": PlannedSite("gelu", "pwl"),
                 "a.softmax": PlannedSite("softmax", "softmax"),
                 "a.norm": PlannedSite("layernorm", "norm", (1, 2, 3), (4, 5, 6))}  # fmt: skip
        return Plan(units, sites, {"relative_errors": {"a.gelu": 0.1}}).to_json()

    @cached_property
    def builds(self) -> list[Path]:
        """Build folders, without what synthesis would add."""
        folders = []
        for name in ("pwl", "norm", "softmax"):
            _, _, spec = self.units[name]
            manifest, files = split_tables(spec)
            files[f"{name}.v"] = f"module {name};\nendmodule\n".encode()
            vectors = make_vectors(spec)
            size = spec.input.bits + 7 & ~7, spec.output.bits + 7 & ~7
            files |= {f"vectors/{file}": data for file, data in vectors.files(size).items()}
            if isinstance(spec, WritableSpec):
                files |= files_of(register_map(spec), name)
            data = {"verilog": f"{name}.v", "command": "", "spec": manifest,
                    "vectors": {"beats": len(vectors.input)}}  # fmt: skip
            write_folder(self.folder / name, name, data, files)
            folders.append(self.folder / name)
        return folders

    @cached_property
    def certified(self) -> dict[str, dict[str, Any]]:
        """Tables with certificates, by their objectives."""
        found = {}
        for objective in ("mse", "max"):
            out = self.folder / f"certified_{objective}.json"
            words = ["fit", "--function", "gelu", "--bits", "5", "--entries", "3", "--force",
                     "--objective", objective, "--out", str(out)]  # fmt: skip
            with contextlib.redirect_stdout(io.StringIO()):
                if train(words):
                    raise RuntimeError("the table cannot be fitted")
            found[objective] = json.loads(out.read_text())
        return found

    @cached_property
    def histogram(self) -> bytes:
        """A histogram."""
        file = io.BytesIO()
        np.savez(file, edges=np.linspace(-4, 4, 9), counts=np.arange(1, 9))
        return file.getvalue()

    @cached_property
    def npy(self) -> bytes:
        """An array of four codes."""
        file = io.BytesIO()
        np.save(file, np.arange(4))
        return file.getvalue()

    @cached_property
    def vectors(self) -> bytes:
        """Test vectors."""
        return make_vectors(self.units["pwl"][2]).files((8, 8))["vectors.npz"]

    @cached_property
    def comparison(self) -> dict[str, Any]:
        """Results of hw.compare."""
        cost = {"area": 1.5, "unit": "GE", "flip_flops": 3, "fmax_mhz": None}
        return {"schema": 1, "command": "x", "tools": {}, "targets": {}, "points": [
            {"group": "functions", "name": "gelu", "op": "gelu", "bits": 8, "arch": "pwl",
             "options": {"entries": 16}, "costs": {"generic": cost}, "max_ulp": 0.5,
             "latency": "3"},
            {"group": "rows", "name": "softmax", "op": "softmax", "bits": 8, "arch": "direct",
             "options": {}, "costs": {"ice40": {"luts": 1, "lutram": 0, "bram": 2}},
             "max_ulp": 0.6, "latency": "9"},
        ]}  # fmt: skip
