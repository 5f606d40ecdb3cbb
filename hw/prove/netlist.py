"""The netlist of gates does what the Verilog does, clock by clock.

Both become circuits (`hw.prove.circuit`), with one state between them: registers of the netlist are
those of the Verilog by the names of what they drive, inverted where the library's are. From every
such state, and for every input, the two have the same outputs and go to the same state. It is the
step of an induction over the clocks; where it begins is an assumption.

Registers whose names are lost are paired by a simulation of both. A register that only one of them
has is matched by what it takes at the clock's edge: the same as another register of its own
circuit, or its inverse. Next states that are wide cones, such as those of multipliers, are
evaluated for all values of what they depend on (`hw.prove.cones`); the rest is for a solver.
"""

import time
from collections.abc import Mapping, Sequence

from nnlut_train.errors import StepError
from sim.golden import Spec, WritableSpec

from .. import synth
from ..asic import gates
from ..celldata import reduced
from ..liberty import Library
from . import abc, tables
from .circuit import Circuit, compiled
from .claims import Claims
from .copies import copies, pairs, traces
from .graph import FALSE, Graph
from .results import Proof, Task, UndecidedError

__all__ = ["check", "equivalent", "gates_circuit", "prove"]

#: Seconds for a solver where there is another way.
_SHORT = 30

# Nets whose names are the design's, as outputs: those of registers are among them.
_EXPOSE = """\
hierarchy -top {top}
cd {top}
expose w:* w:_*_ %d i:* %d
cd
"""


def prove(task: Task) -> list[Proof]:
    """Prove that the netlist which ``hw.synth --target generic`` makes equals the Verilog.

    Raises
    ------
    StepError
        If it does not: with a counterexample; or a tool failed.
    """
    step = f"proof of the netlist of {task.top}"
    began = time.monotonic()
    libraries = synth.libraries_of(task.liberty)
    netlist = gates(task.verilog, task.top, libraries, own=not task.liberty, netlist=True).verilog
    rtl = compiled({"design.v": task.verilog}, task.top, step=step)
    mapped = gates_circuit(netlist, task.top, libraries, step=step)
    what = "the project's own cells" if not task.liberty else \
        f"cells of {', '.join(library.file for library in libraries)}"  # fmt: skip
    return [check(task.spec, rtl, mapped, step=step, what=what, timeout=task.timeout, began=began)]


def gates_circuit(netlist: str, top: str, libraries: Sequence[Library], *, step: str) -> Circuit:
    """Return the circuit of a netlist; cells are what the functions in their libraries say.

    Raises
    ------
    StepError
        Yosys failed, or a cell is no gate and no flip-flop.
    """
    names = {name for library in libraries for name in library.cells if name in netlist}
    files = {f"cells{number}.lib": text.encode("latin-1") for number, library
             in enumerate(libraries) if (text := reduced(library, names))}  # fmt: skip
    read = "".join(f"read_liberty -overwrite {name}\n" for name in files)
    read += f"read_verilog netlist.v\n{_EXPOSE.format(top=top)}"
    return compiled({**files, "netlist.v": netlist}, top, step=step, read=read)


def check(
    spec: Spec, rtl: Circuit, mapped: Circuit, *, step: str, what: str, timeout: int,
    began: float | None = None,
) -> Proof:  # fmt: skip
    """Prove that a netlist is right: `equivalent` to the Verilog.

    Where that is not decided soon, and all that the unit does is its table, it is proved of the
    netlist as it is of the Verilog that it gives this table; see `hw.prove.tables`.

    Parameters
    ----------
    spec : Spec
        The unit.

    Others, and what is raised, are those of `equivalent`.
    """
    began = time.monotonic() if began is None else began
    tabled = not (spec.longest or isinstance(spec, WritableSpec)) \
        and spec.input.bits <= tables.BITS_MAX  # fmt: skip
    limit = min(timeout, _SHORT) if tabled else timeout
    try:
        return equivalent(rtl, mapped, step=step, what=what, timeout=limit, began=began)
    except UndecidedError:
        if not tabled:
            raise
    what = f"the netlist of {what}"
    return tables.check(spec, mapped, step=step, what=what, timeout=timeout, began=began)


def equivalent(
    rtl: Circuit, mapped: Circuit, *, step: str, what: str, timeout: int, began: float | None = None
) -> Proof:
    """Prove that two circuits with the same ports are equal.

    Parameters
    ----------
    rtl, mapped : Circuit
        The Verilog; the netlist, which shows its named nets as outputs.
    step : str
        What it is for; error messages begin with it.
    what : str
        What the netlist is of, in words.
    timeout : int
        Seconds after which the solver gives up.
    began : float, optional
        When the work began, of ``time.monotonic``.

    Raises
    ------
    UndecidedError
        The solver gave up.
    StepError
        They differ: the message has a counterexample; or they have other ports.
    """
    began = time.monotonic() if began is None else began
    match = _Match(rtl, mapped, step)
    match.claim()
    count = match.claims.count
    tried = match.claims.evaluate(timeout)
    solved = match.claims.settle(timeout)
    return Proof(
        claim=f"the netlist of {what} equals the Verilog: from each of the states that its "
        f"{len(mapped.registers)} registers have in common with {len(match.found)} of the "
        f"Verilog's {len(rtl.registers)}, {count} outputs and next states are equal",
        engine=f"structural hashing, evaluation of all values for {tried} of them, "
        f"{abc.ENGINE} for {solved}",
        depth=1,
        unbounded=True,
        seconds=time.monotonic() - began,
        assumptions=(
            "Registers that are matched, by name or by a simulation, hold the same at power-on; "
            "others that synthesis has made one with another hold what that one does, and those "
            "that it has made a constant 0 hold 0.",
            "Yosys compiles Verilog to gates as it is meant, and cells are what their liberty "
            "functions say.",
        ),
    )


