"""What a shared unit replaces: a unit a function, at the same width."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from nnlut_train.functions import lookup
from sim.accuracy import SharedAccuracy, unary_accuracy
from sim.golden import LanesSpec, SharedSpec, Spec, WritableSpec

from .choices import DIRECT_BITS_MAX
from .cost import Cost
from .design.tables import Tables
from .request import Request
from .verilog import to_verilog

__all__ = ["Separate", "separate_units", "shared_rows", "shared_to_json", "submit_separate"]


@dataclass(frozen=True)
class Separate:
    """One function by a unit of its own.

    Parameters
    ----------
    op : str
        The function.
    arch : str
        ``pwl``: lines over the same domain, in formats of their own; ``direct``: all values.
    max_ulp : float
        Its largest error over all input codes.
    cost : Cost
        Its cost on the target of the comparison.
    """

    op: str
    arch: str
    max_ulp: float
    cost: Cost


def separate_units(request: Request, *, progress: bool = False) -> list[tuple[str, str, Spec]]:
    """Return what the functions of a shared unit would be by themselves: ``(op, arch, spec)``.

    Lines are those of the shared unit's kind: folded where the function has a symmetry, and over
    the whole domain where a range could be reduced, which takes more gates. They have the shared
    unit's lanes, and are writable if it is; direct tables cannot be.
    """
    units: list[tuple[str, str, Spec]] = []
    direct = request.bits <= DIRECT_BITS_MAX and request.tables == "rom"
    for arch in ("pwl", "direct") if direct else ("pwl",):
        for op in request.ops:
            own = None if arch == "direct" else request.entries
            one = replace(
                request, op=op, arch=arch, entries=own, lanes=1, tables="rom", module=None,
                fit=request.fit if arch == "pwl" else None,
                fold=request.fold if arch == "pwl" else "auto",
            )  # fmt: skip
            function = lookup(op)
            inputs = function.input_format(one.bits)
            output = function.output_format(one.output_bits, inputs)
            tables = Tables(one, arch, progress)
            spec: Spec = tables.table(function, inputs, output, one.segments, "mse")
            if request.lanes > 1:
                spec = LanesSpec(spec, request.lanes)
            units.append((op, arch, WritableSpec(spec) if request.tables == "writable" else spec))
    return units


def submit_separate(
    units: Sequence[tuple[str, str, Spec]], submit: Callable[[str, str], Future[Cost]]
) -> Callable[[], list[Separate]]:
    """Start the synthesis of separate units; what is returned waits for it.

    Parameters
    ----------
    units : sequence of (op, arch, spec)
        See `separate_units`.
    submit : callable
        From a Verilog text and the name of its top module to the cost to come.
    """
    costs = [submit(to_verilog(spec, f"{op}_{arch}", op), f"{op}_{arch}")
             for op, arch, spec in units]  # fmt: skip
    errors = [unary_accuracy(spec.bare, lookup(op)).max_ulp for op, _, spec in units]

    def wait() -> list[Separate]:
        return [
            Separate(op, arch, error, cost.result())
            for (op, arch, _), error, cost in zip(units, errors, costs, strict=True)
        ]

    return wait


def _archs(separate: Sequence[Separate]) -> dict[str, list[Separate]]:
    """Return the units by their architecture, in the order of the functions."""
    return {arch: [one for one in separate if one.arch == arch]
            for arch in dict.fromkeys(one.arch for one in separate)}  # fmt: skip


def _size(cost: Cost, size: float) -> str:
    return f"{size:,.0f} {getattr(cost, 'unit', 'LUTs')}"


def shared_rows(
    spec: SharedSpec, accuracy: SharedAccuracy, cost: Cost, separate: Sequence[Separate]
) -> dict[str, list[str]]:
    """Return what the summary of a build says of a shared unit: lines by their label.

    Parameters
    ----------
    spec : SharedSpec
        The unit, of one lane.
    accuracy : SharedAccuracy
        Its errors.
    cost : Cost
        Its cost on the target of the comparison, as the build makes it.
    separate : sequence of Separate
        The units that it replaces.
    """
    archs, functions = _archs(separate), []
    for number, (table, (name, error)) in enumerate(
        zip(spec.functions, accuracy.functions.items(), strict=True)
    ):
        alone = ", ".join(f"{arch} {units[number].max_ulp:.3f}" for arch, units in archs.items())
        functions.append(
            f"tuser {number}: {name}, input {table.input}, output {table.output}, max "
            f"{error.max_ulp:.3f} ulp (by itself: {alone})"
        )
    area = [f"{cost.target:<8} shared {_size(cost, cost.size)}"]
    for arch, units in archs.items():
        total = sum(one.cost.size for one in units)
        parts = ", ".join(f"{one.op} {one.cost.size:,.0f}" for one in units)
        kind = "lines" if arch == "pwl" else "direct tables"
        area.append(
            f"{'':<8} separate {kind} together {_size(cost, total)}, "
            f"{total / cost.size:.2f} times the shared unit ({parts})"
        )
    return {"functions": functions, "comparison": area}


def shared_to_json(
    spec: SharedSpec, accuracy: SharedAccuracy, cost: Cost, separate: Sequence[Separate]
) -> dict[str, Any]:
    """Return what the manifest says of a shared unit; parameters as in `shared_rows`."""
    archs = _archs(separate)
    return {
        "functions": [
            {
                "tuser": number, "function": name, "input": str(table.input),
                "output": str(table.output), "max_ulp": error.max_ulp, "rms_ulp": error.rms_ulp,
                "separate_max_ulp": {
                    arch: units[number].max_ulp for arch, units in archs.items()
                },
            }
            for number, (table, (name, error)) in enumerate(
                zip(spec.functions, accuracy.functions.items(), strict=True)
            )
        ],
        "comparison": {
            "target": cost.target,
            "shared": cost.size,
            "separate": {
                arch: {
                    "together": sum(one.cost.size for one in units),
                    **{one.op: one.cost.size for one in units},
                }
                for arch, units in archs.items()
            },
        },
    }  # fmt: skip
