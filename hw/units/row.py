"""The beats of rows on their way through a pipeline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Mux, Shape, Signal, Value

from ..pipeline import Pipe

__all__ = ["Row"]


def _tree(combine: Callable[[Value, Value], Value], values: Sequence[Value]) -> Value:
    """Combine `values` two by two, in a tree."""
    while len(values) > 1:
        values = [combine(*values[at : at + 2]) if at + 1 < len(values) else values[at]
                  for at in range(0, len(values), 2)]  # fmt: skip
    return values[0]


@dataclass
class Row:
    """The beats of rows, as they pass a pipeline.

    Parameters
    ----------
    pipe : Pipe
        The pipeline; all other values belong to its stage 0.
    elements : list of Value
        One a lane.
    present : list of Value
        One bit a lane: 0 where there is no element, or a masked one.
    valid, first, last : Value
        A beat is there; it is the row's first; it is the row's last.
    """

    pipe: Pipe
    elements: list[Value]
    present: list[Value]
    valid: Value
    first: Value
    last: Value

    def here(self) -> list[Value]:
        """Return `present` at the pipeline's present stage."""
        return [self.pipe.align(bit, 0, f"present{lane}") for lane, bit in enumerate(self.present)]

    def reduce(
        self, combine: Callable[[Value, Value], Value], values: Sequence[Value], name: str
    ) -> Value:
        """Combine the lanes' values in a tree; with several lanes, that ends a stage.

        Parameters
        ----------
        combine : callable
            Associative; from two values to one.
        values : sequence of Value
            One a lane, all of the pipeline's present stage.
        name : str
            Name of the register.

        Returns
        -------
        Value
            Of the stage that is the present one then.
        """
        if len(values) == 1:
            return values[0]
        (result,) = self.pipe.cut(**{name: _tree(combine, values)})
        return result

    def total(self, values: Sequence[Value], name: str) -> Value:
        """Add the lanes' values; with several lanes, that ends a stage.

        Parameters
        ----------
        values : sequence of Value
            One a lane, all of the pipeline's present stage.
        name : str
            Name of the register.

        Returns
        -------
        Value
            The sum, wide enough for every one.
        """
        return self.reduce(lambda a, b: a + b, values, name)

    def totals(self, **values: Sequence[Value]) -> list[Value]:
        """Add several kinds of values over the lanes; with several lanes, that ends one stage.

        Parameters
        ----------
        **values : sequence of Value
            One a lane, all of the pipeline's present stage, by the names of the registers.

        Returns
        -------
        list of Value
            The sums, in the order of `values`, each wide enough for every one.
        """
        if len(self.elements) == 1:
            return [each[0] for each in values.values()]
        sums = {name: _tree(lambda a, b: a + b, each) for name, each in values.items()}
        return self.pipe.cut(**sums)

    def accumulate(
        self, shape: Shape, step: Callable[[Value], Value], initial: int | Value, name: str
    ) -> Value:
        """End the stage with a register that runs over the beats of a row.

        Parameters
        ----------
        shape : Shape
            Its shape.
        step : callable
            What it becomes with the present beat, from what it was: `initial` before the first.
        initial : int or Value
            What it is before the row's first beat.
        name : str
            Its name.

        Returns
        -------
        Value
            The register; of the whole row in the clock in which `last` is in this stage.
        """
        pipe = self.pipe
        first = pipe.align(self.first, 0, "first")
        valid = pipe.align(self.valid, 0, "valid", reset=True)
        register = Signal(shape, name=f"{pipe.name}{name}", reset_less=True)
        previous = Signal(shape, name=f"{pipe.name}{name}_before")
        pipe.m.d.comb += previous.eq(Mux(first, initial, register))
        with pipe.m.If(pipe.advance & valid):
            pipe.m.d.sync += register.eq(step(previous))
        pipe.step()
        return register
