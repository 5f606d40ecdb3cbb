"""The error of any unit: measured, and where there is a proof, bounded."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from nnlut_train.functions import lookup
from sim.golden import (
    Base2Spec,
    FloatPwlSpec,
    KulischSpec,
    NormRowSpec,
    NormSpec,
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
from .kulisch_bound import kulisch_bound
from .norm_bound import norm_bound

__all__ = ["Accuracy", "measure"]

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
        The proven largest error in ulp over every input; infinite if nothing bounds it, None if
        there is no proof of this kind of unit. Of a writable unit it is that of its tables of lines
        as they are; of a norm, for all gamma and beta that can be written.
    """
    accuracy = _accuracy(spec.bare, ops, domain, {} if rows is None else {"count": rows})
    return accuracy, _bound(spec.bare, accuracy, isinstance(spec, WritableSpec))


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
def _bound(bare: Any, accuracy: Any, written: bool) -> float | None:
    """Return the proven bound, if there is a proof of this kind of unit."""
    return None


@_bound.register
def _(bare: UnarySpec, accuracy: UnaryAccuracy | SharedAccuracy, written: bool) -> float | None:
    # Where every code was measured, the measurement is a proof.
    return None if accuracy.sampled else accuracy.max_ulp


@_bound.register
def _(bare: FloatPwlSpec, accuracy: FloatAccuracy, written: bool) -> None:
    return None  # beyond the domain nothing was measured


@_bound.register
def _(bare: SoftmaxSpec, accuracy: SoftmaxAccuracy, written: bool) -> float:
    return softmax_bound(bare)


@_bound.register
def _(bare: Base2Spec, accuracy: SoftmaxAccuracy, written: bool) -> float:
    return base2_bound(bare)


@_bound.register
def _(bare: KulischSpec, accuracy: SoftmaxAccuracy, written: bool) -> float:
    return kulisch_bound(bare)


@_bound.register
def _(bare: NormSpec, accuracy: NormAccuracy, written: bool) -> float:
    return norm_bound(bare, written=written)
