"""Runs a comparison: every point on every target, several at once."""

import functools
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnlut_train import interrupt
from nnlut_train.errors import InfeasibleError, StepError
from sim.golden import Spec
from sim.measure import measure

from .. import cache
from ..activity import realistic
from ..design import design
from ..report import latency_text
from ..request import Request
from ..synth import synthesize
from ..verilog import to_verilog
from .points import GROUPS, Point, lines, points
from .targets import Target

__all__ = ["SCHEMA", "figures_of", "joined", "run"]

SCHEMA = 1
#: Random rows that row units are measured by.
ROWS = 2000
#: Groups whose gates are to reach the clock of their library, with the power at it; no FPGAs.
#: The others' gates are the fewest, whatever their clock.
CLOCKED = frozenset({"baselines", "ibert"})


def figures_of(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a cost's JSON that are kept: not its cells."""
    names = ("area", "sequential_area", "combinational_area", "unit", "flip_flops", "luts",
             "lutram", "bram", "dsp", "clock_ns", "untimed")  # fmt: skip
    kept = {name: cost[name] for name in names if cost.get(name) is not None}
    timing = cost.get("timing")
    if timing is not None:
        kept |= {"slack_ns": timing["slack_ns"], "fmax_mhz": timing["fmax_mhz"]}
        if timing.get("power"):
            kept["power_mw"] = timing["power"]["total"]
    return kept


def _cost(point: Point, target: Target, spec: Spec, verilog: str) -> dict[str, Any]:
    clocked = point.group in CLOCKED and target.clock_ns is not None
    cost = synthesize(
        verilog, point.request.name, target.kind, liberty=target.liberty,
        bram="auto" if point.group == "rows" else "off",
        clock_ns=target.clock_ns if clocked else None,
        stimuli=realistic(spec) if clocked else None,
    )  # fmt: skip
    return figures_of(cost.to_json())


@functools.cache
def _lines_error(op: str, bits: int) -> float:
    """Return the largest error of the papers' 16 lines in ulp, of those with the fewer gates."""
    found = []
    for point in lines(op, bits):
        spec = design(point.request, "pwl")
        verilog = to_verilog(spec, point.request.name, "")
        area = synthesize(verilog, point.request.name, "generic").size
        found.append((area, measure(spec, point.request.ops)[0].max_ulp))
    return min(found)[1]


def _request(point: Point) -> Request:
    """Return what is built: that of the point, with the bound of lines where it has theirs."""
    request = point.request
    if not point.as_lines:
        return request
    # `Request.max_error` is at least half an ulp: correct rounding.
    return replace(request, max_error=max(0.5, _lines_error(request.op, request.bits)))


def _measured(point: Point, chosen: Sequence[Target], folder: Path | None) -> dict[str, Any]:
    """Return the record of one point; in a process of its own."""
    record: dict[str, Any] = {
        "group": point.group, "name": point.name, "op": point.request.op,
        "bits": point.request.bits,
        "arch": point.arch, "options": dict(point.options), "costs": {},
    }  # fmt: skip
    with cache.use(folder):
        try:
            request = _request(point)
            spec = design(request, point.arch)
            verilog = to_verilog(spec, request.name, "")
            accuracy, bound = measure(spec, request.ops, rows=ROWS)
            record |= {"kind": spec.bare.kind, "latency": latency_text(spec),
                       "interval": spec.interval, "max_ulp": accuracy.max_ulp,
                       "rms_ulp": accuracy.rms_ulp, "bound_ulp": bound}  # fmt: skip
            for target in chosen:
                if point.group in CLOCKED and target.kind != "generic":
                    continue
                record["costs"][target.name] = _cost(point, target, spec, verilog)
        except InfeasibleError as error:
            record["refused"] = str(error)
        except StepError as error:
            raise StepError(f"{point.group}: {point.name}: {error}") from error
    return record


def run(
    chosen: Sequence[Point], targets: Sequence[Target], *, jobs: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the record of each point, in their order; several are in work at the same time.

    What was synthesised before is taken from the cache in use (`hw.cache`), so a run that was
    interrupted goes on where it was.

    Parameters
    ----------
    chosen : sequence of Point
        The units.
    targets : sequence of Target
        What each is synthesised for, where it makes sense.
    jobs : int, optional
        How many at once; by default one a core.

    Raises
    ------
    StepError
        If a synthesis fails.
    """
    folder = cache.folder()
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs or os.cpu_count(), initializer=interrupt.enter_worker) as pool:
        futures = [pool.submit(_measured, point, targets, folder) for point in chosen]
        try:
            for future in tqdm(futures, desc="compare", unit="unit", disable=None):
                yield future.result()
        except BrokenProcessPool as error:
            raise StepError(
                "a worker process was killed, by too little memory perhaps; what was synthesised "
                "is kept, so try again with fewer --jobs"
            ) from error
        except (KeyboardInterrupt, GeneratorExit):
            # Nobody waits for what runs: its result would not be kept.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise
        finally:
            for future in futures:
                future.cancel()


def joined(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of one run, and those of an earlier one that it has not.

    Parameters
    ----------
    before, after : mapping
        Results. Those of other tools or targets, and of units that are compared no more, are not
        kept.
    """
    if any(before.get(name) != after[name] for name in ("tools", "targets")):
        return dict(after)
    found = {(p["group"], p["name"]): p for p in (*before["points"], *after["points"])}
    order = [(point.group, point.name) for point in points(tuple(GROUPS))]
    return {
        **after,
        "commands": {**before.get("commands", {}), **after["commands"]},
        "points": [found[key] for key in order if key in found],
    }
