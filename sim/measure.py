"""The error of any unit: measured, and where there is a proof, bounded."""

from collections.abc import Sequence

from nnlut_train.functions import lookup
from sim.golden import Base2Spec, IbertNormSpec, NormSpec, SharedSpec, SoftmaxSpec, Spec, UnarySpec

from .accuracy import (
    NormAccuracy,
    SharedAccuracy,
    SoftmaxAccuracy,
    UnaryAccuracy,
    norm_accuracy,
    shared_accuracy,
    softmax_accuracy,
    unary_accuracy,
)
from .base2_bound import base2_bound
from .bound import softmax_bound
from .norm_bound import norm_bound

__all__ = ["Accuracy", "measure"]

Accuracy = UnaryAccuracy | SharedAccuracy | SoftmaxAccuracy | NormAccuracy


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
        there is no proof of this kind of unit.
    """
    bare = spec.bare
    count = {} if rows is None else {"count": rows}
    if isinstance(bare, NormSpec):
        return norm_accuracy(bare, **count), norm_bound(bare)
    if isinstance(bare, SoftmaxSpec):
        return softmax_accuracy(bare, **count), softmax_bound(bare)
    if isinstance(bare, Base2Spec):
        return softmax_accuracy(bare, **count), base2_bound(bare)
    if isinstance(bare, IbertNormSpec):
        return norm_accuracy(bare, **count), None
    if bare.longest:
        return softmax_accuracy(bare, **count), None
    assert isinstance(bare, UnarySpec)
    accuracy: UnaryAccuracy | SharedAccuracy
    if isinstance(bare, SharedSpec):
        accuracy = shared_accuracy(bare, [lookup(op) for op in ops])
    else:
        accuracy = unary_accuracy(bare, lookup(ops[0], domain))
    # Where every code was measured, the measurement is a proof.
    return accuracy, None if accuracy.sampled else accuracy.max_ulp
