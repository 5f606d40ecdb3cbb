"""No arithmetic overflows before it is declared to: nothing that is cut off is lost.

In a proof build of a unit, `hw.fixed.fits` and `hw.fixed.claims_sum` give it a wire for each place
where a value is cut to fewer bits than its shape has, other than by saturation or rounding; it is 1
where something is lost. Here each is shown to be 0, for all arguments.

What a wire depends on is one beat: its stage's registers hold functions of that beat alone. So the
circuit is unrolled with one beat at its input for as many clocks as the wires need to depend on
nothing else, and their values are proved 0: by evaluation of the gates for every argument where
these are few enough, else by ABC.

The passes of a unit of rows become plain pipelines for this, which rows of one beat pass; the sums
of longer rows are bounded by their length: `claims_sum` has each addend at most the longest sum
divided by the number of beats, from which the rest follows by induction over the beats.
"""

import dataclasses
import time

import numpy as np
from amaranth.back import rtlil
from amaranth.lib import wiring

from nnlut_train.errors import StepError
from sim.golden import LanesSpec, RowSpec, SerialSpec, Spec, UnarySpec, WritableSpec

from ..fixed import claiming
from ..units import unit_of
from . import abc
from .circuit import Circuit, compiled
from .graph import TRUE, Graph
from .results import Inapplicable, Proof, Task

__all__ = ["bare", "claims_of", "prove", "settled", "unrolled"]

#: Bits of argument for which every one is evaluated, and how many are at once.
BITS_MAX, CHUNK_BITS = 20, 14
#: Elements of a row of one beat.
LANES = 2
# A wire that nothing reads would not outlive the first optimisation.
_READ = """\
read_rtlil unit.il
hierarchy -top proof_build
proc
flatten
expose w:*lost*_*
"""
_STABLE = "Control is that of `streams`: a stage holds one beat's values."


def prove(task: Task) -> list[Proof]:
    """Prove that nothing overflows in the unit as it is described, with its tables of the build.

    Raises
    ------
    Inapplicable
        Nothing is cut.
    StepError
        If a claim is refuted: with its name and an argument; or undecided.
    """
    began = time.monotonic()
    step = f"proof of no overflow in {task.top}"
    spec = bare(task.spec)
    circuit, claims, steps = claims_of(spec, step=step)
    if not claims:
        raise Inapplicable("no value is cut")
    graph, literals, clocks = unrolled(circuit, claims, steps, step)
    engine = settled(graph, literals, step, task.timeout)
    assumptions = [_STABLE]
    claim = f"Nothing that is cut off is lost, in {len(claims)} places"
    if spec.longest:
        claim += (f": of rows of up to {spec.lanes} elements anywhere, and of the sums of rows of "
                  f"up to {spec.longest}")  # fmt: skip
        assumptions.append("Longer rows have the same stages; only their sums are longer.")
    if isinstance(task.spec, WritableSpec):
        assumptions.append("Tables are those of the build.")
    return [Proof(f"{claim}.", engine, clocks, True, time.monotonic() - began,
                  tuple(assumptions))]  # fmt: skip


