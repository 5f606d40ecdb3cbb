"""INT8 lines against INT32 and FP32 of the same template, and against I-BERT's units.

``python bench/baselines.py --liberty FILE... --clock-ns NS`` synthesises units of GELU for one cell
library, all at the same clock and one result a clock, and prints area, the parts of the area
(`hw.components`), power and savings. Power is OpenSTA's, with the switching activity of the gates
in simulation of MiniLM-like data (`hw.activity`). Some minutes; what was synthesised before comes
from the cache. ``--json FILE`` writes the figures, too.

Units of lines have 8 entries in writable tables (``--tables writable``), the same registers and bus
in every precision. The INT8 unit has coefficients of at most 8 bits, slopes with the 5 fraction
bits of GQA-LUT (DAC 2024); the others those of `hw.build`. Units of integers have the fewest stages
that meet the clock; the slack is printed. ``--clock-gating`` stops the clock of registers that keep
their value (`hw.clockgate`), in all units alike.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hw import cache
from hw.activity import realistic
from hw.components import PARTS, components
from hw.cost import AsicCost
from hw.design import design
from hw.request import Request
from hw.synth import synthesize
from hw.verilog import to_verilog
from nnlut_train import cli, fit
from nnlut_train.errors import UsageError
from nnlut_train.fit.making import make_problem
from nnlut_train.formats import Format
from nnlut_train.functions import lookup
from sim.golden import PwlSpec, Spec, WritableSpec
from sim.measure import measure

ENTRIES = 8
#: Formats of the INT8 coefficients.
SLOPE, INTERCEPT = Format(True, 7, 5), Format(True, 8, 4)
#: Numbers of pipeline stages that are tried, from the first one up, until one meets the clock;
#: fewer meet none of docs/baselines.md. Floating point has its own.
STAGES = {"int8": range(1, 4), "int16": range(2, 7), "int32": range(5, 12)}
#: Units of I-BERT that have one of lines beside them.
IBERT = ("gelu", "exp", "sqrt")


def int8(op: str, stages: int) -> PwlSpec:
    """Return the INT8 unit of a function, with coefficients of at most 8 bits."""
    function = lookup(op)
    inputs = function.input_format(8)
    problem = make_problem(
        op, function(inputs.real(inputs.grid())), inputs, function.output_format(8, inputs),
        ENTRIES, function, slope=SLOPE, intercept=INTERCEPT, objective="mse",
    )  # fmt: skip
    return PwlSpec(fit.fit(problem), stages)


def lines(precision: str, stages: int | None = None, writable: bool = True) -> Spec:
    """Return a unit of GELU of 8 entries.

    Parameters
    ----------
    precision : str
        ``int8``, ``int16``, ``int32``, ``fp16`` or ``fp32``.
    stages : int, optional
        Of an integer unit.
    writable : bool
        Whether its tables can be written.
    """
    if precision == "int8":
        spec = int8("gelu", stages or STAGES[precision][0])
        return WritableSpec(spec) if writable else spec
    options: dict[str, Any] = {"tables": "writable" if writable else "rom"}
    if precision.startswith("int"):
        options |= {"bits": int(precision[3:]), "stages": stages}
    else:
        options["precision"] = precision
    return design(Request("gelu", entries=ENTRIES, arch="pwl", fold="none", **options), "pwl")


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    """Print a table in Markdown, each row as soon as it is there."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


class Bench:
    """Synthesises units for one library and clock, and keeps the figures.

    Parameters
    ----------
    liberty : sequence of Path
        The library's files.
    clock_ns : float
        The clock's period.
    gated : bool
        Whether the clock of registers that keep their value is stopped.
    """

    def __init__(self, liberty: Sequence[Path], clock_ns: float, gated: bool) -> None:
        self.liberty, self.clock_ns, self.gated = liberty, clock_ns, gated
        self.found: dict[str, dict[str, Any]] = {}

    def _cost(self, verilog: str, top: str, **options: Any) -> AsicCost:
        cost = synthesize(
            verilog, top, "generic", liberty=self.liberty, clock_ns=self.clock_ns,
            clock_gating=self.gated, **options,
        )  # fmt: skip
        assert isinstance(cost, AsicCost)
        return cost

    def _whole(self, name: str, spec: Spec) -> AsicCost:
        return self._cost(to_verilog(spec, "unit", name), "unit", stimuli=realistic(spec))

    def fewest(self, name: str, make: Callable[[int], Spec], numbers: Sequence[int]) -> Spec:
        """Return the unit with the fewest stages that meet the clock, or else with the most."""
        for stages in numbers:
            spec = make(stages)
            cost = self._whole(name, spec)
            if cost.timing is not None and cost.timing.slack_ns >= 0:
                break
        return spec

    def unit(self, name: str, spec: Spec, op: str, parts: bool = False) -> dict[str, Any]:
        """Return what a unit costs, and how far it is from the function."""
        cost = self._whole(name, spec)
        if cost.timing is None:
            raise UsageError(f"--liberty must give timing and power, but there is {cost.untimed}")
        power = cost.timing.power
        accuracy, _ = measure(spec, [op])
        scale = getattr(accuracy, "epsilon", spec.output.scale)
        self.found[name] = {
            "area": cost.area, "flip_flops": cost.flip_flops, "latency": spec.latency_of(1),
            "max_error": accuracy.max_ulp * scale, "cost": cost.to_json(),
            "power_mw": None if power is None else power.total, "slack_ns": cost.timing.slack_ns,
        }  # fmt: skip
        if parts:
            self.found[name]["parts"] = components(spec, self._cost, cost)
        return self.found[name]


