"""The last stages of a unit whose range is reduced: shift, rounding, saturation."""

from amaranth.hdl import Cat, Const, Mux, Value

from nnlut_train.formats import Format
from sim.golden.around_steps import ScaleSteps

from ..fixed import clip, round_shift, saturate, shape_of
from ..pipeline import Pipe
from .steps import Stepped

__all__ = ["scale"]


def scale(
    pipe: Pipe, steps: ScaleSteps, stages: int | None, value: Value, shift: Value,
    special: tuple[Value, int], output: Format,
) -> Value:  # fmt: skip
    """Add the stages from a table's value to the result, and return that.

    Parameters
    ----------
    pipe : Pipe
        Gets `stages` stages; all values are of the present one.
    steps : ScaleSteps
        What there is to do.
    stages : int or None
        How many; None is one, left to synthesis as a whole.
    value, shift : Value
        Unsigned; the result is ``saturate(round_shift(value, shift))``.
    special : tuple of Value and int
        Where the first is 1, the result is the second.
    output : Format
        Of the result.
    """
    if stages is None:
        scaled = saturate(round_shift(value, shift), output)
        flag, other = special
        (result,) = pipe.cut(result=Mux(flag, Const(other, shape_of(output)), scaled))
        return result
    return _Scale(pipe, steps, stages, value, shift, special, output).build()


class _Scale(Stepped):
    """The steps under construction."""

    def __init__(
        self, pipe: Pipe, steps: ScaleSteps, stages: int, value: Value, shift: Value,
        special: tuple[Value, int], output: Format,
    ) -> None:  # fmt: skip
        # One bit to spare, so that the rounding bit stays in sight.
        live = {"value": value << 1, "shift": shift, "special": special[0]}
        super().__init__(pipe, steps, stages, True, live)
        self.special, self.output = special[1], output

    def _shift(self, numbers: list[int], _: object) -> None:
        shift = self.live["shift"]
        # The bits that are left after these.
        low = max(0, 2 * (len([1 for kind, _ in self.steps.names if kind == "shift"])
                          - 1 - numbers[-1]))  # fmt: skip
        places = Cat(Const(0, low), shift[low:])
        self.live["value"] = self.live["value"] >> places
        self.live["shift"] = shift[:low]

    def _round(self, *_: object) -> None:
        self.live = {
            "value": (self.live["value"] + 1) >> 1, "special": self.live["special"],
        }  # fmt: skip

    def _saturate(self, *_: object) -> None:
        other = Const(self.special, shape_of(self.output))
        limited = clip(self.live["value"], self.output)
        self.live = {"result": Mux(self.live["special"], other, limited)}
