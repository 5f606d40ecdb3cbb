"""The stream contract of a unit's Verilog: held, unconditional, in order, each beat once."""

import time
from collections.abc import Sequence
from typing import Any

from nnlut_train.errors import StepError
from sim.golden import WritableSpec

from . import stream_bench
from .results import Proof, Task, UndecidedError
from .stream_engine import Violation, flatten, induct, reach
from .stream_slots import slots_of

__all__ = ["prove"]

#: Clocks of the longest search for a late answer that must be whole. Others go as far as there is
#: time, beyond the clocks in which an answer can be late.
SEARCH_MAX = 48
_RESET = "The first clock has a reset; others come at any time. Registers begin with anything."
_HELD = "Who sends holds valid and payload until it is ready for them."
_FREE = "Tables and multipliers give anything."


def prove(task: Task) -> list[Proof]:
    """Prove the stream contract.

    * No path without a register leads from ``m_axis_tready`` to what it answers to, or from any
      input to an output of AXI4-Lite.
    * Valid and payload are held while the receiver is not ready; of a writable unit also the
      responses, of which each request has one, in the next clock.
    * Every beat leaves once, in order, with its ``tlast`` and ``tkeep``.
    * A result is offered within the stated latency, whether the receiver is ready or not.

    Raises
    ------
    UndecidedError
        If it is not decided which beats leave, or whether they are held.
    StepError
        If a claim is refuted: with the assertion and the clocks from reset.
    """
    return _Prover(task).proofs()


class _Prover:
    def __init__(self, task: Task) -> None:
        self.task, self.spec = task, task.spec
        self.step = f"proof of the streams of {task.top}"
        self.properties = stream_bench.properties()

    def proofs(self) -> list[Proof]:
        """Return all proofs."""
        began = time.monotonic()
        self.flat = flatten(self.task.verilog, self.task.top, self._pairs(), step=self.step)
        paths = self._paths(began)
        self.slots = slots_of(self.spec, self.flat.wires)
        capacity = self.slots.count if self.slots else self.spec.latency_of(1)
        self.capacity = capacity
        return [paths, self._held(), self._order(), *self._answer()]

    def _pairs(self) -> list[tuple[str, str]]:
        ports = stream_bench.ports(self.spec)
        shown = [p.name for p in ports if p.direction == "output"]
        streams = [(name, "m_axis_tready") for name in shown if name.startswith("m_axis_")]
        given = [p.name for p in ports if p.direction == "input" and p.name != "aclk"]
        return streams + [(name, other) for name in shown if name.startswith("s_axil_")
                          for other in given]  # fmt: skip

    def _paths(self, began: float) -> Proof:
        if self.flat.joined:
            output, source = self.flat.joined[0]
            raise StepError(f"{self.step}: refuted: {output} depends on {source} in the same clock")
        claim = "No result, and no valid of one, depends on m_axis_tready in the same clock"
        if isinstance(self.spec, WritableSpec):
            claim += "; no output of AXI4-Lite depends on any input so"
        return Proof(f"{claim}.", "Yosys select, input cones", None, True,
                     time.monotonic() - began)  # fmt: skip

    def _decide(
        self, bench: str, taps: dict[str, str], depth: int, lemmas: Sequence[str] = ()
    ) -> tuple[str, int]:
        """Prove all assertions of a bench; return the engine, and its depth."""
        if depth:
            done = induct(self.flat, self.properties, bench, taps, step=self.step, depth=depth,
                          timeout=self.task.timeout, lemmas=lemmas)  # fmt: skip
            if done is not None:
                return "Yosys sat, k-induction", done
            # A violation is soonest found by search.
            self._searched(bench, taps, depth=self._row_clocks())
        # What is not inductive may still hold.
        found = self._searched(bench, taps)
        if found is None:
            raise UndecidedError(f"{self.step}: undecided within {self.task.timeout} seconds")
        return "ABC pdr in Yosys", found

    def _searched(self, bench: str, taps: dict[str, str], **options: Any) -> int | None:
        """Return what `reach` does, but for a violation.

        Raises
        ------
        StepError
            There is one.
        """
        found = reach(self.flat, self.properties, bench, taps, step=self.step,
                      timeout=self.task.timeout, **options)  # fmt: skip
        if isinstance(found, Violation):
            raise StepError(f"{self.step}: refuted: {found.assertion} is violated "
                            f"{found.clocks} clocks from reset")  # fmt: skip
        return found

    def _row_clocks(self) -> int:
        """Return clocks in which the longest row, and another one, enter and leave."""
        beats = self.spec.beats(self.spec.longest) if self.spec.longest else 1
        return stream_bench.answer_of(self.spec) + 2 * beats + 2

    def _held(self) -> Proof:
        began = time.monotonic()
        engine, depth = self._decide(stream_bench.held(self.spec, self.flat.top), {}, 2)
        claim = "A result that is offered stays, with its payload, until it is taken"
        if isinstance(self.spec, WritableSpec):
            claim += "; so do AXI4-Lite's responses, of which each request has one, at once"
        return Proof(f"{claim}.", engine, depth, True, time.monotonic() - began,
                     (_RESET, _HELD, _FREE))  # fmt: skip

    def _order(self) -> Proof:
        began = time.monotonic()
        slots, spec = self.slots, self.spec
        bench = stream_bench.order(spec, self.flat.top, self.capacity, slots)
        taps = {} if slots is None else slots.taps | stream_bench.SHOWN
        lemmas = stream_bench.LEMMAS if slots and spec.longest else ()
        engine, depth = self._decide(bench, taps, 1 if slots else 0, lemmas)
        tags = "tlast and tkeep" if spec.lanes > 1 else "tlast"
        claim = (f"Every beat leaves once, in order, with its {tags}; no more than {self.capacity} "
                 "are inside")  # fmt: skip
        if spec.longest:
            claim += f"; a row is cut after {spec.beats(spec.longest)} beats"
        return Proof(f"{claim}.", engine, depth, True, time.monotonic() - began,
                     (_RESET, _HELD, _FREE))  # fmt: skip

    def _answer(self) -> list[Proof]:
        began = time.monotonic()
        spec, bound = self.spec, stream_bench.answer_of(self.spec)
        bench = stream_bench.answer(spec, self.flat.top, self.capacity)
        what = "a row has ended" if spec.longest else "a beat has entered"
        claim = (f"Within {bound} clocks after {what}, and after each result while there is more, "
                 "a result is offered, whether the receiver is ready or not.")  # fmt: skip
        if not spec.longest:
            taps = {}
            if self.slots:
                taps = self.slots.taps | stream_bench.SHOWN
                bench = stream_bench.order(spec, self.flat.top, self.capacity, self.slots,
                                           timely=True)  # fmt: skip
            engine, depth = self._decide(bench, taps, 1 if taps else 0)
            return [Proof(claim, engine, depth, True, time.monotonic() - began,
                          (_RESET, _HELD, _FREE))]  # fmt: skip
        depth = self._row_clocks()
        found = self._searched(bench, {}, depth=depth) or 0
        least = depth if depth <= SEARCH_MAX else min(depth, bound + 3)
        return [Proof(claim, "ABC bmc3 in Yosys", found, False, time.monotonic() - began,
                      (_RESET, _HELD, _FREE), decided=found >= least)]  # fmt: skip