class _Match:
    """Two circuits with one state."""

    def __init__(self, rtl: Circuit, mapped: Circuit, step: str) -> None:
        self.rtl, self.mapped, self.step = rtl, mapped, step
        self.graph = Graph()
        self.claims = Claims(self.graph, step)
        self.inputs = {name: self.graph.variables(name, len(literals))
                       for name, literals in (mapped.inputs | rtl.inputs).items()}  # fmt: skip
        number = {register.now: index for index, register in enumerate(mapped.registers)}
        #: Register of the Verilog to that of the netlist, and whether that is inverted.
        self.found: dict[int, tuple[int, int]] = {}
        own = {name: register.now for register in mapped.registers for name in register.names}
        for index, register in enumerate(rtl.registers):
            for name in register.names:
                literal = mapped.signals.get(name, own.get(name))
                if literal is not None and literal & ~1 in number:
                    self.found[index] = number[literal & ~1], literal & 1
                    break
        self._traces: dict[int, list[bytes]] = {}
        if len(self.found) < min(len(rtl.registers), len(mapped.registers)):
            known = [(index, place) for index, (place, _) in self.found.items()]
            self.found |= pairs(self._seen(rtl), self._seen(mapped), known)

    def _seen(self, circuit: Circuit) -> list[bytes]:
        """Return what the registers of a circuit hold in a simulation."""
        if id(circuit) not in self._traces:
            self._traces[id(circuit)] = traces(circuit)
        return self._traces[id(circuit)]

    def claim(self) -> None:
        """Claim that outputs and next states are equal."""
        graph, rtl, mapped = self.graph, self.rtl, self.mapped
        state, follower = self._shared(mapped, {place: None for place, _ in self.found.values()})
        outputs, following = graph.step(mapped, self.inputs, state)
        found = {index: state[place] ^ inverted for index, (place, inverted) in self.found.items()}
        wanted, copied = self._shared(rtl, found)
        expected, after = graph.step(rtl, self.inputs, wanted)
        for name, literals in expected.items():
            if name not in outputs:
                raise StepError(f"{self.step}: the netlist must have the port {name}")
            self.claims.equal(
                f"{name} of the netlist is that of the Verilog", outputs[name], literals
            )
        for index, (place, inverted) in self.found.items():
            text = f"{rtl.registers[index].label} of the netlist is that of the Verilog"
            self.claims.equal(text, [following[place] ^ inverted], [after[index]])
        for circuit, others, then in ((mapped, follower, following), (rtl, copied, after)):
            for index, (place, inverted) in others.items():
                text = f"{circuit.registers[index].label} follows another register"
                held = FALSE if place is None else then[place] ^ inverted
                self.claims.equal(text, [then[index]], [held])

    def _shared(
        self, circuit: Circuit, known: Mapping[int, int | None]
    ) -> tuple[list[int], dict[int, tuple[int | None, int]]]:
        """Return a state, in which registers that take the same, or its inverse, hold the same.

        Parameters
        ----------
        circuit : Circuit
            The circuit.
        known : mapping
            Registers that the other circuit has, too, to what they hold; None: anything.

        Returns
        -------
        state : list of int
            What the registers hold.
        followers : dict
            Other register to the known one that it is a copy of (None: it is 0), and whether it is
            its inverse.
        """
        graph = self.graph
        state = [graph.variable(register.label) for register in circuit.registers]
        state = [literal if known.get(index) is None else known[index]
                 for index, literal in enumerate(state)]  # fmt: skip
        _, following = graph.step(circuit, self.inputs, state)
        first = {following[index] >> 1: index for index in known}
        followers: dict[int, tuple[int | None, int]] = {
            index: (first[literal >> 1], (literal ^ following[first[literal >> 1]]) & 1)
            for index, literal in enumerate(following)
            if index not in known and literal >> 1 in first
        }
        # One that can hold its value shows in no single clock that it is a copy.
        if len(known) + len(followers) < len(state):
            labels = [register.label for register in circuit.registers]
            for index, place in copies(self._seen(circuit), known, labels).items():
                followers.setdefault(index, (place, 0))
        for index, (place, inverted) in followers.items():
            state[index] = FALSE if place is None else state[place] ^ inverted
        return state, followers
