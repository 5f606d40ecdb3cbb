"""Which of the faults that the bench did not notice change nothing."""

from collections.abc import Callable, Mapping
from enum import Enum

from hw.prove import abc, tables
from hw.prove.circuit import Circuit, compiled
from hw.prove.results import Inapplicable
from nnlut_train.errors import StepError
from sim.golden import Spec, WritableSpec

from .plant import Mutant, planted
from .product import chosen, product

__all__ = ["ENGINE", "Verdict", "judged"]

#: What decides.
ENGINE = "evaluation of all arguments, ABC dprove, then pdr, in Yosys"
#: Seconds for a fault, in the first try and in the next ones.
LIMITS = (60, 120)
#: So many faults are put to one process: its start takes a second.
AT_ONCE = 12
#: Seconds, beyond the limits, in which a process has started and read all.
EXTRA = 300

_ONE = """\
read_aiger {name}.aig
{engine} -T {limit}
write_status {name}.status
"""
#: The first, a portfolio with van Eijk's induction (C. van Eijk, "Sequential equivalence checking
#: based on structural similarities", TCAD 2000), decides nearly all.
_ENGINES = ("dprove", "pdr")


class Verdict(Enum):
    """What was found about a fault."""

    #: It is never seen from outside.
    EQUIVALENT = "equivalent"
    #: It can be seen: there is a run of inputs that shows it.
    DIFFERENT = "different"
    #: Nothing was found in time.
    UNDECIDED = "undecided"


def judged(
    spec: Spec, netlist: str, top: str, mutants: Mapping[int, Mutant], *,
    results: bool = True, limits: tuple[int, ...] = LIMITS,
    told: Callable[[int, Verdict], object] = lambda number, verdict: None,
) -> dict[int, Verdict]:  # fmt: skip
    """Decide of each fault whether it can be seen from outside; see `sim.mutants.product`.

    Of a function whose table is fixed, all arguments are tried (`hw.prove.tables`): a solver is
    slow where a fault in a multiplier does not matter for the arguments that there are. It has then
    to show the same of the other outputs alone.

    Parameters
    ----------
    spec : Spec
        The unit.
    netlist : str
        From `sim.mutants.plant.prepared`.
    top : str
        Its top module.
    mutants : mapping of int to Mutant
        The faults, by numbers from 1 on.
    results : bool
        False where no fault shows in a result: all rows were simulated (`sim.mutants.rows`).
    limits : tuple of int
        Seconds for each, in the first try, the second, and so on.
    told : callable
        Is called with each fault that is decided, or given up.

    Raises
    ------
    StepError
        If Yosys fails.
    """
    if not mutants:
        return {}
    verilog = planted(netlist, top, mutants, "write_verilog -noattr unit.v", "unit.v")
    circuit = compiled({"unit.v": verilog}, top, step="faults that were not noticed")
    found: dict[int, Verdict] = {}
    open_ = {}
    for number in mutants:
        data = results and not _computes(spec, circuit, number, limits[0])
        open_[number] = product(circuit, number, results=data)
    for number, aiger in open_.items():
        if aiger is None:
            found[number] = Verdict.EQUIVALENT
            told(number, found[number])
    for try_, limit in enumerate(limits):
        engine = _ENGINES[min(try_, 1)]
        waiting = [number for number in mutants if number not in found]
        for at in range(0, len(waiting), AT_ONCE):
            part = {n: aiger for n in waiting[at : at + AT_ONCE] if (aiger := open_[n])}
            for number, verdict in _decided(part, engine, limit).items():
                if verdict is not Verdict.UNDECIDED:
                    found[number] = verdict
                    told(number, verdict)
    for number in mutants:
        if number not in found:
            found[number] = Verdict.UNDECIDED
            told(number, Verdict.UNDECIDED)
    return found


def _computes(spec: Spec, circuit: Circuit, number: int, limit: int) -> bool:
    """Return whether a fault is proved to be in no result of a function whose table is fixed."""
    if spec.longest or isinstance(spec, WritableSpec):
        return False
    try:
        tables.check(spec, chosen(circuit, number), step="a fault", what="it", timeout=limit)
    except (Inapplicable, StepError):
        return False
    return True


def _decided(circuits: Mapping[int, bytes], engine: str, limit: int) -> dict[int, Verdict]:
    names = {number: f"m{number}" for number in circuits}
    script = "".join(_ONE.format(name=name, engine=engine, limit=limit) for name in names.values())
    files = {f"{names[number]}.aig": aiger for number, aiger in circuits.items()}
    outputs = [f"{name}.status" for name in names.values()]
    try:
        written = abc.run(script, files, outputs, step="proof of faults",
                          timeout=len(names) * limit * 3 + EXTRA)  # fmt: skip
    except StepError:
        if len(circuits) == 1:
            return dict.fromkeys(circuits, Verdict.UNDECIDED)
        # One of them is too much: each alone.
        return {n: _decided({n: aiger}, engine, limit)[n] for n, aiger in circuits.items()}
    words = {number: written[f"{name}.status"].split()[:1] for number, name in names.items()}
    kinds = {b"snl_UNSAT": Verdict.EQUIVALENT, b"snl_SAT": Verdict.DIFFERENT}
    return {number: kinds.get(word[0] if word else b"", Verdict.UNDECIDED)
            for number, word in words.items()}  # fmt: skip
