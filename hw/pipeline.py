"""Pipeline registers that cannot be forgotten: no delay is written by hand."""

import copy
from collections.abc import Callable, Sequence

from amaranth.hdl import Const, Module, Signal, Value

from .store import CONSTANTS, Store

__all__ = ["Pipe"]


class Pipe:
    """A pipeline under construction, whose registers all advance together.

    `cut` ends a stage. A value that is needed again some stages later is brought there by
    `align`, which inserts the registers.

    Parameters
    ----------
    m : Module
        Where the registers go (domain ``sync``).
    advance : Value
        High in the clocks in which the pipeline moves.
    name : str
        Prefix of the registers' names.
    store : Store
        What the stages' tables hold.
    """

    def __init__(self, m: Module, advance: Value, name: str = "", store: Store = CONSTANTS) -> None:
        self.m = m
        self.advance = advance
        self.name = name
        self.store = store
        #: What the first stage's beat carries beside its codes, if anything.
        self.user: Value | None = None
        #: Number of stages cut so far.
        self.stage = 0
        self._delayed: dict[tuple[int, int], tuple[Value, Signal]] = {}

    def _register(self, name: str, value: Value, stage: int, *, reset: bool = False) -> Signal:
        # Data needs no reset: what a reset leaves behind is never marked valid.
        register = Signal(value.shape(), name=f"{self.name}s{stage}_{name}", reset_less=not reset)
        with self.m.If(self.advance):
            self.m.d.sync += register.eq(value)
        return register

    def cut(self, **values: Value) -> list[Signal]:
        """End the stage: register values, which are all of the present stage.

        Parameters
        ----------
        **values : Value
            What the next stage gets, by the names of the registers.

        Returns
        -------
        list of Signal
            The registers, in the order of `values`, with their shapes.
        """
        self.stage += 1
        return [self._register(name, value, self.stage) for name, value in values.items()]

    def step(self) -> None:
        """End the stage by a register that stands elsewhere and moves with `advance`."""
        self.stage += 1

    def each(
        self, build: Callable[..., Value], lanes: Sequence[Value], *more: Sequence[Value]
    ) -> list[Value]:
        """Build the same stages for every lane, side by side.

        Parameters
        ----------
        build : callable
            From a pipeline and the lane's values to its result.
        lanes, *more : sequence of Value
            The values, one a lane; all of the present stage.

        Returns
        -------
        list of Value
            The results, all of the stage that `build` has ended in.
        """
        if len(lanes) == 1:
            return [build(self, lanes[0], *(values[0] for values in more))]
        branches, results = [], []
        for number, values in enumerate(zip(lanes, *more, strict=True)):
            branch = copy.copy(self)
            branch.name, branch._delayed = f"{self.name}lane{number}_", {}
            branches.append(branch)
            results.append(build(branch, *values))
        (self.stage,) = {branch.stage for branch in branches}
        return results

    def align(self, value: Value, stage: int, name: str, *, reset: bool = False) -> Value:
        """Return a value of an earlier stage, delayed to the present one.

        Parameters
        ----------
        value : Value
            What is delayed; a constant is the same in every stage.
        stage : int
            The stage that it is of.
        name : str
            Name of the registers; those of a value that was aligned before are used again.
        reset : bool
            For control bits, which must be 0 after a reset.

        Returns
        -------
        Value
            The last register, or `value` itself where there is nothing to delay.
        """
        if isinstance(value, Const):
            return value
        for at in range(stage + 1, self.stage + 1):
            key = (id(value), at)
            if key not in self._delayed:
                # The value is kept with its register: an id is unique only while its object lives.
                self._delayed[key] = value, self._register(name, value, at, reset=reset)
            value = self._delayed[key][1]
        return value
