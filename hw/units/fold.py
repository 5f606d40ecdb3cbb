"""Folding in hardware: the magnitude before a table, and the unfolding behind it.

`nnlut_train.folding` says what the kinds of folds are; `Fold.arguments` and `Fold.unfold` there are
the same two pieces in NumPy. Without a fold (None) every function here is a plain wire.
"""

from collections.abc import Callable

from amaranth.hdl import Const, Mux, Value

from nnlut_train.folding import Fold
from nnlut_train.formats import Format

from ..fixed import saturate

__all__ = ["magnitude", "rest", "unfold"]


def magnitude(
    code: Value, fold: Fold | None, limit: Callable[[Value, Format], Value] = saturate
) -> Value:
    """Return what is looked up: ``abs(code)``, limited to the format ``fold.magnitude``.

    `limit` is one of `hw.fixed.saturate` and `hw.fixed.clip`, which do the same.
    """
    if fold is None:
        return code
    # The negation has one bit more than the code: the most negative one has a magnitude, too.
    positive = Mux(code < 0, -code, code)[: len(code)].as_unsigned()
    return limit(positive, fold.magnitude)


def rest(code: Value, fold: Fold | None) -> Value:
    """Return what `unfold` needs of the argument: nothing, its sign, or its positive part."""
    if fold is None or fold.kind == "even":
        return Const(0, 1)
    if fold.kind == "relu":
        return Mux(code < 0, 0, code)[: len(code) - 1].as_unsigned()
    return code < 0


def unfold(left: Value, value: Value, fold: Fold | None, one: int, ramp: int) -> Value:
    """Return the function from the core's `value`, in full width.

    Parameters
    ----------
    left : Value
        `rest` of the argument.
    value : Value
        The core at its magnitude.
    fold : Fold or None
        What was folded.
    one, ramp : int
        Fraction bits of `value`, and how many more they are than the argument's.
    """
    if fold is None or fold.kind == "even":
        return value
    if fold.kind == "relu":
        return (left << ramp) - value
    return Mux(left, (1 << one) - value if fold.kind == "complement" else -value, value)
