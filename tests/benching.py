"""What the tests of units share."""

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from hw.units import unit_of
from sim.bench import run_bench


def check(spec, runs=None, seed=0):
    """Run the bench and return its report; the latency must be the one stated."""
    report = run_bench(spec, unit_of(spec), runs, seed=seed)
    assert report.latency
    for length, clocks in report.latency.items():
        assert clocks == spec.latency_of(length)
    return report


def simulate(unit, testbench):
    """Run `testbench` with `unit` and the domain's reset."""
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.unit = unit
    simulator = Simulator(m)
    simulator.add_clock(1e-8)

    async def run(ctx):
        await testbench(ctx, domain)

    simulator.add_testbench(run)
    simulator.run()
