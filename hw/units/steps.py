"""A unit built step by step, with a register wherever its specification has one."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from amaranth.hdl import Const, Signal, Value

from sim.golden.pipelining import Steps

from ..pipeline import Pipe

__all__ = ["Stepped"]


class Stepped:
    """The steps of one unit under construction; a subclass has a method ``_kind`` for each kind.

    A method gets the numbers of what is done at once, and the names of all steps of its stage. It
    changes `live`, which has the values that later steps need, by name; each stage ends by
    registers for them.

    Parameters
    ----------
    pipe : Pipe
        Where the stages go.
    steps : Steps
        What the steps are.
    stages : int or None
        See `Steps.ends`.
    named : bool
        Whether each step's values become signals: an expression that is used twice would be built,
        and written, twice.
    live : dict of str to Value
        What the first step gets.
    """

    def __init__(
        self, pipe: Pipe, steps: Steps, stages: int | None, named: bool, live: dict[str, Value]
    ) -> None:
        self.pipe, self.steps, self.stages, self.named = pipe, steps, stages, named
        self.live = live

    def build(self) -> Value:
        """Add all stages and return the result, which is all that is left."""
        (result,) = self.add().values()
        return result

    def add(self) -> dict[str, Value]:
        """Add all stages and return what is left by then, by name."""
        begin = 0
        for end in self.steps.ends(self.stages):
            names = self.steps.names[begin:end]
            for kind, numbers in _runs(names):
                getattr(self, f"_{kind}")(numbers, names)
                if self.named:
                    self._name(kind)
            if end == len(self.steps.names):
                self.finish()
            self.live = dict(zip(self.live, self.pipe.cut(**self.live), strict=True))
            begin = end
        return self.live

    def finish(self) -> None:
        """Do what is left before the last register."""

    def _name(self, kind: str) -> None:
        for name, value in self.live.items():
            if not isinstance(value, Signal | Const):
                named = Signal(
                    value.shape(), name=f"{self.pipe.name}s{self.pipe.stage}_{kind}_{name}"
                )
                self.pipe.m.d.comb += named.eq(value)
                self.live[name] = named


def _runs(steps: Sequence[tuple[str, int]]) -> Iterator[tuple[str, list[int]]]:
    """Yield what is done at once: a kind of step, and its numbers."""
    for kind, found in groupby(steps, lambda step: step[0]):
        yield kind, [number for _, number in found]
