"""The error of any unit: measured, and where there is a proof, bounded."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from nnlut_train.formats import ENUMERATED_BITS
from nnlut_train.functions import Function, lookup
from sim.golden import (
    Base2Spec,
    FloatPwlSpec,
    IbertNormSpec,
    IbertSoftmaxSpec,
    KulischSpec,
    LutSoftmaxSpec,
    NormRowSpec,
    NormSpec,
    PwlSpec,
    SharedSpec,
    SoftmaxRowSpec,
    SoftmaxSpec,
    Spec,
    UnarySpec,
    WritableSpec,
)

from .accuracy import (
    FloatAccuracy,
    NormAccuracy,
    SharedAccuracy,
    SoftmaxAccuracy,
    UnaryAccuracy,
    float_accuracy,
    norm_accuracy,
    shared_accuracy,
    softmax_accuracy,
    unary_accuracy,
)
from .base2_bound import base2_bound
from .bound import softmax_bound
from .ibert_bound import ibert_norm_bound, ibert_softmax_bound
from .kulisch_bound import kulisch_bound
from .line_bound import float_line_bound, line_bound
from .lut_bound import lut_softmax_bound
from .norm_bound import norm_bound

__all__ = ["Accuracy", "how_proved", "measure"]

Accuracy = UnaryAccuracy | FloatAccuracy | SharedAccuracy | SoftmaxAccuracy | NormAccuracy


def measure(
    spec: Spec, ops: Sequence[str], domain: tuple[float, float] | None = None, *,
    rows: int | None = None,
) -> tuple[Accuracy, float | None]:  # fmt: skip
    """Measure a unit against float64.

    Parameters
    ----------
    spec : Spec
        The unit.
    ops : sequence of str
        The functions that it computes; see `nnlut_train.functions.lookup`.
    domain : tuple of float, optional
        Of a user's function.
    rows : int, optional
        Random rows that a row unit is measured by.

    Returns
    -------
    accuracy : Accuracy
        What was measured.
    bound : float or None
        The proven largest error in ulp over every input, of floating-point lines over the numbers
        of the function's domain; infinite if nothing bounds it, None if there is no proof: of a
        user's function on more arguments than can be tried. Of a writable unit it is that of its
        tables of lines as they are; of a norm, for all gamma and beta that can be written.
    """
    accuracy = _accuracy(spec.bare, ops, domain, {} if rows is None else {"count": rows})
    functions = [lookup(op, domain if len(ops) == 1 else None) for op in ops if not spec.longest]
    return accuracy, _bound(spec.bare, accuracy, functions, isinstance(spec, WritableSpec))


def how_proved(spec: Spec) -> str:
    """Return how the bound of `measure` is proved.

    ``exhaustive``: every input was tried. ``interval``: all inputs are covered by intervals, on
    each of which the error is bounded by what is at the ends. ``analytic``: by a formula, whose
    terms are computed from the unit's integers.
    """
    bare = spec.bare
    if isinstance(bare, SoftmaxSpec | LutSoftmaxSpec | IbertSoftmaxSpec):
        return "interval"
    if bare.longest:
        return "analytic"
    many = 16 if isinstance(bare, FloatPwlSpec) else ENUMERATED_BITS
    return "interval" if bare.input.bits > many else "exhaustive"


@singledispatch
def _accuracy(
    bare: Any, ops: Sequence[str], domain: tuple[float, float] | None, count: dict[str, int]
) -> Accuracy:
    """Return what is measured of a unit; `count` is for those of rows."""
    raise TypeError(f"no measurement of a {type(bare).__name__}")


@_accuracy.register
def _(
    bare: UnarySpec, ops: Sequence[str], domain: tuple[float, float] | None, count: dict[str, int]
) -> UnaryAccuracy:
    return unary_accuracy(bare, lookup(ops[0], domain))


@_accuracy.register
def _(
    bare: FloatPwlSpec, ops: Sequence[str], domain: tuple[float, float] | None,
    count: dict[str, int],
) -> FloatAccuracy:  # fmt: skip
    return float_accuracy(bare, lookup(ops[0], domain))


@_accuracy.register
def _(
    bare: SharedSpec, ops: Sequence[str], domain: tuple[float, float] | None, count: dict[str, int]
) -> SharedAccuracy:
    return shared_accuracy(bare, [lookup(op) for op in ops])


@_accuracy.register
def _(
    bare: SoftmaxRowSpec, ops: Sequence[str], domain: tuple[float, float] | None,
    count: dict[str, int],
) -> SoftmaxAccuracy:  # fmt: skip
    return softmax_accuracy(bare, **count)


@_accuracy.register
def _(
    bare: NormRowSpec, ops: Sequence[str], domain: tuple[float, float] | None,
    count: dict[str, int],
) -> NormAccuracy:  # fmt: skip
    return norm_accuracy(bare, **count)


@singledispatch
def _bound(bare: Any, accuracy: Any, functions: Sequence[Function], written: bool) -> float | None:
    """Return the proven bound, if there is a proof."""
    raise TypeError(f"no bound of a {type(bare).__name__}")


@_bound.register
def _(
    bare: UnarySpec, accuracy: UnaryAccuracy, functions: Sequence[Function], written: bool
) -> float | None:
    if not accuracy.sampled:
        return accuracy.max_ulp  # where every code was measured, the measurement is a proof
    return line_bound(bare.table, functions[0]) if isinstance(bare, PwlSpec) else None


@_bound.register
def _(
    bare: SharedSpec, accuracy: SharedAccuracy, functions: Sequence[Function], written: bool
) -> float | None:
    if not accuracy.sampled:
        return accuracy.max_ulp
    bounds = [line_bound(*pair) for pair in zip(bare.functions, functions, strict=True)]
    return None if None in bounds else max(bounds)


@_bound.register
def _(
    bare: FloatPwlSpec, accuracy: FloatAccuracy, functions: Sequence[Function], written: bool
) -> float | None:
    return float_line_bound(bare.table, functions[0]) if accuracy.sampled else accuracy.max_ulp


@_bound.register
def _(
    bare: SoftmaxSpec, accuracy: SoftmaxAccuracy, functions: Sequence[Function], written: bool
) -> float:
    return softmax_bound(bare)


@_bound.register
def _(
    bare: LutSoftmaxSpec, accuracy: SoftmaxAccuracy, functions: Sequence[Function], written: bool
) -> float:
    return lut_softmax_bound(bare)


@_bound.register
def _(
    bare: IbertSoftmaxSpec, accuracy: SoftmaxAccuracy, functions: Sequence[Function], written: bool
) -> float:
    return ibert_softmax_bound(bare)


@_bound.register
def _(
    bare: Base2Spec, accuracy: SoftmaxAccuracy, functions: Sequence[Function], written: bool
) -> float:
    return base2_bound(bare)


@_bound.register
def _(
    bare: KulischSpec, accuracy: SoftmaxAccuracy, functions: Sequence[Function], written: bool
) -> float:
    return kulisch_bound(bare)


@_bound.register
def _(
    bare: NormSpec, accuracy: NormAccuracy, functions: Sequence[Function], written: bool
) -> float:
    return norm_bound(bare, written=written)


@_bound.register
def _(
    bare: IbertNormSpec, accuracy: NormAccuracy, functions: Sequence[Function], written: bool
) -> float:
    return ibert_norm_bound(bare)
