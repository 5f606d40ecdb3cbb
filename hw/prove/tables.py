"""The Verilog of a unary unit gives, for every argument, what the golden model has.

The Verilog becomes a circuit (`hw.prove.circuit`), which is unrolled from registers that hold
anything: so what is shown of some clocks holds at any time. Shown are:

beat
    With a receiver that is always ready, a beat that is offered is accepted after ``interval``
    clocks, and its result, with its ``tlast`` and ``tkeep``, is offered ``latency`` clocks later,
    then and only then; data, valid and last of all other clocks are free. Its code is the golden
    model's: every bit of the result depends on the bits of the argument alone, and all their values
    are tried.
stall
    A clock in which a result waits changes no register that a result depends on, and accepts
    nothing; and where no result is offered, ``tready`` of the receiver is without effect. So a run
    with stalls is one without, some of whose clocks are repeated.
reset
    Nothing that was inside before a reset comes out after it.

Registers that have a fixed value between beats (tables that can be written, until they are; the
number of the next lane) are found as those that a reset sets and that no beat changes.
"""

import time
from collections.abc import Mapping, Sequence

from nnlut_train.errors import StepError
from sim.golden import Spec, WritableSpec

from ..axi import data_bytes
from . import abc
from .circuit import Circuit, compiled
from .claims import Claims
from .exhaustive import compare, golden, reference
from .graph import FALSE, TRUE, Graph
from .results import Inapplicable, Proof, Task

__all__ = ["BITS_MAX", "check", "prove"]

#: Bits of an argument at most.
BITS_MAX = 16
#: Up to so many, a solver proves the results once more.
SOLVED_BITS = 12
_DATA, _KEEP, _USER = "s_axis_tdata", "s_axis_tkeep", "s_axis_tuser"


def prove(task: Task) -> list[Proof]:
    """Prove that a unary unit computes its table; see the module.

    Raises
    ------
    Inapplicable
        If it is a row unit, or its codes are of more than `BITS_MAX` bits.
    StepError
        If a claim is refuted or undecided.
    """
    spec, step = task.spec, f"proof of the tables of {task.top}"
    _check_applicable(spec)
    began = time.monotonic()
    circuit = compiled({"design.v": task.verilog}, task.top, step=step)
    return [check(spec, circuit, step=step, what="the Verilog", timeout=task.timeout, began=began)]


def _check_applicable(spec: Spec) -> None:
    if spec.longest:
        raise Inapplicable("results of a row unit depend on the whole row: it has no table")
    if spec.input.bits > BITS_MAX:
        raise Inapplicable(f"codes of {spec.input.bits} bits, of at most {BITS_MAX} all are tried")


def check(
    spec: Spec, circuit: Circuit, *, step: str, what: str, timeout: int, began: float | None = None
) -> Proof:
    """Prove that a circuit, of Verilog or of gates, computes the table of `spec`.

    Parameters
    ----------
    spec, circuit : Spec, Circuit
        The unit, and its circuit.
    step, what : str
        What it is for, with which error messages begin; what the circuit is, in words.
    timeout : int
        Seconds after which the solver gives up.
    began : float, optional
        When the work began, of ``time.monotonic``.

    Raises
    ------
    Inapplicable, StepError
        See `prove`.
    """
    _check_applicable(spec)
    began = time.monotonic() if began is None else began
    unit = _Unit(spec, circuit, step)
    unit.reset()
    unit.stall()
    unit.beat()
    solved = unit.claims.settle(timeout)
    codes = 1 << (spec.input.bits + spec.user_bits)
    engines = [f"evaluation of all {codes:,} arguments (NumPy)", "structural hashing"]
    if solved or unit.solved:
        engines.append(abc.ENGINE)
    assumptions = [
        "Yosys compiles Verilog to gates as it is meant.",
        "A sender holds a beat until it is accepted, as AXI4-Stream demands.",
    ]
    if isinstance(spec, WritableSpec):
        assumptions.append("The tables are those after a reset: nothing is written.")
    return Proof(
        claim=f"{what} gives, for each of {codes:,} arguments, what the golden model has, "
        f"{unit.latency} unstalled clocks later, whatever came before and however it is stalled",
        engine=", ".join(engines),
        depth=unit.claims.depth,
        unbounded=True,
        seconds=time.monotonic() - began,
        assumptions=tuple(assumptions),
    )