def bare(spec: Spec) -> Spec:
    """Return what one lane computes; of rows, the unit for rows of `LANES` elements a beat.

    Raises
    ------
    UsageError
        If there is no such unit.
    """
    while isinstance(spec, WritableSpec | LanesSpec | SerialSpec):
        spec = spec.unit
    if isinstance(spec, UnarySpec):
        return spec
    length = -(-spec.longest // LANES) * LANES
    return dataclasses.replace(spec, lanes=LANES, length=length)


def claims_of(spec: Spec, *, step: str, fewer: int = 0) -> tuple[Circuit, list[str], int]:
    """Build a unit for its proof.

    Parameters
    ----------
    spec : Spec
        Unary, or of rows.
    step : str
        What it is for; error messages begin with it.
    fewer : int
        See `hw.fixed.claiming`.

    Returns
    -------
    circuit : Circuit
        With an output for each claim.
    claims : list of str
        Their names.
    steps : int
        Stages of the unit, at least.
    """
    with claiming(fewer) as names:
        unit = unit_of(spec)
        if isinstance(spec, RowSpec):
            made = unit.passes
            unit.passes = lambda: {name: _plain(each) for name, each in made().items()}
        text = rtlil.convert(unit, name="proof_build", emit_src=False)
        names = list(names)
    circuit = compiled({"unit.il": text}, "proof_build", step=step, read=_READ)
    found = {name.rsplit(".", 1)[-1]: name for name in circuit.outputs}
    missing = [name for name in names if name not in found]
    if missing:
        raise StepError(f"{step}: the circuit must have the claim {missing[0]}")
    return circuit, [found[name] for name in names], spec.latency_of(getattr(spec, "lanes", 1))


def _plain(each: wiring.Component) -> wiring.Component:
    """Make a pass a plain pipeline; see `hw.units.row_pass.RowPass.plain`."""
    from ..units.row_pass import RowPass

    each.plain = True
    each.elaborate = lambda platform: RowPass.elaborate(each, platform)
    return each


def unrolled(
    circuit: Circuit, claims: list[str], steps: int, step: str
) -> tuple[Graph, dict[str, int], int]:
    """Return the claims' literals once they depend on nothing but the beat, and the clocks."""
    graph = Graph()
    fixed = {"clk": 0, "rst": 0, "i__valid": 1, "o__ready": 1}
    inputs = {
        name: [fixed[name]] * len(bits) if name in fixed else graph.variables(name, len(bits))
        for name, bits in circuit.inputs.items()
    }
    beat = {literal for name, bits in inputs.items() if name not in fixed for literal in bits}
    state = [graph.variable(register.label) for register in circuit.registers]
    for clock in range(2 * steps + 4):
        outputs, state = graph.step(circuit, inputs, state)
        literals = {name: outputs[name][0] for name in claims}
        if set(graph.support(literals.values())) <= beat and clock >= steps:
            return graph, literals, clock + 1
    free = graph.support(literals.values())
    which = next(graph.name(literal) for literal in free if literal not in beat)
    raise StepError(f"{step}: what is lost must depend on one beat alone, not on {which}")


def settled(graph: Graph, literals: dict[str, int], step: str, timeout: int) -> str:
    """Prove that all literals are 0, and return by which engine."""
    open_ = {name: literal for name, literal in literals.items() if literal}
    support = graph.support(open_.values())
    if not open_:
        return "structural hashing"
    if always := [name for name, literal in open_.items() if literal == TRUE]:
        raise StepError(f"{step}: refuted: {always[0]} always loses a bit")
    if len(support) > BITS_MAX:
        found = abc.satisfied(graph, graph.any(open_.values()), step=step, timeout=timeout)
        if found is None:
            return abc.ENGINE
        values = {literal: np.full(1, -found.get(graph.name(literal), 0) % (1 << 64), np.uint64)
                  for literal in support}  # fmt: skip
        raise StepError(f"{step}: refuted: {_refuted(graph, open_, values, 0)}")
    chunk = max(6, min(CHUNK_BITS, len(support)))
    for start in range(0, 1 << len(support), 1 << chunk):
        codes = np.arange(start, start + (1 << chunk))
        values = {literal: np.packbits((codes >> bit & 1).astype(np.uint8), bitorder="little").view(
                      np.uint64) for bit, literal in enumerate(support)}  # fmt: skip
        for held in graph.values(list(open_.values()), values):
            wrong = np.flatnonzero(np.unpackbits(held.view(np.uint8), bitorder="little"))
            if len(wrong):
                raise StepError(f"{step}: refuted: {_refuted(graph, open_, values, int(wrong[0]))}")
    return "evaluation of the gates for every argument"


def _refuted(
    graph: Graph, literals: dict[str, int], values: dict[int, np.ndarray], at: int
) -> str:  # fmt: skip
    """Say which claim is wrong, and of what; `at` counts the assignments in `values`."""

    def bit(packed: np.ndarray) -> int:
        return int(packed[at // 64]) >> at % 64 & 1

    held = graph.values(list(literals.values()), values)
    name = next(name for name, packed in zip(literals, held, strict=True) if bit(packed))
    given = ", ".join(f"{graph.name(literal)} = {bit(packed)}"
                      for literal, packed in values.items())  # fmt: skip
    return f"{name.rsplit('.', 1)[-1]} loses a bit; counterexample: {given}"
