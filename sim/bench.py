"""The Amaranth testbench: every unit, one harness, held against its golden model."""

import random
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator, SimulatorContext

from nnlut_train.errors import StepError
from sim.golden import Spec

from .beats import Beat, Clock, expected, input_beats
from .stimuli import Stimulus, stimuli

__all__ = ["BenchReport", "Clock", "Run", "run_bench"]

#: Clocks without any progress after which a unit counts as hung.
HANG = 1000


@dataclass
class Run:
    """The record of one stimulus.

    Parameters
    ----------
    name : str
        The stimulus.
    rows, beats, results, clocks : int
        How many were checked (a beat has a result a lane), and how long it took.
    first_accept, first_offer : int
        Clocks at which the first beat was accepted and the first result offered.
    """

    name: str
    rows: int = 0
    beats: int = 0
    results: int = 0
    clocks: int = 0
    first_accept: int = -1
    first_offer: int = -1


@dataclass
class BenchReport:
    """What a bench measured; it ran without a mismatch.

    Parameters
    ----------
    runs : list of Run
        One a stimulus.
    latency : dict of int to int
        Row length -> measured clocks from the first accepted beat to the first offered result.
    throughput : float
        Results a clock over back-to-back rows of the maximum length, nothing stalling.
    trace : list of Clock
        The first run, clock by clock, from its first on.
    """

    runs: list[Run] = field(default_factory=list)
    latency: dict[int, int] = field(default_factory=dict)
    throughput: float = 0.0
    trace: list[Clock] = field(default_factory=list)

    @property
    def beats(self) -> int:
        """Beats that were compared, all equal."""
        return sum(run.beats for run in self.runs)

    @property
    def results(self) -> int:
        """Results that were compared, all equal."""
        return sum(run.results for run in self.runs)