class _Unit:
    """A unit's circuit, and the claims about it."""

    def __init__(self, spec: Spec, circuit: Circuit, step: str) -> None:
        self.spec, self.circuit, self.step = spec, circuit, step
        self.latency, self.interval = spec.latency_of(1), spec.interval
        self.graph = Graph()
        self.claims = Claims(self.graph, step)
        self.solved = False
        wanted = {_DATA, "s_axis_tvalid", "s_axis_tlast", "m_axis_tready", "aresetn"}
        if missing := sorted(wanted - circuit.inputs.keys()):
            raise StepError(f"{step}: the module must have the port {missing[0]}")
        self.after_reset, self.settled = self._reset()
        known = {index: value for index, value in enumerate(self.settled) if value < 2}
        # Between clocks, and between beats, whatever is done.
        self.always = self._kept(known, [[{}]])
        ready = {"m_axis_tready": [TRUE]}
        idle, offered = ready | {"s_axis_tvalid": [FALSE]}, ready | {"s_axis_tvalid": [TRUE]}
        self.between = self._kept(known, [[idle], [offered] * self.interval])

    def inputs(self, at: str, **given: Sequence[int]) -> dict[str, list[int]]:
        """Return free inputs of a clock but for those given; nothing is written to tables."""
        found = {name: list(given[name]) if name in given
                 else self.graph.variables(f"{name} in clock {at}", len(literals))
                 for name, literals in self.circuit.inputs.items()}  # fmt: skip
        found["aresetn"] = list(given.get("aresetn", [TRUE]))
        for name in ("s_axil_awvalid", "s_axil_wvalid"):
            if name in found:
                found[name] = [FALSE]
        return found

    def state(self, known: Mapping[int, int]) -> list[int]:
        """Return a state in which registers hold anything but for those known."""
        return [known[index] if index in known else self.graph.variable(register.label)
                for index, register in enumerate(self.circuit.registers)]  # fmt: skip

    def _reset(self) -> tuple[list[int], list[int]]:
        """Return the state after a clock of reset, and when the unit accepts beats again."""
        inputs = self.inputs("of the reset", aresetn=[FALSE])
        _, state = self.graph.step(self.circuit, inputs, self.state({}))
        after = state
        for clock in range(self.spec.settling):
            given = self.inputs(f"{clock + 1} after the reset")
            outputs, state = self.graph.step(self.circuit, given, state)
            self.claims.equal("nothing is accepted right after a reset",
                              outputs["s_axis_tready"], [FALSE])  # fmt: skip
        return after, state

    def _kept(
        self, known: Mapping[int, int], runs: Sequence[Sequence[Mapping[str, Sequence[int]]]]
    ) -> dict[int, int]:
        """Return those registers that keep their known value in every run: the largest such set."""
        known = dict(known)
        while True:
            kept = dict(known)
            for run in runs:
                state, held = self.state(known), self.held() if len(run) > 1 else {}
                for clock, given in enumerate(run):
                    _, state = self.graph.step(
                        self.circuit, self.inputs(str(clock), **held, **given), state
                    )
                kept = {index: value for index, value in kept.items() if state[index] == value}
            if kept == known:
                return known
            known = kept

    def held(self) -> dict[str, list[int]]:
        """Return the payload of a beat, which its sender holds."""
        return {name: self.graph.variables(name, len(literals))
                for name, literals in self.circuit.inputs.items()
                if name in (_DATA, _KEEP, _USER, "s_axis_tlast")}  # fmt: skip

    def reset(self) -> None:
        """Claim what a reset does."""
        state = self.after_reset
        # A beat that is offered at once comes out after these; what comes later is `beat`'s.
        clocks = self.spec.settling + self.interval - 1 + self.latency
        for clock in range(clocks):
            given = self.inputs(f"{clock} after the reset", m_axis_tready=[TRUE])
            outputs, state = self.graph.step(self.circuit, given, state)
            self.claims.equal("no result of a beat from before a reset is offered",
                              outputs["m_axis_tvalid"], [FALSE])  # fmt: skip
        self.claims.depth = max(self.claims.depth, clocks + 1)

    def _live(self, state: Sequence[int], outputs: Mapping[str, Sequence[int]],
              following: Sequence[int]) -> list[int]:  # fmt: skip
        """Return the registers that the stream depends on, now or later."""
        number = {literal: index for index, literal in enumerate(state) if literal > 1}
        wanted = [literal for name, literals in outputs.items() for literal in literals
                  if name.startswith(("m_axis_", "s_axis_"))]  # fmt: skip
        live: set[int] = set()
        while True:
            found = {number[variable] for variable in self.graph.support(wanted)
                     if variable in number}  # fmt: skip
            if found <= live:
                return sorted(live)
            live |= found
            wanted = [following[index] for index in live]

    def stall(self) -> None:
        """Claim what a stall does, and that readiness has no other effect."""
        graph, circuit = self.graph, self.circuit
        state = self.state(self.always)
        free = self.inputs("0")
        outputs, following = graph.step(circuit, free, state)
        live = self._live(state, outputs, following)
        (valid,) = outputs["m_axis_tvalid"]

        def at(value: int, ready: int) -> tuple[int, dict[str, list[int]], list[int], list[int]]:
            """Return a clock with this validity, as a condition or put in place."""
            fixed = [value if literal == valid > TRUE else literal for literal in state]
            outputs, following = graph.step(circuit, free | {"m_axis_tready": [ready]}, fixed)
            (now,) = outputs["m_axis_tvalid"]
            return now if value else now ^ 1, outputs, following, fixed

        stalled, outputs, following, fixed = at(TRUE, FALSE)
        for index in live:
            name = circuit.registers[index].label
            self.claims.equal(f"a stall leaves {name} as it is", [following[index]],
                              [fixed[index]], where=stalled)  # fmt: skip
        self.claims.equal("nothing is accepted in a stall", outputs["s_axis_tready"], [FALSE],
                          where=stalled)  # fmt: skip
        idle, outputs, following, _ = at(FALSE, FALSE)
        other, others, after, _ = at(FALSE, TRUE)
        self.claims.equal("m_axis_tvalid does not depend on m_axis_tready", [idle], [other])
        text = "m_axis_tready is without effect while nothing is offered"
        self.claims.equal(text, outputs["s_axis_tready"], others["s_axis_tready"], where=idle)
        self.claims.equal(text, [following[index] for index in live],
                          [after[index] for index in live], where=idle)  # fmt: skip

    def beat(self) -> None:
        """Claim what becomes of one beat, and of none."""
        graph, circuit = self.graph, self.circuit
        ready, accepted = [TRUE], self.interval - 1
        end = accepted + self.latency
        # Nothing enters: nothing leaves.
        state = self.state(self.between)
        for clock in range(self.latency + 1):
            given = {"m_axis_tready": ready} | ({} if clock else {"s_axis_tvalid": [FALSE]})
            outputs, state = graph.step(circuit, self.inputs(f"{clock} of none", **given), state)
        self.claims.equal("a result must have a beat", outputs["m_axis_tvalid"], [FALSE])
        state, payload = self.state(self.between), self.held()
        for clock in range(end + 1):
            given = {"m_axis_tready": ready}
            if clock <= accepted:
                given |= payload | {"s_axis_tvalid": [TRUE]}
            outputs, state = graph.step(circuit, self.inputs(str(clock), **given), state)
            if clock <= accepted:
                taken = [TRUE if clock == accepted else FALSE]
                self.claims.equal(f"a beat is accepted in clock {accepted}",
                                  outputs["s_axis_tready"], taken)  # fmt: skip
            if clock >= self.latency:
                offered = [TRUE if clock == end else FALSE]
                self.claims.equal(f"the result is offered {self.latency} clocks after its beat",
                                  outputs["m_axis_tvalid"], offered)  # fmt: skip
        self.claims.depth = max(self.claims.depth, end + 1)
        self.claims.equal("tlast of a result is that of its beat", outputs["m_axis_tlast"],
                          payload["s_axis_tlast"])  # fmt: skip
        self._results(payload, outputs)

    def _results(self, payload: Mapping[str, list[int]], outputs: Mapping[str, list[int]]) -> None:
        spec, graph = self.spec, self.graph
        read, written = data_bytes(spec.input), data_bytes(spec.output)
        wanted = golden(spec)
        user = payload.get(_USER, [])
        for lane in range(spec.lanes):
            code = payload[_DATA][8 * read * lane :][: spec.input.bits]
            result = outputs["m_axis_tdata"][8 * written * lane :][: 8 * written]
            text = f"{self.step}: refuted: lane {lane}" if spec.lanes > 1 else \
                f"{self.step}: refuted"  # fmt: skip
            compare(graph, [*code, *user], result, wanted, spec.input.bits, text)
            alone = set(graph.support(result)) <= {*code, *user}
            if not alone or (spec.input.bits + spec.user_bits <= SOLVED_BITS and not lane):
                table = reference(graph, [*code, *user], wanted, len(result))
                self.claims.equal("a result depends on its argument alone", result, table)
                self.solved = True
            if _KEEP in payload:
                kept = graph.all(payload[_KEEP][read * lane :][:read])
                self.claims.equal("tkeep of a result is that of its beat",
                                  outputs["m_axis_tkeep"][written * lane :][:written],
                                  [kept] * written)  # fmt: skip
