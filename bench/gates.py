"""Gates of every unit kind against the golden vectors: ``python bench/gates.py [KIND ...]``.

Each unit of the catalogue (`hw.catalogue.KINDS`) is mapped to gates, of the project's own cells or
of ``--liberty`` files, and the netlist is simulated in Icarus Verilog at full rate and with random
stalls. A line a kind: beats compared, all equal, and the area. A difference ends it with status 1.
"""

import argparse
import sys
from pathlib import Path

from hw import asic, gate_sim
from hw.catalogue import KINDS
from hw.design import design
from hw.request import Request
from hw.synth import libraries_of
from hw.verilog import to_verilog
from nnlut_train.errors import StepError, UsageError
from sim.vectors import make_vectors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="of the catalogue; default: all")
    parser.add_argument("--liberty", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--clock-ns", type=float, metavar="NS")
    options = parser.parse_args()
    unknown = set(options.kinds) - KINDS.keys()
    if unknown:
        parser.error(f"KIND must be of {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
    libraries = libraries_of(options.liberty)
    failed = 0
    for kind in options.kinds or KINDS:
        request = Request(**KINDS[kind])
        spec = design(request, KINDS[kind].get("arch", request.compared[0]))
        try:
            gates = asic.gates(
                to_verilog(spec, request.name, kind), request.name, libraries,
                own=not options.liberty, clock_ns=options.clock_ns, netlist=True,
            )  # fmt: skip
            beats = gate_sim.compare(
                gates.verilog, request.name, libraries, make_vectors(spec), spec.user_bits,
                step=kind,
            )  # fmt: skip
        except (StepError, UsageError) as error:
            failed += 1
            print(f"{kind:<26} {error}", flush=True)
            continue
        cost = gates.cost
        print(f"{kind:<26} {beats:>6,} beats equal, {cost.area:>10,.1f} {cost.unit}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