class _Bench:
    """Drives one unit clock by clock, both sides in one loop, and keeps the record."""

    def __init__(self, spec: Spec, unit: wiring.Component, domain: ClockDomain, seed: int) -> None:
        self.spec, self.unit, self.domain = spec, unit, domain
        self.random = random.Random(seed)
        self.report = BenchReport()
        #: Where the clocks of a run are recorded, if they are.
        self.trace: list[Clock] | None = None

    async def reset(self, ctx: SimulatorContext) -> None:
        ctx.set(self.unit.i.valid, 0)
        ctx.set(self.unit.o.ready, 0)
        ctx.set(self.domain.rst, 1)
        await ctx.tick()
        ctx.set(self.domain.rst, 0)
        for _ in range(self.spec.settling):
            await ctx.tick()

    async def run(self, ctx: SimulatorContext, stimulus: Stimulus) -> Run:
        """Run one stimulus on a freshly reset unit; raise StepError at the first fault."""
        unit, draw, name = self.unit, self.random.random, stimulus.name
        sides = stimulus.rows, stimulus.users, stimulus.keeps
        inputs, wanted = input_beats(self.spec, *sides), expected(self.spec, *sides)
        run = Run(name, len(stimulus.rows))
        accepted, pending, stalled = 0, False, None
        patient, reset_after, quiet = stimulus.patient, stimulus.reset_after, 0
        await self.reset(ctx)
        while run.beats < len(wanted):
            if not pending and accepted < len(inputs) and draw() >= stimulus.source_stall:
                ctx.set(unit.i.payload, self.payload(inputs[accepted]))
                pending = True
            ready = not patient and draw() >= stimulus.sink_stall
            ctx.set(unit.i.valid, pending)
            ctx.set(unit.o.ready, ready)
            _, _, taken, valid, payload = await ctx.tick().sample(
                unit.i.ready, unit.o.valid, unit.o.payload
            )
            result = self.beat(payload)
            if stalled is not None and (not valid or result != stalled):
                raise StepError(f"{name}: a stalled beat changed at clock {run.clocks}")
            stalled = result if valid and not ready else None
            if self.trace is not None:
                self.trace.append(
                    Clock(pending, bool(taken), inputs[accepted] if pending else None,
                          bool(valid), ready, result if valid else None)
                )  # fmt: skip
            if valid and run.first_offer < 0:
                run.first_offer = run.clocks
            quiet = 0 if (valid and (ready or patient)) or (pending and taken) else quiet + 1
            if valid:
                patient = False
            if valid and ready:
                if result != wanted[run.beats]:
                    raise StepError(
                        f"{name}: beat {run.beats} must be {wanted[run.beats]}, not {result}"
                    )
                run.beats += 1
                run.results += result.keep.bit_count()
            if pending and taken:
                if run.first_accept < 0:
                    run.first_accept = run.clocks
                accepted, pending = accepted + 1, False
                if accepted == reset_after:
                    # Whatever is inside must be gone: all rows start over.
                    await self.reset(ctx)
                    accepted, run.beats, run.results, reset_after, stalled = 0, 0, 0, 0, None
            elif pending and stimulus.steady and self.spec.interval == 1:
                raise StepError(f"{name}: the input had to wait at clock {run.clocks}")
            run.clocks += 1
            if quiet > HANG + 4 * self.spec.longest:
                raise StepError(
                    f"{name}: no progress after {accepted} of {len(inputs)} beats in and "
                    f"{run.beats} of {len(wanted)} out"
                )
        await self._nothing_more(ctx, name)
        return run

    def payload(self, beat: Beat) -> dict[str, Any]:
        """Return a beat as `ctx.set` takes it; lanes without an element have the largest code."""
        codes = [self.spec.input.max if code is None else code for code in beat.codes]
        fields: dict[str, Any] = {"data": codes if self.spec.lanes > 1 else codes[0]}
        if self.spec.lanes > 1:
            fields["keep"] = beat.keep
        if self.spec.user_bits:
            fields["user"] = beat.user
        return fields | {"last": beat.last}

    def beat(self, payload: Any) -> Beat:
        """Return a sampled payload as a beat."""
        if self.spec.lanes == 1:
            return Beat((payload.data,), bool(payload.last))
        codes = tuple(code if payload.keep >> lane & 1 else None
                      for lane, code in enumerate(payload.data))  # fmt: skip
        return Beat(codes, bool(payload.last))

    async def _nothing_more(self, ctx: SimulatorContext, name: str) -> None:
        """Check that no beat is left over, for as long as the longest row would take."""
        ctx.set(self.unit.i.valid, 0)
        ctx.set(self.unit.o.ready, 1)
        for _ in range(8 + self.spec.latency_of(self.spec.longest or 1)):
            _, _, valid = await ctx.tick().sample(self.unit.o.valid)
            if valid:
                raise StepError(f"{name}: the unit offers a beat more than it was given")

    async def measure(self, ctx: SimulatorContext) -> None:
        """Measure the latency and hold it against what the spec states."""
        longest = self.spec.longest or 1
        codes = self.spec.input.grid()
        for length in sorted({1, (longest + 1) // 2, longest}):
            run = await self.run(ctx, Stimulus(f"row of {length}", [np.resize(codes, length)]))
            measured, stated = run.first_offer - run.first_accept, self.spec.latency_of(length)
            if measured != stated:
                raise StepError(
                    f"the latency of a row of {length} must be {stated} clocks, as the spec "
                    f"states, not {measured}"
                )
            self.report.latency[length] = measured

    async def all(self, ctx: SimulatorContext, runs: Sequence[Stimulus]) -> None:
        """Measure the latency, then run `runs`; hold the throughput against the stated one."""
        await self.measure(ctx)
        for number, stimulus in enumerate(runs):
            self.trace = None if number else self.report.trace
            run = await self.run(ctx, stimulus)
            self.report.runs.append(run)
            if stimulus.steady:
                # The beats after the first, which is offered in the first of these clocks.
                clocks = run.clocks - run.first_offer + self.spec.interval - 1
                stated = run.beats * self.spec.interval
                if clocks != stated:
                    raise StepError(
                        f"{run.name}: {run.beats} beats must take {stated} clocks, not {clocks}"
                    )
                self.report.throughput = max(self.report.throughput, run.results / clocks)


def run_bench(
    spec: Spec, unit: wiring.Component, runs: Sequence[Stimulus] | None = None, *,
    seed: int = 0, vcd: Path | None = None,
) -> BenchReport:  # fmt: skip
    """Simulate `unit` under all standard stimuli and compare it with the golden model of `spec`.

    Parameters
    ----------
    spec : Spec
        What the unit must do.
    unit : Component
        The hardware, with streams ``i`` and ``o``.
    runs : sequence of Stimulus, optional
        Other stimuli than `sim.stimuli.stimuli` gives.
    seed : int
        Seed of rows and stalls.
    vcd : Path, optional
        Write the waveform there.

    Returns
    -------
    BenchReport
        The measured latency and throughput, equal to the stated ones.

    Raises
    ------
    StepError
        At the first mismatch, lost or surplus beat, broken stream rule, hang, or latency or
        throughput other than stated.
    """
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.unit = unit
    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    bench = _Bench(spec, unit, domain, seed)

    async def testbench(ctx: SimulatorContext) -> None:
        await bench.all(ctx, stimuli(spec, seed) if runs is None else runs)

    simulator.add_testbench(testbench)
    with simulator.write_vcd(str(vcd)) if vcd else nullcontext(), warnings.catch_warnings():
        warnings.simplefilter("error")
        simulator.run()
    return bench.report
