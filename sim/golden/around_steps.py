"""The steps before and behind a table whose range is reduced."""

from dataclasses import dataclass
from functools import cached_property

from .pipelining import Steps, adder, comparator, levels, multiplier

__all__ = ["PowerSteps", "ScaleSteps"]

#: Bits of an unsigned factor that a multiplier block of an FPGA has.
BLOCK = 17


@dataclass(frozen=True)
class PowerSteps(Steps):
    """From an argument to the power of two that it is, i + f.

    The steps: ``multiply`` by a constant, or if it is wider than multiplier blocks of FPGAs are, by
    its two halves, and ``join``, which adds them; ``exponent``, how far i is from the largest that
    the output holds; ``limit`` of that to the shifts that leave anything.

    Parameters
    ----------
    argument, factor, shift : int
        Bits of the argument, of the constant, and of the shift.
    fraction : int
        Bits of f.
    """

    argument: int
    factor: int
    shift: int
    fraction: int

    @property
    def names(self) -> tuple[tuple[str, int], ...]:
        """The steps in order."""
        join = (("join", 0),) if self.factor > BLOCK else ()
        return (("multiply", 0), *join, ("exponent", 0), ("limit", 0))

    def delay(self, begin: int, end: int) -> int:
        """Return the gate levels of the steps `begin` to ``end - 1`` in one stage."""
        each = {
            "multiply": multiplier(self.argument, self.argument + self.factor),
            "join": adder(self.argument + self.factor),
            "exponent": adder(self.shift + 2),
            "limit": comparator(self.shift + 2) + 2,
        }
        return sum(each[name] for name, _ in self.names[begin:end])

    def width(self, at: int) -> int:
        """Return the register bits of a cut before step `at`, about: what later steps need."""
        return self.fraction + self.shift + 2


@dataclass(frozen=True)
class ScaleSteps(Steps):
    """From what a table gives to the result, scaled by a power of two that is known meanwhile.

    The steps: ``shift``, 0 and on, which are two bits of its number each, the highest first;
    ``round``; ``saturate``.

    Parameters
    ----------
    value, shift : int
        Bits of what is shifted right, and of the number of places.
    """

    value: int
    shift: int

    @cached_property
    def names(self) -> tuple[tuple[str, int], ...]:
        """The steps in order."""
        shifts = tuple(("shift", number) for number in range(-(-self.shift // 2)))
        return (*shifts, ("round", 0), ("saturate", 0))

    def delay(self, begin: int, end: int) -> int:
        """Return the gate levels of the steps `begin` to ``end - 1`` in one stage."""
        each = {"shift": 4, "round": adder(self.value), "saturate": levels(self.value) + 3}
        return sum(each[name] for name, _ in self.names[begin:end])

    def width(self, at: int) -> int:
        """Return the register bits of a cut before step `at`, about: what later steps need."""
        left = sum(name == "shift" for name, _ in self.names[at:])
        return self.value + 1 + min(self.shift, 2 * left)