def saved(small: float | None, large: float | None) -> str:
    """Return by how much `small` is below `large`, in percent."""
    return "?" if small is None or not large else f"{100 * (1 - small / large):.1f} %"


def text(value: float | None, digits: int = 3) -> str:
    """Return a figure, or a question mark where there is none."""
    return "?" if value is None else f"{value:,.{digits}f}"


def precisions(bench: Bench, names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield a row for each precision, the saving being that of the first."""
    first: dict[str, Any] = {}
    for name in names:
        spec = (
            bench.fewest(name, lambda stages, name=name: lines(name, stages), STAGES[name])
            if name in STAGES
            else lines(name)
        )
        one = bench.unit(name, spec, "gelu", parts=True)
        first = first or one
        yield (
            name, text(one["area"], 1), *(text(one["parts"][part], 1) for part in PARTS[:-1]),
            text(one["power_mw"]), f"{one['latency']}", text(one["slack_ns"]),
            f"{one['max_error']:.2e}", saved(first["area"], one["area"]),
            saved(first["power_mw"], one["power_mw"]),
        )  # fmt: skip


def ibert(bench: Bench) -> Iterator[Sequence[str]]:
    """Yield rows of I-BERT's units, and of lines of the same functions; constant tables."""
    for op in IBERT:
        wide = {"bits": 32, "entries": ENTRIES, "arch": "pwl"}
        wanted = {
            f"i-{op}": design(Request(op, method="ibert"), "integer"),
            f"pwl int8 {op}": design(Request(op, entries=ENTRIES, arch="pwl", fold="none"), "pwl"),
            f"direct int8 {op}": design(Request(op, arch="direct"), "direct"),
            f"pwl int32 {op}": bench.fewest(
                f"pwl int32 {op}",
                lambda stages, op=op, wide=wide: design(Request(op, **wide, stages=stages), "pwl"),
                STAGES["int32"],
            ),
        }
        base: dict[str, Any] = {}
        for name, spec in wanted.items():
            one = bench.unit(name, spec, op)
            base = base or one
            power = one["power_mw"] and base["power_mw"] and one["power_mw"] / base["power_mw"]
            yield (
                name, text(one["area"], 1), text(one["power_mw"]), f"{one['latency']}",
                text(one["slack_ns"]), f"{one['max_error']:.2e}",
                f"{one['area'] / base['area']:.2f}", text(power, 2),
                f"{one['latency'] / base['latency']:.2f}",
            )  # fmt: skip


def _run(options: argparse.Namespace) -> Bench:
    """Print what the options ask for; return the figures."""
    bench = Bench(options.liberty, options.clock_ns, options.clock_gating)
    first = options.precisions[0]
    head = ("unit", "area", *PARTS[:-1], "power, mW", "latency", "slack, ns", "max error",
            f"area saved by {first}", "power saved")  # fmt: skip
    table(head, precisions(bench, options.precisions))
    if options.ibert:
        print()
        table(("unit", "area", "power, mW", "latency", "slack, ns", "max error", "area ratio",
               "power ratio", "latency ratio"), ibert(bench))  # fmt: skip
    return bench


def _main(argv: Sequence[str] | None) -> None:
    parser = cli.ArgumentParser(prog="python bench/baselines.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--liberty", nargs="+", type=Path, required=True, metavar="FILE",
                        help="cell libraries with delays, gzipped or not")  # fmt: skip
    parser.add_argument("--clock-ns", type=float, required=True, metavar="NS",
                        help="the period of the clock of all units")  # fmt: skip
    parser.add_argument("--precisions", nargs="+", default=["int8", "int32", "fp32"],
                        choices=(*STAGES, "fp16", "fp32"), metavar="P",
                        help="of lines, the first of which the savings are of; int8, int16, int32, "
                        "fp16, fp32. Default: int8 int32 fp32")  # fmt: skip
    parser.add_argument(
        "--clock-gating",
        action="store_true",
        help="stop the clock of registers that keep their value",
    )
    parser.add_argument("--ibert", action="store_true", help="compare with I-BERT's units, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(argv)
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise UsageError(f"--json must name a file in a folder that exists, not {options.json}")
    with cache.use(cache.default_folder()):
        bench = _run(options)
    if options.json is not None:
        data = {
            "clock_ns": options.clock_ns,
            "clock_gating": options.clock_gating,
            "units": bench.found,
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(cli.run_main("bench/baselines.py", _main, None))
